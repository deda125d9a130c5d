"""The JSON items of the Enrollment API: an enrolment, a course with its modes, a line of the staff list.

Written as plain dictionaries, for lists are long; ``serializers.py`` describes the same keys, and a test
holds both together.
"""

from collections.abc import Sequence
from typing import Any

from opaque_keys import InvalidKeyError

from lms_integration.learners.enrolled import CourseState
from lms_integration.learners.modes import Mode
from lms_integration.models import CourseOverview, OverviewTombstone
from lms_integration.platform_tables.models import CourseEnrollment

Item = dict[str, Any]
Modes = Sequence[Mode]


def enrollment_item(enrollment: CourseEnrollment, *, modes: Modes) -> Item:
    """Return an enrolment with its course; one without an overview says so in ``course_state``.

    ``enrollment`` has its user, overview and tombstone read along.
    """
    overview, tombstone = enrollment.overview, enrollment.tombstone
    item: Item = {
        "created": enrollment.created,
        "mode": enrollment.mode,
        "is_active": enrollment.is_active,
        "course_details": (
            absent_course_item(enrollment.course_id, tombstone, modes=modes)
            if overview is None
            else course_item(overview, modes=modes)
        ),
        "user": enrollment.user.get_username(),
    }
    if overview is None:
        item["course_state"] = absent_state(is_deleted=tombstone is not None)
    return item


def course_item(overview: CourseOverview, *, modes: Modes) -> Item:
    """Return what a course is called, when it takes place, who may enrol, and in which modes."""
    return {
        "course_id": overview.id,
        "course_name": _name(overview),
        "enrollment_start": overview.enrollment_start,
        "enrollment_end": overview.enrollment_end,
        "course_start": overview.start,
        "course_end": overview.end,
        "invite_only": overview.invitation_only,
        "course_modes": [mode_item(mode) for mode in modes],
        "pacing_type": "Self Paced" if overview.self_paced else "Instructor Paced",
    }


def absent_course_item(
    course_id: str, tombstone: OverviewTombstone | None, *, modes: Modes
) -> Item:
    """Return the same of a course without an overview: what its tombstone or its key tells."""
    name = tombstone.display_name if tombstone else None
    return {
        "course_id": course_id,
        "course_name": course_id if name is None else name,
        "enrollment_start": None,
        "enrollment_end": None,
        "course_start": tombstone.start if tombstone else None,
        "course_end": tombstone.end if tombstone else None,
        "invite_only": False,
        "course_modes": [mode_item(mode) for mode in modes],
        "pacing_type": "Instructor Paced",
    }


def mode_item(mode: Mode) -> Item:
    """Return one way to take a course, with its price."""
    return {
        "slug": mode.slug,
        "name": mode.name,
        "min_price": mode.min_price,
        "suggested_prices": mode.suggested_prices,
        "currency": mode.currency,
        "expiration_datetime": mode.expiration_datetime,
        "description": mode.description,
        "sku": mode.sku,
        "bulk_sku": mode.bulk_sku,
    }


def listed_item(row: CourseEnrollment) -> Item:
    """Return an enrolment as the staff list has it; its course as above, where it has no overview."""
    item: Item = {
        "created": row.created,
        "mode": row.mode,
        "is_active": row.is_active,
        "user": row.user.get_username(),
        "course_id": row.course_id,
    }
    if row.overview is None:
        item["course_state"] = absent_state(is_deleted=row.tombstone is not None)
    return item


def absent_state(*, is_deleted: bool) -> str:
    """Return why a course has no overview."""
    return CourseState.DELETED.value if is_deleted else CourseState.NEVER_BUILT.value


def _name(overview: CourseOverview) -> str:
    try:
        return overview.display_name_with_default
    except InvalidKeyError:  # a row of the platform's whose location nobody can read
        return overview.id
