"""What a course card says, in words of the active language. Pure: takes the time, does no I/O."""

from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache
from html import unescape
from typing import Any

from django.core.paginator import Page
from django.utils.formats import date_format
from django.utils.html import strip_tags
from django.utils.translation import (
    get_language,
    get_language_info,
    gettext_noop,
    ngettext,
)

from lms_integration.dashboard.certificates import CertificateState, ShownCertificate
from lms_integration.dashboard.choices import Status
from lms_integration.dashboard.sentences import gettext
from lms_integration.data import DEFAULT_START
from lms_integration.learners.access import Access
from lms_integration.learners.enrolled import CourseState
from lms_integration.models import CourseOverview

#: So many days before its start a course is "starting soon", as in Open edX.
SOON_DAYS = 5
#: ``error_code`` of a course whose time is over for who does not pay.
AUDIT_EXPIRED = "audit_expired"

#: What stands for each status, and for each track that has a name.
_STATUSES = {
    Status.ALL: gettext_noop("All"),
    Status.IN_PROGRESS: gettext_noop("In progress"),
    Status.UPCOMING: gettext_noop("Upcoming"),
    Status.ENDED: gettext_noop("Ended"),
}
_TRACKS = {
    "audit": gettext_noop("Audit track"),
    "honor": gettext_noop("Honor code track"),
    "verified": gettext_noop("Verified track"),
    "professional": gettext_noop("Professional track"),
    "no-id-professional": gettext_noop("Professional track"),
    "credit": gettext_noop("Credit track"),
    "masters": gettext_noop("Master's track"),
}


def day_in_words(moment: datetime) -> str:
    """Return a date such as ``January 5, 2026``, in UTC as everywhere on the site."""
    return _day_in_words(moment.date(), get_language())


@lru_cache(maxsize=4096)  # a page has dozens of dates, most of them on every other page too
def _day_in_words(day: date, language: str | None) -> str:
    return date_format(day, "DATE_FORMAT")


def status_of(course: CourseOverview, state: CourseState, *, now: datetime) -> Status:
    """Return under which status an enrolment is listed; the SQL of ``queries`` says the same."""
    if state is CourseState.DELETED or course.has_ended(now):
        return Status.ENDED
    if state is CourseState.NEVER_BUILT or not course.has_started(now):
        return Status.UPCOMING
    return Status.IN_PROGRESS


def status_in_words(status: Status) -> str:
    """Return the name of a status."""
    return gettext(_STATUSES[status])


def dates_in_words(course: CourseOverview, state: CourseState, *, now: datetime) -> Sequence[str]:
    """Return when a course starts, has started, ends or has ended; nothing where nothing is known."""
    if state is CourseState.NEVER_BUILT:
        return []
    if course.end is not None and course.has_ended(now):
        return [gettext("Ended %(date)s") % {"date": day_in_words(course.end)}]
    parts = [_start_in_words(course, now=now), _end_in_words(course)]
    return [part for part in parts if part]


def _start_in_words(course: CourseOverview, *, now: datetime) -> str:
    if course.has_started(now):
        if course.start is None:
            return gettext("Open now")
        return gettext("Started %(date)s") % {"date": _shown_start(course)}
    if course.start_date_is_still_default:
        return gettext("Start date to be announced")
    if course.starts_within(SOON_DAYS, now) and not course.advertised_start:
        return gettext("Starts soon: %(date)s") % {"date": _shown_start(course)}
    return gettext("Starts %(date)s") % {"date": _shown_start(course)}


def _shown_start(course: CourseOverview) -> str:
    shown = course.advertised_start or course.start
    return day_in_words(shown) if isinstance(shown, datetime) else str(shown)


def _end_in_words(course: CourseOverview) -> str:
    if course.end is None:
        return ""
    return gettext("Ends %(date)s") % {"date": day_in_words(course.end)}


def pacing_in_words(course: CourseOverview, state: CourseState) -> str:
    """Return who sets the pace; '' where it is not known."""
    if state is not CourseState.AVAILABLE:
        return ""
    return gettext("Self-paced") if course.self_paced else gettext("Instructor-paced")


def language_in_words(code: str | None) -> str:
    """Return a language's name in itself and in the active language; an unknown code as it is."""
    if not code:
        return ""
    try:
        info = get_language_info(code.lower().replace("_", "-"))
    except KeyError:
        return code
    translated = str(info["name_translated"])
    local = str(info["name_local"])
    return local if local == translated else f"{local} ({translated})"


def name_in_words(course: CourseOverview, state: CourseState) -> str:
    """Return what a course is called: its number before there is a name, its key where that is empty."""
    if state is CourseState.NEVER_BUILT:
        return gettext("Course %(number)s") % {"number": course.display_number_with_default}
    return course.display_name_with_default.strip() or course.id


def state_in_words(state: CourseState) -> str:
    """Return why there is no overview; '' where there is one."""
    match state:
        case CourseState.NEVER_BUILT:
            return gettext("This course is being prepared. Your place in it is safe.")
        case CourseState.DELETED:
            return gettext("This course is no longer offered.")
        case _:
            return ""


def prerequisites_in_words(names: Sequence[str]) -> str:
    """Return what is to be passed before a course can be opened; names as they are known."""
    if not names:
        return gettext("You cannot open this course before you have passed what it requires.")
    listed = ", ".join(gettext("“%(name)s”") % {"name": name} for name in names)
    sentence = ngettext(
        "You can open this course once you have passed %(names)s.",
        "You can open this course once you have passed these: %(names)s.",
        len(names),
    )
    return sentence % {"names": listed}


def access_in_words(access: Access, course: CourseOverview, names: Sequence[str]) -> str:
    """Return why a course cannot be opened; '' where it can be."""
    match access.error_code:
        case None:
            return ""
        case "course_not_started":
            return _opens_in_words(course)
        case "unfulfilled_milestones":
            return prerequisites_in_words(names)
        case code if code == AUDIT_EXPIRED:
            return ""  # when it ended is said by ``expiry_in_words``
        case _:
            return gettext("This course is not open to learners at the moment.")


def _opens_in_words(course: CourseOverview) -> str:
    if course.start is None or course.start == DEFAULT_START:
        return gettext("You can open this course once its start has been announced.")
    return gettext("You can open this course from %(date)s.") % {"date": day_in_words(course.start)}


def enrollment_in_words(course: CourseOverview, *, now: datetime) -> str:
    """Return why a course does not take everybody now; '' where it does."""
    if course.enrollment_end is not None and course.enrollment_end <= now:
        sentence = gettext("Enrollment closed on %(date)s.")
        return sentence % {"date": day_in_words(course.enrollment_end)}
    if course.invitation_only:
        return gettext("Enrollment is by invitation only.")
    if course.enrollment_start is not None and course.enrollment_start >= now:
        sentence = gettext("Enrollment opens on %(date)s.")
        return sentence % {"date": day_in_words(course.enrollment_start)}
    return ""


def facts_in_words(course: CourseOverview, *, now: datetime) -> Sequence[tuple[str, Sequence[str]]]:
    """Return what a course page lists: names and values, without those that are not known."""
    facts: Sequence[tuple[str, Sequence[str]]] = (
        (gettext("Dates"), dates_in_words(course, CourseState.AVAILABLE, now=now)),
        (gettext("Pace"), [pacing_in_words(course, CourseState.AVAILABLE)]),
        (gettext("Language"), [language_in_words(course.language)]),
        (gettext("Effort"), [plain(course.effort)]),
    )
    return [(name, values) for name, values in facts if any(values)]


def plain(text: str | None) -> str:
    """Return a text of an author without tags and surplus white space; templates escape it still."""
    return " ".join(unescape(strip_tags(text or "")).split())


def mode_in_words(mode: str) -> str:
    """Return the track of an enrolment; an unknown one as it is."""
    return gettext(_TRACKS[mode]) if mode in _TRACKS else mode


def enrolled_in_words(created: datetime | None) -> str:
    """Return when somebody enrolled; '' where that was not written down."""
    if created is None:
        return ""
    return gettext("Enrolled %(date)s") % {"date": day_in_words(created)}


def expiry_in_words(expires: datetime, *, now: datetime) -> str:
    """Return when the access of a learner who does not pay ends, or has ended."""
    sentence = (
        gettext("Your access ended on %(date)s.")
        if expires <= now
        else gettext("Your access ends on %(date)s.")
    )
    return sentence % {"date": day_in_words(expires)}


def found_in_words(page: Page[Any]) -> str:
    """Return which courses a page of the dashboard shows, out of how many."""
    count = page.paginator.count
    if not count:
        return gettext("No course matches.")
    sentence = ngettext("One course", "Courses %(first)s–%(last)s of %(count)s", count)  # noqa: RUF001
    return sentence % {"first": page.start_index(), "last": page.end_index(), "count": count}


def certificate_in_words(certificate: ShownCertificate) -> str:
    """Return what became of a certificate; '' where there is nothing to say."""
    match certificate.state:
        case CertificateState.AVAILABLE:
            return gettext("You earned a certificate.")
        case CertificateState.EARNED:
            return _earned_in_words(certificate.available_at)
        case CertificateState.BEING_MADE:
            return gettext("Your certificate is being made.")
        case CertificateState.RESTRICTED:
            return gettext("Your certificate is being withheld. Please contact support.")
        case CertificateState.NOT_PASSING:
            return gettext("No certificate: the passing grade was not reached.")
        case _:
            return ""


def _earned_in_words(available_at: datetime | None) -> str:
    if available_at is None:
        return gettext("You earned a certificate. You can see it once the course has ended.")
    sentence = gettext("You earned a certificate. You can see it from %(date)s.")
    return sentence % {"date": day_in_words(available_at)}
