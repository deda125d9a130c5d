"""Marks that contradict themselves: found without a lock, and mended one statement a kind.

No path of ours writes them. But a restored table, a hand in SQL, a bug or a clock can, and such a
mark hides its course from the sweeper, from the inspector, or from both, for good. A mark that is
dirty is mended so that its course is rebuilt; one that swallows marks counts one more, as if its
course had been published.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Q

from lms_integration.database_clock import DatabaseNow
from lms_integration.models import OverviewMark
from overview_worker.store.due_marks import is_dirty, is_from_the_future, is_held_too_long

#: Keys in one statement.
_CHUNK = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class _Repair:
    """One way in which a mark can be wrong."""

    what: str
    condition: Q
    columns: Mapping[str, Any]


def mend_marks(using: str) -> Mapping[str, str]:
    """Mend every mark that contradicts itself; return ``{course key: what was wrong}``.

    The condition is in the statement that mends: a publish or a rebuild that comes between finds, or
    leaves, a mark that is whole.
    """
    marks = OverviewMark.objects.using(using)
    mended: dict[str, str] = {}
    for repair in _repairs():
        keys = list(marks.filter(repair.condition).values_list("course_key", flat=True))
        for start in range(0, len(keys), _CHUNK):
            chunk = sorted(keys[start : start + _CHUNK])
            if marks.filter(repair.condition, course_key__in=chunk).update(**repair.columns):
                mended |= dict.fromkeys(chunk, repair.what)
    return mended


def _repairs() -> list[_Repair]:
    now = DatabaseNow()
    return [
        _Repair(
            what="done is above wanted, which swallows publishes",
            condition=Q(done__gt=F("wanted")),
            # As a mark does it: what was swallowed may be anything.
            columns={
                "wanted": F("done") + 1,
                "dirty_since": now,
                "next_attempt_at": None,
                "attempts": 0,
            },
        ),
        _Repair(
            what="dirty, but nobody knows since when, so that no sweep finds it",
            condition=is_dirty() & Q(dirty_since__isnull=True),
            columns={"dirty_since": now},
        ),
        _Repair(
            what="dirty since a time that is not yet",
            condition=is_dirty() & is_from_the_future(),
            columns={"dirty_since": now},
        ),
        _Repair(
            what="held back for longer than anybody holds a course back",
            condition=is_dirty() & is_held_too_long(),
            columns={"next_attempt_at": None},
        ),
        _Repair(
            what="clean, but called dirty, so that it seems to wait for ever",
            condition=Q(wanted=F("done"), dirty_since__isnull=False),
            columns={"dirty_since": None, "next_attempt_at": None},
        ),
    ]
