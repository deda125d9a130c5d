"""Dead letters as the intake and the workers record them, for tests of those who deal with them."""

from datetime import UTC, datetime, timedelta

from lms_integration.events import Event, encode_event
from lms_integration.models import DeadLetter
from overview_worker.dead_letters import fingerprint_of, record_dead_letter
from overview_worker.documents import DeadLetterEntry, DeadLetterSource

KEY = "course-v1:TestX+Letters+R1"
OTHER = "course-v1:TestX+Letters+R2"


def letter(
    source: DeadLetterSource = DeadLetterSource.INTAKE,
    *,
    reason: str = "for a test",
    course_key: str = "",
    body: bytes = b"",
    content_type: str = "application/json",
    age: timedelta = timedelta(0),
) -> int:
    """Record a letter that was seen ``age`` ago; return its id."""
    entry = DeadLetterEntry(
        source=source, reason=reason, course_key=course_key, body=body, content_type=content_type
    )
    record_dead_letter(entry)
    recorded = DeadLetter.objects.get(fingerprint=fingerprint_of(entry))
    seen = datetime.now(UTC) - age
    if age:
        DeadLetter.objects.filter(id=recorded.id).update(first_seen_at=seen, last_seen_at=seen)
    return recorded.id


def event_letter(event: Event, **values) -> int:
    return letter(body=encode_event(event), course_key=event.course_key, **values)


def rebuild_letter(course_key: str = KEY, **values) -> int:
    return letter(DeadLetterSource.REBUILD, course_key=course_key, **values)


def letter_ids() -> list[int]:
    return list(DeadLetter.objects.order_by("id").values_list("id", flat=True))
