"""What the last few rebuilds of each course have read, done and taken."""

from django.db import models

from lms_integration.fields import CourseKeyCharField


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
