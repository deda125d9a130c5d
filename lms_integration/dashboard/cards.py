"""What one course card shows, from what was read. Pure: does no I/O and reads no clock."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from zlib import crc32

from django.utils.translation import gettext

from lms_integration.dashboard import words
from lms_integration.dashboard.certificates import CertificateState, ShownCertificate
from lms_integration.dashboard.choices import Status
from lms_integration.dashboard.details import CourseDetails
from lms_integration.dashboard.links import certificate_link, home_url, image_url
from lms_integration.dashboard.queries import ListedCourse, required_courses, thumbnail
from lms_integration.learners.access import Access, Standing, load_access
from lms_integration.learners.enrolled import CourseState
from lms_integration.site_settings import SiteSettings

#: Colours that stand in for a missing image; the style sheet has one for each number below.
TINT_COUNT = 6
#: What may stand in a ``lang`` attribute.
_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


class NoticeKind(StrEnum):
    """How a notice is meant; each kind has a sign of its own, so that none depends on its colour."""

    INFO = "info"
    AWARD = "award"
    CLOSED = "closed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """One sentence that a learner should not miss."""

    kind: NoticeKind
    text: str
    link: str = ""  #: where more of it is to be seen
    link_text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One course of a learner, ready to be shown."""

    course_id: str
    name: str
    org: str
    number: str
    language: str  #: language tag of the course's own words; '' where it is not known
    image: str  #: address of the image; '' for none
    tint: int  #: which colour stands behind the image, from 1
    status: Status
    status_words: str
    dates: Sequence[str]
    facts: Sequence[str]  #: pacing, language, track; the key of a course without a name
    notices: Sequence[Notice]
    home_url: str  #: where the course is taken; '' while it cannot be opened
    has_about_page: bool
    enrolled: str  #: when the learner enrolled, in words


def card_of(
    listed: ListedCourse,
    details: CourseDetails,
    standing: Standing,
    *,
    names: Mapping[str, str],
    site: SiteSettings,
    now: datetime,
) -> Card:
    """Return the card of one enrolment; ``names`` are those of courses that others require."""
    course, state = listed.enrolled.course, listed.enrolled.state
    access = access_to(listed, details, standing, site=site, now=now)
    status = words.status_of(course, state, now=now)
    return Card(
        course_id=course.id,
        name=words.name_in_words(course, state),
        org=course.display_org_with_default,
        number=course.display_number_with_default,
        language=language_tag(course.language),
        image=image_url(thumbnail(course), site),
        tint=tint_of(course.id),
        status=status,
        status_words=words.status_in_words(status),
        dates=words.dates_in_words(course, state, now=now),
        facts=_facts(listed),
        notices=_notices(listed, details, access, names=names, site=site, now=now),
        home_url=home_url(course.id, site) if access is not None and access.has_access else "",
        has_about_page=_has_about_page(listed, standing),
        enrolled=words.enrolled_in_words(listed.enrolled.enrollment.created),
    )


def access_to(
    listed: ListedCourse,
    details: CourseDetails,
    standing: Standing,
    *,
    site: SiteSettings,
    now: datetime,
) -> Access | None:
    """Return whether the learner may open the course; None where there is no overview that tells."""
    if listed.enrolled.overview is None:
        return None
    course = listed.enrolled.overview
    access = load_access(
        course,
        standing,
        unfulfilled={course.id} if listed.is_unfulfilled else frozenset(),
        now=now,
        start_dates_count=not site.has_feature("DISABLE_START_DATES"),
    )
    expires = details.access_expires
    if access.has_access and expires is not None and expires <= now:
        return Access(error_code=words.AUDIT_EXPIRED)
    return access


def courses_to_name(courses: Iterable[ListedCourse]) -> frozenset[str]:
    """Return the keys of the courses that have to be passed before others can be opened."""
    return frozenset(
        key
        for each in courses
        if each.is_unfulfilled and each.enrolled.overview is not None
        for key in required_courses(each.enrolled.overview)
    )


def tint_of(course_id: str) -> int:
    """Return the colour of a course: always the same one."""
    return crc32(course_id.encode()) % TINT_COUNT + 1


def language_tag(code: str | None) -> str:
    """Return a language for a ``lang`` attribute; '' for what is none."""
    tag = (code or "").replace("_", "-")
    return tag if _LANGUAGE_TAG.fullmatch(tag) else ""


def _facts(listed: ListedCourse) -> Sequence[str]:
    course, state = listed.enrolled.course, listed.enrolled.state
    facts = (
        course.id if state is CourseState.NEVER_BUILT else "",
        words.pacing_in_words(course, state),
        words.language_in_words(course.language),
        words.mode_in_words(listed.enrolled.enrollment.mode),
    )
    return [fact for fact in facts if fact]


def _has_about_page(listed: ListedCourse, standing: Standing) -> bool:
    course = listed.enrolled.overview
    if course is None:
        return False
    return not course.visible_to_staff_only or standing.is_staff_of(course.id, course.org)


def _notices(
    listed: ListedCourse,
    details: CourseDetails,
    access: Access | None,
    *,
    names: Mapping[str, str],
    site: SiteSettings,
    now: datetime,
) -> Sequence[Notice]:
    course, state = listed.enrolled.course, listed.enrolled.state
    required = [names.get(key, key) for key in required_courses(course)]
    closed = words.access_in_words(access, course, required) if access else ""
    sentences = (words.state_in_words(state), closed, _expiry(details, access, now=now))
    kind = NoticeKind.INFO if state is CourseState.NEVER_BUILT else NoticeKind.CLOSED
    notices = [Notice(kind=kind, text=sentence) for sentence in sentences if sentence]
    award = certificate_notice(details.certificate, site=site)
    return [*notices, award] if award else notices


def _expiry(details: CourseDetails, access: Access | None, *, now: datetime) -> str:
    expires = details.access_expires
    if access is None or expires is None:
        return ""
    return words.expiry_in_words(expires, now=now)


def certificate_notice(certificate: ShownCertificate, *, site: SiteSettings) -> Notice | None:
    """Return what is to be said of a certificate; None where there is nothing to say."""
    text = words.certificate_in_words(certificate)
    if not text:
        return None
    has_link = certificate.state is CertificateState.AVAILABLE
    return Notice(
        kind=NoticeKind.AWARD if certificate.is_earned else NoticeKind.INFO,
        text=text,
        link=certificate_link(certificate.url or "", site) if has_link else "",
        link_text=gettext("View certificate") if has_link else "",
    )
