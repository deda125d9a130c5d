"""What the inspector saw, and how fresh the rows were that readers were served."""

from django.db import models

from lms_integration.fields import CourseKeyCharField


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
