"""What is to be rebuilt, and what each row was built from: the two tables of the protocol."""

from django.db import models

from lms_integration.fields import CourseKeyCharField

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
    #: Whether an event since the course was clean announced its delete, with or without a time; NULL
    #: where there was none of a publish or delete. It matters only while the index lacks the course.
    delete_announced = models.BooleanField(null=True)
    #: The next rebuild writes row, tabs and projection even where they are what the state remembers.
    rewrite = models.BooleanField(default=False, db_default=False)
    #: Failed or early attempts since the newest finished rebuild or mark.
    attempts = models.PositiveIntegerField(default=0)
    #: Rebuilds since ``dirty_since`` that found the source behind what was announced; further marks
    #: change nothing about it.
    looks = models.PositiveIntegerField(default=0, db_default=0)
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
