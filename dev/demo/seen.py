"""What SQL holds of one course at one moment: what a reader, or an operator, would find."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from lms_integration.models import (
    CourseOverview,
    CourseOverviewTab,
    DeadLetter,
    OverviewMark,
    OverviewState,
    OverviewTombstone,
)

#: The columns of the row by name (none of them when there is no row), and with them ``row`` and
#: ``tombstone`` (is there one), ``tabs`` (their names, in order), ``fault`` and ``degraded``
#: (fields that took their default), ``degradation`` (the same with the reasons), ``source_version``.
Facts: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far the pipeline is with one course."""

    wanted: int = 0  #: how often it was marked
    done: int = 0  #: how many of these marks the newest rebuild had seen
    attempts: int = 0  #: rebuilds since the newest mark that came to nothing
    source_version: str = ""  #: the published structure that the row was built from
    row_changes: int = 0
    written_at: datetime | None = None  #: when the row was last written or deleted
    deleted: bool = False
    fault: str | None = None
    degradations: tuple[Mapping[str, str], ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left to rebuild."""
        return self.wanted <= self.done


def look_at_progress(course_key: str) -> Progress:
    """Read the mark and the state, two short queries; this is what the demo polls."""
    mark = OverviewMark.objects.filter(course_key=course_key).first() or OverviewMark()
    state = OverviewState.objects.filter(course_key=course_key).first() or OverviewState()
    return Progress(
        wanted=mark.wanted,
        done=mark.done,
        attempts=mark.attempts,
        source_version=state.source_version,
        row_changes=state.row_seq,
        written_at=state.built_at,
        deleted=state.deleted,
        fault=state.fault,
        degradations=tuple(state.degradations),
    )


def look_at_facts(course_key: str) -> Facts:
    """Read everything that the demo shows or asserts of a course."""
    row = CourseOverview.objects.filter(id=course_key).values().first()
    tabs = CourseOverviewTab.objects.filter(course_overview_id=course_key).order_by("id")
    progress = look_at_progress(course_key)
    return {
        **(row or {}),
        "row": row is not None,
        "tabs": tuple(tabs.values_list("name", flat=True)),
        "tombstone": OverviewTombstone.objects.filter(course_key=course_key).exists(),
        "fault": progress.fault,
        "degraded": tuple(entry["field"] for entry in progress.degradations),
        "degradation": "; ".join(_degradation(entry) for entry in progress.degradations),
        "source_version": progress.source_version,
    }


def _degradation(entry: Mapping[str, str]) -> str:
    return f"{entry['field']} = {entry['value']}: {entry['reason']}"


def fault_recorded_at(course_key: str) -> datetime | None:
    """Return when the newest rebuild of this course that ended in a fault recorded it."""
    letters = DeadLetter.objects.filter(course_key=course_key).order_by("-last_seen_at")
    return letters.values_list("last_seen_at", flat=True).first()
