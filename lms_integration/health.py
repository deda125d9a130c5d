"""The health view: red when the oldest dirty course is old, not when a process is down.

And while deletes are held: there is a question that only a person can answer.
"""

from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse

from lms_integration.dead_letter_desk import dead_letter_figures
from lms_integration.delete_desk import held_delete_count
from lms_integration.dirt import MAX_DIRTY_AGE_SECONDS, dirt


def health(request: HttpRequest) -> JsonResponse:
    """Answer 200, or 503: database away, a course dirty for too long, or deletes held by the brake."""
    try:
        found = dirt()
        dead_letters = dead_letter_figures()
        held_deletes = held_delete_count()
    except DatabaseError as error:
        return JsonResponse({"healthy": False, "reason": type(error).__name__}, status=503)
    healthy = found.oldest_seconds <= MAX_DIRTY_AGE_SECONDS and not held_deletes
    body = {
        "healthy": healthy,
        "dirty_count": found.count,
        "oldest_dirty_seconds": found.oldest_seconds,
        "held_back_count": found.held_back_count,
        "held_delete_count": held_deletes,
        "dead_letters": {
            origin.value: {"count": figures.count, "oldest_seconds": figures.oldest_seconds}
            for origin, figures in dead_letters.items()
        },
    }
    return JsonResponse(body, status=200 if healthy else 503)
