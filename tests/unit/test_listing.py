"""The listing columns: copies of the row's, cut to what they fit in, and what a search looks through."""

import time
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from lms_integration.data import CourseOverviewData, CourseOverviewListingData
from lms_integration.listing import (
    CATALOG_VISIBILITY_LENGTH,
    SEARCHED_DESCRIPTION_LENGTH,
    SEARCHED_NAME_LENGTH,
    listing_of,
)
from tests.builder_courses import build

KEY = "course-v1:Org+Course+Run"
MADE = {"course_key", "sort_key", "search_text"}


def overview(about: dict[str, Any] | None = None, **settings: Any) -> CourseOverviewData:
    return build(settings, about=about).overview


def searched(about: dict[str, Any] | None = None, **settings: Any) -> str:
    return listing_of(overview(about, **settings)).search_text


def test_a_listing_is_a_copy_of_the_row():
    row = overview(
        start=datetime(2026, 1, 1, tzinfo=UTC),
        end=datetime(2026, 2, 1, tzinfo=UTC),
        enrollment_start=datetime(2025, 1, 1, tzinfo=UTC),
        enrollment_end=datetime(2025, 2, 1, tzinfo=UTC),
        invitation_only=True,
        visible_to_staff_only=True,
        mobile_available=True,
        catalog_visibility="about",
        days_early_for_beta=2.5,
        self_paced=True,
        enrollment_domain="shib:https://idp.example.org/",
        max_student_enrollments_allowed=7,
    )

    listing = listing_of(row)

    assert listing.course_key == listing.sort_key == KEY
    copied = {field.name for field in fields(CourseOverviewListingData)} - MADE
    assert {name: getattr(listing, name) for name in copied} == {
        name: getattr(row, name) for name in copied
    }


@pytest.mark.parametrize("visibility", [None, "", "both", "x" * CATALOG_VISIBILITY_LENGTH])
def test_a_visibility_that_fits_is_kept(visibility):
    listing = listing_of(overview(catalog_visibility=visibility))

    assert listing.catalog_visibility == visibility


def test_a_visibility_that_is_cut_means_nothing_still():
    listing = listing_of(overview(catalog_visibility="none" + " " * 100 + "x" * 3_000_000))

    assert listing.catalog_visibility == ("none" + " " * 100)[:CATALOG_VISIBILITY_LENGTH]


def test_a_search_looks_through_names_key_and_description():
    text = searched(
        {"short_description": "<p>About <b>the\nsea</b> &amp; <a href='x'>sand</a></p>"},
        display_name="  Tides \n and dunes ",
        display_organization="The Sea",
        display_coursenumber="T1",
    )

    assert text.split("\n") == [
        "Tides and dunes",
        KEY,
        "The Sea",
        "T1",
        "About the sea & sand",
    ]


def test_a_course_without_a_name_can_be_found_by_its_key():
    assert KEY in searched(display_name=None)


def test_what_a_search_looks_through_has_a_bounded_length():
    row = replace(
        overview({"short_description": "d" * 3_000_000}, display_name="n" * 3_000_000),
        display_org_with_default="o" * 3_000_000,
        display_number_with_default="c" * 3_000_000,
    )

    longest = 3 * SEARCHED_NAME_LENGTH + SEARCHED_DESCRIPTION_LENGTH + len(KEY) + 4
    assert len(listing_of(row).search_text) == longest


@pytest.mark.parametrize("description", ["<" * 3_000_000, "<a" * 1_500_000, "&" * 3_000_000])
def test_a_description_of_broken_html_costs_no_time(description):
    started = time.perf_counter()

    searched({"short_description": description})

    assert time.perf_counter() - started < 1.0
