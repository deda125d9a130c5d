"""Whether a learner may see a certificate yet, and where it is.

Source of the rules: ``lms/djangoapps/certificates/api.py`` of edx-platform, as observed in its recorded
answers. Only ``certificates_by_course`` reads the database.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Protocol

from lms_integration.platform_tables.models import GeneratedCertificate
from lms_integration.prepared_queries import PreparedQuery, number, padded, texts

#: ``status`` of a certificate that was made and may be shown.
DOWNLOADABLE = "downloadable"


class CertificateFacts(Protocol):
    """What of an overview decides on certificates; a ``CourseOverview`` has it all."""

    end: datetime | None
    self_paced: bool
    certificates_show_before_end: bool
    certificates_display_behavior: str | None
    certificate_available_date: datetime | None
    cert_html_view_enabled: bool


class Certificate(Protocol):
    """What became of a learner's certificate; a ``GeneratedCertificate`` has it all."""

    @property
    def status(self) -> str:
        """What became of it."""

    @property
    def verify_uuid(self) -> str:
        """What its page is called; '' where it has none."""

    @property
    def download_url(self) -> str:
        """Where its file is; '' where it has none."""


#: Overview columns that the rules read.
OVERVIEW_COLUMNS = (
    "end",
    "self_paced",
    "certificates_show_before_end",
    "certificates_display_behavior",
    "certificate_available_date",
    "cert_html_view_enabled",
)


def certificates_by_course(
    user_id: int, course_ids: Iterable[str]
) -> Mapping[str, GeneratedCertificate]:
    """Return a learner's certificates of these courses, whatever became of them: at most one query."""
    keys = list(course_ids)
    if not keys:
        return {}
    asked = padded(keys)
    rows = _certificates_of(len(asked)).rows(user_id=user_id, course_ids=asked)
    return {row.course_id: row for row in rows}


@lru_cache(maxsize=128)
def _certificates_of(count: int) -> PreparedQuery[GeneratedCertificate]:
    """Return the query of a learner's certificates of so many courses."""
    return PreparedQuery(
        lambda: GeneratedCertificate.objects.filter(
            user_id=number("user_id"), course_id__in=texts("course_ids", count)
        ).only("course_id", "status", "mode", "verify_uuid", "download_url", "grade")
    )


def certificates_are_shown(course: CertificateFacts, *, now: datetime) -> bool:
    """Return whether a course shows its certificates by now."""
    if course.self_paced or course.certificates_show_before_end:
        return True
    match course.certificates_display_behavior:
        case "early_no_info":
            return True
        case "end":
            return course.end is not None and now > course.end
        case "end_with_date":
            return (
                course.certificate_available_date is not None
                and now >= course.certificate_available_date
            )
        case _:
            return False


def certificate_url(
    certificate: Certificate | None,
    course: CertificateFacts,
    *,
    now: datetime,
    html_pages: bool = True,
) -> str | None:
    """Return where a learner's certificate is, once it may be seen; a path of this site, or a URL.

    ``html_pages`` is ``FEATURES['CERTIFICATES_HTML_VIEW']``; without pages only a stored file has an
    address. Open edX then gives the address of the answer itself.
    """
    if certificate is None or certificate.status != DOWNLOADABLE:
        return None
    if not certificates_are_shown(course, now=now):
        return None
    if certificate.download_url:
        return certificate.download_url
    if html_pages and course.cert_html_view_enabled and certificate.verify_uuid:
        return f"/certificates/{certificate.verify_uuid}"
    return None
