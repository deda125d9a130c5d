"""Why a row of Open edX differs from what the builder makes of the published course, where it can be known.

Either Open edX lets the row go stale, or we do something else on purpose (``docs/fidelity.md``). A rule
claims a difference only if the values themselves, or the row as a whole, show its reason. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from overview_worker.comparison import ColumnDifference
from overview_worker.documents import BuiltOverview, PublishedPointer
from overview_worker.reports import CourseDifference, Reason
from overview_worker.shadow_ports import PlatformOverview

_OBJECT_ID_LENGTH = 24
_SECONDS_LENGTH = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class ReasonRules:
    """What the rules must know of the deployment."""

    #: Under the LMS's or Studio's ``STATIC_URL``: ``DEFAULT_COURSE_ABOUT_IMAGE_URL``.
    default_image: str = "images/pencils.jpg"

    def explained(
        self,
        found: Sequence[ColumnDifference],
        *,
        platform: PlatformOverview,
        built: BuiltOverview,
        pointer: PublishedPointer,
    ) -> list[CourseDifference]:
        """Return ``found`` with the reasons that are known."""
        whole = reason_for_all(platform, built, pointer)
        return [
            CourseDifference(
                column=each.column,
                stored=each.stored,
                expected=each.expected,
                reason=whole or self._reason_for(each.column, platform, built),
            )
            for each in found
        ]

    def _reason_for(
        self, column: str, platform: PlatformOverview, built: BuiltOverview
    ) -> Reason | None:
        if column in ("course_image_url", "banner_image_url"):
            return Reason.STUDIO_URL if self._is_of_studio(column, platform, built) else None
        if column == "image_set":
            return Reason.NO_IMAGE_SET
        if column in ("image_set.small_url", "image_set.large_url"):
            name = column.partition(".")[2]
            return Reason.THUMBNAIL if _is_missing_thumbnail(name, platform, built) else None
        if column.startswith("tabs"):
            return Reason.SYLLABUS if _differs_by_syllabus(platform, built) else None
        return None

    def _is_of_studio(self, column: str, platform: PlatformOverview, built: BuiltOverview) -> bool:
        row = platform.stored.row or {}
        expected = str(getattr(built.overview, column))
        return expected.endswith(f"/{self.default_image}") and str(row.get(column)).endswith(
            f"/studio/{self.default_image}"
        )


def reason_for_all(
    platform: PlatformOverview, built: BuiltOverview, pointer: PublishedPointer
) -> Reason | None:
    """Return the reason that stands for whatever differs in a course."""
    row = platform.stored.row
    if platform.collides_with is not None:
        return Reason.COLLIDING
    if built.degradations:
        return Reason.DEGRADED
    if row is None:
        return Reason.NOT_BUILT
    published = published_at(pointer)
    if published is not None and platform.modified is not None and platform.modified < published:
        return Reason.ROW_OLDER
    if row["version"] < built.overview.version:
        return Reason.OLD_VERSION
    return None


def published_at(pointer: PublishedPointer) -> datetime | None:
    """Return when the published structure was made: its id begins with that second.

    The index entry's own time is no help: it also moves when a draft is saved.
    """
    if len(pointer.structure_id) != _OBJECT_ID_LENGTH:
        return None
    try:
        seconds = int(pointer.structure_id[:_SECONDS_LENGTH], 16)
    except ValueError:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _is_missing_thumbnail(name: str, platform: PlatformOverview, built: BuiltOverview) -> bool:
    stored, expected = platform.stored.image_set, built.image_set
    if stored is None or expected is None or getattr(expected, name):
        return False
    return "+type@thumbnail+block@" in str(getattr(stored, name))


def _differs_by_syllabus(platform: PlatformOverview, built: BuiltOverview) -> bool:
    others = [tab for tab in platform.stored.tabs if tab.type != "syllabus"]
    return len(others) < len(platform.stored.tabs) and others == list(built.tabs)
