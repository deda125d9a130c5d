"""What became of a learner's certificate, in one word; the rules are Open edX's dashboard's.

Source: ``common/djangoapps/student/helpers.py`` (``cert_info``) of edx-platform, as observed in its
recorded answers. Does no I/O and reads no clock.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lms_integration.learners.certificates import certificates_are_shown
from lms_integration.models import CourseOverview
from lms_integration.platform_tables.models import GeneratedCertificate

#: ``status`` of certificates that a learner has passed for.
_PASSING = frozenset({"downloadable", "generating"})
_NOT_PASSING = frozenset({"notpassing", "audit_notpassing"})
_END, _END_WITH_DATE = "end", "end_with_date"


class CertificateState(StrEnum):
    """What a learner sees of a certificate."""

    NONE = "none"
    NOT_PASSING = "not_passing"
    BEING_MADE = "being_made"
    EARNED = "earned"  #: passed; to be seen later
    AVAILABLE = "available"
    RESTRICTED = "restricted"  #: withheld by the site


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownCertificate:
    """A certificate as a learner sees it."""

    state: CertificateState
    page_url: str | None = None  #: path of its web page
    file_url: str | None = None  #: absolute URL of its file
    available_at: datetime | None = None  #: from when certificates of the course are shown

    @property
    def is_earned(self) -> bool:
        """Whether the learner has passed, and may see so now or later."""
        return self.state in (CertificateState.EARNED, CertificateState.AVAILABLE)

    @property
    def url(self) -> str | None:
        """Where it is to be seen."""
        return self.page_url or self.file_url


def shown_certificate(
    certificate: GeneratedCertificate | None,
    course: CourseOverview,
    *,
    now: datetime,
    html_pages: bool,
) -> ShownCertificate:
    """Return what a learner sees of a certificate; ``html_pages`` as in ``certificate_url``."""
    available_at = available_date(course)
    if certificate is None:
        return ShownCertificate(state=CertificateState.NONE, available_at=available_at)
    if certificate.status in _PASSING and not certificates_are_shown(course, now=now):
        return ShownCertificate(state=CertificateState.EARNED, available_at=available_at)
    page_url, file_url = _addresses(certificate, course, html_pages=html_pages)
    return ShownCertificate(
        state=_state(certificate.status, has_address=bool(page_url or file_url)),
        page_url=page_url,
        file_url=file_url,
        available_at=available_at,
    )


def available_date(course: CourseOverview) -> datetime | None:
    """Return from when certificates of a course are shown, where that is a date."""
    if course.certificates_display_behavior == _END_WITH_DATE:
        return course.certificate_available_date
    return course.end if course.certificates_display_behavior == _END else None


def _state(status: str, *, has_address: bool) -> CertificateState:
    if status == "downloadable":
        return CertificateState.AVAILABLE if has_address else CertificateState.NONE
    if status == "generating":
        return CertificateState.BEING_MADE
    if status == "restricted":
        return CertificateState.RESTRICTED
    return CertificateState.NOT_PASSING if status in _NOT_PASSING else CertificateState.NONE


def _addresses(
    certificate: GeneratedCertificate, course: CourseOverview, *, html_pages: bool
) -> tuple[str | None, str | None]:
    """Return the page, else the file: a course without an active web certificate has no page."""
    if certificate.status != "downloadable":
        return None, None
    has_page = html_pages and course.cert_html_view_enabled and certificate.verify_uuid
    if has_page and course.has_any_active_web_certificate:
        return f"/certificates/{certificate.verify_uuid}", None
    return None, certificate.download_url or None
