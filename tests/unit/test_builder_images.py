"""Addresses of images and thumbnails."""

from typing import Any

import pytest

from overview_worker.builder.images import thumbnail_names
from overview_worker.builder.settings import BuilderSettings, ImageSetSettings
from tests.builder_courses import build, degraded_fields

ASSET = "/asset-v1:Org+Course+Run+type@asset+block@"
THUMBNAIL = "/asset-v1:Org+Course+Run+type@thumbnail+block@"


def _urls(built: Any) -> tuple[str, str]:
    return built.overview.course_image_url, built.overview.banner_image_url


def test_a_course_without_images_names_the_default_ones() -> None:
    assert _urls(build()) == (f"{ASSET}images_course_image.jpg",) * 2


@pytest.mark.parametrize("name", [None, ""])
def test_an_empty_name_gives_the_image_of_the_settings(name: str | None) -> None:
    settings = BuilderSettings(
        static_url="https://cdn.example.com/static/v2/",
        default_course_about_image_url="theme/none.png",
    )

    built = build({"course_image": name, "banner_image": "b.png"}, settings=settings)

    assert _urls(built) == ("https://cdn.example.com/static/v2/theme/none.png", f"{ASSET}b.png")
    assert built.degradations == ()


@pytest.mark.parametrize(
    ("name", "asset"),
    [
        ("my image (1).jpg", "my_image__1_.jpg"),
        ("日本.png", "日本.png"),
        ("imé_8.jpg", "imé_8.jpg"),
        ("images/sub dir/pic.png", "images_sub_dir_pic.png"),
        ("a&b?c=d#e.png", "a_b_c_d_e.png"),
        ("https://example.com/x.png", "https___example.com_x.png"),
        ("/static/lead.png", "_static_lead.png"),
        ("plus+at@sign.png", "plus_at_sign.png"),
        ("percent%20enc.png", "percent%20enc.png"),
        ("tilde~dash-dot.._.gif", "tilde_dash-dot.._.gif"),
        ("😀.png", "_.png"),
        ("back\\slash.png", "back_slash.png"),
        ("line\n", "line_"),
        (" ", "_"),
    ],
)
def test_a_name_is_made_an_asset_name_but_not_escaped(name: str, asset: str) -> None:
    assert _urls(build({"course_image": name, "banner_image": name})) == (f"{ASSET}{asset}",) * 2


@pytest.mark.parametrize("name", [5, ["x.png"]])
def test_a_bad_name_is_degraded_to_the_default_image(name: object) -> None:
    built = build({"course_image": name, "banner_image": name})

    assert _urls(built) == _urls(build())
    assert degraded_fields(built) == ["course_image", "banner_image"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("b anner.jpg", "/static/toy/b anner.jpg"),
        ("", "/static/toy/"),
        ("images_course_image.jpg", "/static/toy/images/course_image.jpg"),
    ],
)
def test_a_static_path_is_joined_to_the_name_whatever_the_static_url(
    name: str, expected: str
) -> None:
    settings = BuilderSettings(static_url="/cdn/")

    built = build({"static_asset_path": "toy", "course_image": name}, settings=settings)

    assert _urls(built) == (expected, "/static/toy/images/banner_image.jpg")
    assert built.degradations == ()


def test_a_null_name_under_a_static_path_is_degraded() -> None:
    built = build({"static_asset_path": "toy", "course_image": None, "banner_image": None})

    assert _urls(built) == (
        "/static/toy/images/course_image.jpg",
        "/static/toy/images/banner_image.jpg",
    )
    assert degraded_fields(built) == ["course_image", "banner_image"]


@pytest.mark.parametrize("path", ["", None])
def test_an_empty_static_path_is_none(path: str | None) -> None:
    assert _urls(build({"static_asset_path": path})) == _urls(build())


def test_a_bad_static_path_is_degraded_once() -> None:
    built = build({"static_asset_path": {"a": 1}})

    assert _urls(built) == _urls(build())
    assert degraded_fields(built) == ["static_asset_path"]


# Image sets


def _image_set(name: object, *thumbnails: str, **sizes: int) -> tuple[str, str]:
    settings = BuilderSettings(image_set=ImageSetSettings(**sizes))
    image_set = build(
        {"course_image": name}, settings=settings, thumbnail_names=frozenset(thumbnails)
    ).image_set
    assert image_set is not None
    return image_set.small_url, image_set.large_url


def test_there_is_no_image_set_while_they_are_switched_off() -> None:
    thumbnails = frozenset({"images_course_image-375x200.jpg"})

    assert build(thumbnail_names=thumbnails).image_set is None


@pytest.mark.parametrize("name", ["gone.png", "", None])
def test_an_image_without_thumbnails_has_empty_addresses(name: str | None) -> None:
    assert _image_set(name, "other-png-375x200.jpg") == ("", "")


def test_only_the_thumbnails_that_exist_have_addresses() -> None:
    assert _image_set("card.png", "card-png-375x200.jpg") == (
        f"{THUMBNAIL}card-png-375x200.jpg",
        "",
    )


def test_the_sizes_are_settings() -> None:
    small, large = "card-10x20.jpg", "card-30x40.jpg"

    urls = _image_set(
        "card.jpg", small, large, small_width=10, small_height=20, large_width=30, large_height=40
    )

    assert urls == (f"{THUMBNAIL}{small}", f"{THUMBNAIL}{large}")


def test_the_default_image_may_have_thumbnails_too() -> None:
    settings = BuilderSettings(image_set=ImageSetSettings())
    name = "images_course_image-375x200.jpg"

    image_set = build(settings=settings, thumbnail_names=frozenset({name})).image_set

    assert image_set is not None
    assert image_set.small_url == f"{THUMBNAIL}{name}"


@pytest.mark.parametrize(
    ("asset", "thumbnail"),
    [
        ("card.jpg", "card-375x200.jpg"),
        ("card.png", "card-png-375x200.jpg"),
        ("card.jpeg", "card-jpeg-375x200.jpg"),
        ("UPPER.JPG", "UPPER-JPG-375x200.jpg"),
        ("two.dots.png", "two.dots-png-375x200.jpg"),
        ("no_extension", "no_extension-375x200.jpg"),
        (".hidden", ".hidden-375x200.jpg"),
        ("drawing.svg", "drawing-375x200.svg"),
    ],
)
def test_a_thumbnail_is_named_after_its_image(asset: str, thumbnail: str) -> None:
    assert thumbnail_names(asset, width=375, height=200)[0] == thumbnail


def test_the_thumbnail_of_a_name_with_blanks_is_found_under_its_asset_name() -> None:
    assert _image_set("my card.png", "my_card-png-375x200.jpg")[0] == (
        f"{THUMBNAIL}my_card-png-375x200.jpg"
    )


def test_an_svg_under_another_extension_is_found_too() -> None:
    assert _image_set("drawing.png", "drawing-png-375x200.svg")[0] == (
        f"{THUMBNAIL}drawing-png-375x200.svg"
    )
