"""The tables: Open edX's overview tables as they are, and the pipeline's own beside them.

Names, columns, types and nullability of the first three are those of edx-platform (Teak,
``CourseOverview.VERSION`` 19); only the key columns have a binary collation. Who writes what:
``overview_worker.store`` the overviews, projections, states and tombstones;
``lms_integration.marks`` the marks.
"""

import uuid

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
from lms_integration.log_lines import one_line
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


#: A dirty course whose next attempt is further away than that is held back: it waits for a person.
HELD_BACK_SECONDS = 600


class OverviewMark(models.Model):
    """The durable to-do list: a course is *dirty* while ``wanted`` is above ``done``.

    Hot and small: publishers upsert it, and a rebuild locks it with its last statement only.
    """

    course_key = CourseKeyCharField(primary_key=True)
    #: Counts the marks: one more for each publish, delete or request.
    wanted = models.PositiveBigIntegerField(default=0)
    #: The value of ``wanted`` that the newest finished rebuild had seen before it read the source.
    done = models.PositiveBigIntegerField(default=0)
    #: Published structure named by the newest announcement; '' announces a delete, NULL is unknown.
    announced_version = models.CharField(max_length=24, null=True)
    #: When the course index was updated to the announced version; NULL is unknown.
    announced_at = models.DateTimeField(null=True)
    #: Since when the course is dirty, by the database's clock; NULL while it is clean.
    dirty_since = models.DateTimeField(null=True)
    #: Since when the oldest publish or delete waits that no rebuild has answered; NULL without one.
    published_since = models.DateTimeField(null=True)
    #: Whether the newest event of a publish or delete was a delete, with or without a time; NULL where
    #: there was none since the course was clean.
    delete_announced = models.BooleanField(null=True)
    #: The next rebuild writes row, tabs and projection even where they are what the state remembers.
    rewrite = models.BooleanField(default=False, db_default=False)
    #: Failed or early attempts since the newest finished rebuild or mark.
    attempts = models.PositiveIntegerField(default=0)
    #: Not to be enqueued by the sweeper before this time; NULL means at once.
    next_attempt_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=500, default="", blank=True)
    last_event_id = models.CharField(max_length=64, default="", blank=True)
    last_event_type = models.CharField(max_length=100, default="", blank=True)
    last_event_at = models.DateTimeField(null=True)

    class Meta:
        """Ours; dirty marks are found through ``dirty_since``."""

        db_table = "overview_mark"
        indexes = (models.Index(fields=["dirty_since"], name="overview_mark_dirty"),)

    def __str__(self) -> str:
        return f"{self.course_key} {self.done}/{self.wanted}"


class OverviewState(models.Model):
    """What a course's row was built from, and the row that a rebuild locks; never hard-deleted."""

    course_key = CourseKeyCharField(primary_key=True)
    #: Published structure that was *read* for the row, never the one that an event announced.
    source_version = models.CharField(max_length=24, default="", blank=True)
    source_updated_at = models.DateTimeField(null=True)
    #: ``overview_worker.rebuild.BUILDER_VERSION`` that built the row.
    builder_version = models.PositiveIntegerField(default=0)
    #: ``CourseOverview.VERSION`` that the row was built for.
    schema_version = models.PositiveIntegerField(default=0)
    content_hash = models.CharField(max_length=64, default="", blank=True)
    tabs_hash = models.CharField(max_length=64, default="", blank=True)
    #: '' also for rows that were built before there were projections. The default is the database's
    #: too, for workers of the release before that still make states while this one is rolled out.
    projection_hash = models.CharField(max_length=64, default="", db_default="", blank=True)
    deleted = models.BooleanField(default=False)
    #: A short digest of each column that was written last, one after the other, so that a rebuild
    #: can tell which ones it changes; '' for a course without a row.
    column_digests = models.CharField(max_length=1000, default="", db_default="", blank=True)
    #: Counts the real changes of the row, its tabs and its projection: writes and deletes, not
    #: unchanged rebuilds.
    row_seq = models.PositiveBigIntegerField(default=0)
    #: Counts the rebuild records of the course, also those that are no longer kept.
    record_seq = models.PositiveBigIntegerField(default=0, db_default=0)
    built_at = models.DateTimeField(null=True)
    verified_at = models.DateTimeField(null=True)
    #: Fields whose stored value was bad and that took their default: field, value, reason.
    degradations = models.JSONField(default=list)
    #: Why the newest published version could not be built; NULL while it could.
    fault = models.TextField(null=True)

    class Meta:
        """Ours."""

        db_table = "overview_state"

    def __str__(self) -> str:
        return f"{self.course_key} {self.source_version}"


class RecordedOutcome(models.TextChoices):
    """How a rebuild ended of which a record is kept."""

    CREATED = "created", "created: the course had no row"
    WRITTEN = "written", "written: something changed"
    DELETED = "deleted", "deleted: the course had left the index"
    FAULTY = "faulty", "faulty: the last good row was kept"


class RebuildRecord(models.Model):
    """What one rebuild that changed something, or failed for good, has read, done and taken.

    A ring: the last few of each course, written in the transaction of the change itself. Rebuilds
    that change nothing leave none, and neither do those that were put off; how often that happened
    before is in ``attempts``.
    """

    pk = models.CompositePrimaryKey("course_key", "slot")
    course_key = CourseKeyCharField()
    slot = models.PositiveSmallIntegerField()  #: place in the ring
    sequence = models.PositiveBigIntegerField()  #: 1 for the first record ever made of the course
    recorded_at = models.DateTimeField()  #: by the database's clock
    outcome = models.CharField(max_length=20, choices=RecordedOutcome.choices)
    source_version = models.CharField(max_length=24, default="", blank=True)  #: that was read
    source_updated_at = models.DateTimeField(null=True)
    builder_version = models.PositiveIntegerField(default=0)
    row_seq = models.PositiveBigIntegerField(default=0)  #: of the row after it
    #: The event that marked the course last before the rebuild read it.
    event_id = models.CharField(max_length=64, default="", blank=True)
    event_type = models.CharField(max_length=100, default="", blank=True)
    event_at = models.DateTimeField(null=True)
    #: Attempts before this one that came to nothing, and why the last of them did.
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=500, default="", blank=True)
    waited_ms = models.FloatField(default=0.0)  #: from the first mark until the lock was taken
    read_ms = models.FloatField(default=0.0)
    build_ms = models.FloatField(default=0.0)
    write_ms = models.FloatField(default=0.0)  #: until this record, without the commit
    course_count = models.PositiveIntegerField(default=1)  #: courses that were read together
    #: ``{column: its new value, cut short}``; NULL where that is not known.
    changed_columns = models.JSONField(null=True)
    error = models.CharField(max_length=500, default="", blank=True)
    worker = models.CharField(max_length=100, default="", blank=True)  #: host and process

    class Meta:
        """Ours; read by course."""

        db_table = "overview_rebuild_record"

    def __str__(self) -> str:
        return f"{self.course_key} {self.sequence} {self.outcome}"


class OverviewTombstone(models.Model):
    """What stays readable of a deleted course, for certificates and enrolment lists."""

    course_key = CourseKeyCharField(primary_key=True)
    display_name = models.TextField(null=True)
    display_org_with_default = models.TextField()
    display_number_with_default = models.TextField()
    course_image_url = models.TextField()
    start = models.DateTimeField(null=True)
    end = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField()

    class Meta:
        """Ours."""

        db_table = "overview_tombstone"

    def __str__(self) -> str:
        return self.course_key


class DeadLetterOrigin(models.TextChoices):
    """Where a message or a course went wrong."""

    INTAKE = "intake", "intake: the event could not be read"
    REBUILD = "rebuild", "rebuild: the course cannot become an overview"
    TASK = "task", "task: a rebuild crashed or ran out of time, again and again"
    BROKER = "broker", "broker: delivered too often, or refused by a worker"


class DeadLetter(models.Model):
    """One thing that nobody will retry by itself; repetitions of it are counted, not repeated."""

    #: Hash of what makes it the same thing again: origin, course, reason and body.
    fingerprint = models.CharField(max_length=64, unique=True)
    origin = models.CharField(max_length=20, choices=DeadLetterOrigin.choices)
    course_key = models.CharField(max_length=255, default="", blank=True)
    reason = models.TextField()
    #: The message as it came, cut to ``dead_letters.BODY_MAX_BYTES``; empty for a rebuild.
    body = models.BinaryField(default=b"")
    body_bytes = models.PositiveIntegerField(default=0)  #: length before the cut
    content_type = models.CharField(max_length=100, default="", blank=True)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    seen_count = models.PositiveIntegerField(default=1)

    class Meta:
        """Ours; listed newest first, filtered by course."""

        db_table = "overview_dead_letter"
        indexes = (
            models.Index(fields=["last_seen_at"], name="overview_dead_letter_seen"),
            models.Index(fields=["course_key"], name="overview_dead_letter_course"),
            models.Index(fields=["origin", "first_seen_at"], name="overview_dead_letter_age"),
        )
        permissions = (("replay_deadletter", "Can replay dead letter"),)

    def __str__(self) -> str:
        return one_line(f"{self.origin} {self.course_key} {self.reason[:60]}")


class DatabaseIdentity(models.Model):
    """One row that names this database, so that an event can say where it was marked."""

    database_id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)

    class Meta:
        """Ours."""

        db_table = "overview_database_identity"

    def __str__(self) -> str:
        return str(self.database_id)


class OverviewJob(models.Model):
    """One periodic job: when it began last, so that several beats run it once, and where it is."""

    name = models.CharField(max_length=40, primary_key=True)
    started_at = models.DateTimeField(null=True)
    #: The course key that a rolling job goes on after.
    after_key = models.CharField(max_length=COURSE_KEY_MAX_LENGTH, default="", blank=True)

    class Meta:
        """Ours."""

        db_table = "overview_job"

    def __str__(self) -> str:
        return self.name


class OverviewInspection(models.Model):
    """One pass of the inspector: what it saw, found and had marked."""

    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)  #: NULL while it runs, and if it failed
    course_count = models.PositiveIntegerField(default=0)  #: in the course index
    #: ``{kind: courses}`` of the differences that have stood for the grace.
    findings = models.JSONField(default=dict)
    suspected_count = models.PositiveIntegerField(default=0)  #: differences younger than that
    marked_count = models.PositiveIntegerField(default=0)
    checked_count = models.PositiveIntegerField(default=0)  #: courses compared column by column
    drifted_columns = models.JSONField(default=dict)  #: ``{column: courses}``
    error = models.CharField(max_length=500, default="", blank=True)

    class Meta:
        """Ours; listed newest first, kept for a month."""

        db_table = "overview_inspection"
        indexes = (models.Index(fields=["started_at"], name="overview_inspection_started"),)

    def __str__(self) -> str:
        return f"{self.started_at} {self.findings}"


class OverviewSuspect(models.Model):
    """One difference that the inspector has seen and that may still be a publish on its way."""

    course_key = CourseKeyCharField(primary_key=True)
    #: What exactly differs: another one begins a new grace.
    fingerprint = models.CharField(max_length=200)
    seen_at = models.DateTimeField()  #: for the first time

    class Meta:
        """Ours."""

        db_table = "overview_suspect"

    def __str__(self) -> str:
        return f"{self.course_key} {self.fingerprint}"


class OverviewServed(models.Model):
    """One publish that became visible: how long it took and, of a late one, why.

    Written by the rebuild; counted into ``overview_freshness`` every minute, whereupon only the late
    ones are kept.
    """

    course_key = CourseKeyCharField()
    served_at = models.DateTimeField()
    latency_ms = models.PositiveBigIntegerField()
    reason = models.CharField(max_length=20, default="", blank=True)  #: a ``LateReason``
    detail = models.CharField(max_length=200, default="", blank=True)
    counted = models.BooleanField(default=False)

    class Meta:
        """Ours."""

        db_table = "overview_served"
        indexes = (models.Index(fields=["counted", "served_at"], name="overview_served_counted"),)

    def __str__(self) -> str:
        return f"{self.course_key} {self.latency_ms} ms {self.reason}"


class OverviewFreshness(models.Model):
    """The publishes that became visible in one hour, by how long that took."""

    hour = models.DateTimeField(primary_key=True)
    total = models.PositiveBigIntegerField(default=0)
    within_1_second = models.PositiveBigIntegerField(default=0)
    within_10_seconds = models.PositiveBigIntegerField(default=0)
    within_60_seconds = models.PositiveBigIntegerField(default=0)
    within_5_minutes = models.PositiveBigIntegerField(default=0)
    max_ms = models.PositiveBigIntegerField(default=0)

    class Meta:
        """Ours."""

        db_table = "overview_freshness"

    def __str__(self) -> str:
        return f"{self.hour} {self.total}"


class RemovalStatus(models.TextChoices):
    """What became of a course that vanished from the index without an announcement."""

    REMOVED = "removed", "removed: within the limit"
    HELD = "held", "held: waits for a person's word"
    ALLOWED = "allowed", "allowed: the next rebuild removes it"
    REFUSED = "refused", "refused: its row stays"


class OverviewRemoval(models.Model):
    """One course that vanished from the index without an announcement, and what became of it."""

    course_key = CourseKeyCharField(primary_key=True)
    status = models.CharField(max_length=10, choices=RemovalStatus.choices)
    changed_at = models.DateTimeField()
    reason = models.CharField(max_length=500, default="", blank=True)

    class Meta:
        """Ours; the rows of a deployment that loses no events are few."""

        db_table = "overview_removal"
        indexes = (models.Index(fields=["status", "changed_at"], name="overview_removal_status"),)

    def __str__(self) -> str:
        return f"{self.course_key} {self.status}"
