"""``overview seed`` on a real database."""

from io import StringIO

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from lms_integration.models import CourseOverview
from lms_integration.platform_tables.models import (
    CourseEnrollment,
    CourseMode,
    GeneratedCertificate,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def courses():
    CourseOverview.objects.bulk_create(
        CourseOverview(
            id=f"course-v1:Seed+C{number}+R1",
            version=19,
            location="",
            pre_requisite_courses_json="[]",
        )
        for number in range(10)
    )


def seed(*arguments: str) -> str:
    output = StringIO()
    call_command("overview", "seed", *arguments, stdout=output)
    return output.getvalue()


def test_seed_makes_learners_with_enrolments_and_modes(courses):
    said = seed("--learners", "7", "--enrollments", "3")

    assert "7 learners in 10 courses: 21 enrolments added" in said
    assert CourseEnrollment.objects.filter(user__username__startswith="seed_").count() == 21
    assert CourseMode.objects.filter(mode_slug="audit").count() == 10


def test_seed_again_adds_nothing_and_more_adds_the_rest(courses):
    seed("--learners", "4", "--enrollments", "3")

    again = seed("--learners", "4", "--enrollments", "3")
    more = seed("--learners", "5", "--enrollments", "3")

    assert "0 enrolments added" in again
    assert "3 enrolments added" in more


def test_a_seeded_learner_signs_in_only_with_the_password_that_was_given(courses):
    seed("--learners", "1", "--password", "correct horse")

    assert authenticate(username="seed_000001", password="correct horse") is not None
    assert authenticate(username="seed_000001", password="") is None


def test_remove_takes_the_seeded_learners_and_nobody_else(courses):
    User.objects.create_user("real")
    seed("--learners", "3", "--enrollments", "10")

    said = seed("--remove")

    assert "3 learners removed" in said
    assert list(User.objects.values_list("username", flat=True)) == ["real"]
    assert not CourseEnrollment.objects.exists()
    assert not GeneratedCertificate.objects.exists()


def test_seed_without_overviews_says_what_to_do():
    with pytest.raises(CommandError, match="overview reindex --all"):
        seed()


def test_seed_refuses_a_platforms_database(courses, settings):
    settings.OVERVIEW_PLATFORM_TABLES_EXIST = True

    with pytest.raises(CommandError, match="platform"):
        seed()

    assert not CourseEnrollment.objects.exists()


@pytest.mark.parametrize("number", ["-1", "many"])
def test_seed_refuses_what_is_no_number(number):
    with pytest.raises(CommandError, match="not a number"):
        seed(f"--learners={number}")
