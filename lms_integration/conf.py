"""Every ``OVERVIEW_*`` Django setting: name, default, unit and reason; one typed accessor.

Set them in the Django settings of the LMS, of Studio, or of the stand-alone pipeline.
"""

from dataclasses import dataclass

from django.conf import settings

from lms_integration.events import DEFAULT_SOURCE


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
