"""What callers ask of an overview: each property by itself, and all of Open edX's own answers."""

import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import translation
from django.utils.encoding import iri_to_uri
from hypothesis import given
from hypothesis import strategies as st
from opaque_keys.edx.keys import CourseKey, UsageKey

from lms_integration.data import DEFAULT_START, Textbook
from lms_integration.languages import closest_language
from lms_integration.models import (
    CourseOverview,
    CourseOverviewImageSet,
    CourseOverviewTab,
    OverviewProjection,
)
from lms_integration.newness import newness_score
from lms_integration.overview_json import overview_as_json
from lms_integration.overview_reads import PROJECTED_PROPERTIES
from tests.recorded_overviews import overview_of, with_relations
from tests.shared_data import (
    golden_overviews,
    needs_shared_data,
    recorded_exchanges,
    recorded_overviews,
)

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
KEY = "course-v1:OpenedX+DemoX+DemoCourse"


def overview(
    *,
    tabs: list[CourseOverviewTab] | None = None,
    image_set: CourseOverviewImageSet | None = None,
    projection: OverviewProjection | None = None,
    **columns: Any,
) -> CourseOverview:
    location = "block-v1:OpenedX+DemoX+DemoCourse+type@course+block@course"
    row = CourseOverview(**{"id": KEY, "location": location, **columns})
    return with_relations(row, tabs=tabs or [], image_set=image_set, projection=projection)


# --- Open edX's own answers

#: How the recorded derived values are had of an overview.
DERIVED: dict[str, Callable[[CourseOverview], Any]] = {
    "closest_released_language": lambda row: row.closest_released_language,
    "deserialised_tabs": lambda row: [[tab.type, tab.name, tab.tab_id] for tab in row.tabs],
    "display_name_with_default": lambda row: row.display_name_with_default,
    "image_urls": lambda row: row.image_urls,
    "number": lambda row: row.number,
    "pacing": lambda row: row.pacing,
    "start_display": lambda row: row.start_display,
    "start_type": lambda row: row.start_type,
    "url_name": lambda row: row.url_name,
}


@needs_shared_data
def test_every_derived_value_of_the_reference_is_open_edx_s():
    compared, different = 0, []
    for key, record in golden_overviews().items():
        if "row" not in record:
            continue
        row = overview_of(record)
        for name, expected in record["derived"].items():
            compared += 1
            if (ours := DERIVED[name](row)) != expected:
                different.append((key, name, expected, ours))

    assert different == []
    assert compared == 298 * len(DERIVED)


@needs_shared_data
def test_every_recorded_row_has_all_properties_without_a_query():
    rows = [overview_of(record) for record in recorded_overviews().values()]

    values = [
        [read(row) for read in DERIVED.values()]
        + [row.sorting_score, row.pre_requisite_courses, row.is_discussion_tab_enabled()]
        + [getattr(row, name) for name in PROJECTED_PROPERTIES]
        + [json.dumps(overview_as_json(row, now=NOW))]
        for row in rows
    ]

    assert len(values) == 383


@needs_shared_data
def test_rows_that_both_sources_hold_have_the_same_derived_values():
    both = [key for key, record in golden_overviews().items() if "row" in record]

    for key in both:
        row, expected = overview_of(recorded_overviews()[key]), golden_overviews()[key]["derived"]
        assert {name: read(row) for name, read in DERIVED.items()} == expected


def courses_api_values(row: CourseOverview, item: dict[str, Any], host: str) -> dict[str, Any]:
    images = {size: iri_to_uri(host + url) for size, url in row.image_urls.items()}
    return {
        "name": row.display_name_with_default_escaped,
        "start_display": row.start_display,
        "start_type": row.start_type,
        "pacing": row.pacing,
        "media": item["media"] | {"image": images},
    }


def mobile_values(row: CourseOverview, item: dict[str, Any]) -> dict[str, Any]:
    has_url = item["discussion_url"] is not None
    return {
        "start_display": row.start_display,
        "start_type": row.start_type,
        "subscription_id": row.clean_id("_"),
        "discussion_url": item["discussion_url"]
        if row.is_discussion_tab_enabled() is has_url
        else "the other way round",
    }


def enrollment_values(row: CourseOverview) -> dict[str, Any]:
    pacing = {"self": "Self Paced", "instructor": "Instructor Paced"}[row.pacing]
    return {"course_name": row.display_name_with_default, "pacing_type": pacing}


def compared(
    family: str, has: str, values: Callable[[CourseOverview, dict[str, Any], Any], dict[str, Any]]
) -> int:
    """Compare the values with those of each recorded object that has a member; return how many."""
    count, different = 0, []
    for exchange in recorded_exchanges(family):
        if "g_lang" in exchange["id"]:  # answers in Spanish
            continue
        for item in objects_with(has, exchange.get("response")):
            record = recorded_overviews().get(item.get("course_id") or item["id"])
            if record is None:  # the three large courses
                continue
            expected = values(overview_of(record), item, exchange)
            count += len(expected)
            different += [
                (exchange["id"], record["row"]["id"], name, item[name], value)
                for name, value in expected.items()
                if item[name] != value
            ]
    assert different == []
    return count


def objects_with(name: str, document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict):
        if name in document:
            yield document
        document = list(document.values())
    if isinstance(document, list):
        for each in document:
            yield from objects_with(name, each)


@needs_shared_data
@pytest.mark.parametrize("family", ["courses_list", "courses_detail"])
def test_the_courses_api_showed_these_values(family):
    def values(row: CourseOverview, item: dict[str, Any], exchange: Any) -> dict[str, Any]:
        scheme = item["media"]["image"]["raw"].partition("://")[0]
        return courses_api_values(row, item, f"{scheme}://learn.example.org")

    assert compared(family, "blocks_url", values) > 300


@needs_shared_data
def test_the_mobile_api_showed_these_values():
    def values(row: CourseOverview, item: dict[str, Any], exchange: Any) -> dict[str, Any]:
        return mobile_values(row, item)

    assert compared("mobile_course_enrollments", "subscription_id", values) > 300


@needs_shared_data
@pytest.mark.parametrize("family", ["enrollment_get", "enrollment_course"])
def test_the_enrollment_api_showed_these_values(family):
    def values(row: CourseOverview, item: dict[str, Any], exchange: Any) -> dict[str, Any]:
        return enrollment_values(row)

    assert compared(family, "pacing_type", values) > 40


@needs_shared_data
def test_the_learner_s_home_showed_what_had_started_and_ended_at_its_time():
    runs = [
        (run, overview_of(recorded_overviews()[run["courseId"]]), exchange["recorded_at"])
        for exchange in recorded_exchanges("learner_home")
        for run in objects_with("isStarted", exchange["response"])
    ]

    for run, row, recorded_at in runs:
        then = datetime.fromisoformat(recorded_at)
        assert run["isStarted"] is row.has_started(then)
        assert run["isArchived"] is row.has_ended(then)
    assert len(runs) == 56


# --- keys and names


def test_keys_are_had_as_objects():
    row = overview()

    assert row.course_key == CourseKey.from_string(KEY)
    assert row.usage_key == UsageKey.from_string(row.location)
    assert (row.number, row.url_name) == ("DemoX", "course")


def test_a_course_of_the_old_modulestore_has_its_run_and_number():
    row = overview(id="edX/CS-101/2014", location="i4x://edX/CS-101/course/2014_Fall")

    assert row.usage_key.course_key == CourseKey.from_string("edX/CS-101/2014")
    assert (row.number, row.url_name) == ("CS-101", "2014_Fall")


def test_a_null_name_becomes_the_url_name_as_words():
    row = overview(location="block-v1:O+C+R+type@course+block@my_first_course", display_name=None)

    assert row.display_name_with_default == "my first course"
    assert row.display_name_with_default_escaped == "my first course"


def test_an_empty_name_stays_empty():
    assert overview(display_name="").display_name_with_default == ""


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<b>Bold</b> & <script>alert(1)</script>", "Bold & alert(1)"),
        ("  leading and\n\ttrailing\xa0 ", "leading and trailing"),
        ("2 < 3", "2 < 3"),
    ],
)
def test_the_escaped_name_has_neither_tags_nor_surplus_space(name, shown):
    assert overview(display_name=name).display_name_with_default_escaped == shown


def test_a_clean_id_has_the_padding_that_is_asked_for():
    row = overview(id="course-v1:a+b+c")

    assert row.clean_id() == "course_MNXXK4TTMUWXMMJ2MEVWEK3D"
    assert overview(id="course-v1:a+b+cc").clean_id() == ("course_MNXXK4TTMUWXMMJ2MEVWEK3DMM======")
    assert overview(id="course-v1:a+b+cc").clean_id("_").endswith("MM______")


# --- dates


@pytest.mark.parametrize(
    ("start", "advertised", "kind", "shown"),
    [
        (DEFAULT_START, None, "empty", None),
        (DEFAULT_START, "", "empty", None),
        (DEFAULT_START, "Soon", "string", "Soon"),
        (DEFAULT_START + SECOND, None, "timestamp", "Jan. 1, 2030"),
        (None, None, "timestamp", ""),
        (None, "Soon", "string", "Soon"),
        (datetime(1, 1, 1, tzinfo=UTC), None, "timestamp", "Jan. 1, 0001"),
    ],
)
def test_the_start_is_shown_as(start, advertised, kind, shown):
    row = overview(start=start, advertised_start=advertised)

    assert (row.start_type, row.start_display) == (kind, shown)


def test_the_start_is_shown_in_the_active_language():
    row = overview(start=datetime(2029, 1, 25, 3, tzinfo=UTC))

    with translation.override("es"):
        assert row.start_display == "25 de enero de 2029"


@pytest.mark.parametrize(
    ("start", "advertised", "is_default"),
    [
        (DEFAULT_START, None, True),
        (DEFAULT_START, "", False),
        (NOW, None, False),
        (None, None, False),
    ],
)
def test_the_start_is_still_default_when_nobody_set_or_advertised_one(
    start, advertised, is_default
):
    row = overview(start=start, advertised_start=advertised)

    assert row.start_date_is_still_default is is_default


def test_the_dashboard_prefers_what_is_advertised():
    assert overview(start=NOW, advertised_start="Soon").dashboard_start_display == "Soon"
    assert overview(start=NOW, advertised_start="").dashboard_start_display == NOW


def test_a_course_has_started_after_its_start_and_ended_after_its_end():
    row = overview(start=NOW, end=NOW)

    assert (row.has_started(NOW), row.has_ended(NOW)) == (False, False)
    assert (row.has_started(NOW + SECOND), row.has_ended(NOW + SECOND)) == (True, True)


def test_a_course_without_dates_has_started_and_never_ends():
    row = overview(start=None, end=None)

    assert (row.has_started(NOW), row.starts_within(5, NOW), row.has_ended(NOW)) == (
        True,
        True,
        False,
    )


def test_the_present_is_the_default():
    past, future = datetime(2000, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)

    assert overview(start=past, end=past).has_started()
    assert overview(start=past, end=past).has_ended()
    assert not overview(start=future, end=future).has_started()
    assert not overview(start=future, end=future).has_ended()


def test_a_course_starts_within_days_until_it_starts_and_ever_after():
    row = overview(start=NOW + timedelta(days=5))

    assert not row.starts_within(5, NOW)
    assert row.starts_within(5, NOW + SECOND)
    assert row.starts_within(5, NOW + timedelta(days=100))


def score(**dates: Any) -> float:
    known: dict[str, Any] = {"start": None, "advertised_start": None, "announcement": None}
    return newness_score(**known | dates, now=NOW)


def test_announced_courses_are_newer_than_others_and_later_ones_than_earlier():
    days = timedelta(days=1)
    ordered = [
        score(announcement=NOW, start=NOW - 900 * days),
        score(announcement=NOW - 300 * days),
        score(start=NOW + 300 * days),
        score(start=NOW),
        score(start=NOW - 300 * days),
        score(),
    ]

    assert ordered == pytest.approx([-1, -1 / math.e, 1 / math.e, 1, math.e, math.inf])


def test_an_advertised_date_counts_instead_of_the_start():
    assert score(start=NOW, advertised_start="2025-08-19T00:00:00Z") == pytest.approx(math.e)
    assert score(start=NOW, advertised_start="2025-08-19T00:00:00 EST") == pytest.approx(math.e)
    assert score(start=NOW, advertised_start="Soon") == 1


def test_dates_beyond_all_scores_are_infinitely_new_or_old():
    assert score(start=datetime(1, 1, 1, tzinfo=UTC)) == math.inf
    assert score(announcement=datetime(2999, 1, 1, tzinfo=UTC)) == -math.inf
    assert score(start=datetime(9999, 1, 1, tzinfo=UTC)) == pytest.approx(0)


@given(st.text() | st.text(alphabet="0123456789-:TZ+. AMPinfJan"))
def test_no_advertised_text_keeps_a_course_from_being_sorted(text):
    assert not math.isnan(score(start=NOW, advertised_start=text))


def test_the_sorting_score_is_that_of_the_present():
    assert overview(start=datetime(1, 1, 1, tzinfo=UTC)).sorting_score == math.inf


# --- the rest


def test_pre_requisites_are_a_list_also_where_null_is_stored():
    assert overview(pre_requisite_courses_json='["course-v1:A+B+C"]').pre_requisite_courses == [
        "course-v1:A+B+C"
    ]
    assert overview(pre_requisite_courses_json="null").pre_requisite_courses == []


@pytest.mark.parametrize(
    ("language", "released", "closest"),
    [
        ("en", ["en"], "en"),
        ("en-gb", ["en"], "en"),
        ("es", ["en", "es-419", "es-es"], "es-419"),
        ("es-es", ["en", "es-419", "es-es"], "es-es"),
        ("EN", ["en"], None),
        ("fil", ["fi"], None),
        ("fr", ["en"], None),
        ("", ["en"], None),
        (None, ["en"], None),
    ],
)
def test_the_closest_released_language_is(language, released, closest):
    assert closest_language(language, released) == closest


def test_the_site_s_language_is_the_released_one(settings):
    settings.LANGUAGE_CODE = "fr"

    assert overview(language="fr-ca").closest_released_language == "fr"
    assert overview(language="en").closest_released_language is None


def test_sharing_and_marketing_addresses_count_where_the_site_has_them_on(settings):
    row = overview(social_sharing_url="https://a.example", marketing_url="https://b.example")
    assert (row.has_social_sharing_url(), row.has_marketing_url()) == (False, False)

    settings.SOCIAL_SHARING_SETTINGS = {"CUSTOM_COURSE_URLS": True}
    settings.FEATURES = {"ENABLE_MKTG_SITE": True}

    assert (row.has_social_sharing_url(), row.has_marketing_url()) == (True, True)
    bare = overview(social_sharing_url="", marketing_url=None)
    assert (bare.has_social_sharing_url(), bare.has_marketing_url()) == (False, False)


@pytest.mark.parametrize(
    ("image_set", "small", "large"),
    [
        (None, "/raw.jpg", "/raw.jpg"),
        (CourseOverviewImageSet(small_url="", large_url=""), "/raw.jpg", "/raw.jpg"),
        (CourseOverviewImageSet(small_url="/s.jpg", large_url=""), "/s.jpg", "/raw.jpg"),
        (CourseOverviewImageSet(small_url="/s.jpg", large_url="/l.jpg"), "/s.jpg", "/l.jpg"),
    ],
)
def test_a_missing_thumbnail_is_the_image_itself(image_set, small, large):
    row = overview(course_image_url="/raw.jpg", image_set=image_set)

    assert row.image_urls == {"raw": "/raw.jpg", "small": small, "large": large}


def test_tabs_are_in_the_order_of_their_ids():
    tabs = [CourseOverviewTab(id=n, tab_id=name) for n, name in ((3, "c"), (1, "a"), (2, "b"))]

    assert [tab.tab_id for tab in overview(tabs=tabs).tabs] == ["a", "b", "c"]


def test_the_discussion_is_enabled_by_its_tab_and_the_site(settings):
    row = overview(tabs=[CourseOverviewTab(id=1, tab_id="discussion")])

    assert row.is_discussion_tab_enabled()
    assert row.is_discussion_tab_enabled(object())
    assert not overview().is_discussion_tab_enabled()
    settings.FEATURES = {"ENABLE_DISCUSSION_SERVICE": False}
    assert not row.is_discussion_tab_enabled()


def test_the_eleven_properties_are_those_of_the_projection():
    values = {
        "allow_public_wiki_access": True,
        "textbooks": [["Tides", "https://books.example.org/"]],
        "pdf_textbooks": [{"tab_title": "PDF"}],
        "html_textbooks": [{"tab_title": "HTML"}],
        "hide_progress_tab": False,
        "edxnotes": True,
        "enable_ccx": True,
        "course_visibility": "public",
        "teams_enabled": True,
        "show_calculator": True,
        "edxnotes_visibility": False,
    }

    row = overview(projection=OverviewProjection(course_key=KEY, **values))

    shown = {name: getattr(row, name) for name in PROJECTED_PROPERTIES}
    (textbook,) = shown["textbooks"]
    assert shown == values | {"textbooks": [textbook]}
    assert textbook == Textbook(title="Tides", book_url="https://books.example.org/")


def test_without_a_projection_the_eleven_properties_have_open_edx_s_defaults():
    row = overview()

    assert {name: getattr(row, name) for name in PROJECTED_PROPERTIES} == {
        "allow_public_wiki_access": False,
        "textbooks": [],
        "pdf_textbooks": [],
        "html_textbooks": [],
        "hide_progress_tab": None,
        "edxnotes": False,
        "enable_ccx": False,
        "course_visibility": "private",
        "teams_enabled": False,
        "show_calculator": False,
        "edxnotes_visibility": True,
    }


def test_the_defaults_of_one_course_are_not_those_of_another():
    overview().pdf_textbooks.append("mine")

    assert overview().pdf_textbooks == []


def test_an_overview_as_json_has_every_column_by_its_name_and_four_values_more():
    row = overview(
        display_name=None,
        start=NOW,
        end=datetime(2026, 6, 15, 12, 0, 0, 500, tzinfo=UTC),
        lowest_passing_grade="0.50",
        pre_requisite_courses_json="[]",
    )

    shown = overview_as_json(row, now=NOW + SECOND)

    columns = {field.column for field in CourseOverview._meta.concrete_fields}
    extra = {"display_name_with_default", "has_started", "has_ended", "pacing"}
    assert set(shown) == columns | extra
    assert shown["_location"] == row.location
    assert shown["_pre_requisite_courses_json"] == "[]"
    assert (shown["start"], shown["end"]) == ("2026-06-15T12:00:00Z", "2026-06-15T12:00:00.000500Z")
    assert shown["lowest_passing_grade"] == "0.50"
    assert {name: shown[name] for name in extra} == {
        "display_name_with_default": "course",
        "has_started": True,
        "has_ended": True,
        "pacing": "instructor",
    }
