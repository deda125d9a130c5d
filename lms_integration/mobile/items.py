"""One enrolment as the mobile API shows it. Does no I/O and reads no clock.

Keys and their order are Open edX's (``lms/djangoapps/mobile_api/users/serializers.py``). An enrolment
whose course has no overview has one key more, ``course_state``, which says why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lms_integration.learners.access import Access, Standing, audit_expired, load_access
from lms_integration.learners.certificates import certificate_url
from lms_integration.learners.deadlines import audit_access_expires, upgrade_deadline
from lms_integration.learners.enrolled import CourseState
from lms_integration.learners.modes import Mode, unexpired
from lms_integration.mobile.links import (
    about_url,
    absolute,
    course_info_url,
    discussion_url,
    logo_url,
)
from lms_integration.mobile.queries import ListedEnrollment
from lms_integration.site_settings import SiteSettings

Item = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """What all items of one answer have in common."""

    user_id: int
    username: str
    standing: Standing
    version: str  #: as it stands in the URL
    base_url: str  #: scheme and host of the request, without a slash at its end
    site: SiteSettings
    now: datetime


def item_of(listed: ListedEnrollment, modes: Sequence[Mode], scene: Scene) -> Item:
    """Return an enrolment as versions 1 to 4 show it; ``modes`` are the course's, with expired ones."""
    return {
        "audit_access_expires": expiry_of(listed, modes, scene),
        **_enrollment(listed, modes, scene),
        "course_modes": [_mode(mode) for mode in unexpired(modes, now=scene.now)],
        **_course_state(listed),
    }


def old_item_of(listed: ListedEnrollment, modes: Sequence[Mode], scene: Scene) -> Item:
    """Return an enrolment as version 0.5 shows it."""
    return {**_enrollment(listed, modes, scene), **_course_state(listed)}


def expiry_of(listed: ListedEnrollment, modes: Sequence[Mode], scene: Scene) -> datetime | None:
    """Return when the learner's access ends unless they pay; None where it does not."""
    enrollment = listed.enrolled.enrollment
    return audit_access_expires(
        listed.enrolled.course,
        scene.standing,
        mode=enrollment.mode,
        enrolled_at=enrollment.created,
        modes=modes,
        schedule=listed.schedule,
        limited_since=scene.site.duration_limits_as_of,
    )


def has_expired(listed: ListedEnrollment, modes: Sequence[Mode], scene: Scene) -> bool:
    """Return whether the learner's access is over because they have not paid."""
    expires = expiry_of(listed, modes, scene)
    return expires is not None and expires <= scene.now


def _enrollment(listed: ListedEnrollment, modes: Sequence[Mode], scene: Scene) -> Item:
    enrollment = listed.enrolled.enrollment
    return {
        "created": enrollment.created,
        "mode": enrollment.mode,
        "is_active": enrollment.is_active,
        "course": _course(listed, modes, scene),
        "certificate": _certificate(listed, scene),
    }


def _course_state(listed: ListedEnrollment) -> Mapping[str, str]:
    state = listed.enrolled.state
    return {} if state is CourseState.AVAILABLE else {"course_state": state.value}


def _course(listed: ListedEnrollment, modes: Sequence[Mode], scene: Scene) -> Item:
    course = listed.enrolled.course
    return {
        "id": course.id,
        "name": course.display_name,
        "number": course.display_number_with_default,
        "org": course.display_org_with_default,
        "org_logo": logo_url(listed.org_logo, media_url=scene.site.media_url),
        "start": course.start,
        "start_display": course.start_display,
        "start_type": course.start_type,
        "end": course.end,
        "dynamic_upgrade_deadline": upgrade_deadline(
            course,
            mode=listed.enrolled.enrollment.mode,
            offered=unexpired(modes, now=scene.now),
            schedule=listed.schedule,
            is_dynamic=scene.site.dynamic_upgrade_deadlines,
            now=scene.now,
        ),
        "subscription_id": course.clean_id("_"),
        "courseware_access": _access(listed, modes, scene).to_json(),
        "media": {"course_image": {"uri": course.course_image_url, "name": "Course Image"}},
        "course_image": course.course_image_url,
        "course_about": about_url(course, lms_root_url=scene.site.lms_root_url),
        "course_sharing_utm_parameters": scene.site.utm_parameters,
        **_course_pages(listed, scene),
        "video_outline": None,
        "is_self_paced": course.self_paced,
    }


def _course_pages(listed: ListedEnrollment, scene: Scene) -> Mapping[str, str | None]:
    course_id = listed.enrolled.course_id
    has_discussion = listed.has_discussion_tab and scene.site.has_feature(
        "ENABLE_DISCUSSION_SERVICE"
    )
    return {
        **{
            f"course_{part}": course_info_url(
                scene.base_url, version=scene.version, course_id=course_id, part=part
            )
            for part in ("updates", "handouts")
        },
        "discussion_url": (
            discussion_url(scene.base_url, course_id=course_id) if has_discussion else None
        ),
    }


def _access(listed: ListedEnrollment, modes: Sequence[Mode], scene: Scene) -> Access:
    if listed.enrolled.refusal is not None:
        return listed.enrolled.refusal
    course = listed.enrolled.course
    access = load_access(
        course,
        scene.standing,
        unfulfilled={course.id} if listed.is_unfulfilled else frozenset(),
        now=scene.now,
        start_dates_count=not scene.site.has_feature("DISABLE_START_DATES"),
    )
    expires = expiry_of(listed, modes, scene)
    if not access.has_access or expires is None or expires > scene.now:
        return access
    return audit_expired(
        username=scene.username, course_id=course.id, name=course.display_name, expires=expires
    )


def _certificate(listed: ListedEnrollment, scene: Scene) -> Mapping[str, str]:
    url = certificate_url(
        listed.certificate,
        listed.enrolled.course,
        now=scene.now,
        html_pages=scene.site.has_feature("CERTIFICATES_HTML_VIEW"),
    )
    return {} if url is None else {"url": absolute(scene.base_url, url)}


def _mode(mode: Mode) -> Item:
    return {
        "slug": mode.slug,
        "sku": mode.sku,
        "android_sku": mode.android_sku,
        "ios_sku": mode.ios_sku,
        "min_price": mode.min_price,
    }


# --- what the learner's progress store would have to give, which no request path of ours reads


def no_progress() -> Item:
    """Return the progress of a course of which no progress is known."""
    return {"total_assignments_count": 0, "assignments_completed": 0}


def primary_item(item: Item) -> Item:
    """Return the enrolment to go on with; where in the course that is, only its blocks could tell."""
    return {
        **item,
        "course_status": None,
        "course_progress": no_progress(),
        "course_assignments": {"future_assignments": [], "past_assignments": []},
    }
