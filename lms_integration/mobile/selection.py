"""Which of a learner's enrolments the apps show, and which one first. Does no I/O and reads no clock.

Source of the rules: ``lms/djangoapps/mobile_api/users/views.py`` of edx-platform, as observed in its
recorded answers. An enrolment whose course has no overview is shown: nobody knows that it is hidden.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lms_integration.learners.access import Standing, is_mobile_available
from lms_integration.learners.enrolled import org_of


class Status(StrEnum):
    """How far a learner has come; what ``?status=`` asks for."""

    ALL = "all"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    EXPIRED = "expired"


def status_named(name: str | None) -> Status | None:
    """Return the status of that name; None for any other, which Open edX ignores."""
    return Status(name) if name in set(Status) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One enrolment with what decides whether it is shown."""

    enrollment_id: int
    id: str  #: the course key
    created: datetime | None
    has_overview: bool
    org: str
    mobile_available: bool
    # What a status depends on; read only where one is asked for.
    is_deleted: bool = False
    start: datetime | None = None
    end: datetime | None = None
    has_certificate: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Where a learner was last."""

    course_id: str
    at: datetime


def candidate_org(course_id: str, org: str | None) -> str:
    """Return the organization of a course: its overview's, else the one that the key names."""
    return org_of(course_id) if org is None else org


def shown(
    candidates: Iterable[Candidate],
    standing: Standing,
    *,
    flag_counts: bool,
    org: str | None = None,
    site_orgs: AbstractSet[str] = frozenset(),
) -> Sequence[Candidate]:
    """Return those that the apps show, in their order.

    ``flag_counts`` is false where the site shows courses without the mobile flag too; ``org`` is what
    ``?org=`` asks for, in any case; ``site_orgs`` are those of the site, which may be empty: all.
    """
    return [
        each
        for each in candidates
        if (org is None or each.org.lower() == org.lower())
        and (not site_orgs or each.org in site_orgs)
        and (not each.has_overview or is_mobile_available(each, standing, flag_counts=flag_counts))
    ]


def having(
    candidates: Iterable[Candidate], status: Status, *, now: datetime
) -> Sequence[Candidate]:
    """Return those that a status covers, in their order."""
    return [each for each in candidates if _covers(status, each, now=now)]


def _covers(status: Status, candidate: Candidate, *, now: datetime) -> bool:
    match status:
        case Status.ALL:
            return True
        case Status.COMPLETED:
            return candidate.has_certificate
        case Status.EXPIRED:
            return not candidate.has_certificate and _is_over(candidate, now=now)
        case Status.IN_PROGRESS:
            return (
                not candidate.has_certificate
                and (candidate.start is None or candidate.start <= now)
                and not _is_over(candidate, now=now)
            )


def _is_over(candidate: Candidate, *, now: datetime) -> bool:
    has_ended = candidate.end is not None and candidate.end < now
    return has_ended or candidate.is_deleted


def primary_of(candidates: Sequence[Candidate], progress: Progress | None) -> Candidate | None:
    """Return the enrolment to go on with: the newest one, or the one with the latest progress.

    ``candidates`` are newest first, ``progress`` is the latest in one of them. Only a course that has
    an overview can be gone on with.
    """
    available = [each for each in candidates if each.has_overview]
    if not available:
        return None
    newest = available[0]
    if progress is None or (newest.created is not None and newest.created > progress.at):
        return newest
    return next((each for each in available if each.id == progress.course_id), newest)
