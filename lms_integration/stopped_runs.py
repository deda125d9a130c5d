"""Rebuild runs that stand still until a person says a word: paused ones, and failed ones.

A paused run of all courses keeps every other from beginning, the nightly one among them; a failed one
may fail again tonight. Neither says so by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Exists, OuterRef, Q

from lms_integration.database_clock import DatabaseNow
from lms_integration.log_lines import one_line
from lms_integration.models import OverviewRebuildRun, RunScope, RunState

#: A run of all courses that has stood still for so long turns the health view red, in seconds.
MAX_STOPPED_SECONDS = 86_400.0
#: Runs that are told of, the newest.
_LIMIT = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class StoppedRun:
    """One run that waits for a person."""

    run: int
    state: str  #: paused or failed
    scope: str
    org: str
    stopped_seconds: float  #: since it moved last
    error: str  #: why it failed

    @property
    def is_overdue(self) -> bool:
        """Whether all courses have been without a run for too long by it."""
        return self.scope == RunScope.ALL and self.stopped_seconds > MAX_STOPPED_SECONDS

    @property
    def sentence(self) -> str:
        """What it keeps from happening, and what to do."""
        courses = {
            RunScope.ALL: "all courses",
            RunScope.ORG: f"the courses of {one_line(self.org)}",
            RunScope.COURSES: "named courses",
        }[RunScope(self.scope)]
        what = f"run {self.run} of {courses} is {self.state}"
        if self.error:
            what += f" ({one_line(self.error)})"
        if self.state == RunState.PAUSED and self.scope == RunScope.ALL:
            what += ", and the nightly run waits for it"
        return f"{what}. overview runs resume {self.run}, or overview runs cancel {self.run}"


def stopped_runs(*, using: str = DEFAULT_DB_ALIAS) -> Sequence[StoppedRun]:
    """Return the runs that wait for a person, the newest first.

    A failed run does not, once a later run of all courses is done.
    """
    runs = OverviewRebuildRun.objects.using(using)
    done_later = runs.filter(scope=RunScope.ALL, state=RunState.DONE, pk__gt=OuterRef("pk"))
    found = (
        runs.filter(Q(state=RunState.PAUSED) | Q(state=RunState.FAILED) & ~Exists(done_later))
        .annotate(database_now=DatabaseNow())
        .only("scope", "org", "state", "error", "created_at", "progressed_at")
        .order_by("-pk")[:_LIMIT]
    )
    return [
        StoppedRun(
            run=run.pk,
            state=run.state,
            scope=run.scope,
            org=run.org,
            stopped_seconds=(
                run.database_now - (run.progressed_at or run.created_at)
            ).total_seconds(),
            error=run.error,
        )
        for run in found
    ]
