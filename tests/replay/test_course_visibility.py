"""Who sees which of the recorded courses: the conditions in SQL against the rules in Python, course by course."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.test import override_settings

from lms_integration.courses.queries import Filters, listed_courses
from lms_integration.courses.viewers import Viewer, viewer_of
from lms_integration.courses.visibility import PERMISSIONS
from lms_integration.learners.access import is_mobile_available, load_access
from lms_integration.learners.standing import unfulfilled_courses
from lms_integration.models import CourseOverview
from lms_integration.platform_tables.models import CourseAccessRole, CourseEnrollmentAllowed
from tests.recorded_http import needs_recorded_http

pytestmark = [needs_recorded_http, pytest.mark.django_db, pytest.mark.usefixtures("recorded_state")]

NOW = datetime(2026, 11, 22, 21, tzinfo=UTC)
PEOPLE = (
    "",
    "g_five",
    "g_inactive",
    "g_cstaff",
    "g_cinst",
    "g_orgstaff",
    "g_beta",
    "g_staff",
    "g_super",
    "g_post",
)
INVITED = "course-v1:MiscOrg+M03+R1"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One course and one person."""

    course: CourseOverview
    viewer: Viewer
    invited: bool
    unfulfilled: frozenset[str]


Rule = Callable[[Case], bool]


def is_team(case: Case) -> bool:
    return case.viewer.standing.is_staff_of(case.course.id, case.course.org)


def leads(case: Case) -> bool:
    standing = case.viewer.standing
    return (
        standing.is_global_staff
        or case.course.id in standing.instructor_courses
        or case.course.org in standing.instructor_orgs
    )


def loads(case: Case) -> bool:
    viewer = case.viewer
    return load_access(
        case.course, viewer.standing, unfulfilled=case.unfulfilled, now=viewer.now
    ).has_access


def loads_on_mobile(case: Case) -> bool:
    available = is_mobile_available(case.course, case.viewer.standing, flag_counts=True)
    return loads(case) and available


def enrolls(case: Case) -> bool:
    start, end, now = case.course.enrollment_start, case.course.enrollment_end, case.viewer.now
    is_open = (start is None or start < now) and (end is None or end > now)
    return case.invited or is_team(case) or (is_open and not case.course.invitation_only)


RULES: Mapping[str, Rule] = {
    "load": loads,
    "load_mobile": loads_on_mobile,
    "enroll": enrolls,
    "see_exists": lambda case: loads(case) or enrolls(case),
    "see_in_catalog": lambda case: case.course.catalog_visibility == "both" or is_team(case),
    "see_about_page": lambda case: (
        case.course.catalog_visibility in ("both", "about") or is_team(case)
    ),
    "staff": is_team,
    "instructor": leads,
}


def viewer_named(name: str) -> Viewer:
    person = User.objects.get(username=name) if name else AnonymousUser()
    return viewer_of(person, now=NOW)


def expected_courses(viewer: Viewer, permissions: Iterable[str]) -> set[str]:
    courses = list(CourseOverview.objects.all())
    invitations = CourseEnrollmentAllowed.objects.filter(email=viewer.email)
    invited = set(invitations.values_list("course_id", flat=True))
    unfulfilled = unfulfilled_courses(viewer.user_id, [course.id for course in courses])
    cases = [
        Case(
            course=course,
            viewer=viewer,
            invited=course.id in invited,
            unfulfilled=unfulfilled,
        )
        for course in courses
    ]
    return {
        case.course.id
        for case in cases
        if (not case.course.visible_to_staff_only or is_team(case))
        and all(RULES[name](case) for name in permissions)
    }


def test_there_is_a_rule_for_each_permission():
    assert set(RULES) == set(PERMISSIONS)


@pytest.mark.parametrize("permission", PERMISSIONS)
@pytest.mark.parametrize("name", PEOPLE)
def test_the_listed_courses_are_those_of_the_access_rules(name: str, permission: str):
    viewer = viewer_named(name)
    with override_settings(COURSE_CATALOG_VISIBILITY_PERMISSION=permission):
        listed = list(listed_courses(viewer, Filters()))

    assert len(listed) == len(set(listed))
    assert set(listed) == expected_courses(viewer, [permission])


@pytest.mark.parametrize("name", PEOPLE)
def test_permissions_that_are_asked_for_count_in_addition(name: str):
    viewer = viewer_named(name)

    listed = set(listed_courses(viewer, Filters(permissions=["load_mobile", "see_in_catalog"])))

    assert listed == expected_courses(viewer, ["see_exists", "load_mobile", "see_in_catalog"])


def test_a_course_of_a_team_only_is_shown_to_its_team_and_the_site_s_alone():
    staff_only = set(
        CourseOverview.objects.filter(visible_to_staff_only=True).values_list("id", flat=True)
    )
    seen = {
        name: staff_only & set(listed_courses(viewer_named(name), Filters())) for name in PEOPLE
    }

    assert seen.pop("g_staff") == staff_only
    assert seen.pop("g_orgstaff") == {
        key for key in staff_only if key.startswith("course-v1:MITx+")
    }
    assert seen == {name: set() for name in seen}


def test_a_superuser_who_is_not_of_the_site_s_team_sees_what_a_learner_sees():
    assert list(listed_courses(viewer_named("g_super"), Filters())) == list(
        listed_courses(viewer_named("g_five"), Filters())
    )


def test_an_invitation_opens_a_course_to_its_address_alone():
    assert INVITED not in listed_courses(viewer_named("g_five"), Filters())
    assert INVITED in listed_courses(viewer_named("g_post"), Filters())


def test_an_invitation_that_somebody_else_has_used_opens_nothing():
    other = User.objects.get(username="g_five")
    CourseEnrollmentAllowed.objects.filter(course_id=INVITED).update(user=other)

    assert INVITED not in listed_courses(viewer_named("g_post"), Filters())


def test_roles_in_an_organization_are_compared_letter_by_letter():
    CourseAccessRole.objects.filter(user__username="g_orgstaff").update(org="mitx")

    listed = listed_courses(viewer_named("g_orgstaff"), Filters())

    assert list(listed) == list(listed_courses(viewer_named("g_five"), Filters()))


@override_settings(FEATURES={"DISABLE_START_DATES": True})
def test_start_dates_count_for_nothing_where_they_are_switched_off():
    loadable = listed_courses(viewer_named(""), Filters(permissions=["load"]))

    assert set(loadable) == set(
        CourseOverview.objects.filter(visible_to_staff_only=False).values_list("id", flat=True)
    )


@override_settings(OVERVIEW_IGNORE_MOBILE_AVAILABLE=True)
def test_every_course_can_be_loaded_on_mobile_where_the_flag_is_ignored():
    viewer = viewer_named("")

    assert list(listed_courses(viewer, Filters(permissions=["load_mobile"]))) == list(
        listed_courses(viewer, Filters(permissions=["load"]))
    )
