"""Reads the versions of everything that a learner's lists are made of: one query, no wide column.

A list is the same as long as these rows are, and as long as no date in them has passed meanwhile.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any

from django.db import connection
from django.utils import timezone

from lms_integration.learners.deadlines import AUDIT_ACCESS_DURATION

#: For so long after enrolling, a course counts as recently active in the mobile apps.
RECENT = timedelta(days=30)
#: So long before it starts, a course is announced as starting soon.
SOON = timedelta(days=5)

#: At these distances after a date something shows that did not show before.
_TURNS = (timedelta(0), RECENT, AUDIT_ACCESS_DURATION, -SOON)
_BETA_ROLE = "beta_testers"
_DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?")
#: One row of JSON for each fact, the first of which names its kind; enrolments come first.
_PARTS = (
    "SELECT JSON_ARRAY('enrollment', e.course_id, e.mode, e.is_active, e.created, o.start, "
    "o.days_early_for_beta, s.row_seq, o.modified, o.end, o.enrollment_start, o.enrollment_end, "
    "o.certificate_available_date, t.deleted_at) FROM student_courseenrollment e "
    "LEFT JOIN overview_state s ON s.course_key = e.course_id "
    "LEFT JOIN course_overviews_courseoverview o ON o.id = e.course_id "
    "LEFT JOIN overview_tombstone t ON t.course_key = e.course_id WHERE e.user_id = %s",
    "SELECT JSON_ARRAY('mode', m.id, m.course_id, m.mode_slug, m.mode_display_name, m.min_price, "
    "m.currency, m.expiration_datetime, m.suggested_prices, m.description, m.sku, m.bulk_sku, "
    "m.android_sku, m.ios_sku) FROM course_modes_coursemode m "
    "JOIN student_courseenrollment e ON e.course_id = m.course_id WHERE e.user_id = %s",
    "SELECT JSON_ARRAY('certificate', c.id, c.status, c.mode, c.verify_uuid, c.download_url, "
    "c.grade, c.modified_date) FROM certificates_generatedcertificate c WHERE c.user_id = %s",
    "SELECT JSON_ARRAY('role', r.role, r.org, r.course_id) FROM student_courseaccessrole r "
    "WHERE r.user_id = %s",
    "SELECT JSON_ARRAY('required', q.id, q.milestone_id, q.active, q.milestone_relationship_type_id, "
    "n.active) FROM milestones_coursemilestone q JOIN milestones_milestone n ON n.id = q.milestone_id  "
    "JOIN student_courseenrollment e ON e.course_id = q.course_id WHERE e.user_id = %s",
    "SELECT JSON_ARRAY('reached', u.milestone_id, u.active) FROM milestones_usermilestone u "
    "WHERE u.user_id = %s",
    "SELECT JSON_ARRAY('organization', g.id, g.active, g.organization_id, h.logo) "
    "FROM organizations_organizationcourse g "
    "JOIN organizations_organization h ON h.id = g.organization_id  "
    "JOIN student_courseenrollment e ON e.course_id = g.course_id WHERE e.user_id = %s",
    "SELECT JSON_ARRAY('preference', p.key, p.value) FROM user_api_userpreference p "
    "WHERE p.user_id = %s",
    "SELECT JSON_ARRAY('time zone', z.timezone) FROM courseware_lastseencoursewaretimezone z "
    "WHERE z.user_id = %s",
    "SELECT JSON_ARRAY('schedule', d.enrollment_id, d.start_date, d.upgrade_deadline) "
    "FROM schedules_schedule d JOIN student_courseenrollment e ON e.id = d.enrollment_id "
    "WHERE e.user_id = %s",
)
_FOR_ALL = (
    "SELECT JSON_ARRAY('mobile config', f.name, f.value, f.modified) FROM mobile_api_mobileconfig f"
)


class Activity(StrEnum):
    """What of a learner's activity shows in an answer; each costs one step in an index, or one a course."""

    #: Where the learner was last, in any course: the end of (student, modified).
    LAST_SEEN = "last seen"
    #: Which block of each course was completed last: the end of (user, course_key, modified).
    LAST_COMPLETED = "last completed"
    #: In which courses something was completed lately: the end of (user, course_key, created).
    COMPLETED_LATELY = "completed lately"


def _latest_completions(column: str) -> str:
    # Not MAX() in groups: MariaDB then goes through all completions, which are hundreds a course.
    return (
        f"SELECT JSON_ARRAY('completed', e.course_id, (SELECT b.{column} "  # noqa: S608 - ours
        "FROM completion_blockcompletion b WHERE b.user_id = e.user_id "
        f"AND b.course_key = e.course_id ORDER BY b.{column} DESC LIMIT 1)) "
        "FROM student_courseenrollment e WHERE e.user_id = %s"
    )


_ACTIVITIES: Mapping[Activity, str] = {
    Activity.LAST_SEEN: (
        "SELECT JSON_ARRAY('last seen', MAX(l.modified)) FROM courseware_studentmodule l "
        "WHERE l.student_id = %s"
    ),
    Activity.LAST_COMPLETED: _latest_completions("modified"),
    Activity.COMPLETED_LATELY: _latest_completions("created"),
}


def learner_versions(
    user_id: int, *, now: datetime, activity: Activity | None = None
) -> Sequence[str]:
    """Return the versions behind a learner's enrolment lists as lines of text, and which dates have passed.

    ``activity`` is what of the learner's activity shows in them: its rows are many, and most lists
    show none.

    Raises:
        django.db.DatabaseError: the database refused or did not answer.
    """
    values = [user_id] * (len(_PARTS) + (activity is not None))
    with connection.cursor() as cursor:
        cursor.execute(_statement(connection.vendor, activity), values)
        rows = sorted(row for (row,) in cursor.fetchall())
    return [*rows, passed_dates(rows, now=now), _begun_early(rows, now=now)]


def own_versions(request: Any, **_: Any) -> Sequence[str] | None:
    """Return the versions behind the enrolment lists of whoever sends a request, activity left out.

    None where somebody else's are asked for (``?user=``), or nobody is signed in.
    """
    return _own_versions(request, activity=None)


def own_versions_with(activity: Activity) -> Callable[..., Sequence[str] | None]:
    """Return the same for lists in which some of the learner's activity shows."""

    def versions_of(request: Any, **_: Any) -> Sequence[str] | None:
        return _own_versions(request, activity=activity)

    return versions_of


def _own_versions(request: Any, *, activity: Activity | None) -> Sequence[str] | None:
    user = request.user
    if not user.is_authenticated or "user" in request.query_params:
        return None
    return learner_versions(user.pk, now=timezone.now(), activity=activity)


@cache
def _statement(vendor: str, activity: Activity | None) -> str:
    """Return the one statement, with the names quoted that ``vendor``'s SQL keeps for itself."""
    quote = connection.ops.quote_name
    shown = [] if activity is None else [_ACTIVITIES[activity]]
    statement = " UNION ALL ".join([*_PARTS, *shown, _FOR_ALL])
    return statement.replace("p.key", f"p.{quote('key')}").replace("o.end,", f"o.{quote('end')},")


def passed_dates(rows: Iterable[str], *, now: datetime) -> str:
    """Return how many of its turning points each date in ``rows`` has passed, a digit for each date.

    A date turns when it comes, and at those distances from it at which something else shows. All dates
    are taken as if all of them mattered: a digit too many costs an answer now and then, no more.
    """
    turns = [f"{now - distance:%Y-%m-%d %H:%M:%S.%f}" for distance in _TURNS]
    dates = (match[0] for row in rows for match in _DATE.finditer(row))
    return "".join(str(sum(date <= turn for turn in turns)) for date in dates)


def _begun_early(rows: Sequence[str], *, now: datetime) -> str:
    """Return which courses have begun for beta testers; nothing for who is none."""
    if not any(_BETA_ROLE in row for row in rows if row.startswith('["role"')):
        return ""
    found = []
    for row in rows:
        values = json.loads(row) if row.startswith('["enrollment"') else ()
        if values and values[5] and values[6]:
            start = datetime.fromisoformat(values[5]).replace(tzinfo=UTC)
            found.append("01"[_is_over(start, days_early=values[6], now=now)])
    return "".join(found)


def _is_over(start: datetime, *, days_early: float, now: datetime) -> bool:
    try:
        return start - timedelta(days=days_early) <= now
    except OverflowError:  # beyond the calendar, on one side or the other
        return days_early > 0
