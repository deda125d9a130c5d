"""What one course overview holds, as plain values: the row, its tabs, images and projection.

Field names are the column names of Open edX's ``course_overviews_*`` tables
(``openedx/core/djangoapps/content/course_overviews/models.py``) and of our ``overview_projection``.
Does no I/O and knows no framework.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

#: ``CourseOverview.VERSION`` of the Open edX release whose columns these are (Teak).
COURSE_OVERVIEW_VERSION = 19
#: ``start`` of a course whose author has set none, which readers show as "not set".
DEFAULT_START = datetime(2030, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseOverviewData:
    """The columns of ``course_overviews_courseoverview`` that derive from the published course.

    Datetimes are aware and in UTC. Catalog-owned columns (``marketing_url``,
    ``eligible_for_financial_aid``, ``external_id``), the dead ``start_date`` and ``end_date``, and
    ``created``/``modified`` are not here: a rebuild never writes them.
    """

    id: str
    version: int
    location: str  #: column ``_location``: the usage key of the course's root block
    org: str
    display_name: str | None
    display_number_with_default: str
    display_org_with_default: str
    start: datetime | None
    end: datetime | None
    advertised_start: str | None
    announcement: datetime | None
    banner_image_url: str
    course_image_url: str
    social_sharing_url: str | None
    end_of_course_survey_url: str | None
    certificates_display_behavior: str | None
    certificates_show_before_end: bool
    cert_html_view_enabled: bool
    has_any_active_web_certificate: bool
    cert_name_short: str
    cert_name_long: str
    certificate_available_date: datetime | None
    lowest_passing_grade: Decimal | None
    days_early_for_beta: float | None
    mobile_available: bool
    visible_to_staff_only: bool
    pre_requisite_courses_json: str  #: column ``_pre_requisite_courses_json``
    enrollment_start: datetime | None
    enrollment_end: datetime | None
    enrollment_domain: str | None
    invitation_only: bool
    max_student_enrollments_allowed: int | None
    catalog_visibility: str | None
    short_description: str | None
    effort: str | None
    course_video_url: str | None
    self_paced: bool
    has_highlights: bool | None
    enable_proctored_exams: bool
    allow_proctoring_opt_out: bool
    proctoring_provider: str | None
    proctoring_escalation_email: str | None
    entrance_exam_enabled: bool
    entrance_exam_id: str
    entrance_exam_minimum_score_pct: float
    force_on_flexible_peer_openassessments: bool
    language: str | None  #: written only where the catalog does not own the column


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseOverviewTabData:
    """One row of ``course_overviews_courseoverviewtab``, without its own id and course."""

    tab_id: str
    type: str | None
    name: str | None
    course_staff_only: bool
    url_slug: str | None
    link: str | None
    is_hidden: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseOverviewImageSetData:
    """One row of ``course_overviews_courseoverviewimageset``: '' where there is no thumbnail."""

    small_url: str
    large_url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseOverviewListingData:
    """The columns of ``overview_projection`` that course lists filter, order and count by.

    All of them follow from the overview row: see ``listing.listing_of``.
    """

    course_key: str
    sort_key: str  #: the key again, in the collation by which Open edX orders its lists
    org: str
    start: datetime | None
    end: datetime | None
    enrollment_start: datetime | None
    enrollment_end: datetime | None
    invitation_only: bool
    visible_to_staff_only: bool
    mobile_available: bool
    catalog_visibility: str | None  #: cut to its column, which no value with a meaning reaches
    days_early_for_beta: float | None
    self_paced: bool
    enrollment_domain: str | None
    max_student_enrollments_allowed: int | None
    search_text: str  #: what a search looks through, cut to a bounded length


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseOverviewProjectionData:
    """What Open edX asks MongoDB for beside the overview row: eleven fields and the about page.

    Defaults are those of Open edX's ``CourseFields`` (``xmodule/course_block.py``) and
    ``InheritanceMixin``; they stand where nothing was projected yet.
    """

    allow_public_wiki_access: bool = False
    textbooks: list[Any] = field(default_factory=list)  #: ``[[title, address], …]``
    pdf_textbooks: list[Any] = field(default_factory=list)
    html_textbooks: list[Any] = field(default_factory=list)
    hide_progress_tab: bool | None = None
    edxnotes: bool = False
    enable_ccx: bool = False
    course_visibility: str | None = "private"
    teams_enabled: bool = False
    show_calculator: bool = False
    edxnotes_visibility: bool = True
    overview_html: str | None = None  #: of the ``about/overview`` block, None without one


@dataclass(frozen=True, kw_only=True, slots=True)
class Textbook:
    """One entry of ``textbooks``; values are as the author has stored them."""

    title: Any
    book_url: Any
