"""Reads the versions of everything that a learner's lists are made of: one query, no wide column.

A list is the same as long as these rows are, and as long as no date in them has passed meanwhile.
"""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

#: For so long after enrolling, a course counts as recently active in the mobile apps.
RECENT = timedelta(days=30)
#: So long before it starts, a course is announced as starting soon.
SOON = timedelta(days=5)

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
    "SELECT JSON_ARRAY('last seen', MAX(l.modified)) FROM courseware_studentmodule l "
    "WHERE l.student_id = %s",
    "SELECT JSON_ARRAY('completed', b.course_key, MAX(b.created)) FROM completion_blockcompletion b "
    "WHERE b.user_id = %s GROUP BY b.course_key",
)
_FOR_ALL = (
    "SELECT JSON_ARRAY('mobile config', f.name, f.value, f.modified) FROM mobile_api_mobileconfig f"
)


def learner_versions(user_id: int) -> Sequence[Sequence[Any]]:
    """Return the versions behind a learner's enrolment lists, dates as aware datetimes, in a fixed order.

    Raises:
        django.db.DatabaseError: the database refused or did not answer.
    """
    parts = [*map(_quoted, _PARTS), _FOR_ALL]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), [user_id] * len(_PARTS))
        rows = [json.loads(row) for (row,) in cursor.fetchall()]
    return sorted(([*_values(row)] for row in rows), key=repr)


def _quoted(part: str) -> str:
    """Quote the column names that SQL keeps for itself, each database in its own way."""
    quote = connection.ops.quote_name
    return part.replace("p.key", f"p.{quote('key')}").replace("o.end,", f"o.{quote('end')},")


def _values(row: Sequence[Any]) -> Iterator[Any]:
    values = [_value(each) for each in row]
    yield from values
    if values[0] == "enrollment":
        created, start, days_early = values[4:7]
        yield from _turning_points(created, start, days_early)
    if values[0] == "completed":
        yield values[2] + RECENT


def _turning_points(created: Any, start: Any, days_early: Any) -> Iterator[datetime | None]:
    """Yield the moments that follow from an enrolment's and a course's dates."""
    yield created + RECENT if isinstance(created, datetime) else None
    yield start - SOON if isinstance(start, datetime) else None
    try:
        early = isinstance(start, datetime) and days_early
        yield start - timedelta(days=days_early) if early else None
    except OverflowError:
        yield None


def _value(value: Any) -> Any:
    if isinstance(value, str) and _DATE.fullmatch(value):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return value
