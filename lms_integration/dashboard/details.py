"""What is shown of a learner's courses beside their overviews: certificates, and when access ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lms_integration.dashboard.certificates import ShownCertificate, shown_certificate
from lms_integration.dashboard.queries import ListedCourse
from lms_integration.learners.access import Standing
from lms_integration.learners.certificates import certificates_by_course
from lms_integration.learners.deadlines import audit_access_expires
from lms_integration.learners.modes import modes_by_course
from lms_integration.site_settings import SiteSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseDetails:
    """What is shown of one enrolment beside its course."""

    certificate: ShownCertificate
    access_expires: datetime | None  #: when access ends for who does not pay; None is never


def details_by_course(
    courses: Sequence[ListedCourse],
    standing: Standing,
    *,
    user_id: int,
    site: SiteSettings,
    now: datetime,
) -> Mapping[str, CourseDetails]:
    """Return ``{course key: details}``: one query, and one more where the site limits access."""
    keys = [each.enrolled.course_id for each in courses]
    certificates = certificates_by_course(user_id, keys)
    expiries = _expiries(courses, standing, site=site)
    html_pages = site.has_feature("CERTIFICATES_HTML_VIEW")
    return {
        each.enrolled.course_id: CourseDetails(
            certificate=shown_certificate(
                certificates.get(each.enrolled.course_id),
                each.enrolled.course,
                now=now,
                html_pages=html_pages,
            ),
            access_expires=expiries.get(each.enrolled.course_id),
        )
        for each in courses
    }


def _expiries(
    courses: Sequence[ListedCourse], standing: Standing, *, site: SiteSettings
) -> Mapping[str, datetime | None]:
    if site.duration_limits_as_of is None:
        return {}
    there = [each for each in courses if each.enrolled.overview is not None]
    modes = modes_by_course((each.enrolled.course_id for each in there), include_expired=True)
    return {
        each.enrolled.course_id: audit_access_expires(
            each.enrolled.course,
            standing,
            mode=each.enrolled.enrollment.mode,
            enrolled_at=each.enrolled.enrollment.created,
            modes=modes[each.enrolled.course_id],
            schedule=each.schedule,
            limited_since=site.duration_limits_as_of,
        )
        for each in there
    }
