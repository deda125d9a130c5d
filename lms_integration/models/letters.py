"""What nobody will retry by itself."""

from django.db import models

from lms_integration.log_lines import one_line


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
