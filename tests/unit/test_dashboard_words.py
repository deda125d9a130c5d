from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import translation

from lms_integration.dashboard import words
from lms_integration.dashboard.certificates import (
    CertificateState,
    ShownCertificate,
    shown_certificate,
)
from lms_integration.dashboard.choices import Choice, Order, Status, choice_of
from lms_integration.data import DEFAULT_START
from lms_integration.learners.access import NOT_VISIBLE, UNFULFILLED_MILESTONES, not_started
from lms_integration.learners.enrolled import CourseState
from lms_integration.models import CourseOverview
from lms_integration.platform_tables.models import GeneratedCertificate

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)
THERE, UNBUILT, DELETED = CourseState.AVAILABLE, CourseState.NEVER_BUILT, CourseState.DELETED


def course(**columns: Any) -> CourseOverview:
    defaults: dict[str, Any] = {
        "id": "course-v1:A+B+C",
        "display_name": "Algebra",
        "display_number_with_default": "B",
        "start": NOW - 30 * DAY,
    }
    return CourseOverview(**defaults | columns)


@pytest.mark.parametrize(
    ("columns", "dates"),
    [
        ({"start": datetime(2026, 1, 5, tzinfo=UTC)}, ["Started Jan. 5, 2026"]),
        ({"start": None}, ["Open now"]),
        ({"start": DEFAULT_START}, ["Start date to be announced"]),
        ({"start": NOW + 40 * DAY}, ["Starts July 25, 2026"]),
        ({"start": NOW + 4 * DAY}, ["Starts soon: June 19, 2026"]),
        ({"start": NOW + 4 * DAY, "advertised_start": "Soon"}, ["Starts Soon"]),
        ({"advertised_start": "Fall 2026"}, ["Started Fall 2026"]),
        ({"start": DEFAULT_START, "advertised_start": "Fall"}, ["Starts Fall"]),
        ({"end": NOW - DAY}, ["Ended June 14, 2026"]),
        (
            {"start": NOW - DAY, "end": NOW + DAY},
            ["Started June 14, 2026", "Ends June 16, 2026"],
        ),
    ],
)
def test_dates_say_when_a_course_starts_runs_or_has_ended(columns: Any, dates: list[str]):
    assert words.dates_in_words(course(**columns), THERE, now=NOW) == dates


def test_dates_of_a_course_that_was_never_built_are_not_guessed():
    assert words.dates_in_words(course(start=None), UNBUILT, now=NOW) == []


def test_dates_follow_the_active_language():
    with translation.override("es"):
        (date,) = words.dates_in_words(
            course(start=datetime(2026, 1, 5, tzinfo=UTC)), THERE, now=NOW
        )

    assert date.endswith("5 de enero de 2026")


@pytest.mark.parametrize(
    ("columns", "state", "status"),
    [
        ({}, THERE, Status.IN_PROGRESS),
        ({"start": None}, THERE, Status.IN_PROGRESS),
        ({"start": NOW + DAY}, THERE, Status.UPCOMING),
        ({"end": NOW - DAY}, THERE, Status.ENDED),
        ({"start": NOW + DAY, "end": NOW - DAY}, THERE, Status.ENDED),
        ({"start": None}, UNBUILT, Status.UPCOMING),
        ({"start": NOW + DAY}, DELETED, Status.ENDED),
    ],
)
def test_status_is_one_of_three_whatever_is_known(columns: Any, state: CourseState, status: Status):
    assert words.status_of(course(**columns), state, now=NOW) is status


def test_states_without_overview_are_told_in_words():
    assert words.state_in_words(UNBUILT).startswith("This course is being prepared")
    assert words.state_in_words(DELETED) == "This course is no longer offered."
    assert words.state_in_words(THERE) == ""


def test_names_of_unbuilt_and_nameless_courses_are_never_empty():
    assert words.name_in_words(course(), UNBUILT) == "Course B"
    assert words.name_in_words(course(display_name=" "), THERE) == "course-v1:A+B+C"


def test_refusals_say_what_a_learner_can_do():
    waiting = course(start=NOW + DAY)

    assert words.access_in_words(not_started(waiting.start), waiting, []) == (
        "You can open this course from June 16, 2026."
    )
    assert words.access_in_words(UNFULFILLED_MILESTONES, waiting, ["Algebra"]) == (
        "You can open this course once you have passed “Algebra”."
    )
    assert "“Algebra”, “Logic”" in words.access_in_words(
        UNFULFILLED_MILESTONES, waiting, ["Algebra", "Logic"]
    )
    assert "passed what it requires" in words.access_in_words(UNFULFILLED_MILESTONES, waiting, [])
    assert "not open to learners" in words.access_in_words(NOT_VISIBLE, waiting, [])


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({}, ""),
        ({"enrollment_end": NOW - DAY}, "Enrollment closed on June 14, 2026."),
        ({"enrollment_start": NOW + DAY}, "Enrollment opens on June 16, 2026."),
        ({"invitation_only": True}, "Enrollment is by invitation only."),
    ],
)
def test_enrollment_says_why_it_is_closed(columns: Any, sentence: str):
    assert words.enrollment_in_words(course(**columns), now=NOW) == sentence


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("en", "English"),
        ("fr", "français (French)"),
        ("zh_HANS", "简体中文 (Simplified Chinese)"),
        ("tlh", "tlh"),
        (None, ""),
    ],
)
def test_languages_are_named_in_themselves(code: str | None, shown: str):
    assert words.language_in_words(code) == shown


def test_texts_of_authors_lose_their_tags():
    assert words.plain(" 4 <b>hours</b>\n &amp; more ") == "4 hours & more"


ENDED = {"certificates_display_behavior": "end", "cert_html_view_enabled": True}


@pytest.mark.parametrize(
    ("status", "columns", "state", "url"),
    [
        (None, {}, CertificateState.NONE, None),
        ("downloadable", {}, CertificateState.EARNED, None),
        (
            "downloadable",
            {"end": NOW - DAY, "has_any_active_web_certificate": True},
            CertificateState.AVAILABLE,
            "/certificates/abc",
        ),
        ("downloadable", {"end": NOW - DAY}, CertificateState.AVAILABLE, "https://files/abc.pdf"),
        ("generating", {"end": NOW - DAY}, CertificateState.BEING_MADE, None),
        ("generating", {}, CertificateState.EARNED, None),
        ("notpassing", {}, CertificateState.NOT_PASSING, None),
        ("restricted", {}, CertificateState.RESTRICTED, None),
        ("unavailable", {}, CertificateState.NONE, None),
        ("error", {}, CertificateState.NONE, None),
    ],
)
def test_certificates_are_shown_as_open_edx_shows_them(
    status: str | None, columns: Any, state: CertificateState, url: str | None
):
    certificate = status and GeneratedCertificate(
        status=status, verify_uuid="abc", download_url="https://files/abc.pdf"
    )

    shown = shown_certificate(
        certificate or None, course(**ENDED | columns), now=NOW, html_pages=True
    )

    assert (shown.state, shown.url) == (state, url)
    assert bool(words.certificate_in_words(shown)) is (state is not CertificateState.NONE)


def test_certificates_earned_say_from_when_they_are_seen():
    shown = ShownCertificate(state=CertificateState.EARNED, available_at=NOW)

    assert words.certificate_in_words(shown).endswith("from June 15, 2026.")


def test_choices_that_mean_nothing_are_as_if_they_were_not_there():
    assert choice_of({"status": "bogus", "sort": "", "q": "  ", "page": ""}) == Choice()


def test_choices_survive_the_way_through_an_address():
    choice = choice_of({"status": "ended", "sort": "name", "q": " über  alles&x ", "page": "2"})

    assert choice == Choice(status=Status.ENDED, order=Order.NAME, text="über alles&x", page="2")
    assert choice.query == "?status=ended&sort=name&q=%C3%BCber+alles%26x&page=2"
    assert choice.with_status(Status.ALL).query == "?sort=name&q=%C3%BCber+alles%26x"
    assert Choice().on_page(1).query == ""
