"""How overviews are found: Open edX's class methods, on SQL alone.

Nothing here builds, writes, or reads MongoDB; a row of an older ``VERSION`` is given as it is. Each
method is one query for any number of courses, and reads the image set along; ``with_properties`` joins
what the eleven properties show that have no column of the row's. Keys may be CourseKey objects or
text; they are compared byte by byte, also where the table's collation is not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, Self, TypeVar

from django.db import models
from django.db.models import Q, QuerySet
from django.db.models.lookups import IContains
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey
from opaque_keys.edx.locator import CourseLocator

from lms_integration.collations import ByteByByte, IgnoringCase
from lms_integration.data import CourseOverviewProjectionData

#: How callers name a course.
CourseKeyLike = CourseKey | str
Key = TypeVar("Key", bound=CourseKeyLike)
#: The columns of the projection that properties show: all but the about page's HTML.
PROJECTED_PROPERTIES = tuple(
    field.name for field in fields(CourseOverviewProjectionData) if field.name != "overview_html"
)


def course_key_text(key: CourseKeyLike) -> str:
    """Return the text that stands in the key columns; an object's branch and version are left out."""
    if isinstance(key, CourseLocator):
        return str(key.for_branch(None).version_agnostic())  # type: ignore[no-untyped-call]
    return str(key)


class OverviewReads(models.Model):
    """Class methods of ``CourseOverview``."""

    class Meta:
        """Columns and table are those of ``CourseOverview``."""

        abstract = True

    @classmethod
    def get_from_id(cls, course_id: CourseKeyLike, *, with_tabs: bool = False) -> Self:
        """Return the overview of one course, with its eleven properties.

        Raises:
            CourseOverview.DoesNotExist: there is no row: never built, being built, or deleted.
        """
        overview = cls.get_from_ids([course_id], with_tabs=with_tabs, with_properties=True)[
            course_id
        ]
        if overview is None:
            raise cls.DoesNotExist(f"no overview of {course_id}")
        return overview

    @classmethod
    def get_from_ids(
        cls, course_ids: Iterable[Key], *, with_tabs: bool = False, with_properties: bool = False
    ) -> dict[Key, Self | None]:
        """Return ``{key as it was passed: overview}``, None for a course that has no row.

        ``with_tabs`` reads all their tabs with one more query. Without ``with_properties`` each of the
        courses costs a query as soon as one of its eleven properties is asked for.
        """
        texts = {key: course_key_text(key) for key in course_ids}
        if not texts:
            return {}
        rows = cls._read_along(with_properties=with_properties).filter(pk__in=set(texts.values()))
        found = {row.pk: row for row in (rows.prefetch_related("tab_set") if with_tabs else rows)}
        return {key: found.get(text) for key, text in texts.items()}

    @classmethod
    def course_exists(cls, course_id: CourseKeyLike) -> bool:
        """Return whether the course has a row."""
        text = course_key_text(course_id)
        return text in cls._default_manager.filter(pk=text).values_list("pk", flat=True)

    @classmethod
    def get_all_courses(
        cls,
        orgs: Iterable[str] | None = None,
        filter_: Mapping[str, Any] | None = None,
        active_only: bool = False,
        course_keys: Iterable[CourseKeyLike] | None = None,
        *,
        with_properties: bool = False,
        now: datetime | None = None,
    ) -> QuerySet[Self]:
        """Return the courses that satisfy all that is asked, unordered and not yet read.

        ``orgs`` are compared without case, ``filter_`` holds lookups of Django, ``active_only``
        leaves out what has ended. Empty ``orgs`` and ``course_keys`` ask nothing, as in Open edX.
        ``with_properties`` as in ``get_from_ids``.
        """
        courses = cls._read_along(with_properties=with_properties)
        if course_keys:
            courses = courses.filter(pk__in={course_key_text(key) for key in course_keys})
        if orgs:
            courses = courses.filter(Q(*(Q(org__iexact=org) for org in orgs), _connector=Q.OR))
        if filter_:
            courses = courses.filter(**filter_)
        return cls.get_courses_by_status(active_only, False, courses, now=now)

    @classmethod
    def get_courses_matching_query(
        cls, query: str, course_overviews: QuerySet[Self]
    ) -> QuerySet[Self]:
        """Return those whose name, org or key contains ``query``, without case."""
        return course_overviews.filter(
            Q(display_name__icontains=query)
            | Q(org__icontains=query)
            | Q(IContains(IgnoringCase("id"), query))
        )

    @classmethod
    def get_courses_by_status(
        cls,
        active_only: bool,
        archived_only: bool,
        course_overviews: QuerySet[Self],
        *,
        now: datetime | None = None,
    ) -> QuerySet[Self]:
        """Return those that have not ended, or those that have; all when neither is asked."""
        present = timezone.now() if now is None else now
        if active_only:
            return course_overviews.filter(Q(end__isnull=True) | Q(end__gte=present))
        if archived_only:
            return course_overviews.filter(end__lt=present)
        return course_overviews

    @classmethod
    def get_all_course_keys(cls) -> QuerySet[Self, str]:
        """Return the keys of all courses as text, unordered and not yet read."""
        return cls._default_manager.values_list("pk", flat=True)

    @classmethod
    def get_all_orgs(cls) -> list[str]:
        """Return each org that has a course, once in each spelling, sorted byte by byte."""
        spellings = cls._default_manager.values_list(ByteByByte("org"), flat=True)
        return sorted(spellings.distinct())

    @classmethod
    def _read_along(cls, *, with_properties: bool) -> QuerySet[Self]:
        """Return all courses with what is joined: the image set, and the projection if asked for."""
        courses = cls._default_manager.select_related("image_set")
        if not with_properties:
            return courses
        # Named one by one: Django cannot defer columns of a relation that has no column itself.
        columns = [field.name for field in cls._meta.concrete_fields]
        projected = [f"projection__{name}" for name in PROJECTED_PROPERTIES]
        return courses.select_related("projection").only(*columns, "image_set", *projected)
