"""Rebuild runs: who asked for which courses and why, how far it is, and what went wrong."""

from django.db import models

from lms_integration.course_keys import COURSE_KEY_MAX_LENGTH
from lms_integration.fields import CourseKeyCharField
from lms_integration.log_lines import one_line


class RunScope(models.TextChoices):
    """Which courses a run looks at."""

    ALL = "all", "all courses"
    ORG = "org", "the courses of one organisation"
    COURSES = "courses", "named courses"


class RunDepth(models.TextChoices):
    """Which of the courses that a run looks at are rebuilt."""

    #: Those that are not at the published version, or were built by another builder or schema.
    STALE = "stale", "courses whose row is not what the index says"
    #: Those whose row was built for an older schema than ``version_below``.
    OLD = "old", "courses whose row is of an older schema"
    #: Every one is read and built; what has not changed is not written.
    BUILD = "build", "every course, written where its content has changed"
    #: Every one is read, built and written, also where the state remembers the same.
    REWRITE = "rewrite", "every course, written whether or not it has changed"


class RunState(models.TextChoices):
    """Where a run is."""

    PLANNED = "planned", "planned: the workers begin within seconds"
    RUNNING = "running", "running"
    PAUSED = "paused", "paused: goes on when somebody resumes it"
    CANCELLED = "cancelled", "cancelled"
    DONE = "done", "done"
    FAILED = "failed", "failed: it could not go on"


class RunOrigin(models.TextChoices):
    """Where a run was asked for."""

    COMMAND = "command", "a command"
    ADMIN = "admin", "the admin"
    SCHEDULE = "schedule", "the schedule"
    UPGRADE = "upgrade", "an upgrade of the builder or the schema"
    SETTINGS = "settings", "a change of settings"


class OverviewRebuildRun(models.Model):
    """One rebuild run: its scope, its checkpoint and its counts.

    The checkpoint is ``after_key``: every course up to it is counted or belongs to a chunk that a lane
    still holds, so that a run goes on after any crash where it was.
    """

    scope = models.CharField(max_length=10, choices=RunScope.choices)
    org = models.CharField(max_length=COURSE_KEY_MAX_LENGTH, default="", blank=True)
    course_keys = models.JSONField(default=list, blank=True)  #: of the scope "courses", sorted
    depth = models.CharField(max_length=10, choices=RunDepth.choices)
    version_below = models.PositiveIntegerField(null=True, blank=True)  #: of the depth "old"
    #: The only row that is in the way of a second full run at a time: 1 while it is, else NULL.
    full_slot = models.PositiveSmallIntegerField(null=True, unique=True, editable=False)
    #: Whoever asks with the same one again means the same run: a button that was pressed twice.
    request_token = models.CharField(max_length=64, null=True, unique=True, editable=False)
    asked_by = models.CharField(
        max_length=150, default="", blank=True
    )  #: a user's or account's name
    asked_from = models.CharField(max_length=10, choices=RunOrigin.choices)
    reason = models.CharField(max_length=500, default="", blank=True)
    rate = models.FloatField(null=True, blank=True)  #: courses rebuilt in a second, at most
    #: The release whose workers alone may have a part in it, of an upgrade; NULL is any.
    builder_version = models.PositiveIntegerField(null=True, blank=True)
    schema_version = models.PositiveIntegerField(null=True, blank=True)
    lane_count = models.PositiveSmallIntegerField(default=2)  #: chunks that are worked on at a time
    state = models.CharField(max_length=10, choices=RunState.choices, default=RunState.PLANNED)
    #: Why it does not move just now, though it runs: a server is away, publishes wait.
    waiting_for = models.CharField(max_length=500, default="", blank=True)
    error = models.CharField(max_length=500, default="", blank=True)  #: why it failed
    total_count = models.PositiveIntegerField(
        null=True
    )  #: courses in its scope; NULL until counted
    #: What was expected when it was asked for: courses, and seconds of work; NULL was not known.
    estimated_count = models.PositiveIntegerField(null=True)
    estimated_seconds = models.FloatField(null=True)
    rebuilt_count = models.PositiveIntegerField(default=0)  #: read and built, whatever became of it
    unchanged_count = models.PositiveIntegerField(default=0)
    written_count = models.PositiveIntegerField(default=0)
    tombstoned_count = models.PositiveIntegerField(default=0)
    failed_count = models.PositiveIntegerField(default=0)
    busy_count = models.PositiveIntegerField(default=0)  #: left to the rebuild that had them
    stage = models.PositiveSmallIntegerField(default=0)  #: ``overview_worker.run_ports.RunStage``
    after_key = models.CharField(max_length=COURSE_KEY_MAX_LENGTH, default="", blank=True)
    is_claimed_out = models.BooleanField(default=False)  #: no course is left after ``after_key``
    #: When the rate allows the next courses; before it has begun: when it may begin.
    not_before = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    progressed_at = models.DateTimeField(null=True)  #: when a chunk was claimed or finished last
    finished_at = models.DateTimeField(null=True)
    #: Seconds that it has been running in all, pauses left out, up to ``progressed_at``.
    running_seconds = models.FloatField(default=0.0)

    class Meta:
        """Ours; listed newest first."""

        db_table = "overview_rebuild_run"
        indexes = (
            models.Index(fields=["state", "created_at"], name="overview_rebuild_run_state"),
            models.Index(fields=["created_at"], name="overview_rebuild_run_created"),
        )
        permissions = (("run_rebuild", "Can ask for, pause, resume and cancel rebuild runs"),)

    def __str__(self) -> str:
        return f"run {self.pk} {self.scope} {self.state}"


class OverviewRebuildLane(models.Model):
    """The range of course keys of a run that one worker has, and since when; '' to '' is none.

    Who reports names the number of the claim: a worker that was thought dead, and whose range was given
    to another, counts nothing.
    """

    pk = models.CompositePrimaryKey("run_id", "number")
    run = models.ForeignKey(OverviewRebuildRun, on_delete=models.CASCADE, db_constraint=False)
    number = models.PositiveSmallIntegerField()
    chunk = models.PositiveBigIntegerField(default=0)  #: counts the claims of the lane
    stage = models.PositiveSmallIntegerField(default=0)  #: of the run, that the range is of
    #: What is still to be done of the range; it moves with each report.
    after_key = models.CharField(max_length=COURSE_KEY_MAX_LENGTH, default="", blank=True)
    until_key = models.CharField(max_length=COURSE_KEY_MAX_LENGTH, default="", blank=True)
    claimed_at = models.DateTimeField(null=True)  #: NULL while nobody works on the lane
    heard_at = models.DateTimeField(null=True)  #: when its worker claimed or reported last
    enqueued_at = models.DateTimeField(null=True)  #: when it was handed to the bulk workers last
    #: Breakdowns since the range has moved.
    crash_count = models.PositiveSmallIntegerField(default=0)
    #: Times in a row that a task ran out of time with nothing reported. The default is the database's
    #: too, for workers of the release before that still make lanes while this one is rolled out.
    timeout_count = models.PositiveSmallIntegerField(default=0, db_default=0)
    worker = models.CharField(max_length=150, default="", blank=True)

    class Meta:
        """Ours."""

        db_table = "overview_rebuild_lane"

    def __str__(self) -> str:
        return f"run {self.run_id} lane {self.number}"


class OverviewRunFailure(models.Model):
    """One course that a run could not rebuild, and why."""

    run = models.ForeignKey(
        OverviewRebuildRun, on_delete=models.CASCADE, related_name="failures", db_constraint=False
    )
    course_key = CourseKeyCharField()
    outcome = models.CharField(max_length=20)
    reason = models.TextField()
    failed_at = models.DateTimeField()

    class Meta:
        """Ours; read by run."""

        db_table = "overview_run_failure"
        constraints = (
            models.UniqueConstraint(fields=["run", "course_key"], name="overview_run_failure_once"),
        )

    def __str__(self) -> str:
        return one_line(f"{self.course_key}: {self.reason[:60]}")
