"""Why a publish became visible late, as far as its mark tells. Does no I/O."""

from lms_integration.lateness import LateReason
from overview_worker.errors import MODULESTORE_TROUBLE, STORE_TROUBLE
from overview_worker.ports import LockedCourse

#: What the last event of a course is called that the inspector has marked.
INSPECTOR_EVENT_PREFIX = "inspector: "


def late_reason_of(course: LockedCourse) -> LateReason:
    """Return what kept a course's publish back, read from its mark and state before the rebuild."""
    error = course.notes.last_error
    if course.notes.event_type.startswith(INSPECTOR_EVENT_PREFIX):
        return LateReason.LOST
    if course.state.fault:
        return LateReason.FAULT
    if error.startswith(MODULESTORE_TROUBLE):
        return LateReason.MODULESTORE
    if error.startswith(STORE_TROUBLE):
        return LateReason.DATABASE
    return LateReason.LAGGING if error else LateReason.WAITED
