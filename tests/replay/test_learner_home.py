"""Replays what Open edX's learner home answered, and asserts where we answer otherwise.

Open edX fails for every learner with a course that has no start. What it would have answered is worked
out here from the recorded rows alone (``expected_entry``), and that is held against all entries that
were recorded.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User

from lms_integration.platform_tables.models import BlockCompletion, CourseEnrollment
from tests.recorded_http import (
    Difference,
    Exchange,
    assert_listed,
    by_id,
    exchanges,
    needs_recorded_http,
    replay,
)
from tests.shared_data import recorded_overviews

pytestmark = [needs_recorded_http, pytest.mark.django_db, pytest.mark.usefixtures("recorded_state")]

ANSWERED = [parameter for parameter in by_id("learner_home") if parameter.values[0].status == 200]


def answers_with_all_courses(response: Any, exchange: Exchange) -> None:
    """Assert that every active enrolment is there, newest first, each as its rows say."""
    answer = response.json()
    learner = _learner(exchange)
    rows = CourseEnrollment.objects.filter(user=learner, is_active=True).order_by("-created", "-id")
    recorded = next(each for each in exchanges("learner_home") if each.status == 200).response

    assert response.status_code == 200
    assert {**answer, "courses": []} == {**recorded, "courses": []}
    assert [each["courseRun"]["courseId"] for each in answer["courses"]] == [
        row.course_id for row in rows
    ]
    for entry, row in zip(answer["courses"], rows, strict=True):
        if row.course_id in recorded_overviews():
            assert without_certificate(entry) == expected_entry(row, exchange)
        else:
            assert entry["courseRun"]["courseState"] == "never_built"
            assert entry["enrollment"]["coursewareAccess"]["isTooEarly"] is True
        assert {*entry["certificate"]} == {*ENTRY_CERTIFICATE}


#: As recorded; the last one was in no answer.
VERIFIED_MODES = ("verified", "masters", "professional", "executive-education")
#: The one course whose overview and whose milestones name a course to be passed; nobody has.
REQUIRING = "course-v1:MiscOrg+M29+R1"
ENTRY_CERTIFICATE = (
    "availableDate",
    "isRestricted",
    "isEarned",
    "isDownloadable",
    "certPreviewUrl",
)
DIFFERENCES = (
    Difference(
        ids=(
            "learner_home.g_one.self",
            "learner_home.g_five.self",
            "learner_home.g_twenty.self",
            "learner_home.g_sixty.self",
            "learner_home.g_modes.self",
            "learner_home.g_certs.self",
            "learner_home.g_cstaff.self",
            "learner_home.g_beta.self",
            "learner_home.g_lang.self",
            "learner_home.masquerade.by_staff",
            "learner_home.no_slash",
        ),
        reason="A course without a start is open, and takes nobody's dashboard away.",
        check=answers_with_all_courses,
    ),
    Difference(
        ids=("learner_home.g_edge.self", "learner_home.g_staff.self"),
        reason="An enrolment whose course has no overview is listed like any other.",
        check=answers_with_all_courses,
    ),
)


@pytest.mark.parametrize("exchange", by_id("learner_home"))
def test_learner_home_answers_as_recorded(exchange: Exchange) -> None:
    replay(exchange, DIFFERENCES)


@pytest.mark.parametrize("exchange", ANSWERED)
def test_what_is_expected_of_the_rows_is_what_was_recorded(exchange: Exchange) -> None:
    for entry in exchange.response["courses"]:
        row = CourseEnrollment.objects.get(
            user=_learner(exchange), course_id=entry["courseRun"]["courseId"]
        )
        assert without_certificate(entry) == expected_entry(row, exchange)


def test_differences_are_documented_with_their_reasons() -> None:
    assert_listed(DIFFERENCES)


def without_certificate(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an entry without what ``tests/unit/test_dashboard_words.py`` looks at."""
    return {name: value for name, value in entry.items() if name != "certificate"}


def expected_entry(row: CourseEnrollment, exchange: Exchange) -> Mapping[str, Any]:
    """Return the entry of an enrolment without its certificate, from the recorded rows alone."""
    overview = recorded_overviews()[row.course_id]["row"]
    start, end = _moment(overview["start"]), _moment(overview["end"])
    learner = _learner(exchange)
    roles = set(learner.course_access_roles.values_list("role", "org", "course_id"))
    is_beta = ("beta_testers", overview["org"], row.course_id) in roles
    has_begun = start is None or start < exchange.recorded_at
    begins_early = is_beta and overview["days_early_for_beta"]
    encoded = quote(row.course_id, safe="+:/")
    block = (
        BlockCompletion.objects.filter(user=learner, course_key=row.course_id)
        .order_by("-modified")
        .first()
    )
    return {
        "course": {
            "bannerImgSrc": overview["course_image_url"],
            "courseName": "course"
            if overview["display_name"] is None
            else overview["display_name"],
            "courseNumber": overview["display_number_with_default"],
            "socialShareUrl": f"http://localhost:8000/courses/{row.course_id}/about",
        },
        "courseProvider": {"name": overview["display_org_with_default"]},
        "courseRun": {
            "isStarted": has_begun,
            "isArchived": end is not None and end < exchange.recorded_at,
            "courseId": row.course_id,
            "minPassingGrade": overview["lowest_passing_grade"],
            "startDate": _text(start),
            "advertisedStart": overview["advertised_start"],
            "endDate": _text(end),
            "homeUrl": f"http://learning-mfe/course/{row.course_id}/home",
            "marketingUrl": None,
            "progressUrl": f"/courses/{encoded}/progress",
            "unenrollUrl": f"/course_run/{encoded}/refund_status",
            "upgradeUrl": None,
            "resumeUrl": block
            and f"/courses/{encoded}/jump_to/{quote(block.block_key, safe='+:@')}",
        },
        "enrollment": {
            "accessExpirationDate": None,
            "isAudit": row.mode in ("audit", "honor"),
            "hasStarted": block is not None,
            "coursewareAccess": {
                "hasUnmetPrerequisites": row.course_id == REQUIRING,
                "isTooEarly": not has_begun and not begins_early,
                "isStaff": learner.is_staff
                or bool(
                    {
                        ("staff", overview["org"], row.course_id),
                        ("instructor", overview["org"], row.course_id),
                        ("staff", overview["org"], ""),
                    }
                    & roles
                ),
            },
            "isVerified": row.mode in VERIFIED_MODES,
            "canUpgrade": False,
            "isAuditAccessExpired": False,
            "isEmailEnabled": False,
            "hasOptedOutOfEmail": False,
            "lastEnrolled": _text(row.created),
            "isEnrolled": True,
            "mode": row.mode,
        },
        "entitlement": {},
        "gradeData": {"isPassing": False},
        "programs": {"relatedPrograms": []},
        "credit": {},
    }


def _learner(exchange: Exchange) -> User:
    """Return whose dashboard was asked for."""
    return User.objects.get(username=exchange.query.partition("user=")[2] or exchange.caller)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
