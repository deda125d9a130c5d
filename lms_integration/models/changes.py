"""What changed of a row, when and why: the history, and the outbox of those who want to know."""

from django.db import models

from lms_integration.fields import CourseKeyCharField


class ChangeKind(models.TextChoices):
    """What happened to a row."""

    CREATED = "created", "created"
    CHANGED = "changed", "changed"
    DELETED = "deleted", "deleted"


class OverviewChange(models.Model):
    """One real change of a course's row, written in the transaction of the change itself.

    An outbox and a history in one: it is announced on the exchange and signalled to the LMS at least
    once, in the order of the course's changes, and kept for a while after.
    """

    course_key = CourseKeyCharField()
    row_seq = models.PositiveBigIntegerField()  #: of the row after the change
    kind = models.CharField(max_length=10, choices=ChangeKind.choices)
    #: ``{column: [old, new]}``, JSON values in full; the old value is null in a new row.
    columns = models.JSONField(default=dict)
    source_version = models.CharField(max_length=24, default="", blank=True)  #: '' for a delete
    builder_version = models.PositiveIntegerField(default=0)
    #: What made the rebuild happen: the event's type and id, or the run.
    cause = models.CharField(max_length=100, default="", blank=True)
    event_id = models.CharField(max_length=64, default="", blank=True)
    run_id = models.PositiveBigIntegerField(null=True)
    asked_by = models.CharField(max_length=150, default="", blank=True)
    worker = models.CharField(max_length=100, default="", blank=True)  #: host and process
    changed_at = models.DateTimeField()  #: by the database's clock
    announced_at = models.DateTimeField(null=True)  #: when the event was confirmed by the broker
    signalled_at = models.DateTimeField(null=True)  #: when an LMS process had its signals sent
    #: Times that a receiver failed, and when the signals are sent again; NULL means at once.
    signal_attempts = models.PositiveSmallIntegerField(default=0)
    signal_retry_at = models.DateTimeField(null=True)
    #: ``{signal: [receivers that have taken it]}``, module and name of each, while others failed.
    signal_told = models.JSONField(null=True)
    #: Which receiver failed last, and why; the signals were given up if ``signalled_at`` is set.
    signal_error = models.CharField(max_length=500, default="", blank=True)

    class Meta:
        """Ours; the first two indexes find what is still to be told."""

        db_table = "overview_change"
        indexes = (
            models.Index(fields=["announced_at", "id"], name="overview_change_announce"),
            models.Index(fields=["signalled_at", "id"], name="overview_change_signal"),
            models.Index(fields=["course_key", "id"], name="overview_change_course"),
            models.Index(fields=["changed_at"], name="overview_change_time"),
        )

    def __str__(self) -> str:
        return f"{self.course_key} {self.row_seq} {self.kind}"
