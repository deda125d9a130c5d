"""Invented learners for demonstrations and load tests: the same ones for the same numbers. No I/O."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

AUDIT = "audit"
VERIFIED = "verified"
#: Of so many years learners enrolled.
_YEARS = 3
#: Shares, between 0 and 1.
_VERIFIED_SHARE = 0.2
_UNENROLLED_SHARE = 0.03
_CERTIFICATE_SHARE = 0.4
_PAID_COURSE_SHARE = 0.6
#: Above 1: the first courses of the list have most of the learners.
_POPULARITY = 2.0

_FIRST_NAMES = (
    "Amina",
    "Chen",
    "Diego",
    "Elif",
    "Fatou",
    "Grace",
    "Ingrid",
    "Jonas",
    "Lucía",
    "Omar",
)
_LAST_NAMES = (
    "Abebe",
    "Dupont",
    "García",
    "Kowalska",
    "Müller",
    "Nguyễn",
    "Okafor",
    "Sato",
    "Smith",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedCourse:
    """What of a course decides its invented learners."""

    course_id: str
    end: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedEnrollment:
    """One enrolment, and whether its learner has earned a certificate."""

    course_id: str
    mode: str
    is_active: bool
    created: datetime
    has_certificate: bool
    verify_uuid: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedLearner:
    """One learner with their enrolments."""

    username: str
    name: str
    email: str
    joined: datetime
    enrollments: Sequence[SeedEnrollment] = field(default_factory=tuple)


def seed_learners(
    courses: Sequence[SeedCourse],
    *,
    numbers: range,
    enrollment_count: int,
    prefix: str,
    now: datetime,
) -> Iterator[SeedLearner]:
    """Yield the learners of these numbers, each in ``enrollment_count`` different courses.

    Whom a number gives, and in which courses, depends on nothing but that number and ``courses``, so
    more can be added later; dates count back from ``now``. With fewer courses than
    ``enrollment_count`` everybody is in all of them.
    """
    for number in numbers:
        chance = Random(f"{prefix}{number}")  # noqa: S311 - invented data
        username = f"{prefix}{number:06d}"
        name = f"{chance.choice(_FIRST_NAMES)} {chance.choice(_LAST_NAMES)}"
        joined = now - timedelta(days=365 * _YEARS, seconds=chance.randrange(86_400 * 30))
        chosen = _chosen(courses, enrollment_count, chance)
        yield SeedLearner(
            username=username,
            name=name,
            email=f"{username}@example.org",
            joined=joined,
            enrollments=[_enrollment(course, chance, now=now) for course in chosen],
        )


def _chosen(courses: Sequence[SeedCourse], count: int, chance: Random) -> list[SeedCourse]:
    """Choose different courses; those at the beginning are chosen more often."""
    if count >= len(courses):
        return list(courses)
    chosen: dict[int, SeedCourse] = {}
    while len(chosen) < count:
        index = int(len(courses) * chance.random() ** _POPULARITY)
        chosen[index] = courses[index]
    return list(chosen.values())


def _enrollment(course: SeedCourse, chance: Random, *, now: datetime) -> SeedEnrollment:
    verified = is_paid(course.course_id) and chance.random() < _VERIFIED_SHARE
    ended = course.end is not None and course.end < now
    return SeedEnrollment(
        course_id=course.course_id,
        mode=VERIFIED if verified else AUDIT,
        is_active=chance.random() >= _UNENROLLED_SHARE,
        created=now - timedelta(seconds=chance.randrange(86_400 * 365 * _YEARS)),
        has_certificate=verified and ended and chance.random() < _CERTIFICATE_SHARE,
        verify_uuid=f"{chance.getrandbits(128):032x}",
    )


def is_paid(course_id: str) -> bool:
    """Return whether an invented course has a paid mode beside the free one."""
    return Random(course_id).random() < _PAID_COURSE_SHARE  # noqa: S311 - invented data


def seed_modes(course_id: str) -> Mapping[str, int]:
    """Return ``{mode: price in dollars}`` of an invented course."""
    return {AUDIT: 0, VERIFIED: 49} if is_paid(course_id) else {AUDIT: 0}
