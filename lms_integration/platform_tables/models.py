"""Open edX's tables of learners, enrolments, modes, certificates and what access depends on.

Names and columns are those of edx-platform (Teak); columns that no request path needs are left out.
Stand-alone, the migrations of this app make them. Beside Open edX they are the platform's, and the
setting ``OVERVIEW_PLATFORM_TABLES_EXIST`` keeps our migrations away from them.

Course keys are text without a foreign key, as in Open edX; ``overview``, ``tombstone``, ``state`` and
``projection`` are relations without a column, read with an outer join: an enrolment is never lost
because its course has no row.
"""

from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from lms_integration.fields import CourseKeyCharField
from lms_integration.models import CourseOverview, OverviewState, OverviewTombstone
from lms_integration.sql_roles import IMAGE_CONFIG_TABLE, PLATFORM_HISTORY_TABLE

#: The largest side of a thumbnail that can be configured, in pixels.
LARGEST_SIDE = 4096


def _side() -> list[Any]:
    return [MinValueValidator(1), MaxValueValidator(LARGEST_SIDE)]


def _course_relation(model: type[models.Model], *, key: str) -> Any:
    """Return a relation from ``course_id`` to one of the overview tables, absent where it has no row."""
    return models.ForeignObject(
        model,
        on_delete=models.DO_NOTHING,
        from_fields=["course_id"],
        to_fields=[key],
        null=True,
        related_name="+",
    )


class UserProfile(models.Model):
    """What a person is called; some accounts have none."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        db_column="user_id",
        related_name="profile",
    )
    name = models.CharField(max_length=255, blank=True, default="", db_index=True)

    class Meta:
        """Open edX's table name."""

        db_table = "auth_userprofile"

    def __str__(self) -> str:
        return self.name


class UserPreference(models.Model):
    """One preference of a person, such as ``pref-lang`` or ``time_zone``."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="preferences"
    )
    key = models.CharField(max_length=255, db_index=True)
    value = models.TextField()

    class Meta:
        """Open edX's table name."""

        db_table = "user_api_userpreference"
        unique_together = (("user", "key"),)

    def __str__(self) -> str:
        return f"{self.user_id} {self.key}"


class CourseEnrollment(models.Model):
    """One person in one course; kept, inactive, after unenrolling."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="enrollments"
    )
    course_id = CourseKeyCharField()
    created = models.DateTimeField(null=True, default=timezone.now, db_index=True)
    is_active = models.BooleanField(default=True)
    mode = models.CharField(max_length=100, default="audit")

    overview = _course_relation(CourseOverview, key="id")
    tombstone = _course_relation(OverviewTombstone, key="course_key")
    state = _course_relation(OverviewState, key="course_key")

    class Meta:
        """Open edX's table name; lists are read by person, or by course, newest first."""

        db_table = "student_courseenrollment"
        unique_together = (("user", "course_id"),)
        indexes = (
            models.Index(fields=["user", "created"], name="enrollment_user_created"),
            models.Index(fields=["course_id", "created"], name="enrollment_course_created"),
        )

    def __str__(self) -> str:
        return f"{self.user_id} {self.course_id}"


class CourseEnrollmentAttribute(models.Model):
    """What else an enrolment was made with, such as the provider of a credit."""

    enrollment = models.ForeignKey(
        CourseEnrollment, on_delete=models.CASCADE, related_name="attributes"
    )
    namespace = models.CharField(max_length=255)
    name = models.CharField(max_length=255)
    value = models.CharField(max_length=255)

    class Meta:
        """Open edX's table name."""

        db_table = "student_courseenrollmentattribute"

    def __str__(self) -> str:
        return f"{self.namespace}:{self.name}"


class CourseEnrollmentAllowed(models.Model):
    """An address that may enrol although the course is closed or by invitation."""

    email = models.CharField(max_length=255, db_index=True)
    course_id = CourseKeyCharField(db_index=True)
    auto_enroll = models.BooleanField(default=False)
    created = models.DateTimeField(null=True, default=timezone.now)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True)

    class Meta:
        """Open edX's table name."""

        db_table = "student_courseenrollmentallowed"
        unique_together = (("email", "course_id"),)

    def __str__(self) -> str:
        return f"{self.email} {self.course_id}"


class CourseAccessRole(models.Model):
    """A role of one person in a course, or in a whole organization where ``course_id`` is ''."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="course_access_roles"
    )
    org = models.CharField(max_length=64, db_index=True, blank=True)
    course_id = CourseKeyCharField(db_index=True, blank=True)
    role = models.CharField(max_length=64, db_index=True)

    class Meta:
        """Open edX's table name."""

        db_table = "student_courseaccessrole"
        unique_together = (("user", "org", "course_id", "role"),)

    def __str__(self) -> str:
        return f"{self.user_id} {self.role} {self.course_id or self.org}"


class CourseMode(models.Model):
    """A way to take a course: audit, verified …, with its price and its last day."""

    id = models.AutoField(primary_key=True)
    course_id = CourseKeyCharField(db_index=True)
    mode_slug = models.CharField(max_length=100)
    mode_display_name = models.CharField(max_length=255)
    min_price = models.IntegerField(default=0)
    currency = models.CharField(max_length=8, default="usd")
    expiration_datetime = models.DateTimeField(null=True, blank=True)
    expiration_date = models.DateField(null=True, blank=True)
    suggested_prices = models.CharField(max_length=255, blank=True, default="")
    description = models.TextField(null=True, blank=True)
    sku = models.CharField(max_length=255, null=True, blank=True)
    bulk_sku = models.CharField(max_length=255, null=True, blank=True)
    android_sku = models.CharField(max_length=255, null=True, blank=True)
    ios_sku = models.CharField(max_length=255, null=True, blank=True)
    expiration_datetime_is_explicit = models.BooleanField(default=False)

    class Meta:
        """Open edX's table name."""

        db_table = "course_modes_coursemode"
        unique_together = (("course_id", "mode_slug", "currency"),)

    def __str__(self) -> str:
        return f"{self.course_id} {self.mode_slug}"


class GeneratedCertificate(models.Model):
    """What became of a learner's certificate of one course."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="certificates"
    )
    course_id = CourseKeyCharField(blank=True)
    verify_uuid = models.CharField(max_length=32, blank=True, default="", db_index=True)
    download_uuid = models.CharField(max_length=32, blank=True, default="")
    download_url = models.CharField(max_length=128, blank=True, default="")
    grade = models.CharField(max_length=5, blank=True, default="")
    key = models.CharField(max_length=32, blank=True, default="")
    distinction = models.BooleanField(default=False)
    status = models.CharField(max_length=32, default="unavailable")
    mode = models.CharField(max_length=32, default="honor")
    name = models.CharField(max_length=255, blank=True)
    created_date = models.DateTimeField(default=timezone.now)
    modified_date = models.DateTimeField(auto_now=True)
    error_reason = models.CharField(max_length=512, blank=True, default="")

    class Meta:
        """Open edX's table name."""

        db_table = "certificates_generatedcertificate"
        unique_together = (("user", "course_id"),)

    def __str__(self) -> str:
        return f"{self.user_id} {self.course_id} {self.status}"


class Schedule(models.Model):
    """When a learner's own time in a course began, and until when they may upgrade."""

    enrollment = models.OneToOneField(
        CourseEnrollment, on_delete=models.CASCADE, related_name="schedule"
    )
    created = models.DateTimeField(default=timezone.now)
    modified = models.DateTimeField(auto_now=True)
    active = models.BooleanField(default=True)
    start_date = models.DateTimeField(null=True, db_index=True)
    upgrade_deadline = models.DateTimeField(null=True, blank=True, db_index=True)

    class Meta:
        """Open edX's table name."""

        db_table = "schedules_schedule"

    def __str__(self) -> str:
        return str(self.enrollment_id)


class StudentModule(models.Model):
    """Where a learner was last in a course; its state is not read."""

    module_type = models.CharField(max_length=32, db_index=True, default="problem")
    module_id = models.CharField(max_length=255)
    course_id = CourseKeyCharField()
    student = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_constraint=False, related_name="+"
    )
    created = models.DateTimeField(default=timezone.now, db_index=True)
    modified = models.DateTimeField(auto_now=True, db_index=True)

    class Meta:
        """Open edX's table name."""

        db_table = "courseware_studentmodule"
        unique_together = (("student", "module_id", "course_id"),)
        indexes = (models.Index(fields=["student", "modified"], name="studentmodule_last"),)

    def __str__(self) -> str:
        return f"{self.student_id} {self.module_id}"


class BlockCompletion(models.Model):
    """That a learner has completed a part of a course."""

    created = models.DateTimeField(default=timezone.now)
    modified = models.DateTimeField(auto_now=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="completions"
    )
    course_key = CourseKeyCharField()
    block_key = models.CharField(max_length=255)
    block_type = models.CharField(max_length=64)
    completion = models.FloatField()

    class Meta:
        """Open edX's table name."""

        db_table = "completion_blockcompletion"
        unique_together = (("course_key", "block_key", "user"),)
        indexes = (
            models.Index(fields=["user", "course_key", "modified"], name="completion_user_course"),
            # Not among the platform's own: there it is looked for in the rows of one course.
            models.Index(fields=["user", "course_key", "created"], name="completion_user_lately"),
        )

    def __str__(self) -> str:
        return f"{self.user_id} {self.block_key}"


class LastSeenCoursewareTimezone(models.Model):
    """The time zone that a learner's browser last named."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="last_seen_timezone"
    )
    timezone = models.CharField(max_length=255)
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        """Open edX's table name."""

        db_table = "courseware_lastseencoursewaretimezone"

    def __str__(self) -> str:
        return f"{self.user_id} {self.timezone}"


class Organization(models.Model):
    """A university or another provider of courses."""

    created = models.DateTimeField(default=timezone.now)
    modified = models.DateTimeField(auto_now=True)
    name = models.CharField(max_length=255, db_index=True)
    short_name = models.CharField(max_length=255, db_index=True, unique=True)
    description = models.TextField(null=True, blank=True)
    logo = models.CharField(max_length=255, blank=True, default="")
    active = models.BooleanField(default=True)

    class Meta:
        """Open edX's table name."""

        db_table = "organizations_organization"

    def __str__(self) -> str:
        return self.short_name


class OrganizationCourse(models.Model):
    """That a course is an organization's."""

    created = models.DateTimeField(default=timezone.now)
    modified = models.DateTimeField(auto_now=True)
    course_id = CourseKeyCharField(db_index=True)
    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="organization_courses"
    )
    active = models.BooleanField(default=True)

    class Meta:
        """Open edX's table name."""

        db_table = "organizations_organizationcourse"
        unique_together = (("course_id", "organization"),)

    def __str__(self) -> str:
        return f"{self.organization_id} {self.course_id}"


class MilestoneRelationshipType(models.Model):
    """How a course stands to a milestone: it ``requires`` it, or ``fulfills`` it."""

    created = models.DateTimeField(default=timezone.now)
    modified = models.DateTimeField(auto_now=True)
    name = models.CharField(max_length=25, db_index=True, unique=True)
    description = models.TextField(blank=True, default="")
    active = models.BooleanField(default=True)

    class Meta:
        """Open edX's table name."""

        db_table = "milestones_milestonerelationshiptype"

    def __str__(self) -> str:
        return self.name


class Milestone(models.Model):
    """Something to be reached, such as passing a course; ``namespace`` names that course."""

    created = models.DateTimeField(default=timezone.now)
    modified = models.DateTimeField(auto_now=True)
    namespace = models.CharField(max_length=255, db_index=True)
    name = models.CharField(max_length=255, db_index=True)
    display_name = models.CharField(max_length=255, blank=True, default="")
    description = models.TextField(blank=True, default="")
    active = models.BooleanField(default=True, db_index=True)

    class Meta:
        """Open edX's table name."""

        db_table = "milestones_milestone"
        unique_together = (("namespace", "name"),)

    def __str__(self) -> str:
        return self.name


class CourseMilestone(models.Model):
    """That a course requires or fulfills a milestone."""

    created = models.DateTimeField(default=timezone.now)
    modified = models.DateTimeField(auto_now=True)
    course_id = CourseKeyCharField(db_index=True)
    milestone = models.ForeignKey(
        Milestone, on_delete=models.CASCADE, related_name="course_milestones"
    )
    milestone_relationship_type = models.ForeignKey(
        MilestoneRelationshipType, on_delete=models.CASCADE, related_name="+"
    )
    active = models.BooleanField(default=True, db_index=True)

    class Meta:
        """Open edX's table name."""

        db_table = "milestones_coursemilestone"
        unique_together = (("course_id", "milestone"),)

    def __str__(self) -> str:
        return f"{self.course_id} {self.milestone_id}"


class UserMilestone(models.Model):
    """That a learner has reached a milestone."""

    created = models.DateTimeField(default=timezone.now)
    modified = models.DateTimeField(auto_now=True)
    user_id = models.IntegerField(db_index=True)
    milestone = models.ForeignKey(
        Milestone, on_delete=models.CASCADE, related_name="user_milestones"
    )
    source = models.TextField(blank=True, default="")
    collected = models.DateTimeField(null=True, blank=True)
    active = models.BooleanField(default=True, db_index=True)

    class Meta:
        """Open edX's table name."""

        db_table = "milestones_usermilestone"
        unique_together = (("user_id", "milestone"),)

    def __str__(self) -> str:
        return f"{self.user_id} {self.milestone_id}"


class MobileConfig(models.Model):
    """One value that the mobile apps are configured with."""

    created = models.DateTimeField(default=timezone.now)
    modified = models.DateTimeField(auto_now=True)
    name = models.CharField(max_length=255, unique=True)
    value = models.CharField(max_length=1000)

    class Meta:
        """Open edX's table name."""

        db_table = "mobile_api_mobileconfig"

    def __str__(self) -> str:
        return self.name


class HistoricalCourseOverview(models.Model):
    """One overview row as it once was; django-simple-history's table in Open edX.

    Written by the rebuild where ``OVERVIEW_WRITE_PLATFORM_HISTORY`` is on, and by nobody else.
    """

    id = CourseKeyCharField(db_index=True)
    created = models.DateTimeField()
    modified = models.DateTimeField()
    version = models.IntegerField()
    location = models.CharField(max_length=255, db_column="_location")
    org = models.TextField()
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
    certificates_show_before_end = models.BooleanField()
    cert_html_view_enabled = models.BooleanField()
    has_any_active_web_certificate = models.BooleanField()
    cert_name_short = models.TextField()
    cert_name_long = models.TextField()
    certificate_available_date = models.DateTimeField(null=True)
    lowest_passing_grade = models.DecimalField(max_digits=5, decimal_places=2, null=True)
    days_early_for_beta = models.FloatField(null=True)
    mobile_available = models.BooleanField()
    visible_to_staff_only = models.BooleanField()
    pre_requisite_courses_json = models.TextField(db_column="_pre_requisite_courses_json")
    enrollment_start = models.DateTimeField(null=True)
    enrollment_end = models.DateTimeField(null=True)
    enrollment_domain = models.TextField(null=True)
    invitation_only = models.BooleanField()
    max_student_enrollments_allowed = models.IntegerField(null=True)
    catalog_visibility = models.TextField(null=True)
    short_description = models.TextField(null=True)
    effort = models.TextField(null=True)
    course_video_url = models.TextField(null=True)
    self_paced = models.BooleanField()
    marketing_url = models.TextField(null=True)
    eligible_for_financial_aid = models.BooleanField()
    has_highlights = models.BooleanField(null=True)
    enable_proctored_exams = models.BooleanField()
    allow_proctoring_opt_out = models.BooleanField()
    proctoring_provider = models.TextField(null=True)
    proctoring_escalation_email = models.TextField(null=True)
    entrance_exam_enabled = models.BooleanField()
    entrance_exam_id = models.CharField(max_length=255)
    entrance_exam_minimum_score_pct = models.FloatField()
    force_on_flexible_peer_openassessments = models.BooleanField()
    external_id = models.CharField(max_length=128, null=True)
    language = models.TextField(null=True)
    history_id = models.AutoField(primary_key=True)
    history_date = models.DateTimeField()
    history_change_reason = models.CharField(max_length=100, null=True)
    history_type = models.CharField(max_length=1)  #: '+' created, '~' changed, '-' deleted
    history_user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        """Open edX's table name."""

        db_table = PLATFORM_HISTORY_TABLE

    def __str__(self) -> str:
        return f"{self.id} {self.history_type} {self.history_date}"


class CourseOverviewImageConfig(models.Model):
    """Whether courses get thumbnails of their images, and of which sizes.

    A ``ConfigurationModel`` of Open edX: a change is another row, and the newest one counts. Changing it
    rebuilds what it affects, which it does not in Open edX.
    """

    change_date = models.DateTimeField(auto_now_add=True)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, editable=False
    )
    enabled = models.BooleanField(default=False)
    small_width = models.IntegerField(default=375, validators=_side())
    small_height = models.IntegerField(default=200, validators=_side())
    large_width = models.IntegerField(default=750, validators=_side())
    large_height = models.IntegerField(default=400, validators=_side())

    class Meta:
        """Open edX's table name."""

        db_table = IMAGE_CONFIG_TABLE
        verbose_name = "course image configuration"

    def __str__(self) -> str:
        sizes = f"{self.small_width}x{self.small_height} {self.large_width}x{self.large_height}"
        return f"{'on' if self.enabled else 'off'}, {sizes}"
