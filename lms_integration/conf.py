"""Every ``OVERVIEW_*`` Django setting: name, default, unit and reason; one typed accessor.

Set them in the Django settings of the LMS, of Studio, or of the stand-alone pipeline.
"""

from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from lms_integration.events import DEFAULT_SOURCE

#: Certificates and enrolment lists name a deleted course by its tombstone: for so many days at least.
MIN_TOMBSTONE_DAYS = 30
#: What changed is kept for so many days at least: somebody looks after a weekend.
MIN_HISTORY_DAYS = 7
#: Rebuild runs that are over are kept for so many days at least: what became of the last one is looked up.
MIN_RUN_DAYS = 7
#: More ranges than this are worked on by nobody.
MAX_BULK_LANES = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class PublisherConf:
    """What the Studio side needs to know."""

    #: ``OVERVIEW_BROKER_URL``: amqp(s):// or redis(s)://; '' keeps events off: marks still work.
    broker_url: str
    #: ``OVERVIEW_EVENT_SOURCE``: CloudEvents ``source``, a URI reference that names this Studio.
    event_source: str
    #: ``OVERVIEW_PUBLISH_TIMEOUT_SECONDS``: the most that one publish may cost a Studio request.
    timeout_seconds: float
    #: ``OVERVIEW_PUBLISH_PAUSE_SECONDS``: after a failure no publish is tried for so long, so that a
    #: storm of saves with the broker down does not cost the timeout each; marks do the work.
    pause_seconds: float


def publisher_conf() -> PublisherConf:
    """Return the publisher's settings as they are now."""
    return PublisherConf(
        broker_url=getattr(settings, "OVERVIEW_BROKER_URL", ""),
        event_source=getattr(settings, "OVERVIEW_EVENT_SOURCE", DEFAULT_SOURCE),
        timeout_seconds=getattr(settings, "OVERVIEW_PUBLISH_TIMEOUT_SECONDS", 1.5),
        pause_seconds=getattr(settings, "OVERVIEW_PUBLISH_PAUSE_SECONDS", 5.0),
    )


def tombstone_days() -> int:
    """Return ``OVERVIEW_TOMBSTONE_DAYS``: how long a deleted course stays readable, in days.

    Raises:
        ImproperlyConfigured: less than ``MIN_TOMBSTONE_DAYS``, or no whole number.
    """
    days = getattr(settings, "OVERVIEW_TOMBSTONE_DAYS", 90)
    if type(days) is not int or days < MIN_TOMBSTONE_DAYS:
        raise ImproperlyConfigured(
            f"OVERVIEW_TOMBSTONE_DAYS is {days!r}: a whole number of days is expected, at least "
            f"{MIN_TOMBSTONE_DAYS}"
        )
    return days


def max_inspection_age_seconds() -> int:
    """Return ``OVERVIEW_MAX_INSPECTION_AGE_SECONDS``: ``/health`` is red when no pass has ended for so long.

    Raises:
        ImproperlyConfigured: negative, or no whole number.
    """
    return _whole_number("OVERVIEW_MAX_INSPECTION_AGE_SECONDS", default=300)


def max_dead_letters() -> int:
    """Return ``OVERVIEW_MAX_DEAD_LETTERS``: how many different ones the intake keeps of each origin.

    Raises:
        ImproperlyConfigured: negative, or no whole number.
    """
    return _whole_number("OVERVIEW_MAX_DEAD_LETTERS", default=10_000)


def dead_letter_days() -> int:
    """Return ``OVERVIEW_DEAD_LETTER_DAYS``: how long messages that are no events are kept; 0 for ever.

    Raises:
        ImproperlyConfigured: negative, or no whole number.
    """
    return _whole_number("OVERVIEW_DEAD_LETTER_DAYS", default=90)


def deep_check_count() -> int:
    """Return ``OVERVIEW_DEEP_CHECK_PER_MINUTE``: courses compared column by column; 0 for none."""
    return int(getattr(settings, "OVERVIEW_DEEP_CHECK_PER_MINUTE", 500))


def upgrades_by_itself() -> bool:
    """Return ``OVERVIEW_AUTO_UPGRADE``: a newer release has every row rebuilt as soon as it runs."""
    return bool(getattr(settings, "OVERVIEW_AUTO_UPGRADE", True))


def announces_changes() -> bool:
    """Return ``OVERVIEW_ANNOUNCE_CHANGES``: whether changes of rows are announced on the exchange."""
    return bool(getattr(settings, "OVERVIEW_ANNOUNCE_CHANGES", True))


def writes_platform_history() -> bool:
    """Return ``OVERVIEW_WRITE_PLATFORM_HISTORY``: whether Open edX's own history is written too."""
    return bool(getattr(settings, "OVERVIEW_WRITE_PLATFORM_HISTORY", False))


def history_days() -> int:
    """Return ``OVERVIEW_HISTORY_DAYS``: how long changes of rows are kept, in days.

    Raises:
        ImproperlyConfigured: less than ``MIN_HISTORY_DAYS``, or no whole number.
    """
    days = getattr(settings, "OVERVIEW_HISTORY_DAYS", 365)
    if type(days) is not int or days < MIN_HISTORY_DAYS:
        raise ImproperlyConfigured(
            f"OVERVIEW_HISTORY_DAYS is {days!r}: a whole number of days is expected, at least "
            f"{MIN_HISTORY_DAYS}"
        )
    return days


def run_days() -> int:
    """Return ``OVERVIEW_RUN_DAYS``: how long rebuild runs that are over are kept, in days.

    Raises:
        ImproperlyConfigured: less than ``MIN_RUN_DAYS``, or no whole number.
    """
    days = getattr(settings, "OVERVIEW_RUN_DAYS", 90)
    if type(days) is not int or days < MIN_RUN_DAYS:
        raise ImproperlyConfigured(
            f"OVERVIEW_RUN_DAYS is {days!r}: a whole number of days is expected, at least "
            f"{MIN_RUN_DAYS}"
        )
    return days


def bulk_lanes() -> int:
    """Return ``OVERVIEW_BULK_LANES``: how many processes work on a new rebuild run at a time.

    Raises:
        ImproperlyConfigured: no whole number from 1 to ``MAX_BULK_LANES``.
    """
    lanes = getattr(settings, "OVERVIEW_BULK_LANES", 2)
    if type(lanes) is not int or not 0 < lanes <= MAX_BULK_LANES:
        raise ImproperlyConfigured(
            f"OVERVIEW_BULK_LANES is {lanes!r}: a whole number from 1 to {MAX_BULK_LANES} is expected"
        )
    return lanes


def nightly_hour() -> int | None:
    """Return ``OVERVIEW_NIGHTLY_HOUR``: when the nightly run may begin, in UTC; None for never.

    It counts where operators have no schedule to edit: without django-celery-beat.

    Raises:
        ImproperlyConfigured: no whole number from 0 to 23.
    """
    hour = getattr(settings, "OVERVIEW_NIGHTLY_HOUR", 3)
    if hour is not None and (type(hour) is not int or not 0 <= hour <= 23):
        raise ImproperlyConfigured(
            f"OVERVIEW_NIGHTLY_HOUR is {hour!r}: an hour from 0 to 23, or None, is expected"
        )
    return hour


def _whole_number(name: str, *, default: int) -> int:
    number = getattr(settings, name, default)
    if type(number) is not int or number < 0:
        raise ImproperlyConfigured(f"{name} is {number!r}: a whole number is expected, at least 0")
    return number
