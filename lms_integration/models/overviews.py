"""Open edX's overview tables as they are, and the projection beside each row.

Names, columns, types and nullability of the first three are those of edx-platform (Teak,
``CourseOverview.VERSION`` 19); only the key columns have a binary collation.
"""

from django.db import models

from lms_integration.course_keys import COURSE_KEY_MAX_LENGTH
from lms_integration.data import COURSE_OVERVIEW_VERSION
from lms_integration.fields import (
    ByteByByteCharField,
    CourseKeyCharField,
    IgnoringCaseCharField,
    IgnoringCaseTextField,
)
from lms_integration.listing import CATALOG_VISIBILITY_LENGTH
from lms_integration.overview_properties import OverviewProperties
from lms_integration.overview_reads import OverviewReads


class CourseOverview(OverviewReads, OverviewProperties):
    """What learner-facing pages need of one course, built from its published branch."""

    #: The schema that rows are built for; readers serve older rows as they are.
    VERSION = COURSE_OVERVIEW_VERSION

    created = models.DateTimeField(auto_now_add=True)
    modified = models.DateTimeField(auto_now=True)
    version = models.IntegerField()
    id = CourseKeyCharField(primary_key=True)
    location = models.CharField(max_length=255, db_column="_location")
    org = models.TextField(max_length=255, default="outdated_entry")
    display_name = models.TextField(null=True)
    display_number_with_default = models.TextField()
    display_org_with_default = models.TextField()
    start = models.DateTimeField(null=True)
    end = models.DateTimeField(null=True)
    start_date = models.DateTimeField(null=True)
    end_date = models.DateTimeField(null=True)
    advertised_start = models.TextField(null=True)
    announcement = models.DateTimeField(null=True)
    banner_image_url = models.TextField()
    course_image_url = models.TextField()
    social_sharing_url = models.TextField(null=True)
    end_of_course_survey_url = models.TextField(null=True)
    certificates_display_behavior = models.TextField(null=True)
    certificates_show_before_end = models.BooleanField(default=False)
    cert_html_view_enabled = models.BooleanField(default=False)
    has_any_active_web_certificate = models.BooleanField(default=False)
    cert_name_short = models.TextField()
    cert_name_long = models.TextField()
    certificate_available_date = models.DateTimeField(null=True)
    lowest_passing_grade = models.DecimalField(max_digits=5, decimal_places=2, null=True)
    days_early_for_beta = models.FloatField(null=True)
    mobile_available = models.BooleanField(default=False)
    visible_to_staff_only = models.BooleanField(default=False)
    pre_requisite_courses_json = models.TextField(db_column="_pre_requisite_courses_json")
    enrollment_start = models.DateTimeField(null=True)
    enrollment_end = models.DateTimeField(null=True)
    enrollment_domain = models.TextField(null=True)
    invitation_only = models.BooleanField(default=False)
    max_student_enrollments_allowed = models.IntegerField(null=True)
    catalog_visibility = models.TextField(null=True)
    short_description = models.TextField(null=True)
    effort = models.TextField(null=True)
    course_video_url = models.TextField(null=True)
    self_paced = models.BooleanField(default=False)
    marketing_url = models.TextField(null=True)
    eligible_for_financial_aid = models.BooleanField(default=True)
    has_highlights = models.BooleanField(null=True)
    enable_proctored_exams = models.BooleanField(default=False)
    allow_proctoring_opt_out = models.BooleanField(default=False)
    proctoring_provider = models.TextField(null=True)
    proctoring_escalation_email = models.TextField(null=True)
    entrance_exam_enabled = models.BooleanField(default=False)
    entrance_exam_id = models.CharField(max_length=255, blank=True)
    entrance_exam_minimum_score_pct = models.FloatField(default=0.65)
    force_on_flexible_peer_openassessments = models.BooleanField(default=False)
    external_id = models.CharField(max_length=128, null=True, blank=True)
    language = models.TextField(null=True)
    #: What ours holds beside the row. Joined by the key: Open edX's table has no column for it.
    projection: "models.ForeignObject[OverviewProjection | None, OverviewProjection | None]" = (
        models.ForeignObject(
            "OverviewProjection",
            on_delete=models.DO_NOTHING,
            from_fields=["id"],
            to_fields=["course_key"],
            related_name="+",
            null=True,
            editable=False,
            serialize=False,
        )
    )

    class Meta:
        """Open edX's table name."""

        db_table = "course_overviews_courseoverview"

    def __str__(self) -> str:
        return self.id


class CourseOverviewTab(models.Model):
    """One tab of a course, in the order of its id."""

    id = models.AutoField(primary_key=True)
    tab_id = models.CharField(max_length=50)
    course_overview = models.ForeignKey(
        CourseOverview, on_delete=models.CASCADE, related_name="tab_set"
    )
    type = models.CharField(max_length=50, null=True)
    name = models.TextField(null=True)
    course_staff_only = models.BooleanField(default=False)
    url_slug = models.TextField(null=True)
    link = models.TextField(null=True)
    is_hidden = models.BooleanField(default=False)

    class Meta:
        """Open edX's table name."""

        db_table = "course_overviews_courseoverviewtab"

    def __str__(self) -> str:
        return f"{self.course_overview_id} {self.tab_id}"


class CourseOverviewImageSet(models.Model):
    """The thumbnails of a course's image; '' where there is none."""

    id = models.AutoField(primary_key=True)
    created = models.DateTimeField(auto_now_add=True)
    modified = models.DateTimeField(auto_now=True)
    course_overview = models.OneToOneField(
        CourseOverview, on_delete=models.CASCADE, related_name="image_set"
    )
    small_url = models.TextField(blank=True, default="")
    large_url = models.TextField(blank=True, default="")

    class Meta:
        """Open edX's table name."""

        db_table = "course_overviews_courseoverviewimageset"

    def __str__(self) -> str:
        return self.course_overview_id


class OverviewProjection(models.Model):
    """One row beside each overview row: what course lists are made of, and what Open edX asks MongoDB.

    Written in the same transaction as the overview; removed when the course is deleted.
    """

    course_key = CourseKeyCharField(primary_key=True)
    # Listing columns: copies of the overview row's, so that lists filter, order and count by indexes.
    #: The key again: lists are ``ORDER BY sort_key, course_key``, as Open edX's are by its collation.
    sort_key = IgnoringCaseCharField(max_length=COURSE_KEY_MAX_LENGTH)
    org = IgnoringCaseCharField(max_length=COURSE_KEY_MAX_LENGTH)
    start = models.DateTimeField(null=True)
    end = models.DateTimeField(null=True)
    enrollment_start = models.DateTimeField(null=True)
    enrollment_end = models.DateTimeField(null=True)
    invitation_only = models.BooleanField(default=False)
    visible_to_staff_only = models.BooleanField(default=False)
    mobile_available = models.BooleanField(default=False)
    catalog_visibility = ByteByByteCharField(max_length=CATALOG_VISIBILITY_LENGTH, null=True)
    days_early_for_beta = models.FloatField(null=True)
    self_paced = models.BooleanField(default=False)
    enrollment_domain = models.TextField(null=True)
    max_student_enrollments_allowed = models.IntegerField(null=True)
    search_text = IgnoringCaseTextField()
    # Fields of the course that have no column in Open edX's table.
    allow_public_wiki_access = models.BooleanField(default=False)
    textbooks = models.JSONField(default=list)
    pdf_textbooks = models.JSONField(default=list)
    html_textbooks = models.JSONField(default=list)
    hide_progress_tab = models.BooleanField(null=True)
    edxnotes = models.BooleanField(default=False)
    enable_ccx = models.BooleanField(default=False)
    course_visibility = models.TextField(null=True, default="private")
    teams_enabled = models.BooleanField(default=False)
    show_calculator = models.BooleanField(default=False)
    edxnotes_visibility = models.BooleanField(default=True)
    #: The about page's HTML, easily larger than all other columns; defer it unless it is shown.
    overview_html = models.TextField(null=True)

    class Meta:
        """Ours; the first index alone answers a page of the public list, the last how many there are."""

        db_table = "overview_projection"
        indexes = (
            models.Index(
                fields=[
                    "sort_key",
                    "course_key",
                    "visible_to_staff_only",
                    "catalog_visibility",
                    "invitation_only",
                    "enrollment_start",
                    "enrollment_end",
                    "start",
                    "end",
                    "mobile_available",
                ],
                name="overview_projection_sort",
            ),
            models.Index(fields=["org", "sort_key"], name="overview_projection_org"),
            models.Index(
                fields=[
                    "visible_to_staff_only",
                    "catalog_visibility",
                    "invitation_only",
                    "enrollment_start",
                    "enrollment_end",
                    "start",
                    "end",
                    "mobile_available",
                ],
                name="overview_projection_count",
            ),
        )

    def __str__(self) -> str:
        return self.course_key
