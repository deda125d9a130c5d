"""Invented learners are the same for the same numbers, and plausible."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from overview_worker.commands.seeding import SeedCourse, seed_learners, seed_modes

NOW = datetime(2026, 11, 1, tzinfo=UTC)
COURSES = [
    SeedCourse(course_id=f"course-v1:Seed+C{number}+R1", end=NOW + timedelta(days=number - 20))
    for number in range(40)
]


def learners(numbers, *, enrollment_count=5, courses=COURSES):
    return list(
        seed_learners(
            courses, numbers=numbers, enrollment_count=enrollment_count, prefix="seed_", now=NOW
        )
    )


def test_the_same_number_gives_the_same_learner_however_many_are_asked_for():
    few, many = learners(range(3, 4)), learners(range(1, 10))

    assert few[0] == many[2]


def test_a_learner_is_in_as_many_different_courses_as_asked():
    counts = [len({each.course_id for each in one.enrollments}) for one in learners(range(1, 30))]

    assert set(counts) == {5}


def test_with_few_courses_everybody_is_in_all_of_them():
    found = learners(range(1, 3), courses=COURSES[:2])

    assert [len(one.enrollments) for one in found] == [2, 2]


def test_the_first_courses_have_the_most_learners():
    popular = Counter(each.course_id for one in learners(range(1, 200)) for each in one.enrollments)

    first, last = COURSES[0].course_id, COURSES[-1].course_id
    assert popular[first] > 3 * popular[last]


def test_certificates_are_for_verified_learners_of_ended_courses_only():
    ends = {course.course_id: course.end for course in COURSES}
    earned = [
        each for one in learners(range(1, 400)) for each in one.enrollments if each.has_certificate
    ]

    assert earned
    assert all(each.mode == "verified" for each in earned)
    assert all((ends[each.course_id] or NOW) < NOW for each in earned)


def test_only_courses_with_a_paid_mode_have_verified_learners():
    verified = {
        each.course_id
        for one in learners(range(1, 100))
        for each in one.enrollments
        if each.mode == "verified"
    }

    assert verified
    assert all("verified" in seed_modes(course_id) for course_id in verified)


def test_nobody_enrols_in_the_future_or_before_joining():
    for one in learners(range(1, 50)):
        assert all(one.joined <= each.created <= NOW for each in one.enrollments)
