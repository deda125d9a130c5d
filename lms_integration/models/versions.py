"""By which builder and settings rows are to be built."""

from django.db import models

#: The key of the only row of ``OverviewTarget``.
TARGET_ID = 1


class OverviewTarget(models.Model):
    """One row: the builder and the schema that rows are to be of.

    Workers of other releases may run beside: they build what is published, and leave rows alone that
    differ by their version only.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=TARGET_ID)
    builder_version = models.PositiveIntegerField()
    schema_version = models.PositiveIntegerField()
    #: Set by hand, by a roll-back: a newer release that runs does not raise it again.
    is_pinned = models.BooleanField(default=False)
    set_at = models.DateTimeField()
    set_by = models.CharField(max_length=150, default="", blank=True)

    class Meta:
        """Ours."""

        db_table = "overview_target"

    def __str__(self) -> str:
        return f"builder {self.builder_version}, schema {self.schema_version}"


class OverviewDependency(models.Model):
    """One setting that rows depend on, as it was when they were built: a change marks what it affects."""

    name = models.CharField(max_length=60, primary_key=True)
    value = models.JSONField()  #: that rows were built with
    #: Another value that was seen last, and since when: it counts when it has settled.
    seen_value = models.JSONField(default=dict)
    seen_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField()

    class Meta:
        """Ours."""

        db_table = "overview_dependency"

    def __str__(self) -> str:
        return f"{self.name} {self.value}"
