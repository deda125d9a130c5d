"""Which database this is, and the periodic jobs that run in it."""

import uuid

from django.db import models

from lms_integration.course_keys import COURSE_KEY_MAX_LENGTH


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
