"""Which courses count as somebody's: conditions of the course team, evaluated by hand."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Q

from lms_integration.courses.roles import courses_with_role, in_team, leading_team
from lms_integration.courses.viewers import Viewer
from lms_integration.courses.visibility import visible_courses
from lms_integration.learners.access import ANONYMOUS, Standing

STAFF = Standing(user_id=1, staff_courses=frozenset({"course-v1:O+S+R"}))
LIMITED = Standing(user_id=1, limited_staff_courses=frozenset({"course-v1:O+S+R"}))
INSTRUCTOR = Standing(user_id=1, instructor_courses=frozenset({"course-v1:O+I+R"}))
ORG_STAFF = Standing(user_id=1, staff_orgs=frozenset({"Org"}))
ORG_INSTRUCTOR = Standing(user_id=1, instructor_orgs=frozenset({"Org"}))
SITE = Standing(user_id=1, is_global_staff=True)

KEYS = (
    "course-v1:O+I+R",
    "course-v1:O+S+R",
    "course-v1:Org+C+R",
    "course-v1:Org.1+C+R",
    "course-v1:Org-1+C+R",
    "course-v1:OrgX+C+R",
    "course-v1:org+C+R",
)


def chosen(condition: Q) -> list[str]:
    """Return the keys for which a condition holds, compared as the database compares them."""
    return [key for key in KEYS if holds(condition, key)]


def holds(condition: Any, key: str) -> bool:
    if isinstance(condition, Q):
        outcomes = [holds(child, key) for child in condition.children]
        outcome = any(outcomes) if condition.connector == Q.OR else all(outcomes)
        return outcome != condition.negated
    name, value = condition
    compare = {"in": key in value, "gte": key >= str(value), "lt": key < str(value)}
    return compare[name.rpartition("__")[2]]


@pytest.mark.parametrize(
    ("standing", "team", "leading"),
    [
        (ANONYMOUS, [], []),
        (STAFF, ["course-v1:O+S+R"], []),
        (LIMITED, ["course-v1:O+S+R"], []),
        (INSTRUCTOR, ["course-v1:O+I+R"], ["course-v1:O+I+R"]),
        (ORG_STAFF, ["course-v1:Org+C+R"], []),
        (ORG_INSTRUCTOR, ["course-v1:Org+C+R"], ["course-v1:Org+C+R"]),
        (SITE, list(KEYS), list(KEYS)),
    ],
)
def test_a_team_is_of_a_course_or_of_exactly_one_organization(standing, team, leading):
    assert chosen(in_team(standing)) == team
    assert chosen(leading_team(standing)) == leading


@pytest.mark.parametrize(
    ("role", "standing", "listed"),
    [
        ("staff", STAFF, ["course-v1:O+S+R"]),
        ("staff", LIMITED, []),
        ("staff", INSTRUCTOR, ["course-v1:O+I+R"]),
        ("staff", ORG_STAFF, []),
        ("staff", ORG_INSTRUCTOR, []),
        ("staff", SITE, list(KEYS)),
        ("instructor", STAFF, []),
        ("instructor", LIMITED, []),
        ("instructor", INSTRUCTOR, ["course-v1:O+I+R"]),
        ("instructor", ORG_STAFF, []),
        ("instructor", ORG_INSTRUCTOR, ["course-v1:Org+C+R"]),
        ("instructor", SITE, list(KEYS)),
    ],
)
def test_keys_are_listed_for_a_role(role, standing, listed):
    assert chosen(courses_with_role(role, standing)) == listed


def test_a_permission_that_does_not_exist_is_a_mistake_of_the_site():
    viewer = Viewer(standing=ANONYMOUS, now=datetime(2026, 1, 1, tzinfo=UTC))

    with pytest.raises(ImproperlyConfigured, match="see_everything"):
        visible_courses(viewer, permissions=["see_everything"])
