"""Scaling images to thumbnails: what comes out, and that nothing that comes in can do harm."""

import random
import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from overview_worker.documents import Size
from overview_worker.thumbnail_ports import ImageRefused
from overview_worker.thumbnails.scaling import (
    MAX_PIXELS,
    fitted_size,
    is_svg,
    refuse_broken_svg,
    scaled_jpegs,
)
from tests.pictures import (
    BLUE,
    GREEN,
    RED,
    SVG,
    WHITE,
    color_at,
    is_near,
    opened,
    picture,
    quartered,
    saved,
)
from tests.shared_data import bson_documents, needs_shared_data

SMALL = Size(width=375, height=200)
LARGE = Size(width=750, height=400)
ORIENTATION = 0x0112


def small(content: bytes) -> Image.Image:
    (jpeg,) = scaled_jpegs(content, [SMALL])
    return opened(jpeg)


def refusal(content: bytes) -> str:
    with pytest.raises(ImageRefused) as refused:
        scaled_jpegs(content, [SMALL])
    return str(refused.value)


# What comes out


def test_a_picture_is_fitted_into_each_size_with_its_aspect_ratio_kept() -> None:
    small_jpeg, large_jpeg = scaled_jpegs(picture(size=(900, 500)), [SMALL, LARGE])

    assert (opened(small_jpeg).size, opened(large_jpeg).size) == ((360, 200), (720, 400))
    assert opened(small_jpeg).format == "JPEG"


def test_a_small_picture_is_not_enlarged() -> None:
    assert small(picture(size=(32, 32))).size == (32, 32)


@pytest.mark.parametrize(
    ("size", "fitted"),
    [
        ((1, 1), (1, 1)),
        ((20_000, 1), (375, 1)),
        ((1, 20_000), (1, 200)),
        ((3000, 10), (375, 1)),
        ((375, 200), (375, 200)),
        ((376, 200), (375, 199)),
    ],
)
def test_extreme_ratios_keep_a_pixel_at_least(
    size: tuple[int, int], fitted: tuple[int, int]
) -> None:
    assert small(picture(size=size)).size == fitted


@given(
    width=st.integers(1, 8000),
    height=st.integers(1, 8000),
    within=st.sampled_from([SMALL, LARGE, Size(width=1, height=1), Size(width=10, height=4000)]),
)
def test_every_size_is_that_of_open_edx_to_a_pixel(width: int, height: int, within: Size) -> None:
    theirs = Image.new("1", (width, height))
    theirs.thumbnail((within.width, within.height), Image.Resampling.NEAREST)

    ours = fitted_size(width, height, within=within)

    assert max(abs(ours[0] - theirs.width), abs(ours[1] - theirs.height)) <= 1
    assert 1 <= ours[0] <= max(within.width, 1)
    assert 1 <= ours[1] <= max(within.height, 1)


@needs_shared_data
def test_the_thumbnails_of_open_edx_come_out_byte_for_byte() -> None:
    files = {document["files_id"]: document["data"] for document in bson_documents("fs.chunks")}
    run = "asset-v1:ImgOrg+{}+R1+type@{}+block@{}"
    for course, image, stem in (
        ("REAL0", "real.png", "real-png"),
        ("REAL1", "real.jpg", "real"),
        ("REAL2", "rgba.png", "rgba-png"),
    ):
        original = files[run.format(course, "asset", image)]
        theirs = [
            files[run.format(course, "thumbnail", f"{stem}-{size}.jpg")] for size in (SMALL, LARGE)
        ]
        ours = scaled_jpegs(original, [SMALL, LARGE])
        if course == "REAL2":  # ours has white where theirs has what was hidden beneath
            assert [opened(jpeg).size for jpeg in ours] == [opened(jpeg).size for jpeg in theirs]
        else:
            assert ours == theirs


# Orientation: what an upright picture looks like, whichever way the camera was held


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_stands_upright_however_the_camera_was_held(orientation: int, kind: str) -> None:
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    upright = quartered((800, 400))
    taken = upright if undo is None else upright.transpose(undo)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation

    shown = small(saved(taken, kind, exif=exif))

    assert shown.size == (375, 188)
    assert is_near(color_at(shown, 0.25, 0.25), RED)
    assert is_near(color_at(shown, 0.75, 0.25), GREEN)
    assert is_near(color_at(shown, 0.25, 0.75), BLUE)
    assert is_near(color_at(shown, 0.75, 0.75), WHITE)


@pytest.mark.parametrize("value", [0, 9, 255, 65_535])
def test_an_orientation_that_there_is_not_turns_nothing(value: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = value

    shown = small(saved(quartered(), "JPEG", exif=exif))

    assert is_near(color_at(shown, 0.25, 0.25), RED)


def test_metadata_that_cannot_be_read_does_not_spoil_the_picture() -> None:
    content = saved(quartered(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff garbage")

    assert is_near(color_at(small(content), 0.25, 0.25), RED)


def test_no_metadata_is_left() -> None:
    exif = Image.Exif()
    exif[0x010F] = "the camera's maker"
    content = saved(
        quartered(), "JPEG", exif=exif, comment=b"secret", icc_profile=b"profile", dpi=(300, 300)
    )

    (jpeg,) = scaled_jpegs(content, [SMALL])

    assert opened(jpeg).info == {
        "jfif": 257,
        "jfif_version": (1, 1),
        "jfif_unit": 0,
        "jfif_density": (1, 1),
    }
    assert not any(text in jpeg for text in (b"secret", b"profile", b"maker"))


# Kinds and modes of pictures


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_every_kind_that_browsers_show_is_taken(kind: str) -> None:
    assert is_near(color_at(small(picture(kind)), 0.5, 0.5), RED, within=20)


@pytest.mark.parametrize("kind", ["TIFF", "ICO", "PPM", "PCX", "TGA", "JPEG2000", "AVIF", "DDS"])
def test_no_other_kind_is(kind: str) -> None:
    content = picture(kind, size=(64, 64))

    assert refusal(content).startswith("not a picture of a known kind (JPEG, PNG, GIF, WEBP, BMP")


def test_of_an_animation_the_first_frame_is_shown() -> None:
    for kind in ("GIF", "WEBP", "PNG"):
        frames = [Image.new("RGB", (400, 200), color) for color in (BLUE, RED, GREEN)]
        content = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)

        assert is_near(color_at(small(content), 0.5, 0.5), BLUE, within=20), kind


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_white(mode: str) -> None:
    transparent = (0,) * len(mode)
    image = Image.new(mode, (400, 200), transparent)
    image.paste((0,) * (len(mode) - 1) + (255,), (0, 0, 200, 200))

    shown = small(saved(image))

    assert is_near(color_at(shown, 0.25, 0.5), (0, 0, 0))
    assert is_near(color_at(shown, 0.75, 0.5), WHITE)


def test_half_transparent_is_half_white() -> None:
    shown = small(picture(mode="RGBA", color=(0, 0, 0, 128)))

    assert is_near(color_at(shown, 0.5, 0.5), (127, 127, 127))


@pytest.mark.parametrize(
    ("mode", "color", "transparency", "expected"),
    [
        ("RGB", (1, 2, 3), (1, 2, 3), WHITE),
        ("L", 7, 7, WHITE),
        ("L", 7, 8, (7, 7, 7)),
        ("P", 0, 0, WHITE),
        ("P", 0, bytes([255, 0]), (0, 0, 0)),
    ],
)
def test_a_colour_that_counts_as_transparent_is_white(mode, color, transparency, expected) -> None:
    content = picture(mode=mode, color=color, transparency=transparency)

    assert is_near(color_at(small(content), 0.5, 0.5), expected)


def test_a_palette_is_resolved_before_it_is_scaled() -> None:
    image = quartered().quantize(4)

    shown = small(saved(image, "GIF"))

    assert is_near(color_at(shown, 0.25, 0.25), RED)
    assert is_near(color_at(shown, 0.75, 0.25), GREEN)


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (256, 1), (32_768, 128), (65_535, 255)])
def test_of_sixteen_bits_the_upper_eight_are_kept(value: int, expected: int) -> None:
    content = picture(mode="I;16", color=value)

    assert is_near(color_at(small(content), 0.5, 0.5), (expected,) * 3, within=2)


def test_the_inks_of_a_printer_become_colours() -> None:
    content = picture("JPEG", mode="CMYK", color=(0, 255, 255, 0))

    red, green, blue = color_at(small(content), 0.5, 0.5)

    assert red > 200
    assert max(green, blue) < 60


@pytest.mark.parametrize(("mode", "color"), [("1", 1), ("L", 255)])
def test_black_and_white_stays_so(mode: str, color: int) -> None:
    assert is_near(color_at(small(picture(mode=mode, color=color)), 0.5, 0.5), WHITE)


def test_a_large_jpeg_is_read_smaller_and_looks_the_same() -> None:
    shown = small(saved(quartered((6000, 3000)), "JPEG"))

    assert shown.size == (375, 188)
    assert is_near(color_at(shown, 0.25, 0.25), RED)
    assert is_near(color_at(shown, 0.75, 0.75), WHITE)


# What is refused


def png_that_claims(width: int, height: int, *, data: bytes = b"") -> bytes:
    """A PNG whose header is all there is to it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


@pytest.mark.parametrize(
    ("width", "height"),
    [(4001, 4000), (10_000, 9_000), (20_000, 20_000), (2**31 - 1, 1), (2**31 - 1, 2**31 - 1)],
)
def test_more_pixels_than_are_taken_are_refused_before_they_are_decoded(
    width: int, height: int
) -> None:
    reason = refusal(png_that_claims(width, height))

    assert f"more than are taken: {MAX_PIXELS:,}" in reason.replace("more pixels than", "more than")


def test_a_bomb_of_a_few_kilobytes_is_refused() -> None:
    bomb = saved(Image.new("1", (12_000, 12_000)), "PNG", optimize=True)
    assert len(bomb) < 40_000

    assert "pixels" in refusal(bomb)


def test_the_largest_picture_that_is_taken_is_taken() -> None:
    assert small(saved(Image.new("L", (4000, 4000)), "PNG")).size == (200, 200)


def test_a_jpeg_may_be_larger_up_to_a_limit_of_its_own() -> None:
    assert small(saved(Image.new("L", (7000, 7000)), "JPEG")).size == (200, 200)
    assert "7072 x 7072 pixels" in refusal(saved(Image.new("L", (7072, 7072)), "JPEG"))


def test_text_that_unpacks_to_megabytes_is_refused() -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("comment", "x" * 5_000_000, zip=True)

    assert refusal(saved(quartered(), "PNG", pnginfo=notes)).startswith("broken: ")


def test_a_frame_larger_than_its_animation_is_judged_by_itself() -> None:
    content = bytearray(picture("GIF", size=(16, 16)))
    frame = content.index(b"\x2c", 13)
    content[frame + 5 : frame + 9] = struct.pack("<HH", 20_000, 20_000)

    assert refusal(bytes(content))


@pytest.mark.parametrize("content", [b"", b"\x00", b"this is not an image", b"<html></html>"])
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    assert refusal(content).startswith("not a picture of a known kind")


def noisy(kind: str) -> bytes:
    """A picture of which every part counts."""
    random_bytes = random.Random(7).randbytes(120 * 90 * 3)  # noqa: S311 - a picture, no secret
    options = {"lossless": True} if kind == "WEBP" else {}
    return saved(Image.frombytes("RGB", (120, 90), random_bytes), kind, **options)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_a_picture_that_breaks_off_is_refused_wherever_it_does(kind: str) -> None:
    content = noisy(kind)
    whole = scaled_jpegs(content, [SMALL])

    for length in range(0, len(content), max(1, len(content) // 150)):
        try:
            jpegs = scaled_jpegs(content[:length], [SMALL])
        except ImageRefused:
            continue
        # Only what says that the picture is over may be missing.
        assert jpegs == whole, f"{kind} of {length} bytes"
        assert length > len(content) * 0.9


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_picture_is_shown_or_refused_and_does_nothing_else(
    kind: str, data: st.DataObject
) -> None:
    content = bytearray(picture(kind, size=(40, 30)))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))

    shown_or_refused(bytes(content))


_BEGINNINGS = [
    b"",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
    b"\xff\xd8\xff\xe1",
    b"GIF89a",
    b"RIFF\x40\x00\x00\x00WEBPVP8 ",
    b"RIFF\x40\x00\x00\x00WEBPVP8L",
    b"RIFF\x40\x00\x00\x00WEBPVP8X",
    b"BM",
]


@settings(max_examples=400, deadline=None)
@given(beginning=st.sampled_from(_BEGINNINGS), rest=st.binary(max_size=600))
def test_garbage_is_never_anything_but_a_refusal(beginning: bytes, rest: bytes) -> None:
    shown_or_refused(beginning + rest)


def shown_or_refused(content: bytes) -> None:
    with suppress(ImageRefused):
        jpegs = scaled_jpegs(content, [SMALL, LARGE])
        assert [opened(jpeg).format for jpeg in jpegs] == ["JPEG", "JPEG"]


def test_what_stops_a_worker_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    class SoftTimeLimitExceeded(Exception):
        """Celery's is an Exception too."""

    def run_out_of_time(*_: object, **__: object) -> None:
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(Image.Image, "resize", run_out_of_time)

    with pytest.raises(SoftTimeLimitExceeded):
        scaled_jpegs(picture(), [SMALL])


# SVG


@pytest.mark.parametrize(
    "content",
    [
        SVG,
        b"<svg></svg>",
        b"\xef\xbb\xbf  <svg width='1'></svg>",
        b"<!-- <svg> --><svg\n></svg>",
        b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "svg11.dtd">\n<svg ></svg>',
        b'<!DOCTYPE svg [\n<!ENTITY ns "http://ns">\n]>\n<svg xmlns="&ns;"></svg>',
    ],
)
def test_a_drawing_is_known_by_how_it_begins(content: bytes) -> None:
    assert is_svg(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svgx></svgx>",
        b"<html><svg></svg></html>",
        b"<!-- never ends <svg>",
        b"<?xml",
        b"<!DOCTYPE svg [ <!ENTITY a 'b'> <svg>",
        picture(),
        b"text <svg></svg>",
    ],
)
def test_nothing_else_is_a_drawing(content: bytes) -> None:
    assert not is_svg(content)


@settings(deadline=None)
@given(st.binary(max_size=300).map(lambda rest: b"<!" + rest))
def test_any_beginning_is_judged_without_an_error(content: bytes) -> None:
    assert is_svg(content) in (True, False)


def test_a_drawing_that_breaks_off_is_refused() -> None:
    refuse_broken_svg(SVG)
    with pytest.raises(ImageRefused, match="breaks off"):
        refuse_broken_svg(SVG[:-10])
