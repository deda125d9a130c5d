"""The tables: Open edX's overview tables as they are, and the pipeline's own beside them.

Who writes what: ``overview_worker.store`` the overviews, projections, states, tombstones and changes;
``lms_integration.marks`` the marks; ``lms_integration.rebuild_desk`` and the workers the runs.
"""

from lms_integration.models.changes import ChangeKind, OverviewChange
from lms_integration.models.inspection import (
    OverviewFreshness,
    OverviewInspection,
    OverviewServed,
    OverviewSuspect,
)
from lms_integration.models.jobs import DatabaseIdentity, OverviewJob
from lms_integration.models.letters import DeadLetter, DeadLetterOrigin
from lms_integration.models.marks import HELD_BACK_SECONDS, OverviewMark, OverviewState
from lms_integration.models.overviews import (
    CourseOverview,
    CourseOverviewImageSet,
    CourseOverviewTab,
    OverviewProjection,
)
from lms_integration.models.records import RebuildRecord, RecordedOutcome
from lms_integration.models.removals import OverviewRemoval, OverviewTombstone, RemovalStatus
from lms_integration.models.runs import (
    OverviewRebuildLane,
    OverviewRebuildRun,
    OverviewRunFailure,
    RunDepth,
    RunOrigin,
    RunScope,
    RunState,
)
from lms_integration.models.thumbnails import OverviewThumbnails, ThumbnailState
from lms_integration.models.versions import OverviewDependency, OverviewTarget

__all__ = [
    "HELD_BACK_SECONDS",
    "ChangeKind",
    "CourseOverview",
    "CourseOverviewImageSet",
    "CourseOverviewTab",
    "DatabaseIdentity",
    "DeadLetter",
    "DeadLetterOrigin",
    "OverviewChange",
    "OverviewDependency",
    "OverviewFreshness",
    "OverviewInspection",
    "OverviewJob",
    "OverviewMark",
    "OverviewProjection",
    "OverviewRebuildLane",
    "OverviewRebuildRun",
    "OverviewRemoval",
    "OverviewRunFailure",
    "OverviewServed",
    "OverviewState",
    "OverviewSuspect",
    "OverviewTarget",
    "OverviewThumbnails",
    "OverviewTombstone",
    "RebuildRecord",
    "RecordedOutcome",
    "RemovalStatus",
    "RunDepth",
    "RunOrigin",
    "RunScope",
    "RunState",
    "ThumbnailState",
]
