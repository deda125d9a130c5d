"""The read side's Python API on the real database: what it finds, what it costs, and no writes."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.http import Http404
from django.test.utils import CaptureQueriesContext
from opaque_keys.edx.keys import CourseKey

from lms_integration.api import (
    Freshness,
    OverviewLookup,
    get_course_about_html,
    get_course_overview,
    get_course_overview_or_404,
    get_course_overview_or_none,
    get_course_overviews,
    get_course_overviews_from_ids,
    look_up,
)
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import (
    CourseOverview,
    CourseOverviewImageSet,
    CourseOverviewTab,
    OverviewMark,
    OverviewProjection,
    OverviewTombstone,
)
from lms_integration.overview_reads import CourseKeyLike
from tests.recorded_overviews import overview_of, projection_of, tabs_of
from tests.shared_data import needs_shared_data, recorded_overviews

pytestmark = [pytest.mark.service, pytest.mark.django_db]

KEY = "course-v1:OpenedX+DemoX+DemoCourse"
LOWER = KEY.lower()
OTHER = "course-v1:OpenedX+Other+Run"
MISSING = "course-v1:OpenedX+Missing+Run"
NOW = datetime(2026, 6, 15, tzinfo=UTC)


@contextmanager
def only_selects() -> Iterator[None]:
    """Fail unless the block has statements and all of them are SELECTs."""
    with CaptureQueriesContext(connection) as queries:
        yield
    assert {query["sql"].split()[0] for query in queries} == {"SELECT"}


def stored(course_key: str = KEY, **columns: Any) -> CourseOverview:
    key = CourseKey.from_string(course_key)
    defaults: dict[str, Any] = {
        "version": CourseOverview.VERSION,
        "location": str(key.make_usage_key("course", "course")),
        "org": key.org,
        "display_name": course_key,
        "course_image_url": "/raw.jpg",
        "pre_requisite_courses_json": "[]",
    }
    return CourseOverview.objects.create(id=course_key, **defaults | columns)


def projected(overview: CourseOverview, **columns: Any) -> OverviewProjection:
    projection = projection_of(overview, **columns)
    projection.save(force_insert=True)
    return projection


def marked(course_key: str, *, done: bool = False) -> None:
    mark_courses([CourseMark(course_key=course_key)])
    if done:
        OverviewMark.objects.filter(course_key=course_key).update(done=1, dirty_since=None)


def tombstone(course_key: str) -> None:
    OverviewTombstone.objects.create(
        course_key=course_key, display_name="It was", deleted_at=NOW, start=NOW
    )


def ids(courses: QuerySet[CourseOverview]) -> set[str]:
    return {course.id for course in courses}


# --- one course and many


def test_one_course_is_one_query_with_its_images(django_assert_num_queries):
    row = stored()
    CourseOverviewImageSet.objects.create(course_overview=row, small_url="/s.jpg")

    with django_assert_num_queries(1):
        found = get_course_overview(KEY)

        assert found.image_urls == {"raw": "/raw.jpg", "small": "/s.jpg", "large": "/raw.jpg"}
    assert found.display_name == KEY


def test_a_course_without_images_costs_no_second_query(django_assert_num_queries):
    stored()

    with django_assert_num_queries(1):
        assert get_course_overview(KEY).image_urls["small"] == "/raw.jpg"


def test_a_missing_course_is_an_error_or_none_or_404():
    with pytest.raises(CourseOverview.DoesNotExist, match="Missing"):
        get_course_overview(MISSING)
    with pytest.raises(CourseOverview.DoesNotExist):
        CourseOverview.get_from_id(CourseKey.from_string(MISSING))
    with pytest.raises(Http404, match="Missing"):
        get_course_overview_or_404(MISSING)
    assert get_course_overview_or_none(MISSING) is None
    assert not CourseOverview.course_exists(MISSING)


def test_a_course_that_is_there_is_found_by_each_name():
    stored()

    assert get_course_overview_or_none(KEY) == get_course_overview_or_404(KEY)
    assert CourseOverview.get_from_id(KEY).id == KEY
    assert CourseOverview.course_exists(KEY)


def test_many_courses_are_keyed_by_what_was_passed():
    stored()
    as_object = CourseKey.from_string(KEY)
    on_a_branch = CourseKey.from_string(KEY + "+branch@draft-branch")

    keys: list[CourseKeyLike] = [KEY, as_object, on_a_branch, MISSING, KEY]

    found = get_course_overviews_from_ids(keys)

    assert list(found) == [KEY, as_object, on_a_branch, MISSING]
    assert [row and row.id for row in found.values()] == [KEY, KEY, KEY, None]


def test_any_number_of_courses_is_one_query_and_their_tabs_one_more(django_assert_num_queries):
    keys = [f"course-v1:Org+C{n}+R" for n in range(50)]
    for key in keys:
        CourseOverviewTab.objects.create(course_overview=stored(key), tab_id="discussion")

    with django_assert_num_queries(1):
        assert all(CourseOverview.get_from_ids(keys).values())
    with django_assert_num_queries(2):
        found = CourseOverview.get_from_ids(keys, with_tabs=True)
        assert all(row is not None and row.is_discussion_tab_enabled() for row in found.values())
    with django_assert_num_queries(2):
        assert CourseOverview.get_from_id(keys[0], with_tabs=True).tabs[0].tab_id == "discussion"


def test_no_courses_are_no_query(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert get_course_overviews_from_ids([]) == {}
        assert get_course_overviews([]) == []
        assert look_up([], request_rebuild=True) == {}


def test_keys_that_differ_by_case_are_different_courses():
    stored(display_name="Upper")
    stored(LOWER, display_name="lower")

    found = CourseOverview.get_from_ids([KEY, LOWER, KEY.upper()])

    assert [row and row.display_name for row in found.values()] == ["Upper", "lower", None]
    assert not CourseOverview.course_exists(KEY.upper())


def test_a_key_is_not_found_in_another_spelling_even_where_the_table_finds_it():
    spelling = KEY + " "
    stored()
    if connection.vendor == "mysql":  # which compares as if the shorter text were padded
        assert CourseOverview.objects.filter(id=spelling).exists()

    assert get_course_overview_or_none(spelling) is None
    assert not CourseOverview.course_exists(spelling)
    assert look_up([spelling])[spelling].freshness is Freshness.NEVER_BUILT


def test_a_row_of_an_older_version_is_given_as_it_is():
    stored(version=CourseOverview.VERSION - 1, display_name="Old")

    assert get_course_overview(KEY).display_name == "Old"
    assert look_up([KEY])[KEY].freshness is Freshness.FRESH


def test_texts_that_are_no_keys_are_courses_that_are_not_there():
    texts = ["", "rubbish", "🚀", "x" * 300, "library-v1:Lib+One"]

    assert set(CourseOverview.get_from_ids(texts).values()) == {None}
    assert {found.freshness for found in look_up(texts).values()} == {Freshness.NEVER_BUILT}


def test_overviews_as_json_are_sorted_and_leave_out_what_is_missing(django_assert_num_queries):
    stored(OTHER)
    stored(start=NOW, self_paced=True)

    with django_assert_num_queries(1):
        shown = get_course_overviews([OTHER, MISSING, CourseKey.from_string(KEY), KEY], now=NOW)

    assert [each["id"] for each in shown] == [KEY, OTHER]
    assert (shown[0]["start"], shown[0]["has_started"]) == ("2026-06-15T00:00:00Z", False)
    assert (shown[0]["pacing"], shown[1]["pacing"]) == ("self", "instructor")


# --- the projection


def test_one_course_is_one_query_with_its_properties(django_assert_num_queries):
    projected(stored(), hide_progress_tab=True, pdf_textbooks=[{"tab_title": "Book"}])

    for read in (get_course_overview, get_course_overview_or_404, CourseOverview.get_from_id):
        with django_assert_num_queries(1):
            found = read(KEY)

            assert found.hide_progress_tab is True
            assert found.pdf_textbooks == [{"tab_title": "Book"}]
            assert found.course_visibility == "private"


def test_many_courses_are_one_query_with_their_properties(django_assert_num_queries):
    keys = [f"course-v1:Org+C{n}+R" for n in range(50)]
    for n, key in enumerate(keys):
        projected(stored(key), show_calculator=n % 2 == 0)

    def shown(courses: Iterable[CourseOverview | None]) -> int:
        return sum(course is not None and course.show_calculator for course in courses)

    with django_assert_num_queries(1):
        assert shown(CourseOverview.get_from_ids(keys, with_properties=True).values()) == 25
    with django_assert_num_queries(1):
        assert shown(get_course_overviews_from_ids(keys, with_properties=True).values()) == 25
    with django_assert_num_queries(1):
        assert shown(CourseOverview.get_all_courses(with_properties=True)) == 25
    with django_assert_num_queries(2):
        found = look_up(keys, with_properties=True)
        assert shown(each.overview for each in found.values()) == 25


def test_properties_that_were_not_read_along_cost_one_query_a_course(django_assert_num_queries):
    projected(stored(), edxnotes=True)
    stored(OTHER)
    first, second = CourseOverview.get_from_ids([KEY, OTHER]).values()
    assert first is not None
    assert second is not None

    with django_assert_num_queries(1):
        assert (first.edxnotes, first.enable_ccx) == (True, False)
    with django_assert_num_queries(1):
        assert (second.edxnotes, second.enable_ccx) == (False, False)


def test_a_course_of_which_nothing_is_projected_has_the_defaults(django_assert_num_queries):
    stored()

    with django_assert_num_queries(1):
        found = get_course_overview(KEY)

        assert found.hide_progress_tab is None
        assert found.edxnotes_visibility is True
        assert found.textbooks == found.pdf_textbooks == found.html_textbooks == []
        assert found.course_visibility == "private"
    assert get_course_about_html(KEY) is None


def test_lists_that_need_no_properties_do_not_read_them():
    projected(stored(), overview_html="<p>Tides</p>")

    with CaptureQueriesContext(connection) as queries:
        CourseOverview.get_from_ids([KEY])
        list(CourseOverview.get_all_courses())
        get_course_overviews([KEY])
        look_up([KEY])

    assert not [query for query in queries if "overview_projection" in query["sql"]]


def test_no_read_of_properties_reads_the_about_page():
    projected(stored(), overview_html="<p>Tides</p>")

    with CaptureQueriesContext(connection) as queries:
        get_course_overview(KEY)
        list(CourseOverview.get_all_courses(with_properties=True))
        row = CourseOverview.get_from_ids([KEY])[KEY]
        assert row is not None
        assert row.teams_enabled is False

    joined = [query["sql"] for query in queries if "overview_projection" in query["sql"]]
    assert len(joined) == 3
    assert not [sql for sql in joined if "overview_html" in sql or "search_text" in sql]


def test_a_queryset_with_properties_can_be_narrowed_further(django_assert_num_queries):
    projected(stored(), enable_ccx=True)
    stored(OTHER, org="Elsewhere")
    courses = CourseOverview.get_all_courses(orgs=["openedx"], with_properties=True)

    with django_assert_num_queries(3):
        (course,) = courses.defer("short_description").order_by("id")
        assert course.enable_ccx
        assert courses.count() == 1
        assert list(courses.values_list("id", flat=True)) == [KEY]


def test_an_about_page_is_one_query(django_assert_num_queries):
    projected(stored(), overview_html="<p>Tides</p>")
    projected(stored(OTHER), overview_html="")

    with django_assert_num_queries(4):
        assert get_course_about_html(KEY) == "<p>Tides</p>"
        assert get_course_about_html(CourseKey.from_string(KEY)) == "<p>Tides</p>"
        assert get_course_about_html(OTHER) == ""
        assert get_course_about_html(MISSING) is None
    for other_spelling in (LOWER, KEY + " ", "rubbish", "🚀"):
        assert get_course_about_html(other_spelling) is None


# --- no writes

#: Every way to read, with keys of courses in all states.
READS: dict[str, Callable[[list[str]], object]] = {
    "get_course_overview_or_none": lambda keys: [get_course_overview_or_none(k) for k in keys],
    "get_course_overviews": get_course_overviews,
    "get_course_overviews_from_ids": get_course_overviews_from_ids,
    "look_up": look_up,
    "get_from_ids": lambda keys: CourseOverview.get_from_ids(keys, with_tabs=True),
    "course_exists": lambda keys: [CourseOverview.course_exists(key) for key in keys],
    "get_all_courses": lambda keys: [
        (row.tabs, row.image_urls) for row in CourseOverview.get_all_courses(course_keys=keys)
    ],
    "get_courses_matching_query": lambda keys: list(
        CourseOverview.get_courses_matching_query("o", CourseOverview.get_all_courses())
    ),
    "get_all_course_keys": lambda keys: list(CourseOverview.get_all_course_keys()),
    "get_all_orgs": lambda keys: CourseOverview.get_all_orgs(),
    "properties": lambda keys: [
        (row.textbooks, row.hide_progress_tab)
        for row in CourseOverview.get_all_courses(with_properties=True)
    ],
    "get_course_about_html": lambda keys: [get_course_about_html(key) for key in keys],
}


@pytest.mark.parametrize("name", READS)
def test_reading_writes_nothing_whatever_state_the_courses_are_in(states, name):
    CourseOverview.objects.filter(id=KEY).update(version=0)

    with only_selects():
        READS[name](list(states))


def test_a_missing_course_is_not_built_by_asking_for_it():
    with only_selects(), pytest.raises(CourseOverview.DoesNotExist):
        get_course_overview(MISSING)
    with only_selects(), pytest.raises(Http404):
        get_course_overview_or_404(MISSING)

    assert marks() == {}


# --- lists


def test_all_courses_are_one_query_with_their_images(django_assert_num_queries):
    for n in range(5):
        stored(f"course-v1:Org+C{n}+R")

    with django_assert_num_queries(1):
        assert len([course.image_urls for course in CourseOverview.get_all_courses()]) == 5


def test_courses_are_chosen_by_org_filter_key_and_end():
    ended = NOW - timedelta(seconds=1)
    stored(KEY, end=ended, mobile_available=True)
    stored(OTHER, end=NOW)
    stored("course-v1:openedx+Third+Run")
    stored("course-v1:MITx+Fourth+Run", mobile_available=True)

    def chosen(**asked: Any) -> set[str]:
        return {key.split("+")[1] for key in ids(CourseOverview.get_all_courses(now=NOW, **asked))}

    assert chosen() == {"DemoX", "Other", "Third", "Fourth"}
    assert chosen(orgs=["OPENEDX"]) == {"DemoX", "Other", "Third"}
    assert chosen(orgs=["mitx", "nobody"]) == {"Fourth"}
    assert chosen(orgs=["mit%"]) == set()
    assert chosen(filter_={"mobile_available": True}) == {"DemoX", "Fourth"}
    assert chosen(active_only=True) == {"Other", "Third", "Fourth"}
    assert chosen(course_keys=[KEY, CourseKey.from_string(OTHER)]) == {"DemoX", "Other"}
    assert chosen(course_keys=[KEY, OTHER], active_only=True, orgs=["openedx"]) == {"Other"}
    assert chosen(course_keys=[], orgs=[]) == {"DemoX", "Other", "Third", "Fourth"}


def test_courses_are_searched_by_name_org_and_key_without_case():
    stored(KEY, display_name="Biology 100%")
    stored(OTHER, display_name=None)
    everything = CourseOverview.get_all_courses()

    def matching(query: str) -> set[str]:
        return ids(CourseOverview.get_courses_matching_query(query, everything))

    assert matching("bIOLOGY") == {KEY}
    assert matching("0%") == {KEY}
    assert matching("openEDX") == {KEY, OTHER}
    assert matching("+oTHER+r") == {OTHER}
    assert matching("course-V1:") == {KEY, OTHER}
    assert matching("_") == set()
    assert matching("chemistry") == set()


def test_courses_are_active_until_their_end_and_archived_after_it():
    stored(KEY, end=NOW - timedelta(seconds=1))
    stored(OTHER, end=NOW)
    everything = CourseOverview.get_all_courses()

    def having(active: bool, archived: bool) -> set[str]:
        found = CourseOverview.get_courses_by_status(active, archived, everything, now=NOW)
        return ids(found)

    assert having(True, False) == {OTHER}
    assert having(False, True) == {KEY}
    assert having(False, False) == {KEY, OTHER}


def test_all_keys_and_orgs_are_listed(django_assert_num_queries):
    stored(KEY)
    stored(OTHER)
    stored(LOWER)

    with django_assert_num_queries(2):
        assert set(CourseOverview.get_all_course_keys()) == {KEY, OTHER, LOWER}
        assert CourseOverview.get_all_orgs() == ["OpenedX", "openedx"]


# --- the explicit lookup


def test_looking_up_says_how_fresh_each_course_is(states):
    found = look_up(states)

    assert {key: found[key].freshness for key in states} == states
    assert found[KEY].overview is not None
    assert found[OTHER].overview is not None
    assert found[OTHER].tombstone is None


def test_a_deleted_course_has_its_tombstone(states):
    deleted = [key for key, freshness in states.items() if freshness is Freshness.DELETED]

    for found in look_up(deleted).values():
        assert found.overview is None
        assert found.tombstone is not None
        assert found.tombstone.display_name == "It was"


def test_looking_up_costs_three_queries_and_a_request_one_more(states, django_assert_num_queries):
    many = [*states, *(f"course-v1:Org+C{n}+R" for n in range(200))]

    with django_assert_num_queries(3):
        look_up(many)
    with django_assert_num_queries(4):
        look_up(many, request_rebuild=True)
    with django_assert_num_queries(2):
        look_up([KEY, OTHER], request_rebuild=True)


def test_a_request_marks_what_was_never_built_and_nothing_else(states):
    before = marks()

    found = look_up([*states, "rubbish", "library-v1:Lib+One"], request_rebuild=True)

    assert marks() == before | {MISSING: (1, 0)}
    assert found[MISSING] == OverviewLookup(freshness=Freshness.BUILDING)
    assert found["rubbish"].freshness is Freshness.NEVER_BUILT
    assert found["library-v1:Lib+One"].freshness is Freshness.NEVER_BUILT
    assert look_up([MISSING])[MISSING].freshness is Freshness.BUILDING
    look_up([MISSING], request_rebuild=True)
    assert marks()[MISSING] == (1, 0)


def test_a_request_by_object_marks_its_text():
    key = CourseKey.from_string(MISSING)

    assert look_up([key], request_rebuild=True)[key].freshness is Freshness.BUILDING
    assert marks() == {MISSING: (1, 0)}


def test_case_variants_are_looked_up_apart():
    stored()
    marked(LOWER)

    found = look_up([KEY, LOWER])

    assert found[KEY].freshness is Freshness.FRESH
    assert found[LOWER] == OverviewLookup(freshness=Freshness.BUILDING)


def test_tabs_are_looked_up_with_one_query_more(django_assert_num_queries):
    CourseOverviewTab.objects.create(course_overview=stored(), tab_id="progress")

    with django_assert_num_queries(3):
        found = look_up([KEY], with_tabs=True)[KEY].overview
        assert found is not None
        assert [tab.tab_id for tab in found.tabs] == ["progress"]


@pytest.fixture
def states() -> dict[str, Freshness]:
    """Courses in every state, and the state that each is in."""
    stored(KEY)
    stored("course-v1:Org+Done+R")
    marked("course-v1:Org+Done+R", done=True)
    stored(OTHER)
    marked(OTHER)
    marked("course-v1:Org+Building+R")
    tombstone("course-v1:Org+Deleted+R")
    marked("course-v1:Org+Deleted+R", done=True)
    tombstone("course-v1:Org+DeletedAndDirty+R")
    marked("course-v1:Org+DeletedAndDirty+R")
    return {
        KEY: Freshness.FRESH,
        "course-v1:Org+Done+R": Freshness.FRESH,
        OTHER: Freshness.STALE,
        "course-v1:Org+Building+R": Freshness.BUILDING,
        "course-v1:Org+Deleted+R": Freshness.DELETED,
        "course-v1:Org+DeletedAndDirty+R": Freshness.DELETED,
        MISSING: Freshness.NEVER_BUILT,
    }


def marks() -> dict[str, tuple[int, int]]:
    rows = OverviewMark.objects.values_list("course_key", "wanted", "done")
    return {key: (wanted, done) for key, wanted, done in rows}


# --- all of the reference


@needs_shared_data
def test_all_recorded_rows_are_read_back_with_their_values(django_assert_num_queries):
    records = recorded_overviews()
    expected = {key: overview_of(record) for key, record in records.items()}
    CourseOverview.objects.bulk_create([overview_of(record) for record in records.values()])
    CourseOverviewTab.objects.bulk_create(
        [_without_id(tab) for record in records.values() for tab in tabs_of(record)]
    )

    with django_assert_num_queries(2):
        found = CourseOverview.get_from_ids(records, with_tabs=True)
        read = {key: _values(row) for key, row in found.items() if row is not None}

    assert read == {key: _values(row) for key, row in expected.items()}
    assert len(read) == 383


def _without_id(tab: CourseOverviewTab) -> CourseOverviewTab:
    tab.pk = None
    return tab


def _values(row: CourseOverview) -> tuple[Any, ...]:
    return (
        row.display_name_with_default,
        row.url_name,
        row.number,
        row.pacing,
        row.start_type,
        row.start_display,
        row.closest_released_language,
        row.pre_requisite_courses,
        row.image_urls,
        row.tabs,
    )
