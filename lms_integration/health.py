"""The health view: red when the oldest dirty course is old, not when a process is down.

And while deletes are held: there is a question that only a person can answer. And when the inspector
has not looked at the rows for too long: then nobody knows whether they are right. A rebuild run that
stands still is told of, and turns it red after a day.
"""

from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse

from lms_integration.dead_letter_desk import dead_letter_figures
from lms_integration.delete_desk import held_delete_count
from lms_integration.dirt import MAX_DIRTY_AGE_SECONDS, dirt
from lms_integration.inspections import inspection_pulse
from lms_integration.stopped_runs import stopped_runs


def health(request: HttpRequest) -> JsonResponse:
    """Answer 200, or 503: database away, a course dirty for too long, deletes held, nobody inspects, a run forgotten."""
    try:
        found = dirt()
        dead_letters = dead_letter_figures()
        held_deletes = held_delete_count()
        inspection = inspection_pulse()
        stopped = stopped_runs()
    except DatabaseError as error:
        return JsonResponse({"healthy": False, "reason": type(error).__name__}, status=503)
    healthy = (
        found.oldest_seconds <= MAX_DIRTY_AGE_SECONDS
        and not held_deletes
        and not inspection.is_overdue
        and not any(run.is_overdue for run in stopped)
    )
    body = {
        "healthy": healthy,
        "dirty_count": found.count,
        "oldest_dirty_seconds": found.oldest_seconds,
        "held_back_count": found.held_back_count,
        "held_delete_count": held_deletes,
        "inspection": {
            "overdue": inspection.is_overdue,
            "seconds": inspection.seconds,
            "broke_off": bool(inspection.error),
        },
        "stopped_runs": [
            {"run": each.run, "state": each.state, "stopped_seconds": each.stopped_seconds}
            for each in stopped
        ],
        "dead_letters": {
            origin.value: {"count": figures.count, "oldest_seconds": figures.oldest_seconds}
            for origin, figures in dead_letters.items()
        },
    }
    return JsonResponse(body, status=200 if healthy else 503)
