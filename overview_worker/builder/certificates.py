"""Certificate settings of a course: what is shown when, and whether a web certificate is active.

Follows ``CourseDetails.validate_certificate_settings`` and ``get_active_web_certificate`` of
edx-platform. Does no I/O.
"""

from collections.abc import Mapping, Sized
from datetime import datetime

from overview_worker.builder.fields import BadValue, to_mapping

EARLY_NO_INFO = "early_no_info"
END = "end"
END_WITH_DATE = "end_with_date"


def certificate_display(
    behavior: str | None, available_date: datetime | None
) -> tuple[datetime | None, str]:
    """Return the available date and the display behaviour as they work together.

    Any stored behaviour but ``early_no_info`` counts for nothing: the date decides.
    """
    if behavior == EARLY_NO_INFO:
        return None, EARLY_NO_INFO
    if available_date is not None:
        return available_date, END_WITH_DATE
    return None, END


def to_has_active_certificate(certificates: object) -> bool:
    """Return whether a stored ``certificates`` object has an active web certificate.

    ``is_active`` counts when it is truthy, so the text 'false' does. Raises ``BadValue`` for shapes
    that Open edX cannot walk; what follows the first active certificate is not looked at.
    """
    configurations = to_mapping(certificates).get("certificates", ())
    if not isinstance(configurations, list | tuple):
        return _has_none(configurations)
    for configuration in configurations:
        if not isinstance(configuration, Mapping):
            raise BadValue("a certificate that is not an object")
        if configuration.get("is_active"):
            return True
    return False


def _has_none(configurations: object) -> bool:
    """Return False for an empty text or object, which Open edX walks without an error."""
    if isinstance(configurations, Sized) and len(configurations) == 0:
        return False
    raise BadValue("certificates that are not a list")
