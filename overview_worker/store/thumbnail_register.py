"""``thumbnail_ports.ThumbnailRegister`` on a Django connection."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Q

from lms_integration.database_clock import DatabaseNow
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import OverviewJob, OverviewThumbnails, ThumbnailState
from overview_worker.documents import Size, WantedThumbnails
from overview_worker.errors import RetryableError
from overview_worker.store.conf import StoreConf
from overview_worker.store.failures import errors_translated
from overview_worker.store.jobs import take_slot
from overview_worker.store.mark_statements import storable
from overview_worker.store.thumbnails import thumbnail_urls
from overview_worker.thumbnail_ports import KnownThumbnails

#: How long a course is left alone whose task is on its way, or whose thumbnails are being made.
LEASE_SECONDS = 120
#: Courses that are on their way, or wait for a server, at a time: more are not enqueued.
WAITING_LIMIT = 500
#: Of these, on their way: what a rebuild run that begins finds before it in the queue.
UNDER_WAY_LIMIT = 100
#: The wait after a server was away: it begins with 5 s, doubles, and ends here.
BACKOFF_SECONDS = 5
BACKOFF_CAP_SECONDS = 3600
#: How often settled thumbnails are checked, however many beats ask.
CHECK_PERIOD_SECONDS = 60
#: The rebuild that follows is enqueued with the mark; the sweeper comes only if that is lost.
REBUILD_LEASE_SECONDS = 60
#: What a mark says that thumbnails have caused.
MARK_EVENT_TYPE = "thumbnails made"

_CHECK_JOB = "thumbnail_check"


class DjangoThumbnailRegister:
    """``thumbnail_ports.ThumbnailRegister``; one instance a process, any thread."""

    def __init__(self, conf: StoreConf) -> None:
        self._using = conf.using

    def take_due(self, *, limit: int) -> Sequence[str]:
        """Return courses whose thumbnails are wanted and due, and lease them."""
        with self._errors_translated():
            wanted = self._rows().filter(state=ThumbnailState.WANTED)
            waiting = wanted.filter(next_attempt_at__gt=DatabaseNow())
            waiting_count = waiting[:WAITING_LIMIT].count()
            under_way_count = waiting.filter(attempts=0)[:UNDER_WAY_LIMIT].count()
            limit = min(limit, WAITING_LIMIT - waiting_count, UNDER_WAY_LIMIT - under_way_count)
            if limit <= 0:
                return []
            is_due = Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lte=DatabaseNow())
            due = wanted.filter(is_due).order_by("next_attempt_at", "course_key")
            keys = sorted(due.values_list("course_key", flat=True)[:limit])
            self._lease(wanted.filter(course_key__in=keys))
        return keys

    def begin(self, course_key: str) -> tuple[WantedThumbnails, int] | None:
        """Count the beginning, before anything can crash, and return what is wanted."""
        with self._errors_translated():
            rows = self._rows().filter(course_key=course_key, state=ThumbnailState.WANTED)
            row = rows.first()
            if row is None or not self._lease(rows, crashes=F("crashes") + 1):
                return None
        return _wanted(row), row.crashes

    def finish(
        self,
        course_key: str,
        wanted: WantedThumbnails,
        *,
        fingerprint: str,
        urls: Mapping[str, str],
    ) -> bool:
        """Note that they are made and mark the course, both or neither."""
        with self._errors_translated(), transaction.atomic(using=self._using):
            is_done = self._settle(
                course_key,
                wanted,
                state=ThumbnailState.MADE,
                fingerprint=fingerprint,
                urls=dict(urls),
            )
            if is_done:
                mark_courses(
                    [CourseMark(course_key=course_key, event_type=MARK_EVENT_TYPE)],
                    not_before_seconds=REBUILD_LEASE_SECONDS,
                    commits=True,
                    using=self._using,
                )
        return is_done

    def refuse(
        self, course_key: str, wanted: WantedThumbnails, *, fingerprint: str, reason: str
    ) -> None:
        """Note why there will be none; those of an earlier content of the image stay."""
        with self._errors_translated():
            self._settle(
                course_key,
                wanted,
                state=ThumbnailState.REFUSED if reason else ThumbnailState.NONE,
                fingerprint=fingerprint,
                reason=storable(reason),
            )

    def postpone(self, course_key: str, error: RetryableError) -> None:
        """Note that a server was away; the wait grows with every time."""
        with self._errors_translated():
            rows = self._rows().filter(course_key=course_key, state=ThumbnailState.WANTED)
            attempts = rows.values_list("attempts", flat=True).first() or 0
            seconds = min(BACKOFF_SECONDS * 2 ** min(attempts, 20), BACKOFF_CAP_SECONDS)
            rows.update(
                attempts=F("attempts") + 1,
                crashes=0,
                next_attempt_at=DatabaseNow(offset_seconds=seconds),
                reason=storable(str(error)),
                changed_at=DatabaseNow(),
            )

    def take_check_slot(self) -> bool:
        """Return whether settled thumbnails are to be checked now."""
        with self._errors_translated():
            return take_slot(self._using, _CHECK_JOB, period_seconds=CHECK_PERIOD_SECONDS - 5)

    def next_to_check(self, *, limit: int) -> Sequence[KnownThumbnails]:
        """Return the next courses whose thumbnails are settled, and remember how far that got."""
        with self._errors_translated():
            jobs = OverviewJob.objects.using(self._using)
            job, _ = jobs.get_or_create(name=_CHECK_JOB)
            settled = self._rows().exclude(state=ThumbnailState.WANTED).exclude(image_name="")
            settled = settled.order_by("course_key")
            found = list(settled.filter(course_key__gt=job.after_key)[:limit])
            if len(found) < limit:  # the end of the list: begin again
                found += list(settled.filter(course_key__lte=job.after_key)[: limit - len(found)])
            if found:
                jobs.filter(name=_CHECK_JOB).update(after_key=found[-1].course_key)
        return [
            KnownThumbnails(
                course_key=row.course_key,
                wanted=_wanted(row),
                are_made=row.state == ThumbnailState.MADE,
                fingerprint=row.fingerprint,
            )
            for row in found
        ]

    def want_again(self, courses: Sequence[KnownThumbnails]) -> None:
        """Want thumbnails anew, where they are still what they were when they were read."""
        with self._errors_translated():
            for course in sorted(courses, key=lambda each: each.course_key):
                self._of(course.course_key, course.wanted).filter(
                    fingerprint=course.fingerprint
                ).exclude(state=ThumbnailState.WANTED).update(
                    state=ThumbnailState.WANTED,
                    attempts=0,
                    crashes=0,
                    next_attempt_at=None,
                    reason="",
                    changed_at=DatabaseNow(),
                )

    def urls(self, course_keys: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """Return ``{course key: {name: address}}`` of the thumbnails that a storage holds."""
        with errors_translated(self._connection):  # inside the rebuild's transaction
            return thumbnail_urls(course_keys, using=self._using)

    def _settle(self, course_key: str, wanted: WantedThumbnails, **columns: Any) -> bool:
        rows = self._of(course_key, wanted).filter(state=ThumbnailState.WANTED)
        nothing_to_do = {"attempts": 0, "crashes": 0, "next_attempt_at": None, "reason": ""}
        settled = rows.update(**{**nothing_to_do, **columns}, changed_at=DatabaseNow())
        return bool(settled)

    def _lease(self, rows: Any, **columns: Any) -> int:
        later = DatabaseNow(offset_seconds=LEASE_SECONDS)
        return int(rows.update(next_attempt_at=later, **columns))

    def _of(self, course_key: str, wanted: WantedThumbnails) -> Any:
        """Return the row of a course, unless it is about another image or other sizes by now."""
        return self._rows().filter(
            course_key=course_key, image_name=wanted.image_name, sizes=wanted.sizes_text
        )

    def _rows(self) -> Any:
        return OverviewThumbnails.objects.using(self._using)

    @contextmanager
    def _errors_translated(self) -> Iterator[None]:
        if not self._connection.in_atomic_block:
            self._connection.close_if_unusable_or_obsolete()
        with errors_translated(self._connection):
            yield

    @property
    def _connection(self) -> BaseDatabaseWrapper:
        # Looked up each time: Django's connections belong to threads.
        return connections[self._using]


def _wanted(row: OverviewThumbnails) -> WantedThumbnails:
    sizes = [text.split("x") for text in row.sizes.split()]
    return WantedThumbnails(
        image_name=row.image_name,
        sizes=tuple(Size(width=int(width), height=int(height)) for width, height in sizes),
    )
