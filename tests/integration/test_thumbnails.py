"""Thumbnails on a real contentstore and a real database: wanted, made, refused, and in the row."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import connection
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone
from pymongo import MongoClient

from dev.authoring.author import SplitAuthor
from dev.authoring.dumps import load_modulestore_dump
from lms_integration.models import (
    CourseOverview,
    CourseOverviewImageSet,
    OverviewMark,
    OverviewThumbnails,
    ThumbnailState,
)
from lms_integration.platform_tables.models import CourseOverviewImageConfig
from overview_worker.bootstrap import (
    Dependencies,
    builder_settings,
    image_sets,
    make_dependencies,
)
from overview_worker.builder.settings import BuilderSettings, ImageSetSettings
from overview_worker.documents import Size, WantedThumbnails
from overview_worker.modulestore.contentstore import CHUNK_BYTES, MongoContentstore
from overview_worker.modulestore.mongo import MongoConf, connect
from overview_worker.rebuild import RebuildOutcome
from overview_worker.store.image_config import StoredImageConfig, read_image_config
from overview_worker.store.thumbnail_register import UNDER_WAY_LIMIT, WAITING_LIMIT
from overview_worker.thumbnails.making import (
    MAX_BYTES,
    MAX_CRASHES,
    TEND_LIMIT,
    ThumbnailOutcome,
)
from overview_worker.watched_settings import affected_rows, watched_settings
from tests.pictures import BLUE, RED, SVG, color_at, is_near, opened, picture
from tests.shared_data import SHARED_MODULESTORE, needs_shared_data
from tests.sql_accounts import printed_accounts, signed_in
from tests.thumbnail_scene import (
    Gallery,
    address,
    known,
    pass_check_period,
    pass_wait,
    urls,
)

KEY = "course-v1:TestX+Images+R1"
OTHER = "course-v1:TestX+Images+R2"
SIZES = BuilderSettings(image_set=ImageSetSettings())
SMALL, LARGE = "card-png-375x200.jpg", "card-png-750x400.jpg"

pytestmark = pytest.mark.django_db


def thumbnail_url(name: str, key: str = KEY) -> str:
    return "/" + address(key, "thumbnail", name)


@pytest.fixture
def switched_on(mongo_client: MongoClient[dict[str, Any]], mongo_conf: MongoConf) -> Dependencies:
    return make_dependencies(mongo_client, mongo_conf, SIZES)


@pytest.fixture
def gallery(author: SplitAuthor, mongo_database, switched_on: Dependencies) -> Gallery:
    return Gallery(author=author, database=mongo_database, adapters=switched_on)


@pytest.fixture(autouse=True)
def _forget_configuration() -> Iterator[None]:
    image_sets.cache_clear()
    yield
    image_sets.cache_clear()


# From the publish to the row


def test_a_publish_shows_no_thumbnails_until_they_are_made_and_then_does(gallery: Gallery):
    gallery.upload(KEY, "card.png", picture())

    gallery.create(KEY)
    assert (urls(KEY), known(KEY).state) == (("", ""), ThumbnailState.WANTED)

    assert gallery.make() == {KEY: ThumbnailOutcome.MADE}
    assert urls(KEY) == (thumbnail_url(SMALL), thumbnail_url(LARGE))
    assert opened(gallery.thumbnail(KEY, SMALL)).size == (360, 200)
    assert opened(gallery.thumbnail(KEY, LARGE)).size == (720, 400)
    assert known(KEY).state == ThumbnailState.MADE


def test_the_mark_that_follows_tells_what_it_is_from_and_counts_as_no_publish(gallery: Gallery):
    gallery.upload(KEY, "card.png", picture())
    gallery.create(KEY)

    gallery.adapters.thumbnails.make(KEY)

    mark = OverviewMark.objects.get(course_key=KEY)
    assert mark.wanted == mark.done + 1
    assert (mark.last_event_type, mark.published_since) == ("thumbnails made", None)


def test_what_is_known_already_is_not_written_again(gallery: Gallery):
    gallery.upload(KEY, "card.png", picture())
    gallery.create(KEY)
    gallery.make()
    before = OverviewThumbnails.objects.values().get(course_key=KEY)

    gallery.edit(KEY, display_name="Renamed")

    assert OverviewThumbnails.objects.values().get(course_key=KEY) == before
    assert gallery.tend() == []
    assert urls(KEY) == (thumbnail_url(SMALL), thumbnail_url(LARGE))


def test_another_image_has_other_thumbnails_and_the_old_ones_leave_the_row(gallery: Gallery):
    gallery.upload(KEY, "card.png", picture())
    gallery.upload(KEY, "new.jpg", picture("JPEG"), content_type="image/jpeg")
    gallery.create(KEY)
    gallery.make()

    gallery.edit(KEY, course_image="new.jpg")
    assert urls(KEY) == ("", "")

    gallery.make()
    assert urls(KEY) == (thumbnail_url("new-375x200.jpg"), thumbnail_url("new-750x400.jpg"))


def test_other_sizes_are_made_anew(gallery: Gallery, mongo_client, mongo_conf):
    gallery.upload(KEY, "card.png", picture())
    gallery.create(KEY)
    gallery.make()
    small = BuilderSettings(image_set=ImageSetSettings(small_width=36, small_height=20))
    smaller = replace(gallery, adapters=make_dependencies(mongo_client, mongo_conf, small))

    smaller.rebuild(KEY)
    smaller.make()

    assert urls(KEY) == (thumbnail_url("card-png-36x20.jpg"), thumbnail_url(LARGE))
    assert opened(gallery.thumbnail(KEY, "card-png-36x20.jpg")).size == (36, 20)


@pytest.mark.parametrize("image", ["", None])
def test_a_course_without_an_image_of_its_own_wants_none(gallery: Gallery, image: str | None):
    gallery.create(KEY, image)

    gallery.make()

    assert urls(KEY) == ("", "")
    assert (known(KEY).state, known(KEY).reason) == (ThumbnailState.NONE, "")


def test_a_deleted_course_leaves_nothing_to_be_made(gallery: Gallery):
    gallery.create(KEY)

    gallery.author.delete_course(KEY)
    gallery.rebuild(KEY)

    assert not OverviewThumbnails.objects.exists()
    assert gallery.adapters.thumbnails.make(KEY) is ThumbnailOutcome.NOT_WANTED


def test_a_chunk_of_courses_wants_its_thumbnails_with_two_statements(
    gallery: Gallery, django_assert_max_num_queries
):
    keys = [f"course-v1:TestX+Images+C{number}" for number in range(20)]
    for key in keys:
        gallery.author.create_course(key, settings={"course_image": "card.png"})

    with connection.execute_wrapper(counting := Statements()):
        gallery.rebuild(*keys)

    assert [each.split(maxsplit=1)[0] for each in counting.found] == ["SELECT", "INSERT"]


class Statements:
    """Notes the statements about thumbnails."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def __call__(self, execute, sql, params, many, context):
        if "overview_thumbnails" in sql:
            self.found.append(sql)
        return execute(sql, params, many, context)


# Switched off


def test_nothing_is_asked_noted_or_made_while_image_sets_are_off(
    gallery: Gallery, adapters: Dependencies
):
    off = replace(gallery, adapters=adapters)
    gallery.upload(KEY, "card.png", picture())

    with connection.execute_wrapper(statements := Statements()):
        off.create(KEY)

    assert statements.found == []
    assert off.tend() == []
    assert not CourseOverviewImageSet.objects.exists()


def test_switched_off_again_the_next_rebuild_removes_the_image_set(
    gallery: Gallery, adapters: Dependencies
):
    gallery.upload(KEY, "card.png", picture())
    gallery.create(KEY)
    gallery.make()
    off = replace(gallery, adapters=adapters)

    off.edit(KEY, display_name="Renamed")

    assert CourseOverview.objects.get(id=KEY).display_name == "Renamed"
    assert not CourseOverviewImageSet.objects.filter(course_overview_id=KEY).exists()


def test_what_was_wanted_when_they_were_switched_off_waits(
    gallery: Gallery, adapters: Dependencies
):
    gallery.upload(KEY, "card.png", picture())
    gallery.create(KEY)

    assert adapters.thumbnails.make(KEY) is ThumbnailOutcome.SWITCHED_OFF
    assert gallery.make() == {KEY: ThumbnailOutcome.MADE}


# Images that are changed, or thumbnails lost, without a publish


def test_an_image_that_is_replaced_without_a_publish_is_noticed(gallery: Gallery):
    gallery.upload(KEY, "card.png", picture(color=RED))
    gallery.create(KEY)
    gallery.make()

    gallery.upload(KEY, "card.png", picture(color=BLUE))
    pass_check_period()
    gallery.make()

    shown = opened(gallery.thumbnail(KEY, SMALL))
    assert is_near(color_at(shown, 0.5, 0.5), BLUE, within=20)


def test_the_same_image_uploaded_again_is_no_other_image(gallery: Gallery):
    gallery.upload(KEY, "card.png", picture())
    gallery.create(KEY)
    gallery.make()

    gallery.upload(KEY, "card.png", picture())
    pass_check_period()

    assert gallery.tend() == []


def test_an_image_that_turns_up_late_is_noticed(gallery: Gallery):
    gallery.create(KEY)
    gallery.create(OTHER, None)
    gallery.make()
    assert known(KEY).reason == "the contentstore has no file card.png"

    gallery.upload(KEY, "card.png", picture())
    gallery.upload(OTHER, "images_course_image.jpg", picture("JPEG"))
    pass_check_period()
    gallery.make()

    assert urls(KEY)[0] == thumbnail_url(SMALL)
    assert urls(OTHER)[0] == thumbnail_url("images_course_image-375x200.jpg", OTHER)


def test_thumbnails_that_somebody_removes_are_made_again(gallery: Gallery):
    gallery.upload(KEY, "card.png", picture())
    gallery.create(KEY)
    gallery.make()

    gallery.remove(KEY, "thumbnail", LARGE)
    pass_check_period()
    gallery.make()

    assert gallery.thumbnail_names(KEY) == {SMALL, LARGE}


def test_the_check_comes_round_to_every_course_and_only_once_a_period(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("overview_worker.thumbnails.making.CHECK_LIMIT", 2)
    keys = [f"course-v1:TestX+Images+C{number}" for number in range(5)]
    for key in keys:
        gallery.upload(key, "card.png", picture(size=(9, 5)))
        gallery.create(key)
    gallery.make()
    for key in keys:
        gallery.upload(key, "card.png", picture(size=(9, 6)))

    found: list[str] = []
    for _ in range(3):
        pass_check_period()
        found += gallery.tend()
        assert gallery.tend() == []

    assert sorted(found) == keys


# Refusals: of this image, with a reason, and of nothing else


def test_a_broken_image_is_refused_and_the_row_is_whole(gallery: Gallery):
    gallery.upload(KEY, "card.png", picture()[:-200])
    gallery.upload(OTHER, "card.png", picture())
    gallery.create(KEY, short_description="untouched")
    gallery.create(OTHER)

    outcomes = gallery.make()

    assert outcomes == {KEY: ThumbnailOutcome.REFUSED, OTHER: ThumbnailOutcome.MADE}
    assert known(KEY).reason.startswith("broken: ")
    assert CourseOverview.objects.get(id=KEY).display_name == KEY
    assert urls(KEY) == ("", "")


def test_a_refused_image_is_not_tried_again_by_itself(gallery: Gallery):
    gallery.upload(KEY, "card.png", b"this is not an image")
    gallery.create(KEY)
    gallery.make()

    pass_check_period()
    gallery.edit(KEY, display_name="Renamed")

    assert gallery.tend() == []
    assert "not a picture of a known kind" in known(KEY).reason


def test_a_refused_image_that_is_replaced_is(gallery: Gallery):
    gallery.upload(KEY, "card.png", b"this is not an image")
    gallery.create(KEY)
    gallery.make()

    gallery.upload(KEY, "card.png", picture())
    pass_check_period()

    assert gallery.make() == {KEY: ThumbnailOutcome.MADE}
    assert known(KEY).reason == ""


def test_an_image_spoiled_under_its_name_keeps_its_last_good_thumbnails(gallery: Gallery):
    gallery.upload(KEY, "card.png", picture())
    gallery.create(KEY)
    gallery.make()

    gallery.upload(KEY, "card.png", b"spoiled")
    pass_check_period()
    gallery.make()

    assert known(KEY).state == ThumbnailState.REFUSED
    assert urls(KEY) == (thumbnail_url(SMALL), thumbnail_url(LARGE))


def test_a_file_too_large_is_refused_without_being_read(gallery: Gallery):
    gallery.upload(KEY, "card.png", picture())
    gallery.database["fs.files"].update_one(
        {"_id": address(KEY, "asset", "card.png")}, {"$set": {"length": MAX_BYTES + 1}}
    )
    gallery.create(KEY)
    gallery.make()

    assert known(KEY).reason == "20,971,521 bytes: more than the 20,971,520 that are taken"


def test_a_file_larger_than_it_says_is_read_no_further_than_the_limit(gallery: Gallery):
    gallery.upload(KEY, "card.png", b"x" * (MAX_BYTES + CHUNK_BYTES))
    gallery.database["fs.files"].update_one(
        {"_id": address(KEY, "asset", "card.png")}, {"$set": {"length": 100}}
    )
    gallery.create(KEY)
    gallery.make()

    assert known(KEY).reason == "more bytes than the 20,971,520 that are taken"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"length": 5}, "the contentstore has 2,462 of its 5 bytes"),
        ({"length": "many"}, "the contentstore does not say how long the file is"),
    ],
)
def test_a_file_that_is_not_what_its_entry_says_is_refused(gallery: Gallery, change, reason):
    gallery.upload(KEY, "card.png", b"x" * 2462)
    gallery.database["fs.files"].update_one(
        {"_id": address(KEY, "asset", "card.png")}, {"$set": change}
    )
    gallery.create(KEY)
    gallery.make()

    assert known(KEY).reason == reason


def test_a_file_with_a_part_missing_is_refused(gallery: Gallery):
    gallery.upload(KEY, "card.png", b"x" * 3 * CHUNK_BYTES)
    gallery.database["fs.chunks"].delete_one({"n": 1})
    gallery.create(KEY)
    gallery.make()

    assert known(KEY).reason == "the contentstore has 522,240 of its 783,360 bytes"


def test_a_part_that_is_no_bytes_is_refused(gallery: Gallery):
    gallery.upload(KEY, "card.png", picture())
    gallery.database["fs.chunks"].update_one({"n": 0}, {"$set": {"data": "text"}})
    gallery.create(KEY)
    gallery.make()

    assert known(KEY).reason == "the contentstore has something else than bytes in it"


def test_an_image_whose_workers_die_again_and_again_is_refused(gallery: Gallery):
    gallery.upload(KEY, "card.png", picture())
    gallery.create(KEY)
    register = gallery.adapters.thumbnails.register

    for _ in range(MAX_CRASHES):
        assert gallery.tend() == [KEY]
        register.begin(KEY)  # and the worker is killed
        pass_wait([KEY])

    assert gallery.make() == {KEY: ThumbnailOutcome.REFUSED}
    assert known(KEY).reason == (
        "scaling it has crashed or outrun its worker 3 times; 3 is the most"
    )


def test_an_end_of_any_kind_forgets_earlier_crashes(gallery: Gallery, unreachable: Gallery):
    gallery.upload(KEY, "card.png", picture())
    gallery.create(KEY)

    gallery.adapters.thumbnails.register.begin(KEY)
    unreachable.adapters.thumbnails.make(KEY)

    assert known(KEY).crashes == 0


# A picture is what its content is


def test_a_wrong_extension_does_not_matter(gallery: Gallery):
    gallery.upload(KEY, "card.png", picture("GIF"), content_type="text/plain")
    gallery.create(KEY)

    assert gallery.make() == {KEY: ThumbnailOutcome.MADE}


def test_a_drawing_is_its_own_thumbnail(gallery: Gallery):
    gallery.upload(KEY, "card.svg", SVG, content_type="image/svg+xml")
    gallery.create(KEY, "card.svg")

    gallery.make()

    assert urls(KEY) == (thumbnail_url("card-375x200.svg"), thumbnail_url("card-750x400.svg"))
    assert gallery.thumbnail(KEY, "card-375x200.svg") == SVG


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (SVG[:-10], "the SVG breaks off: it has no end tag"),
        (SVG.replace(b"<g/>", b" " * 2_100_000), "more than the 2,097,152 that are copied"),
    ],
)
def test_a_drawing_may_be_refused_too(gallery: Gallery, content: bytes, reason: str):
    gallery.upload(KEY, "card.svg", content)
    gallery.create(KEY, "card.svg")

    gallery.make()

    assert reason in known(KEY).reason


def test_a_photograph_in_place_of_a_drawing_takes_its_thumbnails_away(gallery: Gallery):
    gallery.upload(KEY, "card.svg", SVG)
    gallery.create(KEY, "card.svg")
    gallery.make()

    gallery.upload(KEY, "card.svg", picture())
    pass_check_period()
    gallery.make()

    assert gallery.thumbnail_names(KEY) == {"card-svg-375x200.jpg", "card-svg-750x400.jpg"}
    assert urls(KEY)[0] == thumbnail_url("card-svg-375x200.jpg")


def test_a_thumbnail_of_many_chunks_is_readable(gallery: Gallery):
    drawing = SVG.replace(b"<g/>", b"<g/>" * 100_000)
    gallery.upload(KEY, "card.svg", drawing)
    gallery.create(KEY, "card.svg")

    gallery.make()

    assert gallery.thumbnail(KEY, "card-750x400.svg") == drawing


# Servers that are away, and races


@pytest.fixture
def unreachable(gallery: Gallery) -> Iterator[Gallery]:
    """The same worker, with nobody where MongoDB should be."""
    conf = MongoConf(url="mongodb://127.0.0.1:9", database="none", server_selection_timeout_ms=50)
    client = connect(conf)
    maker = replace(gallery.adapters.thumbnails, contentstore=MongoContentstore(client, conf))
    yield replace(gallery, adapters=replace(gallery.adapters, thumbnails=maker))
    client.close()


def test_while_mongodb_is_away_it_is_tried_again_later_and_later(
    gallery: Gallery, unreachable: Gallery
):
    gallery.upload(KEY, "card.png", picture())
    gallery.create(KEY)

    waits = []
    for _ in range(3):
        assert unreachable.tend() == [KEY]
        assert unreachable.adapters.thumbnails.make(KEY) is ThumbnailOutcome.POSTPONED
        assert unreachable.tend() == []
        row = known(KEY)
        assert row.next_attempt_at is not None
        waits.append(round((row.next_attempt_at - row.changed_at).total_seconds()))
        pass_wait([KEY])

    assert waits == [5, 10, 20]
    assert known(KEY).reason.startswith("MongoDB did not answer")
    assert urls(KEY) == ("", "")
    assert gallery.make() == {KEY: ThumbnailOutcome.MADE}


def test_a_check_that_cannot_reach_mongodb_concludes_nothing(
    gallery: Gallery, unreachable: Gallery
):
    gallery.upload(KEY, "card.png", picture())
    gallery.create(KEY)
    gallery.make()

    pass_check_period()

    assert unreachable.tend() == []
    assert known(KEY).state == ThumbnailState.MADE


def test_what_is_enqueued_is_left_alone_for_a_while(gallery: Gallery):
    gallery.create(KEY)

    assert gallery.tend() == [KEY]
    assert gallery.tend() == []
    pass_wait([KEY])
    assert gallery.tend() == [KEY]


def want_many(count: int, **columns: Any) -> None:
    OverviewThumbnails.objects.bulk_create(
        [
            OverviewThumbnails(
                course_key=f"course-v1:TestX+Many+R{number}",
                state=ThumbnailState.WANTED,
                image_name="card.png",
                sizes="375x200 750x400",
                changed_at="2026-01-01T00:00:00Z",
                **columns,
            )
            for number in range(count)
        ]
    )


def test_a_new_catalogue_does_not_fill_the_queue_before_the_rebuilds(gallery: Gallery):
    want_many(UNDER_WAY_LIMIT + 30)

    enqueued: list[str] = []
    while keys := gallery.tend():
        enqueued += keys

    assert len(enqueued) == len(set(enqueued)) == UNDER_WAY_LIMIT


def test_what_waits_for_a_server_that_is_away_does_not_pile_up(gallery: Gallery):
    want_many(WAITING_LIMIT, attempts=1, next_attempt_at=timezone.now() + timedelta(hours=1))
    gallery.upload(KEY, "card.png", picture())
    gallery.create(KEY)

    assert gallery.tend() == []


@pytest.mark.parametrize(
    ("count", "publishes_wait", "looks"),
    [(TEND_LIMIT, False, 1), (TEND_LIMIT - 1, False, 0), (TEND_LIMIT, True, 0)],
    ids=["more may wait", "that was all", "a publish waits"],
)
def test_who_looks_does_so_again_behind_what_it_enqueues(
    gallery: Gallery, count: int, publishes_wait: bool, looks: int
):
    want_many(count)
    said: list[str] = []

    gallery.adapters.thumbnails.tend(
        enqueue=lambda keys: said.append("enqueued"),
        look_again=lambda: said.append("look again"),
        publishes_wait=lambda: publishes_wait,
    )

    assert said == ["enqueued", *["look again"] * looks]


def test_thumbnails_of_an_image_that_is_no_longer_wanted_are_not_taken_for_the_new_ones(
    gallery: Gallery,
):
    gallery.upload(KEY, "card.png", picture())
    gallery.create(KEY)
    maker = gallery.adapters.thumbnails
    begun = maker.register.begin(KEY)
    assert begun is not None

    gallery.edit(KEY, course_image="new.png")

    assert not maker.register.finish(KEY, begun[0], fingerprint="f", urls={})
    assert (known(KEY).state, known(KEY).image_name) == (ThumbnailState.WANTED, "new.png")
    assert not OverviewMark.objects.get(course_key=KEY).dirty_since


def test_the_same_task_delivered_twice_does_no_harm(gallery: Gallery):
    gallery.upload(KEY, "card.png", picture())
    gallery.create(KEY)
    maker = gallery.adapters.thumbnails

    assert maker.make(KEY) is ThumbnailOutcome.MADE
    assert maker.make(KEY) is ThumbnailOutcome.NOT_WANTED


def test_thumbnails_that_are_there_already_are_not_written_again(gallery: Gallery):
    gallery.upload(KEY, "card.png", picture())
    gallery.create(KEY)
    gallery.make()
    before = list(gallery.database["fs.chunks"].find())

    call_command("overview", "thumbnails", "retry", KEY, stdout=StringIO())
    gallery.make()

    assert list(gallery.database["fs.chunks"].find()) == before


# In a storage of Django's


@pytest.fixture
def in_storage(gallery: Gallery, mongo_client, mongo_conf, tmp_path) -> Iterator[Gallery]:
    storage = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(tmp_path), "base_url": "https://media.example.org/"},
    }
    with override_settings(
        OVERVIEW_THUMBNAIL_STORE="storage",
        OVERVIEW_THUMBNAIL_STORAGE="thumbnails",
        STORAGES={"thumbnails": storage},
    ):
        yield replace(gallery, adapters=make_dependencies(mongo_client, mongo_conf, SIZES))


def test_the_row_shows_the_addresses_of_a_storage(in_storage: Gallery, tmp_path):
    in_storage.upload(KEY, "card.png", picture())
    in_storage.create(KEY)
    assert urls(KEY) == ("", "")

    in_storage.make()

    small, large = urls(KEY)
    assert small.startswith("https://media.example.org/course-thumbnails/")
    path = tmp_path / small.removeprefix("https://media.example.org/")
    assert opened(path.read_bytes()).size == (360, 200)
    assert small != large
    assert in_storage.thumbnail_names(KEY) == set()


def test_another_content_has_another_address_in_a_storage(in_storage: Gallery):
    in_storage.upload(KEY, "card.png", picture(color=RED))
    in_storage.create(KEY)
    in_storage.make()
    before = urls(KEY)

    in_storage.upload(KEY, "card.png", picture(color=BLUE))
    pass_check_period()
    in_storage.make()

    assert not set(before) & set(urls(KEY))


def test_another_image_does_not_show_the_old_addresses(in_storage: Gallery):
    in_storage.upload(KEY, "card.png", picture())
    in_storage.create(KEY)
    in_storage.make()

    in_storage.edit(KEY, course_image="new.png")

    assert urls(KEY) == ("", "")


def test_a_storage_takes_no_drawings(in_storage: Gallery):
    in_storage.upload(KEY, "card.svg", SVG)
    in_storage.create(KEY, "card.svg")

    in_storage.make()

    assert known(KEY).reason.startswith("an SVG: ")


def test_a_storage_that_fails_is_tried_again(in_storage: Gallery, tmp_path):
    in_storage.upload(KEY, "card.png", picture())
    in_storage.create(KEY)
    (tmp_path / "course-thumbnails").write_text("in the way")

    assert in_storage.make() == {KEY: ThumbnailOutcome.POSTPONED}
    assert known(KEY).reason.startswith("the storage thumbnails did not take a thumbnail: ")

    (tmp_path / "course-thumbnails").unlink()
    pass_wait([KEY])
    assert in_storage.make() == {KEY: ThumbnailOutcome.MADE}


def test_half_a_file_that_a_killed_worker_left_is_written_anew(in_storage: Gallery, tmp_path):
    in_storage.upload(KEY, "card.png", picture())
    in_storage.create(KEY)
    in_storage.make()
    path = tmp_path / urls(KEY)[0].removeprefix("https://media.example.org/")
    whole = path.read_bytes()
    path.write_bytes(whole[:100])

    call_command("overview", "thumbnails", "retry", KEY, stdout=StringIO())
    in_storage.make()

    assert path.read_bytes() == whole


def test_moving_to_another_place_makes_them_there(gallery: Gallery, in_storage: Gallery):
    gallery.upload(KEY, "card.png", picture())
    gallery.create(KEY)
    gallery.make()

    pass_check_period()
    in_storage.make()

    assert urls(KEY)[0].startswith("https://media.example.org/")


# Where the configuration comes from


def configure(**columns: Any) -> CourseOverviewImageConfig:
    image_sets.cache_clear()  # as some seconds do
    return CourseOverviewImageConfig.objects.create(**columns)


def test_without_a_configuration_image_sets_are_off():
    assert read_image_config() is None
    assert builder_settings().image_set is None


def test_the_newest_row_of_open_edx_table_is_in_force():
    configure(enabled=True)
    assert builder_settings().image_set == ImageSetSettings()

    configure(enabled=True, small_width=100, small_height=50)
    assert builder_settings().image_set == ImageSetSettings(small_width=100, small_height=50)

    configure(enabled=False)
    assert builder_settings().image_set is None


def test_the_setting_comes_before_the_table():
    configure(enabled=True, small_width=100)

    with override_settings(OVERVIEW_IMAGE_SET={"small_width": 7}):
        assert builder_settings().image_set == ImageSetSettings(small_width=7)
    with override_settings(OVERVIEW_IMAGE_SET=False):
        assert builder_settings().image_set is None
    with override_settings(OVERVIEW_IMAGE_SET=None):
        assert builder_settings().image_set == ImageSetSettings(small_width=100)


@pytest.mark.django_db(transaction=True)
def test_a_database_without_the_table_has_them_off():
    with connection.schema_editor() as editor:
        editor.delete_model(CourseOverviewImageConfig)
    try:
        assert read_image_config() is None
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(CourseOverviewImageConfig)
    configure(enabled=True)
    assert read_image_config() == StoredImageConfig(
        enabled=True, small_width=375, small_height=200, large_width=750, large_height=400
    )


def test_the_row_follows_the_table_without_a_restart(
    author: SplitAuthor, mongo_client, mongo_conf, mongo_database
):
    adapters = make_dependencies(
        mongo_client, mongo_conf, BuilderSettings(), image_sets=lambda: image_sets()()
    )
    gallery = Gallery(author=author, database=mongo_database, adapters=adapters)
    gallery.upload(KEY, "card.png", picture())
    gallery.create(KEY)
    assert not CourseOverviewImageSet.objects.exists()

    configure(enabled=True)
    assert gallery.rebuild(KEY) == {KEY: RebuildOutcome.WRITTEN}
    gallery.make()

    assert urls(KEY) == (thumbnail_url(SMALL), thumbnail_url(LARGE))


def test_a_change_of_the_table_is_a_change_of_settings_that_has_every_course_built():
    def watched() -> dict[str, Any]:
        return {each.name: each.value for each in watched_settings(builder_settings())}

    before = watched()
    configure(enabled=True)
    after = watched()

    assert {name for name in after if after[name] != before[name]} == {"thumbnails"}
    old, new = before["thumbnails"], after["thumbnails"]
    assert affected_rows("thumbnails", old=old, new=new).everything


# A person's part


def overview(*arguments: str) -> tuple[str, int]:
    output = StringIO()
    try:
        call_command("overview", "thumbnails", *arguments, stdout=output)
    except SystemExit as leaving:
        return output.getvalue(), int(leaving.code or 0)
    return output.getvalue(), 0


@pytest.fixture
def refused(gallery: Gallery) -> Gallery:
    gallery.upload(KEY, "card.png", b"no image")
    gallery.upload(OTHER, "card.png", picture())
    gallery.create(KEY)
    gallery.create(OTHER)
    gallery.make()
    return gallery


def test_the_command_tells_which_are_refused_and_why(refused: Gallery):
    text, code = overview("list", "--refused")
    assert code == 1
    assert KEY in text
    assert OTHER not in text
    assert "not a picture of a known kind" in text
    assert "1 made" in text

    listed = json.loads(overview("list", "--json")[0])
    assert [(row["course_key"], row["state"]) for row in listed] == [
        (KEY, "refused"),
        (OTHER, "made"),
    ]
    shown, code = overview("show", KEY, "--json")
    assert (json.loads(shown)["image"], code) == ("card.png", 1)
    assert overview("show", OTHER)[1] == 0
    assert overview("show", "course-v1:TestX+Never+R1")[1] == 1


def test_the_command_has_them_tried_again(refused: Gallery):
    refused.upload(KEY, "card.png", picture())

    assert overview("retry", "--refused") == (
        "1 courses: the workers try again within seconds\n"
        "image sets are switched off: none are made (OVERVIEW_IMAGE_SET, or the admin)\n",
        0,
    )
    assert refused.make() == {KEY: ThumbnailOutcome.MADE}
    text, code = overview("retry", "course-v1:TestX+Never+R1", "--json")
    assert code == 1
    assert json.loads(text)["without_image"] == ["course-v1:TestX+Never+R1"]


def staff(*permissions: str) -> Client:
    user = User.objects.create_user("ann", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


LIST = reverse("admin:lms_integration_overviewthumbnails_changelist")
ADD = reverse("admin:platform_tables_courseoverviewimageconfig_add")


def test_the_admin_has_them_tried_again(refused: Gallery):
    refused.upload(KEY, "card.png", picture())
    client = staff("run_rebuild")
    assert "not a picture of a known kind" in client.get(LIST).content.decode()

    chosen = {"action": "retry", ACTION_CHECKBOX_NAME: [KEY, OTHER]}
    answer = client.post(LIST, chosen, follow=True)

    assert "2 courses: the workers try again within seconds" in answer.content.decode()
    assert set(refused.make()) == {KEY, OTHER}


def test_who_may_only_look_may_not_have_them_tried_again(refused: Gallery):
    client = staff("view_overviewthumbnails")
    assert KEY in client.get(LIST).content.decode()

    client.post(LIST, {"action": "retry", ACTION_CHECKBOX_NAME: [KEY]}, follow=True)

    assert known(KEY).state == ThumbnailState.REFUSED
    assert staff_without_permission().get(LIST).status_code == 403


def staff_without_permission() -> Client:
    client = Client()
    client.force_login(User.objects.create_user("eve", is_staff=True))
    return client


def test_the_configuration_is_changed_in_the_admin_by_adding_a_row():
    client = staff("add_courseoverviewimageconfig", "view_courseoverviewimageconfig")
    sizes = {"small_width": 90, "small_height": 50, "large_width": 180, "large_height": 100}

    assert client.post(ADD, {"enabled": "on", **sizes}).status_code == 302

    image_sets.cache_clear()
    assert builder_settings().image_set == ImageSetSettings(**sizes)
    row = CourseOverviewImageConfig.objects.get()
    assert row.changed_by == User.objects.get(username="ann")
    assert 'value="90"' in client.get(ADD).content.decode()


@pytest.mark.parametrize("width", [0, -1, 5000])
def test_a_size_that_makes_no_sense_is_not_taken(width: int):
    client = staff("add_courseoverviewimageconfig")
    sizes = {"small_width": width, "small_height": 50, "large_width": 180, "large_height": 100}

    assert client.post(ADD, {"enabled": "on", **sizes}).status_code == 200

    assert not CourseOverviewImageConfig.objects.exists()


def test_whoever_may_not_add_a_row_changes_no_configuration():
    assert staff("view_courseoverviewimageconfig").get(ADD).status_code == 403
    assert staff_without_permission().get(ADD).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_the_accounts_of_workers_and_admin_have_the_rights_they_need(gallery: Gallery):
    with printed_accounts("worker", "admin") as passwords:
        client = staff("run_rebuild", "add_courseoverviewimageconfig")
        gallery.upload(KEY, "card.png", b"no image")
        with signed_in("worker", passwords["worker"]):
            assert read_image_config() is None
            gallery.create(KEY)
            assert gallery.make() == {KEY: ThumbnailOutcome.REFUSED}
        gallery.upload(KEY, "card.png", picture())
        with signed_in("admin", passwords["admin"]):
            chosen = {"action": "retry", ACTION_CHECKBOX_NAME: [KEY]}
            assert client.post(LIST, chosen).status_code == 302
            sizes = {"small_width": 9, "small_height": 5, "large_width": 18, "large_height": 10}
            assert client.post(ADD, {"enabled": "on", **sizes}).status_code == 302
        with signed_in("worker", passwords["worker"]):
            assert gallery.make() == {KEY: ThumbnailOutcome.MADE}
            gallery.author.delete_course(KEY)
            gallery.rebuild(KEY)
            assert not OverviewThumbnails.objects.exists()


# The images of a real Open edX


@pytest.fixture
def reference(
    mongo_client: MongoClient[dict[str, Any]], mongo_database, author: SplitAuthor
) -> Gallery:
    load_modulestore_dump(SHARED_MODULESTORE, mongo_database)
    conf = MongoConf(url=os.environ["OVERVIEW_MONGODB_URL"], database=mongo_database.name)
    adapters = make_dependencies(mongo_client, conf, SIZES)
    return Gallery(author=author, database=mongo_database, adapters=adapters)


@needs_shared_data
def test_thumbnails_are_kept_field_for_field_as_open_edx_keeps_them(reference: Gallery):
    is_thumbnail = {"content_son.category": "thumbnail", "content_son.course": {"$ne": "REAL2"}}
    theirs = stored_files(reference, is_thumbnail)
    reference.database["fs.files"].delete_many({"content_son.category": "thumbnail"})
    reference.database["fs.chunks"].delete_many({"files_id": {"$regex": "thumbnail"}})
    keys = [f"course-v1:ImgOrg+REAL{number}+R1" for number in range(4)]

    reference.rebuild(*keys)
    outcomes = reference.make()

    made, refused = ThumbnailOutcome.MADE, ThumbnailOutcome.REFUSED
    assert outcomes == dict(zip(keys, [made, made, made, refused], strict=True))
    assert len(theirs) == 4
    assert stored_files(reference, is_thumbnail) == theirs


def stored_files(gallery: Gallery, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return everything of some files but when and under which number their chunks were written."""
    found = {}
    for document in gallery.database["fs.files"].find(wanted):
        assert document.pop("uploadDate")
        chunks = gallery.database["fs.chunks"].find({"files_id": document["_id"]})
        content = [(chunk["n"], bytes(chunk["data"])) for chunk in chunks.sort("n", 1)]
        found[document["_id"]] = (list(document.items()), content)
    return found


@needs_shared_data
def test_every_reference_course_has_an_image_set_and_thumbnails_or_a_reason(reference: Gallery):
    modulestore = reference.adapters.modulestore
    keys = sorted(pointer.course_key for pointer in modulestore.iter_published())
    for start in range(0, len(keys), 100):
        reference.rebuild(*keys[start : start + 100])

    outcomes = reference.make()

    rows = set(CourseOverview.objects.values_list("id", flat=True))
    image_sets_of = set(CourseOverviewImageSet.objects.values_list("course_overview_id", flat=True))
    assert image_sets_of == rows
    made = {key for key, outcome in outcomes.items() if outcome is ThumbnailOutcome.MADE}
    assert made == {
        "course-v1:OpenedX+DemoX+DemoCourse",
        *(f"course-v1:ImgOrg+REAL{number}+R1" for number in range(3)),
    }
    with_urls = CourseOverviewImageSet.objects.exclude(small_url="").exclude(large_url="")
    assert set(with_urls.values_list("course_overview_id", flat=True)) == made
    settled = OverviewThumbnails.objects.exclude(course_key__in=made)
    assert set(settled.values_list("state", flat=True)) == {"none", "refused"}
    assert not settled.filter(state="refused", reason="").exists()
    reasons = set(settled.filter(state="refused").values_list("reason", flat=True))
    assert all(
        "the contentstore has no file" in each or "not a picture" in each for each in reasons
    )


@needs_shared_data
def test_every_reference_image_gives_thumbnails_that_fit(reference: Gallery):
    images = list(reference.database["fs.files"].find({"content_son.category": "asset"}))
    assert len(images) == 30
    reasons = {}
    for image in images:
        son = image["content_son"]
        key = f"course-v1:{son['org']}+{son['course']}+{son['run']}"
        OverviewThumbnails.objects.update_or_create(
            course_key=key,
            defaults={
                "state": ThumbnailState.WANTED,
                "image_name": son["name"],
                "sizes": "375x200 750x400",
                "changed_at": "2026-01-01T00:00:00Z",
            },
        )

        outcome = reference.adapters.thumbnails.make(key)

        if outcome is not ThumbnailOutcome.MADE:
            reasons[son["name"]] = known(key).reason
            continue
        kept = WantedThumbnails(
            image_name=son["name"],
            sizes=(Size(width=375, height=200), Size(width=750, height=400)),
        )
        for size in kept.sizes:
            (name,) = [
                each for each in reference.thumbnail_names(key) if is_of(son["name"], each, size)
            ]
            if name.endswith(".jpg"):
                shown = opened(reference.thumbnail(key, name))
                assert shown.width <= size.width
                assert shown.height <= size.height
                assert shown.info.keys() <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert list(reasons) == ["notimage.png"]


def is_of(image: str, thumbnail: str, size: Size) -> bool:
    stem = thumbnail.rpartition(f"-{size}.")[0]
    return stem in (image.replace(".", "-"), image.rpartition(".")[0])
