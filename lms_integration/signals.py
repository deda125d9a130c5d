"""Where Studio's publishes arrive: our own signals stand-alone, Open edX's ``SignalHandler`` inside it.

A receiver marks the course in the publisher's own transaction and sends one event after its commit.
"""

import logging
from datetime import datetime
from typing import Any

from django.dispatch import Signal

from lms_integration.announcements import announce
from lms_integration.course_keys import InvalidCourseKey, parse_course_key
from lms_integration.events import CourseDeleted, CoursePublished

try:
    # Open edX: xmodule/modulestore/django.py
    from xmodule.modulestore.django import SignalHandler  # type: ignore[import-not-found]
except ImportError:
    SignalHandler = None

logger = logging.getLogger(__name__)

#: Sent inside the publishing transaction with ``course_key`` (text or CourseKey) and, when known,
#: ``published_version`` (24 hex digits) and ``published_at`` (the course index's ``last_update``).
course_published = Signal()
#: Sent inside the deleting transaction with ``course_key`` and, when known, ``deleted_at``.
course_deleted = Signal()

_DISPATCH_UID = "overview_pipeline"


def receive_course_published(
    sender: object,
    *,
    course_key: object,
    published_version: str | None = None,
    published_at: datetime | None = None,
    **_: Any,
) -> None:
    """Announce a publish; a library or another key that is no Split course is left alone."""
    text = _split_course_key(course_key)
    if text is not None:
        announce(
            CoursePublished(
                course_key=text, published_version=published_version, published_at=published_at
            )
        )


def receive_course_deleted(
    sender: object, *, course_key: object, deleted_at: datetime | None = None, **_: Any
) -> None:
    """Announce a delete; a library or another key that is no Split course is left alone."""
    text = _split_course_key(course_key)
    if text is not None:
        announce(CourseDeleted(course_key=text, deleted_at=deleted_at))


def publish_signal() -> Signal:
    """Return the signal of publishes in this process: Open edX's inside it, else ours."""
    return course_published if SignalHandler is None else SignalHandler.course_published


def connect_receivers() -> None:
    """Connect both receivers; called once, when Django is ready."""
    course_published.connect(receive_course_published, dispatch_uid=_DISPATCH_UID)
    course_deleted.connect(receive_course_deleted, dispatch_uid=_DISPATCH_UID)
    if SignalHandler is not None:
        SignalHandler.course_published.connect(receive_course_published, dispatch_uid=_DISPATCH_UID)
        SignalHandler.course_deleted.connect(receive_course_deleted, dispatch_uid=_DISPATCH_UID)


def _split_course_key(course_key: object) -> str | None:
    text = str(course_key)
    try:
        parse_course_key(text)
    except InvalidCourseKey as error:
        logger.info("not announced: %s", error, extra={"course_key": text[:255]})
        return None
    return text
