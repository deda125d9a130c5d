"""What stays readable of deleted courses, and the removals that a person has to decide on."""

from django.db import models

from lms_integration.fields import CourseKeyCharField


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
