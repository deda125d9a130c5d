"""Open edX's form endpoint by which its pages enrol and unenrol: its answers, by our rules."""

from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.test import Client
from django.utils import timezone

from lms_integration.platform_tables.models import (
    CourseEnrollment,
    CourseMode,
    GeneratedCertificate,
)
from tests.enrollment_scene import COURSE, course, enrolled, person, signed_in
from tests.token_keys import browser, key_set, private_key, verify_tokens_with

pytestmark = pytest.mark.django_db

OTHER = "course-v1:Sea+Currents+2026"


def change(client: Client, action: str, course_id: str = COURSE, **headers: str) -> tuple[int, str]:
    """Return status and text of the answer to the form that Open edX's pages send."""
    response = client.post(
        "/change_enrollment",
        {"enrollment_action": action, "course_id": course_id},
        headers=headers,
    )
    return response.status_code, response.content.decode()


def mode(slug: str, **columns: Any) -> None:
    CourseMode.objects.create(
        **{"course_id": COURSE, "mode_slug": slug, "mode_display_name": slug, **columns}
    )


def activity(course_id: str = COURSE) -> list[bool]:
    rows = CourseEnrollment.objects.filter(user__username="ada", course_id=course_id)
    return list(rows.values_list("is_active", flat=True))


def test_a_learner_enrols_and_leaves_again():
    course()
    client = signed_in(person())

    assert change(client, "enroll") == (200, "")
    assert activity() == [True]
    assert change(client, "enroll") == (200, "")
    assert change(client, "unenroll") == (200, "")
    assert activity() == [False]


def test_where_there_are_modes_to_choose_the_answer_is_the_address(settings):
    settings.LMS_ROOT_URL = "https://lms.example.org"
    course()
    mode("audit")
    mode("verified", min_price=49)

    answer = change(signed_in(person()), "enroll")

    assert answer == (200, f"https://lms.example.org/course_modes/choose/{COURSE}/")
    assert activity() == [True]


def test_a_mode_that_has_expired_is_nothing_to_choose():
    course()
    mode("audit")
    mode("verified", expiration_datetime=timezone.now() - timedelta(days=1))

    assert change(signed_in(person()), "enroll") == (200, "")


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param({"enrollment_end": timezone.now() - timedelta(days=1)}, id="over"),
        pytest.param({"enrollment_start": timezone.now() + timedelta(days=1)}, id="not yet"),
        pytest.param({"invitation_only": True}, id="by invitation"),
    ],
)
def test_a_closed_course_is_refused_in_a_sentence(columns: dict[str, Any]):
    course(**columns)

    assert change(signed_in(person()), "enroll") == (400, "Could not enroll")
    assert activity() == []


def test_a_hidden_course_is_refused_as_one_that_is_not_there():
    course(visible_to_staff_only=True)
    client = signed_in(person())

    hidden, unknown = change(client, "enroll"), change(client, "enroll", OTHER)

    assert hidden == unknown == (400, "Course id is invalid")
    assert activity() == []


def test_who_is_not_enrolled_cannot_leave():
    course()
    client = signed_in(person())

    assert change(client, "unenroll") == (400, "You are not enrolled in this course")


def test_a_course_that_is_not_there_any_more_can_be_left():
    ada = person()
    enrolled(ada, OTHER)

    assert change(signed_in(ada), "unenroll", OTHER) == (200, "")
    assert activity(OTHER) == [False]


def test_a_certificate_and_the_site_keep_learners_enrolled(settings):
    course()
    ada = person()
    enrolled(ada)
    GeneratedCertificate.objects.create(
        user=ada, course_id=COURSE, status="downloadable", name="", mode="audit"
    )

    kept_by_certificate = change(signed_in(ada), "unenroll")
    GeneratedCertificate.objects.all().delete()
    settings.FEATURES = {"DISABLE_UNENROLLMENT": True}
    kept_by_site = change(signed_in(ada), "unenroll")

    assert kept_by_certificate[0] == kept_by_site[0] == 400
    assert kept_by_certificate[1] != kept_by_site[1]
    assert activity() == [True]


def test_what_cannot_be_understood_is_refused_in_a_sentence():
    course()
    client = signed_in(person())

    assert change(client, "toggle") == (400, "Enrollment action is invalid")
    assert change(client, "enroll", "no course") == (400, "Invalid course id")
    assert change(client, "enroll", "") == (400, "Invalid course id")
    nothing = client.post("/change_enrollment", {"enrollment_action": "enroll"})
    assert (nothing.status_code, nothing.content) == (400, b"Course id not specified")


def test_who_is_signed_out_is_forbidden_and_told_nothing():
    course()

    assert change(Client(), "enroll") == (403, "")


def test_other_methods_than_post_are_not_allowed():
    assert signed_in(person()).get("/change_enrollment").status_code == 405


def test_a_session_needs_the_csrf_token():
    course()
    client = Client(enforce_csrf_checks=True)
    client.get("/login")
    client.force_login(person())

    without = change(client, "enroll")
    with_it = change(client, "enroll", **{"X-CSRFToken": client.cookies["csrftoken"].value})

    assert without[0] == 403
    assert "CSRF" in without[1]
    assert with_it == (200, "")


def test_the_cookies_of_a_front_end_enrol_and_need_the_csrf_token(settings):
    verify_tokens_with("", settings=settings, public_keys=key_set("new"))
    course()
    person()
    claims = {"preferred_username": "ada", "exp": timezone.now() + timedelta(hours=1)}
    token = jwt.encode(claims, private_key("new"), algorithm="RS512")
    client = browser(token, checks_csrf=True)
    client.get("/login")

    without = change(client, "enroll")
    with_it = change(client, "enroll", **{"X-CSRFToken": client.cookies["csrftoken"].value})

    assert (without[0], with_it) == (403, (200, ""))
    assert activity() == [True]


def test_any_accept_header_is_answered_as_ajax_of_old_pages_sends_it():
    course()

    assert change(signed_in(person()), "enroll", Accept="text/html") == (200, "")
