"""Open edX's signals of overview changes: their names, when they are sent, and with what.

Inside the platform they are its own objects, so that its receivers and those of its plugins hear them;
stand-alone they are ours. Open edX sends them while it publishes; here a process of the LMS does so
when the row has changed, whichever way (``signalling``). Facts: ``course_overviews/signals.py`` of
edx-platform (Teak).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.dispatch import Signal

from lms_integration.models import ChangeKind, CourseOverview, OverviewChange

try:
    from openedx.core.djangoapps.content.course_overviews import (  # type: ignore[import-not-found]
        models as platform_models,
    )
    from openedx.core.djangoapps.content.course_overviews import signals as platform_signals
except (ImportError, RuntimeError):  # not there, or not installed in this process
    platform_models = platform_signals = None


def _signal(name: str) -> Signal:
    """Return the platform's signal, or one of ours where there is no platform, or none of the name."""
    signal: Signal = getattr(platform_signals, name, None) or Signal()
    return signal


#: With ``updated_course_overview`` and ``previous_start_date``.
COURSE_START_DATE_CHANGED = _signal("COURSE_START_DATE_CHANGED")
#: With ``updated_course_overview`` and ``previous_self_paced``.
COURSE_PACING_CHANGED = _signal("COURSE_PACING_CHANGED")
#: With ``course_key``, a text: when certificates become available has changed, or how that is told.
COURSE_CERT_DATE_CHANGE = _signal("COURSE_CERT_DATE_CHANGE")
#: With ``courserun_key``, a text: a row was created.
IMPORT_COURSE_DETAILS = _signal("IMPORT_COURSE_DETAILS")
#: With ``courserun_key``, a text: a course was deleted.
DELETE_COURSE_DETAILS = _signal("DELETE_COURSE_DETAILS")

#: ``certificates_display_behavior`` of a course whose certificates are shown after its end.
_SHOWN_AT_THE_END = "end"


@dataclass(frozen=True, kw_only=True, slots=True)
class DueSignal:
    """One signal that a change has to be told by."""

    name: str
    signal: Signal
    arguments: Mapping[str, Any]


def due_signals(change: OverviewChange, *, overview: Callable[[], Any]) -> list[DueSignal]:
    """Return the signals of one change, in the order of Open edX's own; none for most changes.

    ``overview`` gives the row as it is now, None if it is gone: then nobody is told of its dates, and
    the change that has removed it follows. It is called only where a signal carries the row.
    """
    return [
        DueSignal(name=name, signal=signal, arguments=arguments)
        for name, signal, arguments in _due(change, overview)
        if arguments is not None
    ]


def row_of(course_key: str) -> Any:
    """Return the overview row, the platform's own model inside the platform; None without one.

    Read as it is: a read through ``get_from_id`` could build it.
    """
    model: Any = CourseOverview if platform_models is None else platform_models.CourseOverview
    row = model.objects.filter(id=course_key).first()
    # A platform's collation may find a look-alike's row.
    return row if row is not None and str(row.id) == course_key else None


def _due(
    change: OverviewChange, overview: Callable[[], Any]
) -> Iterator[tuple[str, Signal, Mapping[str, Any] | None]]:
    key, columns = change.course_key, change.columns
    match change.kind:
        case ChangeKind.CREATED:
            yield "IMPORT_COURSE_DETAILS", IMPORT_COURSE_DETAILS, {"courserun_key": key}
        case ChangeKind.DELETED:
            yield "DELETE_COURSE_DETAILS", DELETE_COURSE_DETAILS, {"courserun_key": key}
        case ChangeKind.CHANGED:
            if "start" in columns:
                previous = {"previous_start_date": _time(columns["start"][0])}
                yield (
                    "COURSE_START_DATE_CHANGED",
                    COURSE_START_DATE_CHANGED,
                    _with_row(overview(), previous),
                )
            if "self_paced" in columns:
                previous = {"previous_self_paced": columns["self_paced"][0]}
                yield (
                    "COURSE_PACING_CHANGED",
                    COURSE_PACING_CHANGED,
                    _with_row(overview(), previous),
                )
            if _moves_certificates(columns, overview):
                yield "COURSE_CERT_DATE_CHANGE", COURSE_CERT_DATE_CHANGE, {"course_key": key}


def _moves_certificates(columns: Mapping[str, Sequence[Any]], overview: Callable[[], Any]) -> bool:
    """Whether the date or the display of certificates changed, or the end that they are shown at."""
    if {"certificate_available_date", "certificates_display_behavior"} & columns.keys():
        return True
    if "end" not in columns:
        return False
    row = overview()
    return row is not None and row.certificates_display_behavior == _SHOWN_AT_THE_END


def _with_row(row: Any, arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return None if row is None else {"updated_course_overview": row, **arguments}


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
