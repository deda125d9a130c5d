"""When a certificate is shown, and where it is."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from lms_integration.learners.certificates import certificate_url, certificates_are_shown

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PAST, FUTURE = NOW - timedelta(days=1), NOW + timedelta(days=1)


@dataclass(kw_only=True)
class Course:
    end: datetime | None = None
    self_paced: bool = False
    certificates_show_before_end: bool = False
    certificates_display_behavior: str | None = "end"
    certificate_available_date: datetime | None = None
    cert_html_view_enabled: bool = True


@dataclass(kw_only=True)
class Certificate:
    status: str = "downloadable"
    verify_uuid: str = "abc"
    download_url: str = ""


SHOWN = Course(self_paced=True)


@pytest.mark.parametrize(
    ("course", "are_shown"),
    [
        (Course(), False),
        (Course(end=PAST), True),
        (Course(end=FUTURE), False),
        (Course(end=FUTURE, self_paced=True), True),
        (Course(end=FUTURE, certificates_show_before_end=True), True),
        (Course(end=FUTURE, certificates_display_behavior="early_no_info"), True),
        (Course(end=PAST, certificates_display_behavior="end_with_date"), False),
        (
            Course(certificates_display_behavior="end_with_date", certificate_available_date=PAST),
            True,
        ),
        (
            Course(
                end=PAST,
                certificates_display_behavior="end_with_date",
                certificate_available_date=FUTURE,
            ),
            False,
        ),
        (Course(end=FUTURE, certificate_available_date=PAST), False),
        (Course(end=PAST, certificates_display_behavior=None), False),
    ],
)
def test_certificates_are_shown_when_the_course_says_so(course: Course, are_shown: bool) -> None:
    assert certificates_are_shown(course, now=NOW) is are_shown


def test_a_certificate_has_a_page() -> None:
    assert certificate_url(Certificate(), SHOWN, now=NOW) == "/certificates/abc"


def test_a_stored_file_comes_before_the_page() -> None:
    certificate = Certificate(download_url="https://files.example.org/a.pdf")

    assert certificate_url(certificate, SHOWN, now=NOW, html_pages=False) == (
        "https://files.example.org/a.pdf"
    )


@pytest.mark.parametrize(
    "status", ["notpassing", "audit_passing", "generating", "unverified", "unavailable", "error"]
)
def test_only_a_downloadable_certificate_is_shown(status: str) -> None:
    assert certificate_url(Certificate(status=status), SHOWN, now=NOW) is None


def test_there_is_no_address_where_there_is_nothing() -> None:
    assert certificate_url(None, SHOWN, now=NOW) is None
    assert certificate_url(Certificate(verify_uuid=""), SHOWN, now=NOW) is None
    assert certificate_url(Certificate(), Course(), now=NOW) is None
    assert certificate_url(Certificate(), SHOWN, now=NOW, html_pages=False) is None
    without_pages = Course(self_paced=True, cert_html_view_enabled=False)
    assert certificate_url(Certificate(), without_pages, now=NOW) is None
