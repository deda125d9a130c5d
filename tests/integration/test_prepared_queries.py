"""Prepared queries on the real database: what the same query gives that Django compiles each time."""

import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import close_old_connections, connection
from django.db.models import Count, Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from lms_integration.dashboard import queries
from lms_integration.dashboard.choices import Choice, Order, Status
from lms_integration.learners import certificates, modes
from lms_integration.learners.standing import roles_of
from lms_integration.platform_tables.models import CourseAccessRole, CourseEnrollment
from lms_integration.prepared_queries import PreparedQuery, moment, number, padded, text, texts
from lms_integration.site_settings import site_settings
from tests.browser.scene import whole_scene

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def enrolments_since() -> PreparedQuery[CourseEnrollment]:
    return PreparedQuery(
        lambda: (
            CourseEnrollment.objects.filter(user_id=number("user_id"), created__gte=moment("since"))
            .select_related("overview", "tombstone")
            .order_by("id")
        )
    )


def enrol(user: User, *keys: str, days_ago: int = 0) -> None:
    for key in keys:
        CourseEnrollment.objects.create(
            user=user, course_id=key, created=timezone.now() - timedelta(days=days_ago)
        )


def test_each_run_has_the_values_that_are_bound_to_it():
    ann, bob = User.objects.create(username="ann"), User.objects.create(username="bob")
    enrol(ann, "course-v1:A+B+old", days_ago=9)
    enrol(ann, "course-v1:A+B+new")
    enrol(bob, "course-v1:A+B+old", days_ago=9)
    query, week = enrolments_since(), timezone.now() - timedelta(days=7)

    found = [
        [row.course_id for row in query.rows(user_id=user.pk, since=since)]
        for user, since in ((ann, week), (bob, week), (bob, week - timedelta(days=7)))
    ]

    assert found == [["course-v1:A+B+new"], [], ["course-v1:A+B+old"]]


def test_rows_are_what_django_makes_of_them():
    user = User.objects.create(username="ann")
    enrol(user, "course-v1:A+B+1", "course-v1:A+B+2")
    now = timezone.now() - timedelta(days=1)
    plain = CourseEnrollment.objects.filter(user_id=user.pk, created__gte=now)

    [row, _] = enrolments_since().rows(user_id=user.pk, since=now)
    in_tuples = PreparedQuery(
        lambda: (
            CourseEnrollment.objects.filter(user_id=number("user_id"))
            .order_by("id")
            .values_list("is_active", "created")
        )
    )
    counted = PreparedQuery(
        lambda: (
            CourseEnrollment.objects.filter(user_id=number("user_id"))
            .values("user_id")
            .annotate(late=Count("pk", filter=Q(created__gte=moment("now"))))
            .values("late")
        )
    )

    assert row == plain.order_by("id")[0]
    assert row.overview is None
    assert row.created == plain.order_by("id")[0].created
    assert in_tuples.rows(user_id=user.pk) == list(
        plain.order_by("id").values_list("is_active", "created")
    )
    assert counted.rows(user_id=user.pk, now=now) == [{"late": 2}]


def test_a_list_is_bound_value_by_value_and_hostile_text_stays_text():
    user = User.objects.create(username="ann")
    hostile = ["course-v1:A+B+' OR 1=1 -- ", "%s", 'a"b`c\\']
    enrol(user, *hostile, "course-v1:A+B+other")
    query = PreparedQuery(
        lambda: CourseEnrollment.objects.filter(
            user__username=text("name"), course_id__in=texts("keys", 3)
        )
    )

    assert {row.course_id for row in query.rows(name="ann", keys=hostile)} == set(hostile)
    assert query.rows(name="ann' OR 'a'='a", keys=hostile) == []
    assert query.rows(name="ann", keys=["x", "y", "z"]) == []


def test_a_padded_list_has_few_lengths_and_finds_each_row_once():
    user = User.objects.create(username="ann")
    keys = [f"course-v1:A+B+{number}" for number in range(5)]
    enrol(user, *keys)
    query = PreparedQuery(
        lambda: CourseEnrollment.objects.filter(course_id__in=texts("keys", 8)).order_by("id")
    )

    found = [row.course_id for row in query.rows(keys=padded(keys))]

    assert found == keys
    assert {len(padded(list(range(count)))) for count in range(1, 513)} == {
        2**power for power in range(10)
    }
    assert padded([7, 8, 9]) == [7, 8, 9, 9]
    assert padded([]) == []


def test_lists_of_any_number_of_courses_share_a_few_compiled_queries():
    user = User.objects.create(username="ann")
    keys = [f"course-v1:A+B+{number}" for number in range(100)]
    modes._modes_of.cache_clear()
    certificates._certificates_of.cache_clear()

    for count in range(1, 101):
        found = modes.modes_by_course(keys[:count])
        certificates.certificates_by_course(user.pk, keys[:count])
        assert list(found) == keys[:count]

    assert modes._modes_of.cache_info().currsize == 8
    assert certificates._certificates_of.cache_info().currsize == 8


def test_a_value_that_is_missing_is_an_error():
    with pytest.raises(KeyError, match="since"):
        enrolments_since().rows(user_id=1)


def test_a_query_is_built_once_and_its_statement_is_the_one_that_django_writes():
    CourseAccessRole.objects.create(
        user=User.objects.create(username="ann"), org="A", course_id="", role="staff"
    )
    [role] = CourseAccessRole.objects.all()
    built = []

    def build():
        built.append(True)
        return roles_of(number("user_id"))

    query = PreparedQuery(build)
    with CaptureQueriesContext(connection) as captured:
        rows = [*query.rows(user_id=role.user_id), *query.rows(user_id=role.user_id)]
        rows += roles_of(role.user_id)

    assert rows == [role, role, role]
    prepared, again, plain = (each["sql"] for each in captured.captured_queries)
    assert prepared == again
    assert prepared.replace(f"({role.user_id})", str(role.user_id)) == plain
    assert built == [True]


@pytest.mark.django_db(transaction=True)
def test_each_thread_asks_on_its_own_connection():
    enrol(User.objects.create(username="ann"), "course-v1:A+B+1")
    query, since = enrolments_since(), timezone.now() - timedelta(days=1)
    user_id = User.objects.get().pk
    assert len(query.rows(user_id=user_id, since=since)) == 1
    connection.close()
    found = []

    def ask() -> None:
        found.extend(query.rows(user_id=user_id, since=since))
        close_old_connections()
        connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()

    assert [row.course_id for row in found] == ["course-v1:A+B+1"]
    assert connection.connection is None  # this thread's was not used


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("status", Status)
def test_the_prepared_dashboard_is_that_of_a_search_which_leaves_nothing_out(status, order):
    user, site, now = whole_scene(), site_settings(), timezone.now()
    plain = Choice(status=status, order=order)
    searching = Choice(status=status, order=order, text="course-v1:")

    prepared = queries.listed_page(user.pk, plain, site=site, now=now)
    compiled = queries.listed_page(user.pk, searching, site=site, now=now)

    assert prepared.courses
    assert prepared.counts == compiled.counts
    assert [each.enrolled.course_id for each in prepared.courses] == [
        each.enrolled.course_id for each in compiled.courses
    ]
    assert [each.is_unfulfilled for each in prepared.courses] == [
        each.is_unfulfilled for each in compiled.courses
    ]
