"""What roles make of a person: those of Open edX's table, by course and by organization."""

import pytest
from django.contrib.auth.models import User

from lms_integration.learners.standing import standing_with

KEY = "course-v1:Org+C+R"


@pytest.mark.parametrize("role", ["staff", "limited_staff", "instructor"])
@pytest.mark.parametrize("course_id", [KEY, ""])
def test_a_team_role_makes_staff_of_the_course(role: str, course_id: str):
    standing = standing_with(User(pk=1), [(role, "Org", course_id)])

    assert standing.is_staff_of(KEY, "Org")
    assert not standing.is_staff_of("course-v1:Other+C+R", "Other")


@pytest.mark.parametrize("role", ["beta_testers", "data_researcher", "limited", ""])
def test_any_other_role_does_not(role: str):
    assert not standing_with(User(pk=1), [(role, "Org", KEY)]).is_staff_of(KEY, "Org")
