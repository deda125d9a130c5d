"""What the mobile API reads: each function is one query, whatever the number of enrolments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import (
    CharField,
    Exists,
    F,
    JSONField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Coalesce, Collate, JSONObject

from lms_integration.fields import MYSQL_LIST_COLLATION
from lms_integration.learners.access import Standing
from lms_integration.learners.certificates import DOWNLOADABLE
from lms_integration.learners.enrolled import EnrolledCourse, enrolled_courses, known
from lms_integration.learners.standing import roles_of, standing_with, unreached_requirements
from lms_integration.mobile.selection import Candidate, Progress, candidate_org
from lms_integration.models import CourseOverviewTab
from lms_integration.overview_properties import DISCUSSION_TAB
from lms_integration.platform_tables.models import (
    BlockCompletion,
    CourseEnrollment,
    GeneratedCertificate,
    LastSeenCoursewareTimezone,
    MobileConfig,
    OrganizationCourse,
    Schedule,
    StudentModule,
    UserPreference,
    UserProfile,
)
from lms_integration.prepared_queries import (
    Parameter,
    PreparedQuery,
    moment,
    number,
    numbers,
    padded,
)

#: Columns of the overview that one item of a list is made of, besides its key.
LIST_COLUMNS = (
    "org",
    "display_name",
    "display_number_with_default",
    "display_org_with_default",
    "start",
    "end",
    "advertised_start",
    "course_image_url",
    "social_sharing_url",
    "marketing_url",
    "self_paced",
    "visible_to_staff_only",
    "days_early_for_beta",
    "certificates_display_behavior",
    "certificates_show_before_end",
    "certificate_available_date",
    "cert_html_view_enabled",
)


def active_enrollments(user_id: int | Parameter) -> QuerySet[CourseEnrollment]:
    """Return the query of a learner's active enrolments, newest first."""
    return CourseEnrollment.objects.filter(user_id=user_id, is_active=True).order_by(
        "-created", "id"
    )


# --- which enrolments there are


def candidates(user_id: int, *, with_status: bool) -> Sequence[Candidate]:
    """Return all active enrolments of a learner, newest first, with what decides on showing them.

    Without ``with_status`` what a status depends on is not read.
    """
    rows = _candidates(with_status=with_status).rows(user_id=user_id)
    return [_candidate(row) for row in rows]


@cache
def _candidates(*, with_status: bool) -> PreparedQuery[Any]:
    user_id = number("user_id")
    columns: dict[str, Any] = {
        "enrollment_id": F("id"),
        "key": F("course_id"),
        "enrolled_at": F("created"),
        "org": F("overview__org"),
        "mobile_available": F("overview__mobile_available"),
    }
    if with_status:
        columns |= {
            "deleted_at": F("tombstone__deleted_at"),
            "start": F("overview__start"),
            "end": Coalesce("overview__end", "tombstone__end"),
            "has_certificate": Exists(_certificates(user_id)),
        }
    return PreparedQuery(lambda: active_enrollments(user_id).values(**columns))


def _candidate(row: Mapping[str, Any]) -> Candidate:
    # Not by the overview's key: Django takes that from the enrolment, without a join.
    has_overview = row["mobile_available"] is not None
    return Candidate(
        enrollment_id=row["enrollment_id"],
        id=row["key"],
        created=row["enrolled_at"],
        has_overview=has_overview,
        org=candidate_org(row["key"], row["org"]),
        mobile_available=bool(row["mobile_available"]),
        is_deleted=not has_overview and row.get("deleted_at") is not None,
        start=row.get("start"),
        end=row.get("end"),
        has_certificate=bool(row.get("has_certificate")),
    )


def latest_progress(user_id: int, course_ids: Sequence[str]) -> Progress | None:
    """Return where a learner was last in these courses; None where they never were."""
    row = (
        StudentModule.objects.filter(student_id=user_id, course_id__in=course_ids)
        .order_by("-modified")
        .values_list("course_id", "modified")
        .first()
    )
    return None if row is None else Progress(course_id=row[0], at=row[1])


# --- the enrolments that are shown


@dataclass(frozen=True, kw_only=True, slots=True)
class DownloadableCertificate:
    """A certificate that was made; what is needed of it to say where it is."""

    verify_uuid: str
    download_url: str
    status: str = DOWNLOADABLE


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedEnrollment:
    """One enrolment with everything but the modes that its item is made of."""

    enrolled: EnrolledCourse
    org_logo: str | None = None
    has_discussion_tab: bool = False
    is_unfulfilled: bool = False
    certificate: DownloadableCertificate | None = None
    schedule: Schedule | None = None


def listed_enrollments(
    user_id: int, enrollment_ids: Sequence[int], *, with_schedules: bool
) -> Sequence[ListedEnrollment]:
    """Return enrolments of a learner in the order of their ids in ``enrollment_ids``."""
    if not enrollment_ids:
        return []
    ids = padded(enrollment_ids)
    query = _listed_enrollments(len(ids), columns=LIST_COLUMNS, with_schedules=with_schedules)
    rows = query.rows(user_id=user_id, ids=ids)
    by_id = {row.id: row for row in rows}
    return [_listed(by_id[each]) for each in enrollment_ids if each in by_id]


@lru_cache(maxsize=128)
def _listed_enrollments(
    count: int, *, columns: Sequence[str], with_schedules: bool
) -> PreparedQuery[CourseEnrollment]:
    """Return the query of so many enrolments, unordered."""
    user_id = number("user_id")
    return PreparedQuery(
        lambda: enrolled_courses(
            CourseEnrollment.objects.filter(id__in=numbers("ids", count)),
            columns=columns,
            with_row_seq=False,
            with_schedule=with_schedules,
        ).annotate(
            org_logo=Subquery(_logos()),
            has_discussion_tab=Exists(
                CourseOverviewTab.objects.filter(
                    course_overview_id=OuterRef("course_id"), tab_id=DISCUSSION_TAB
                )
            ),
            is_unfulfilled=Exists(
                unreached_requirements(user_id).filter(course_id=OuterRef("course_id"))
            ),
            certificate=Subquery(_downloadable(user_id), output_field=JSONField()),
        )
    )


def _listed(row: Any) -> ListedEnrollment:
    [enrolled] = known([row])
    return ListedEnrollment(
        enrolled=enrolled,
        org_logo=row.org_logo,
        has_discussion_tab=row.has_discussion_tab,
        is_unfulfilled=row.is_unfulfilled,
        certificate=DownloadableCertificate(**row.certificate) if row.certificate else None,
        schedule=row._state.fields_cache.get("schedule"),
    )


def _logos() -> QuerySet[Any, Any]:
    """The logo of a course's first organization, whether or not that one is active itself."""
    return (
        OrganizationCourse.objects.filter(course_id=OuterRef("course_id"), active=True)
        .order_by("id")
        .values("organization__logo")[:1]
    )


def _certificates(user_id: Parameter) -> QuerySet[GeneratedCertificate]:
    return GeneratedCertificate.objects.filter(user_id=user_id, course_id=OuterRef("course_id"))


def _downloadable(user_id: Parameter) -> QuerySet[Any, Any]:
    return (
        _certificates(user_id)
        .filter(status=DOWNLOADABLE)
        .values(facts=JSONObject(verify_uuid="verify_uuid", download_url="download_url"))
    )


# --- the learner


@dataclass(frozen=True, kw_only=True, slots=True)
class Learner:
    """What a learner is, and what the apps are configured with."""

    standing: Standing
    time_zone: str
    configs: Mapping[str, str]


def learner_of(user: User, *, with_configs: bool) -> Learner:
    """Return a learner's roles and, ``with_configs``, time zone and configuration of the apps."""
    return _learner(user, _learner_facts(with_configs=with_configs).rows(user_id=user.pk))


@cache
def _learner_facts(*, with_configs: bool) -> PreparedQuery[tuple[str, ...]]:
    return PreparedQuery(lambda: _facts_of(number("user_id"), with_configs=with_configs))


def _facts_of(user_id: Parameter, *, with_configs: bool) -> QuerySet[Any, Any]:
    roles = _facts(roles_of(user_id), "role", "role", "org", "course_id")
    if not with_configs:
        return roles
    zone = UserPreference.objects.filter(user_id=user_id, key="time_zone")
    seen = LastSeenCoursewareTimezone.objects.filter(user_id=user_id)
    return roles.union(
        _facts(zone, "zone", "value"),
        _facts(seen, "seen", "timezone"),
        _facts(MobileConfig.objects.all(), "config", "name", "value"),
        all=True,
    )


def _learner(user: User, rows: Sequence[Sequence[str]]) -> Learner:
    zones = {kind: value for kind, value, *_ in rows if kind in {"zone", "seen"}}
    return Learner(
        standing=standing_with(
            user, ((role, org, key) for kind, role, org, key in rows if kind == "role")
        ),
        time_zone=zones.get("zone") or zones.get("seen") or "UTC",
        configs={name: value for kind, name, value, _ in rows if kind == "config"},
    )


def _facts(rows: QuerySet[Any], kind: str, *columns: str) -> QuerySet[Any, Any]:
    """Return rows as (kind, text, text, text), in the connection's collation: they can be united."""
    texts: list[Combinable] = [Cast(name, CharField()) for name in columns]
    texts += [Value("")] * (3 - len(columns))
    return rows.values_list(Value(kind), *texts)


def name_of(user_id: int) -> str | None:
    """Return what a person is called; None without a profile."""
    return UserProfile.objects.filter(user_id=user_id).values_list("name", flat=True).first()


# --- the status list

#: Columns of the overview that one item of the status list is made of, besides its key.
STATUS_COLUMNS = ("org", "display_name", "mobile_available")


@dataclass(frozen=True, kw_only=True, slots=True)
class EnrollmentStatus:
    """One enrolment with whether the learner was active in the course lately."""

    enrolled: EnrolledCourse
    is_recent: bool


def enrollment_statuses(user_id: int, *, since: datetime) -> Sequence[EnrollmentStatus]:
    """Return the active enrolments of a learner by course key, as Open edX's tables order text.

    Recent are those since when the learner enrolled, or completed something.
    """
    rows = _STATUSES.rows(user_id=user_id, since=since)
    return [EnrollmentStatus(enrolled=known([row])[0], is_recent=_is_recent(row)) for row in rows]


def _statuses(user_id: Parameter, since: Parameter) -> QuerySet[CourseEnrollment]:
    completions = BlockCompletion.objects.filter(
        user_id=user_id, course_key=OuterRef("course_id"), created__gte=since
    )
    return (
        enrolled_courses(active_enrollments(user_id), columns=STATUS_COLUMNS, with_row_seq=False)
        .annotate(is_recent=Q(created__gte=since) | Exists(completions))
        .order_by(_ignoring_case("course_id"), "course_id")
    )


_STATUSES = PreparedQuery(lambda: _statuses(number("user_id"), moment("since")))


def _is_recent(row: Any) -> bool:
    return bool(row.is_recent)


def _ignoring_case(column: str) -> Collate:
    is_mysql = connection.vendor == "mysql"
    return Collate(column, MYSQL_LIST_COLLATION if is_mysql else "NOCASE")
