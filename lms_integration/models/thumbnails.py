"""The thumbnails of course images: which are wanted, made or refused."""

from django.db import models

from lms_integration.fields import CourseKeyCharField


class ThumbnailState(models.TextChoices):
    """How the thumbnails of one course stand."""

    WANTED = "wanted", "wanted: to be made"
    MADE = "made", "made"
    NONE = "none", "none: the course has no image of its own"
    REFUSED = "refused", "refused: the image cannot be scaled"


class OverviewThumbnails(models.Model):
    """The thumbnails of one course's image: a step of its own, outside the row's transaction."""

    course_key = CourseKeyCharField(primary_key=True)
    state = models.CharField(max_length=10, choices=ThumbnailState.choices)
    #: What they were made of: the image's name, its content and the sizes; another one is made anew.
    fingerprint = models.CharField(max_length=64, default="", blank=True)
    image_name = models.TextField(default="", blank=True)
    sizes = models.CharField(max_length=50, default="", blank=True)  #: ``375x200 750x400``
    #: ``{name: address}`` of those that are kept in a storage.
    urls = models.JSONField(default=dict, blank=True)
    reason = models.CharField(max_length=500, default="", blank=True)  #: of a refusal or a failure
    attempts = models.PositiveIntegerField(default=0)  #: that found a server away
    crashes = models.PositiveIntegerField(default=0)  #: that began and came to no end, in a row
    next_attempt_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField()

    class Meta:
        """Ours; the index finds what is to be made."""

        db_table = "overview_thumbnails"
        indexes = (
            models.Index(fields=["state", "next_attempt_at"], name="overview_thumbnails_state"),
        )
        verbose_name_plural = "overview thumbnails"

    def __str__(self) -> str:
        return f"{self.course_key} {self.state}"
