"""Simultaneous enrolments, with real threads on the real database: no overfilled course, no second row."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection, connections, transaction

from lms_integration.platform_tables.models import CourseEnrollment
from tests.enrollment_scene import COURSE, course, enroll, enrolled, person, signed_in

pytestmark = [pytest.mark.service, pytest.mark.django_db(transaction=True)]

PATIENCE_SECONDS = 20.0


@pytest.fixture(autouse=True)
def _no_throttle_history() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def at_once(requests: Sequence[Callable[[], Any]]) -> list[Any]:
    """Return the answers to requests that begin together, each in a thread of its own."""
    barrier = threading.Barrier(len(requests), timeout=PATIENCE_SECONDS)

    def run(request: Callable[[], Any]) -> Any:
        try:
            connection.ensure_connection()
            barrier.wait()
            return request()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(run, requests, timeout=PATIENCE_SECONDS))


@pytest.mark.parametrize("attempt", range(5))
def test_two_who_want_the_last_place_do_not_both_get_it(attempt: int):
    course(max_student_enrollments_allowed=1)
    clients = [signed_in(person(name)) for name in ("ada", "bob")]

    answers = at_once([lambda client=client: enroll(client) for client in clients])  # type: ignore[misc]

    assert sorted(answer.status_code for answer in answers) == [200, 400]
    assert CourseEnrollment.objects.filter(is_active=True).count() == 1


def test_a_crowd_fills_a_course_to_the_last_place_and_no_further():
    course(max_student_enrollments_allowed=5)
    clients = [signed_in(person(f"learner{number}")) for number in range(12)]

    answers = at_once([lambda client=client: enroll(client) for client in clients])  # type: ignore[misc]

    assert Counter(answer.status_code for answer in answers) == {200: 5, 400: 7}
    assert CourseEnrollment.objects.filter(is_active=True).count() == 5


def test_former_learners_do_not_overfill_a_course_by_coming_back_together():
    course(max_student_enrollments_allowed=2)
    people = [person(f"learner{number}") for number in range(6)]
    for each in people:
        enrolled(each, is_active=False)
    boss = signed_in(person("boss", is_staff=True))

    own = [lambda each=each: enroll(signed_in(each)) for each in people[:3]]
    put_back = [
        lambda each=each: enroll(boss, user=each.username, is_active=True) for each in people[3:]
    ]
    answers = at_once([*own, *put_back])

    assert Counter(answer.status_code for answer in answers) == {200: 2, 400: 4}
    assert CourseEnrollment.objects.filter(is_active=True).count() == 2


@pytest.mark.parametrize("limit", [None, 1])
def test_the_same_first_request_many_times_at_once_makes_one_row(limit: int | None):
    course(max_student_enrollments_allowed=limit)
    client = signed_in(person())

    answers = at_once([lambda: enroll(client)] * 8)

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert CourseEnrollment.objects.count() == 1


def test_a_request_for_somebody_who_is_locked_is_asked_to_come_again():
    course()
    ada = person()
    client = signed_in(ada)
    is_locked, is_answered = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            User.objects.select_for_update().get(pk=ada.pk)
            is_locked.set()
            is_answered.wait(PATIENCE_SECONDS)

    def ask() -> Any:
        is_locked.wait(PATIENCE_SECONDS)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
            return enroll(client)
        finally:
            is_answered.set()

    _, answer = at_once([hold, ask])

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert not CourseEnrollment.objects.filter(course_id=COURSE).exists()
