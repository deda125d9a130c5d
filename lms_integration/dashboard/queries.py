"""Reads what the dashboard and the learner home show: a fixed number of queries for any number of courses."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery, TextField
from django.db.models.functions import Coalesce
from django.db.models.lookups import IContains

from lms_integration.collations import IgnoringCase
from lms_integration.dashboard.choices import Choice, Order, Status
from lms_integration.learners.enrolled import EnrolledCourse, enrolled_courses, known
from lms_integration.learners.standing import unreached_requirements
from lms_integration.models import CourseOverview
from lms_integration.platform_tables.models import BlockCompletion, CourseEnrollment, Schedule
from lms_integration.prepared_queries import Parameter, PreparedQuery, moment, number
from lms_integration.site_settings import SiteSettings

#: Columns of the overview that both are made of: names, dates, image, certificates, prerequisites.
_SHARED_COLUMNS = (
    "org",
    "location",
    "display_name",
    "display_number_with_default",
    "display_org_with_default",
    "course_image_url",
    "start",
    "end",
    "advertised_start",
    "days_early_for_beta",
    "self_paced",
    "certificates_show_before_end",
    "certificates_display_behavior",
    "certificate_available_date",
    "cert_html_view_enabled",
    "has_any_active_web_certificate",
    "pre_requisite_courses_json",
)
CARD_COLUMNS = (
    *_SHARED_COLUMNS,
    "visible_to_staff_only",
    "language",
)
HOME_COLUMNS = (
    *_SHARED_COLUMNS,
    "lowest_passing_grade",
    "marketing_url",
    "social_sharing_url",
)
_NAME_COLUMNS = ("location", "display_name", "language")
#: The small image is read along where the site makes thumbnails.
_THUMBNAIL = "image_set__small_url"
#: Cards on one page of the dashboard: rows of two, three or four.
PAGE_SIZE = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedCourse:
    """One enrolment with everything but its certificate that is shown of it."""

    enrolled: EnrolledCourse
    is_unfulfilled: bool  #: whether it requires something that the learner has not reached
    resume_block: str | None = None  #: usage key of the block that was completed last
    schedule: Schedule | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedPage:
    """One page of a learner's enrolments, and how many there are by status."""

    courses: Sequence[ListedCourse]
    page: Page[int]
    counts: Mapping[Status, int]


def listed_page(user_id: int, choice: Choice, *, site: SiteSettings, now: datetime) -> ListedPage:
    """Return a page of the dashboard: two queries."""
    chosen = None  # all of them, for which the queries are prepared
    if choice.text or site.course_orgs:
        chosen = _containing(_of_orgs(_active(user_id), site.course_orgs), choice.text)
    counts = _counts(
        _COUNTS_OF_ALL.rows(user_id=user_id, now=now)
        if chosen is None
        else _counted(chosen, now=now)
    )
    page = Paginator(range(counts[choice.status]), PAGE_SIZE).get_page(choice.page or 1)
    shape = _PageShape(
        status=choice.status,
        order=choice.order,
        columns=CARD_COLUMNS,
        offset=PAGE_SIZE * (page.number - 1),
        with_schedule=site.duration_limits_as_of is not None,
    )
    rows = (
        _page_of_all(shape).rows(user_id=user_id, now=now)
        if chosen is None
        else _page_rows(chosen, shape, user_id=user_id, now=now)
    )
    return ListedPage(courses=_listed(rows), page=page, counts=counts)


@dataclass(frozen=True, kw_only=True, slots=True)
class _PageShape:
    """What the statement of a page depends on, besides its parameters."""

    status: Status
    order: Order
    columns: Sequence[str]  #: of the overviews
    offset: int  #: so many courses stand on the pages before
    with_schedule: bool


def _page_rows(
    rows: QuerySet[CourseEnrollment],
    shape: _PageShape,
    *,
    user_id: int | Parameter,
    now: datetime | Parameter,
) -> QuerySet[CourseEnrollment]:
    chosen = _ordered(rows.filter(_has(shape.status, now=now)), shape.order)
    read = _with_columns(chosen, shape.columns, user_id, with_schedule=shape.with_schedule)
    return read[shape.offset : shape.offset + PAGE_SIZE]


@lru_cache(maxsize=128)
def _page_of_all(shape: _PageShape) -> PreparedQuery[CourseEnrollment]:
    """Return the query of a page on which nothing was searched for."""
    user_id, now = number("user_id"), moment("now")
    return PreparedQuery(lambda: _page_rows(_active(user_id), shape, user_id=user_id, now=now))


def home_courses(user_id: int, *, site: SiteSettings) -> Sequence[ListedCourse]:
    """Return all active enrolments, newest first, each with its last completed block: one query."""
    mine = _of_orgs(_active(user_id), site.course_orgs)
    with_schedule = site.duration_limits_as_of is not None
    rows = _with_columns(mine, HOME_COLUMNS, user_id, with_schedule=with_schedule)
    return _listed(rows.annotate(resume_block=_last_completed_block()).order_by("-created", "-id"))


def _listed(rows: Iterable[Any]) -> Sequence[ListedCourse]:
    found = list(rows)
    return [
        ListedCourse(
            enrolled=enrolled,
            is_unfulfilled=row.is_unfulfilled,
            resume_block=getattr(row, "resume_block", None),
            schedule=row._state.fields_cache.get("schedule"),
        )
        for row, enrolled in zip(found, known(found), strict=True)
    ]


def enrolled_course(user_id: int, course_id: str) -> EnrolledCourse | None:
    """Return one active enrolment with the name of its course; None where there is none: one query."""
    rows = _active(user_id).filter(course_id=course_id)
    found = known(enrolled_courses(rows, columns=_NAME_COLUMNS, with_row_seq=False))
    return found[0] if found else None


def thumbnail(course: CourseOverview) -> str:
    """Return the address of a course's small image, as it was read along."""
    image_set = course._state.fields_cache.get("image_set")
    return (image_set.small_url if image_set else "") or course.course_image_url


def course_names(course_ids: Iterable[str]) -> Mapping[str, str]:
    """Return the names of those courses that have an overview: one query, none for no course."""
    keys = list(course_ids)
    if not keys:
        return {}
    rows = CourseOverview.objects.filter(pk__in=keys).only("id", "display_name", "location")
    return {row.id: row.display_name_with_default for row in rows}


def required_courses(course: CourseOverview) -> Sequence[str]:
    """Return the keys of the courses that one requires; none where nonsense is stored."""
    try:
        keys = json.loads(course.pre_requisite_courses_json)
    except ValueError:
        return []
    return [key for key in keys if isinstance(key, str)] if isinstance(keys, list) else []


def _active(user_id: int | Parameter) -> QuerySet[CourseEnrollment]:
    return CourseEnrollment.objects.filter(user_id=user_id, is_active=True)


def _with_columns(
    rows: QuerySet[CourseEnrollment],
    columns: Iterable[str],
    user_id: int | Parameter,
    *,
    with_schedule: bool,
) -> QuerySet[CourseEnrollment]:
    """Return enrolments with what is shown of their courses; schedules where access can expire."""
    read = enrolled_courses(
        rows,
        columns=(*columns, _THUMBNAIL),
        with_row_seq=False,
        with_schedule=with_schedule,
    )
    unreached = unreached_requirements(user_id).filter(course_id=OuterRef("course_id"))
    return read.select_related("overview__image_set").annotate(is_unfulfilled=Exists(unreached))


def _of_orgs(rows: QuerySet[CourseEnrollment], orgs: Iterable[str]) -> QuerySet[CourseEnrollment]:
    """Leave out the courses of other organizations; no ``orgs`` leave out nothing.

    A course without overview is kept: nobody may lose an enrolment because its row is being built.
    """
    names = list(orgs)
    return rows.filter(Q(overview__org__in=names) | ~_IS_THERE) if names else rows


#: Columns that are never null in a row: the key would be taken from the enrolment, which has it always.
_IS_THERE = Q(overview__version__isnull=False)
_IS_DELETED = Q(overview__version__isnull=True, tombstone__deleted_at__isnull=False)
_IS_UNKNOWN = Q(overview__version__isnull=True, tombstone__deleted_at__isnull=True)


def _has(status: Status, *, now: datetime | Parameter) -> Q:
    """Return the condition of a status; ``words.status_of`` says the same of one course."""
    has_begun = Q(overview__start__isnull=True) | Q(overview__start__lt=now)
    runs_on = _IS_THERE & (Q(overview__end__isnull=True) | Q(overview__end__gte=now))
    match status:
        case Status.IN_PROGRESS:
            return runs_on & has_begun
        case Status.UPCOMING:
            return _IS_UNKNOWN | (runs_on & Q(overview__start__gte=now))
        case Status.ENDED:
            return _IS_DELETED | Q(overview__end__lt=now)
        case _:
            return Q()


#: The statuses that share out all enrolments.
_PARTS = tuple(status for status in Status if status is not Status.ALL)


def _counted(
    rows: QuerySet[CourseEnrollment], *, now: datetime | Parameter
) -> QuerySet[CourseEnrollment, tuple[int, ...]]:
    """Return the query of one learner's number of courses by status; no row for no enrolment."""
    counts = {part.value: Count("pk", filter=_has(part, now=now)) for part in _PARTS}
    return rows.values("user_id").annotate(**counts).values_list(*counts)


_COUNTS_OF_ALL = PreparedQuery(lambda: _counted(_active(number("user_id")), now=moment("now")))


def _counts(rows: Iterable[tuple[int, ...]]) -> Mapping[Status, int]:
    """Return how many courses each status lists."""
    counts = next(iter(rows), (0,) * len(_PARTS))
    return {Status.ALL: sum(counts), **dict(zip(_PARTS, counts, strict=True))}


def _containing(rows: QuerySet[CourseEnrollment], text: str) -> QuerySet[CourseEnrollment]:
    """Leave out courses whose name, organization, number and key lack one of the words."""
    for word in text.split():
        rows = rows.filter(
            Q(overview__display_name__icontains=word)
            | Q(overview__display_org_with_default__icontains=word)
            | Q(overview__display_number_with_default__icontains=word)
            | Q(tombstone__display_name__icontains=word)
            | Q(IContains(IgnoringCase("course_id"), word))
        )
    return rows


def _ordered(rows: QuerySet[CourseEnrollment], order: Order) -> QuerySet[CourseEnrollment]:
    newest = (F("created").desc(), F("id").desc())
    match order:
        case Order.NAME:
            return rows.order_by(_name(), *newest)
        case Order.START:
            start = Coalesce("overview__start", "tombstone__start")
            return rows.order_by(start.asc(nulls_last=True), *newest)
        case _:
            return rows.order_by(*newest)


def _name() -> IgnoringCase:
    """Return the name by which a course is listed, in the order of a dictionary."""
    return IgnoringCase(
        Coalesce(
            *(
                IgnoringCase(column)
                for column in ("overview__display_name", "tombstone__display_name", "course_id")
            ),
            output_field=TextField(),
        )
    )


def _last_completed_block() -> Any:
    """Return a subquery that one index answers: the block of a course that was completed last."""
    completed = BlockCompletion.objects.filter(
        user_id=OuterRef("user_id"), course_key=OuterRef("course_id")
    )
    return Subquery(completed.order_by("-modified").values("block_key")[:1])
