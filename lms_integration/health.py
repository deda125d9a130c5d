"""The health view: red when the oldest dirty course is old, not when a process is down."""

from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse

from lms_integration.dirt import MAX_DIRTY_AGE_SECONDS, dirt


def health(request: HttpRequest) -> JsonResponse:
    """Answer 200, or 503 when the database is away or a course has been dirty for too long."""
    try:
        found = dirt()
    except DatabaseError as error:
        return JsonResponse({"healthy": False, "reason": type(error).__name__}, status=503)
    healthy = found.oldest_seconds <= MAX_DIRTY_AGE_SECONDS
    body = {
        "healthy": healthy,
        "dirty_count": found.count,
        "oldest_dirty_seconds": found.oldest_seconds,
        "held_back_count": found.held_back_count,
    }
    return JsonResponse(body, status=200 if healthy else 503)
