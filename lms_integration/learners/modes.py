"""Reads in which modes courses can be taken: audit, verified …, and until when.

Source of the rules: ``common/djangoapps/course_modes/models.py`` of edx-platform, as observed in its
recorded answers.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db.models import Q
from django.utils import timezone

from lms_integration.platform_tables.models import CourseMode
from lms_integration.prepared_queries import Parameter, PreparedQuery, moment, padded, texts
from lms_integration.site_settings import site_settings

AUDIT = "audit"
HONOR = "honor"
VERIFIED = "verified"
#: Modes that a learner may leave for the verified one.
UPGRADEABLE_MODES = frozenset({AUDIT, HONOR})


@dataclass(frozen=True, kw_only=True, slots=True)
class Mode:
    """One way to take a course; the names are those of the answers."""

    slug: str
    name: str
    min_price: int
    suggested_prices: str  #: numbers with commas between them; '' is none
    currency: str
    expiration_datetime: datetime | None
    description: str | None
    sku: str | None
    android_sku: str | None
    ios_sku: str | None
    bulk_sku: str | None


#: Columns of the modes' table, in the order of the fields of ``Mode``.
_COLUMNS = tuple(
    {"slug": "mode_slug", "name": "mode_display_name"}.get(field.name, field.name)
    for field in fields(Mode)
)


def modes_by_course(
    course_ids: Iterable[str], *, now: datetime | None = None, include_expired: bool = False
) -> Mapping[str, Sequence[Mode]]:
    """Return the modes of each course, in the order they were made: one query, none for no course.

    Only those that can still be chosen, unless ``include_expired``. Every key that was asked for is
    there; a course of which no mode is left has the site's default mode.
    """
    keys = list(dict.fromkeys(course_ids))
    if not keys:
        return {}
    asked = padded(keys)
    rows = _modes_of(len(asked), include_expired=include_expired).rows(
        course_ids=asked, now=timezone.now() if now is None else now
    )
    found: defaultdict[str, list[Mode]] = defaultdict(list)
    for course_id, *values in rows:
        found[course_id].append(_mode(values))
    default = [default_mode()]
    return {key: found.get(key, default) for key in keys}


@lru_cache(maxsize=128)
def _modes_of(count: int, *, include_expired: bool) -> PreparedQuery[tuple[Any, ...]]:
    """Return the query of the modes of so many courses."""
    return PreparedQuery(
        lambda: (
            CourseMode.objects.filter(
                Q() if include_expired else _unexpired(moment("now")),
                course_id__in=texts("course_ids", count),
            )
            .order_by("id")
            .values_list("course_id", *_COLUMNS)
        )
    )


def _unexpired(now: Parameter) -> Q:
    return Q(expiration_datetime__isnull=True) | Q(expiration_datetime__gte=now)


def _mode(values: Sequence[Any]) -> Mode:
    return Mode(**dict(zip((field.name for field in fields(Mode)), values, strict=True)))


def default_mode() -> Mode:
    """Return the mode of a course that offers none: ``COURSE_MODE_DEFAULTS``."""
    settings = site_settings().default_mode
    return _mode([settings.get(field.name) for field in fields(Mode)])


def unexpired(modes: Iterable[Mode], *, now: datetime) -> Sequence[Mode]:
    """Return those of a course's modes that can still be chosen; the default mode where none is left."""
    left = [
        mode
        for mode in modes
        if mode.expiration_datetime is None or mode.expiration_datetime >= now
    ]
    return left or [default_mode()]


def verified_mode(modes: Iterable[Mode]) -> Mode | None:
    """Return the mode that a learner may upgrade to, if the course offers it."""
    return next((mode for mode in modes if mode.slug == VERIFIED), None)
