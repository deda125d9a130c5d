"""The verdict on a read model at rest: every row against a fresh build of what is published."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from lms_integration.models import OverviewState, OverviewTombstone
from overview_worker.inspector import CHECK_CHUNK, CourseCheck, Inspector

#: How many courses of each kind are told in full.
_TOLD_COUNT = 5
#: Of each, so many characters.
_TOLD_LENGTH = 300


@dataclass(kw_only=True, slots=True)
class Verdict:
    """What was found, as lines about courses."""

    course_count: int = 0  #: on either side, deleted ones too
    deleted_count: int = 0  #: of these, not published
    #: Built from another version than the one that is published.
    stale: list[str] = field(default_factory=list)
    #: Published, and without a row.
    missing: list[str] = field(default_factory=list)
    #: Not published, and visible all the same.
    resurrected: list[str] = field(default_factory=list)
    #: Row, tabs, images, projection, state and tombstone are not of one version.
    half_written: list[str] = field(default_factory=list)
    #: Published, but no row can be made of it.
    unreadable: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether every course is as it should be."""
        return not any(self._kinds().values())

    def keys(self) -> set[str]:
        """Return the courses that are not as they should be."""
        # A key has no space in it; every line begins with one, and a colon.
        return {line.partition(": ")[0] for lines in self._kinds().values() for line in lines}

    def __str__(self) -> str:
        kinds = {name: lines for name, lines in self._kinds().items() if lines}
        told = [
            f"{len(lines)} {name}: {'; '.join(lines[:_TOLD_COUNT])}"
            for name, lines in kinds.items()
        ]
        return "\n".join(told) or f"all {self.course_count} courses are as published"

    def _kinds(self) -> dict[str, list[str]]:
        return {
            "stale": self.stale,
            "missing": self.missing,
            "resurrected": self.resurrected,
            "half-written": self.half_written,
            "unreadable": self.unreadable,
        }


def judge(inspector: Inspector) -> Verdict:
    """Compare every course of both sides, column by column.

    Raises:
        ModulestoreUnavailable, django.db.Error: a server did not answer.
    """
    published = {pointer.course_key for pointer in inspector.modulestore.iter_published()}
    built = set(OverviewState.objects.filter(row_seq__gt=0).values_list("course_key", flat=True))
    keys = sorted(published | built)
    verdict = Verdict(course_count=len(keys), deleted_count=len(built - published))
    for start in range(0, len(keys), CHECK_CHUNK):
        for check in inspector.check(keys[start : start + CHECK_CHUNK]):
            _judge_one(check, verdict)
    verdict.half_written += _wrong_tombstones(published=published, built=built)
    return verdict


def _judge_one(check: CourseCheck, verdict: Verdict) -> None:
    if check.unreadable:
        verdict.unreadable.append(f"{check.course_key}: {check.unreadable}")
        return
    if not check.differences:
        return
    columns = {difference.column for difference in check.differences}
    told = ", ".join(str(each) for each in check.differences)
    line = f"{check.course_key}: {told[:_TOLD_LENGTH]}"
    is_published = check.moment[2] is not None
    if not is_published:
        verdict.resurrected.append(line)
    elif "row" in columns:
        verdict.missing.append(line)
    elif "state.source_version" in columns:
        verdict.stale.append(line)
    else:
        verdict.half_written.append(line)


def _wrong_tombstones(*, published: set[str], built: set[str]) -> Iterator[str]:
    buried = set(OverviewTombstone.objects.values_list("course_key", flat=True))
    for key in sorted((built - published) - buried):
        yield f"{key}: deleted without a tombstone"
    for key in sorted(published & buried):
        yield f"{key}: published, with a tombstone"
