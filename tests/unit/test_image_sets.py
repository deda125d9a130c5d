"""Whether image sets are on: the setting, else Open edX's table, remembered for some seconds."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from overview_worker.builder.settings import BuilderSettings, ImageSetSettings
from overview_worker.documents import Size, WantedThumbnails
from overview_worker.errors import StoreUnavailable
from overview_worker.image_sets import REMEMBERED_SECONDS, ImageSetSource, sizes_of_table
from overview_worker.store.image_config import StoredImageConfig
from overview_worker.upkeep import SETTLED_SECONDS
from tests.builder_courses import build

ON = StoredImageConfig(
    enabled=True, small_width=375, small_height=200, large_width=750, large_height=400
)


class Table:
    """The configuration's table, and how often it was read."""

    def __init__(self) -> None:
        self.row: StoredImageConfig | None = None
        self.read_count = 0
        self.is_away = False

    def read(self) -> StoredImageConfig | None:
        self.read_count += 1
        if self.is_away:
            raise StoreUnavailable("away")
        return self.row


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(table: Table, clock: Clock) -> ImageSetSource:
    return ImageSetSource(lambda: None, read_table=table.read, monotonic=clock)


def test_a_change_is_seen_after_some_seconds_and_not_asked_for_before(
    source: ImageSetSource, table: Table, clock: Clock
) -> None:
    assert source() is None
    table.row = ON

    clock.now += REMEMBERED_SECONDS - 0.1
    assert source() is None
    clock.now += 0.1
    assert source() == ImageSetSettings()
    assert table.read_count == 2


def test_a_run_for_changed_settings_begins_when_every_worker_has_seen_the_change() -> None:
    assert REMEMBERED_SECONDS * 2 < SETTLED_SECONDS


def test_a_table_that_cannot_be_read_says_nothing_and_is_asked_again(
    source: ImageSetSource, table: Table
) -> None:
    table.is_away = True
    with pytest.raises(StoreUnavailable):
        source()

    table.is_away, table.row = False, ON
    assert source() == ImageSetSettings()


@pytest.mark.parametrize("setting", [{}, {"small_width": 9}, False])
def test_a_setting_leaves_the_table_unread(setting: object, table: Table) -> None:
    source = ImageSetSource(lambda: setting, read_table=table.read)

    assert source() == (None if setting is False else ImageSetSettings(**setting))  # type: ignore[arg-type]
    assert table.read_count == 0


@pytest.mark.parametrize(
    "setting",
    [True, "on", 5, ["x"], {"width": 1}, {"small_width": 0}, {"large_height": "400"}, {1: 2}],
)
def test_a_setting_that_makes_no_sense_is_refused_loudly(setting: object, table: Table) -> None:
    with pytest.raises(ImproperlyConfigured, match="OVERVIEW_IMAGE_SET"):
        ImageSetSource(lambda: setting, read_table=table.read)()


@pytest.mark.parametrize(
    "change", [{"small_width": 0}, {"large_height": -1}, {"large_width": 9999}]
)
def test_a_row_that_makes_no_sense_leaves_them_off(
    change: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    sizes = {"small_width": 375, "small_height": 200, "large_width": 750, "large_height": 400}

    assert sizes_of_table(StoredImageConfig(enabled=True, **{**sizes, **change})) is None

    assert "makes no sense" in caplog.text


def test_a_row_that_says_off_is_off() -> None:
    assert sizes_of_table(None) is None
    assert (
        sizes_of_table(
            StoredImageConfig(
                enabled=False, small_width=1, small_height=1, large_width=1, large_height=1
            )
        )
        is None
    )


# What a build wants

ON_SETTINGS = BuilderSettings(image_set=ImageSetSettings())


@pytest.mark.parametrize(("image", "name"), [("my card.png", "my_card.png"), ("", ""), (None, "")])
def test_a_build_says_which_thumbnails_are_wanted(image: str | None, name: str) -> None:
    wanted = build({"course_image": image}, settings=ON_SETTINGS).thumbnails

    assert wanted == WantedThumbnails(
        image_name=name, sizes=(Size(width=375, height=200), Size(width=750, height=400))
    )


def test_while_they_are_off_none_are_wanted() -> None:
    assert build({"course_image": "card.png"}).thumbnails is None


def test_a_course_that_was_read_while_they_were_off_is_built_so() -> None:
    built = build({"course_image": "card.png"}, settings=ON_SETTINGS, thumbnail_names=None)

    assert (built.image_set, built.thumbnails) == (None, None)
