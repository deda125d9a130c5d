"""The shadow comparison: what would we have written, and what has Open edX written?

Builds every course in memory and compares it with the three tables of Open edX. It needs no state,
no mark and no projection of ours, writes nothing and locks nothing.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

from lms_integration.course_keys import is_course_key
from overview_worker.comparison import overview_differences
from overview_worker.difference_reasons import ReasonRules, published_at
from overview_worker.documents import (
    BuiltOverview,
    CourseLagging,
    PublishedPointer,
)
from overview_worker.errors import MalformedCourse
from overview_worker.ports import Modulestore, ReadResult
from overview_worker.rebuild import Build
from overview_worker.reports import CourseComparison, CourseDifference, Reason, Verdict
from overview_worker.shadow_ports import Drafts, PlatformOverview, ShadowStore

logger = logging.getLogger(__name__)

#: Courses that share round trips.
CHUNK = 100
#: How often a course that differs is looked at, as long as it changes meanwhile.
_LOOKS = 3
_CATALOGS = "owned by the course catalog: no rebuild writes it"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shadow:
    """The comparison with what it works on; one instance a process."""

    modulestore: Modulestore
    store: ShadowStore
    drafts: Drafts
    build: Build
    rules: ReasonRules = field(default_factory=ReasonRules)
    catalog_owns_language: bool = False
    compares_image_sets: Callable[[], bool] = lambda: True

    def not_compared(self) -> dict[str, str]:
        """Return ``{column: why it is left out}``.

        Raises:
            StoreUnavailable: the database did not answer.
        """
        left_out = dict.fromkeys(("created", "modified"), "tells when the row was saved")
        left_out |= dict.fromkeys(("start_date", "end_date"), "no longer written by Open edX")
        left_out |= dict.fromkeys(
            ("marketing_url", "eligible_for_financial_aid", "external_id"), _CATALOGS
        )
        if self.catalog_owns_language:
            left_out["language"] = _CATALOGS
        if not self.compares_image_sets():
            left_out["image_set"] = "switched off, or kept elsewhere than the contentstore"
        left_out |= dict.fromkeys(self.store.foreign_columns(), "unknown to this release")
        return left_out

    def keys(self, *, org: str = "") -> Iterator[str]:
        """Yield every course on either side, published ones first; of one organisation, if it is named.

        Raises:
            ModulestoreUnavailable, StoreUnavailable: a server did not answer.
        """
        for pointer in self.modulestore.iter_published():
            if is_of_org(pointer.course_key, org):
                yield pointer.course_key
        rows = (key for key in self.store.iter_row_keys() if is_of_org(key, org))
        for chunk in _chunks(rows):
            published = self.modulestore.find_published(
                [key for key in chunk if is_course_key(key)]
            )
            yield from (key for key in chunk if key not in published)

    def compare_courses(self, course_keys: Iterable[str]) -> Iterator[CourseComparison]:
        """Compare courses with the tables, in the order of ``course_keys`` and in chunks.

        Raises:
            ModulestoreUnavailable, StoreUnavailable: a server did not answer; what was yielded stands.
        """
        for chunk in _chunks(course_keys):
            yield from self._compare(chunk)

    def _compare(self, keys: Sequence[str]) -> list[CourseComparison]:
        looks = self._look(keys)
        doubtful = [key for key in keys if looks[key].is_doubtful]
        for _ in range(_LOOKS - 1):
            # A publish may have come between the two sides: what moved is looked at again.
            again = self._look(doubtful)
            moved = [key for key in doubtful if again[key].moment != looks[key].moment]
            looks |= again
            doubtful = [key for key in moved if looks[key].is_doubtful]
            if not doubtful:
                break
        self._look_at_drafts(looks)
        return [looks[key].comparison for key in keys]

    def _look(self, keys: Sequence[str]) -> dict[str, "_Look"]:
        """Compare once: what is stored is read first, so that a row never seems too new."""
        ours = [key for key in keys if is_course_key(key)]
        stored = self.store.read_overviews(keys) if keys else {}
        pointers = self.modulestore.find_published(ours) if ours else {}
        read = self.modulestore.read_published(list(pointers.values()))
        return {
            key: self._look_at(stored[key], pointers.get(key), read.get(key))
            if key in set(ours)
            else _foreign(stored[key])
            for key in keys
        }

    def _look_at(
        self,
        platform: PlatformOverview,
        pointer: PublishedPointer | None,
        read: ReadResult | None,
    ) -> "_Look":
        if pointer is None or read is None:
            return _Look(platform=platform, comparison=_unpublished(platform))
        look = _Look(
            platform=platform,
            version=pointer.structure_id,
            comparison=CourseComparison(course_key=pointer.course_key),
        )
        match built := self._built(read):
            case MalformedCourse():
                return replace(look, comparison=_refused(platform, built))
            case str():
                unreadable = replace(look.comparison, unreadable=built)
                return replace(look, comparison=unreadable)
        found = overview_differences(
            platform.stored, built, catalog_owns_language=self.catalog_owns_language
        )
        if platform.stored.row is None:  # without a row there are no tabs either
            found = [each for each in found if each.column == "row"]
        explained = self.rules.explained(found, platform=platform, built=built, pointer=pointer)
        comparison = replace(
            look.comparison,
            differences=tuple(explained),
            notes=tuple(_notes(explained, platform, built, pointer)),
        )
        return replace(look, comparison=comparison)

    def _built(self, read: ReadResult) -> BuiltOverview | MalformedCourse | str:
        """Return the overview of a course, or why there is none."""
        if isinstance(read, CourseLagging):
            return read.reason
        if isinstance(read, MalformedCourse):
            return read
        try:
            return self.build(read)
        except MalformedCourse as error:
            return error
        except Exception as error:
            # A bug of the builder must not end the comparison of all others.
            logger.exception("builder failed", extra={"course_key": read.course_key})
            return f"builder failed: {error!r}"

    def _look_at_drafts(self, looks: dict[str, "_Look"]) -> None:
        """Give the reason of columns that have the value of the draft version."""
        unexplained = [
            key
            for key, look in looks.items()
            if look.version and look.platform.stored.row is not None
            if look.comparison.verdict is Verdict.DIFFERENT
        ]
        if not unexplained:
            return
        pointers = self.drafts.find_drafts(unexplained)
        drafts = [each for key, each in pointers.items() if each.structure_id != looks[key].version]
        for key, read in self.modulestore.read_published(drafts).items():
            built = self._built(read)
            if isinstance(built, BuiltOverview):
                looks[key] = self._with_draft(looks[key], built)

    def _with_draft(self, look: "_Look", draft: BuiltOverview) -> "_Look":
        found = overview_differences(
            look.platform.stored, draft, catalog_owns_language=self.catalog_owns_language
        )
        still_different = {each.column for each in found}
        differences = tuple(
            replace(each, reason=Reason.DRAFT)
            if each.reason is None and each.column not in still_different
            else each
            for each in look.comparison.differences
        )
        return replace(look, comparison=replace(look.comparison, differences=differences))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Look:
    """One look at a course."""

    platform: PlatformOverview
    comparison: CourseComparison
    version: str = ""  #: the published version that was read

    @property
    def moment(self) -> tuple[str, datetime | None]:
        """What moves when somebody publishes the course or saves its row."""
        return self.version, self.platform.modified

    @property
    def is_doubtful(self) -> bool:
        return self.comparison.verdict in (Verdict.DIFFERENT, Verdict.UNREADABLE)


def _foreign(platform: PlatformOverview) -> _Look:
    """Return the look at a row that no published course of the Split modulestore can have."""
    difference = CourseDifference(
        column="row",
        stored="a row",
        expected="not compared",
        reason=Reason.FOREIGN_KEY,
    )
    key = platform.stored.course_key
    differences = () if platform.stored.row is None else (difference,)
    return _Look(
        platform=platform, comparison=CourseComparison(course_key=key, differences=differences)
    )


def _unpublished(platform: PlatformOverview) -> CourseComparison:
    key = platform.stored.course_key
    if platform.stored.row is None:
        return CourseComparison(course_key=key, findings=("no such course",))
    difference = CourseDifference(
        column="row", stored="a row", expected="nothing: the course is not published"
    )
    return CourseComparison(course_key=key, differences=(difference,), findings=("orphaned",))


def _refused(platform: PlatformOverview, error: MalformedCourse) -> CourseComparison:
    difference = CourseDifference(
        column="row",
        stored="nothing" if platform.stored.row is None else "a row",
        expected="left as it is",
        reason=Reason.REFUSED,
    )
    return CourseComparison(
        course_key=platform.stored.course_key,
        differences=(difference,),
        notes=(str(error),),
    )


def _notes(
    differences: Sequence[CourseDifference],
    platform: PlatformOverview,
    built: BuiltOverview,
    pointer: PublishedPointer,
) -> Iterator[str]:
    """Yield the facts behind the reasons of a course."""
    reasons = {each.reason for each in differences}
    if Reason.ROW_OLDER in reasons:
        yield f"saved {_moment(platform.modified)}, published {_moment(published_at(pointer))}"
    if Reason.COLLIDING in reasons:
        yield f"the table has {platform.collides_with}"
    if Reason.DEGRADED in reasons:
        for each in built.degradations:
            yield f"{each.field} = {each.value}: {each.reason}"


def _moment(moment: datetime | None) -> str:
    return "at an unknown time" if moment is None else moment.isoformat(sep=" ", timespec="seconds")


def is_of_org(course_key: str, org: str) -> bool:
    """Whether a key, of whatever kind, is one of an organisation's, in any case of letters; '' is any."""
    parts = course_key.partition(":")[2] or course_key
    return not org or parts.replace("/", "+").partition("+")[0].casefold() == org.casefold()


def _chunks(keys: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(keys)
    while chunk := list(islice(remaining, CHUNK)):
        yield chunk
