"""The JSON that Open edX's learner dashboard is made of, from what was read. Does no I/O.

Source: ``lms/djangoapps/learner_home`` of edx-platform, as observed in its recorded answers. What Open
edX asks other systems for (programs, credit, entitlements, upgrades in a shop, bulk e-mail) is
answered as it answers without them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from lms_integration.dashboard.certificates import CertificateState, ShownCertificate
from lms_integration.dashboard.details import CourseDetails
from lms_integration.dashboard.links import about_url, home_url, lms_path, search_url
from lms_integration.dashboard.queries import ListedCourse, required_courses, thumbnail
from lms_integration.dashboard.words import state_in_words
from lms_integration.learners.access import Standing, has_begun
from lms_integration.learners.enrolled import CourseState
from lms_integration.models import CourseOverview
from lms_integration.site_settings import SiteSettings

#: Modes that count as audit, and as verified.
_AUDIT_MODES = frozenset({"audit", "honor", "unpaid-executive-education", "unpaid-bootcamp"})
_VERIFIED_MODES = frozenset({"verified", "professional", "masters", "executive-education"})
_NETWORKS = ("facebook", "twitter")


def learner_home(
    courses: Sequence[ListedCourse],
    details: Mapping[str, CourseDetails],
    *,
    standing: Standing,
    is_activated: bool,
    site: SiteSettings,
    now: datetime,
) -> dict[str, Any]:
    """Return the answer of ``/api/learner_home/init/``; ``is_activated`` is the account's."""
    return {
        "emailConfirmation": {"isNeeded": not is_activated, "sendEmailUrl": site.activation_url},
        "enterpriseDashboard": None,
        "platformSettings": {
            "supportEmail": site.support_email,
            "billingEmail": site.billing_email,
            "courseSearchUrl": search_url(site),
        },
        "courses": [
            _entry(each, details[each.enrolled.course_id], standing, site=site, now=now)
            for each in courses
        ],
        "socialShareSettings": {network: _sharing(network, site) for network in _NETWORKS},
        "suggestedCourses": [],
    }


def _sharing(network: str, site: SiteSettings) -> dict[str, Any]:
    name = network.upper()
    return {
        "isEnabled": bool(site.social_sharing.get(f"DASHBOARD_{name}")),
        "socialBrand": site.social_sharing.get(f"{name}_BRAND"),
        "utmParams": site.utm_parameters[network],
    }


def _entry(
    listed: ListedCourse,
    details: CourseDetails,
    standing: Standing,
    *,
    site: SiteSettings,
    now: datetime,
) -> dict[str, Any]:
    overview = listed.enrolled.course
    return {
        "course": {
            "bannerImgSrc": thumbnail(overview),
            "courseName": overview.display_name_with_default,
            "courseNumber": overview.display_number_with_default,
            "socialShareUrl": about_url(overview, site),
        },
        "courseProvider": {"name": overview.display_org_with_default},
        "courseRun": _run(listed, overview, site=site, now=now),
        "enrollment": _enrollment(listed, overview, standing, details, site=site, now=now),
        "certificate": _certificate(details.certificate),
        "entitlement": {},
        "gradeData": {"isPassing": False},
        "programs": {"relatedPrograms": []},
        "credit": {},
    }


def _run(
    listed: ListedCourse, overview: CourseOverview, *, site: SiteSettings, now: datetime
) -> dict[str, Any]:
    course_id = listed.enrolled.course_id
    state = listed.enrolled.state
    grade = overview.lowest_passing_grade
    return {
        "isStarted": state is not CourseState.NEVER_BUILT and overview.has_started(now),
        "isArchived": state is CourseState.DELETED or overview.has_ended(now),
        "courseId": course_id,
        "minPassingGrade": None if grade is None else str(grade),
        "startDate": _moment(overview.start),
        "advertisedStart": overview.advertised_start,
        "endDate": _moment(overview.end),
        "homeUrl": home_url(course_id, site),
        "marketingUrl": overview.marketing_url,
        "progressUrl": lms_path(course_id, before="/courses/", after="/progress"),
        "unenrollUrl": lms_path(course_id, before="/course_run/", after="/refund_status"),
        "upgradeUrl": None,
        "resumeUrl": _resume_url(listed),
        **_state_notice(state),
    }


def _state_notice(state: CourseState) -> dict[str, str]:
    """Return two keys that Open edX has not, for the courses that it leaves out."""
    if state is CourseState.AVAILABLE:
        return {}
    return {"courseState": state.value, "notice": state_in_words(state)}


def _resume_url(listed: ListedCourse) -> str | None:
    if not listed.resume_block:
        return None
    start = lms_path(listed.enrolled.course_id, before="/courses/", after="/jump_to/")
    return lms_path(listed.resume_block, before=start, after="")


def _enrollment(
    listed: ListedCourse,
    overview: CourseOverview,
    standing: Standing,
    details: CourseDetails,
    *,
    site: SiteSettings,
    now: datetime,
) -> dict[str, Any]:
    row = listed.enrolled.enrollment
    is_there = listed.enrolled.state is CourseState.AVAILABLE
    has_opened = site.has_feature("DISABLE_START_DATES") or has_begun(overview, standing, now=now)
    expires = details.access_expires
    return {
        "accessExpirationDate": _moment(expires),
        "isAudit": row.mode in _AUDIT_MODES,
        "hasStarted": bool(listed.resume_block),
        "coursewareAccess": {
            # As in Open edX, milestones count only where the overview names a course to be passed.
            "hasUnmetPrerequisites": listed.is_unfulfilled and bool(required_courses(overview)),
            # What is not there is closed too, and this is how front ends close a course.
            "isTooEarly": not (is_there and has_opened),
            "isStaff": standing.is_staff_of(row.course_id, overview.org),
        },
        "isVerified": row.mode in _VERIFIED_MODES,
        "canUpgrade": False,
        "isAuditAccessExpired": expires is not None and expires < now,
        "isEmailEnabled": False,
        "hasOptedOutOfEmail": False,
        "lastEnrolled": _moment(row.created),
        "isEnrolled": row.is_active,
        "mode": row.mode,
    }


def _certificate(certificate: ShownCertificate) -> dict[str, Any]:
    state = certificate.state
    return {
        "availableDate": _moment(certificate.available_at),
        "isRestricted": state is CertificateState.RESTRICTED,
        "isEarned": certificate.is_earned,
        "isDownloadable": state is CertificateState.AVAILABLE,
        "certPreviewUrl": certificate.page_url,
    }


def _moment(moment: datetime | None) -> str | None:
    """Return a moment as REST framework writes it: UTC, microseconds only where there are any."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
