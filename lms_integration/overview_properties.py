"""What Open edX's callers ask of one overview, computed from the columns of its row.

Names are those of Open edX's ``CourseOverview``
(``openedx/core/djangoapps/content/course_overviews/models.py``). Nothing here writes or builds; only
``tabs``, ``is_discussion_tab_enabled``, ``image_urls`` and the properties of the projection may read,
and only what was not read along.
"""

import json
from base64 import b32encode
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.db.models import Prefetch, prefetch_related_objects
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import strip_tags
from opaque_keys.edx.keys import CourseKey, UsageKey

from lms_integration.data import (
    DEFAULT_START,
    CourseOverviewProjectionData,
    CourseOverviewTabData,
    Textbook,
)
from lms_integration.languages import closest_language
from lms_integration.newness import newness_score

#: ``tab_id`` of the discussion.
DISCUSSION_TAB = "discussion"
#: Columns of the projection that no property shows, and that may be large.
UNSHOWN_PROJECTION_COLUMNS = ("overview_html", "search_text")


class OverviewProperties(models.Model):
    """Properties and methods of one overview; ``now`` is the present unless it is passed."""

    # The columns that are read here; ``CourseOverview`` declares them.
    id: "models.CharField[str, str]"
    location: "models.CharField[str, str]"
    display_name: "models.TextField[str | None, str | None]"
    start: "models.DateTimeField[datetime | None, datetime | None]"
    end: "models.DateTimeField[datetime | None, datetime | None]"
    advertised_start: "models.TextField[str | None, str | None]"
    announcement: "models.DateTimeField[datetime | None, datetime | None]"
    course_image_url: "models.TextField[str, str]"
    social_sharing_url: "models.TextField[str | None, str | None]"
    marketing_url: "models.TextField[str | None, str | None]"
    pre_requisite_courses_json: "models.TextField[str, str]"
    self_paced: "models.BooleanField[bool, bool]"
    language: "models.TextField[str | None, str | None]"

    class Meta:
        """Columns and table are those of ``CourseOverview``."""

        abstract = True

    # --- keys and names

    @property
    def course_key(self) -> CourseKey:
        """The course's key as an object; ``id`` is its text."""
        return CourseKey.from_string(self.id)

    @property
    def usage_key(self) -> UsageKey:
        """The key of the course's root block, with its run; ``location`` is its text."""
        return UsageKey.from_string(self.location).map_into_course(self.course_key)

    @property
    def number(self) -> str:
        """The course part of the key, such as ``DemoX``."""
        return str(self.course_key.course)

    @property
    def url_name(self) -> str:
        """The id of the root block: ``course``, but for courses of old."""
        return str(self.usage_key.block_id)

    def clean_id(self, padding_char: str = "=") -> str:
        """Return ``course_`` and the key's text in base 32, padded with ``padding_char``."""
        encoded = b32encode(self.id.encode()).decode()
        return "course_" + encoded.replace("=", padding_char)

    @property
    def display_name_with_default(self) -> str:
        """The name, or ``url_name`` as words where the name is null; an empty name stays empty."""
        if self.display_name is None:
            return self.url_name.replace("_", " ")
        return self.display_name

    @property
    def display_name_with_default_escaped(self) -> str:
        """The name without HTML tags and surplus white space, as the courses API shows it.

        Templates have to escape it none the less.
        """
        return " ".join(strip_tags(self.display_name_with_default).split())

    # --- dates and pacing

    @property
    def pacing(self) -> str:
        """``self`` or ``instructor``."""
        return "self" if self.self_paced else "instructor"

    @property
    def start_type(self) -> str:
        """``string`` when a start is advertised, ``empty`` for the default start, else ``timestamp``."""
        if self.advertised_start:
            return "string"
        return "empty" if self.start == DEFAULT_START else "timestamp"

    @property
    def start_display(self) -> str | None:
        """The start in words of the active language; None for the default start, '' without one."""
        if self.advertised_start:
            return self.advertised_start
        if self.start == DEFAULT_START:
            return None
        return "" if self.start is None else date_format(self.start, "DATE_FORMAT")

    @property
    def dashboard_start_display(self) -> str | datetime | None:
        """What is advertised, else the start."""
        return self.advertised_start or self.start

    @property
    def start_date_is_still_default(self) -> bool:
        """Whether the author has neither set nor advertised a start."""
        return self.advertised_start is None and self.start == DEFAULT_START

    def has_started(self, now: datetime | None = None) -> bool:
        """Return whether the start has passed; a course without one is open and so has started."""
        return self.starts_within(0, now=now)

    def starts_within(self, days: float, now: datetime | None = None) -> bool:
        """Return whether the course starts within so many days, or has started."""
        return self.start is None or _present(now) + timedelta(days=days) > self.start

    def has_ended(self, now: datetime | None = None) -> bool:
        """Return whether the end has passed; a course without one never ends."""
        return self.end is not None and _present(now) > self.end

    @property
    def sorting_score(self) -> float:
        """The lower, the newer; see ``newness_score``, which takes the time."""
        return newness_score(
            start=self.start,
            advertised_start=self.advertised_start,
            announcement=self.announcement,
            now=timezone.now(),
        )

    # --- what else callers ask

    @property
    def pre_requisite_courses(self) -> list[str]:
        """The keys of the courses to be passed before, as text; none where null is stored."""
        return json.loads(self.pre_requisite_courses_json) or []

    @property
    def closest_released_language(self) -> str | None:
        """``LANGUAGE_CODE`` where it is the course's language but for the region, else None.

        ``closest_language`` answers for a site that offers more.
        """
        return closest_language(self.language, [settings.LANGUAGE_CODE])

    def has_social_sharing_url(self) -> bool:
        """Return whether there is one and ``SOCIAL_SHARING_SETTINGS['CUSTOM_COURSE_URLS']`` is on."""
        sharing = getattr(settings, "SOCIAL_SHARING_SETTINGS", {})
        return bool(sharing.get("CUSTOM_COURSE_URLS") and self.social_sharing_url)

    def has_marketing_url(self) -> bool:
        """Return whether there is one and ``FEATURES['ENABLE_MKTG_SITE']`` is on."""
        return bool(_feature("ENABLE_MKTG_SITE", default=False) and self.marketing_url)

    @property
    def image_urls(self) -> dict[str, str]:
        """``{"raw", "small", "large"}``: the course image and its thumbnails, or itself instead.

        Costs a query where the image set was not read along; every read of this package does.
        """
        raw = self.course_image_url
        try:
            image_set = self.image_set  # type: ignore[attr-defined]  # of CourseOverviewImageSet
        except ObjectDoesNotExist:
            return {"raw": raw, "small": raw, "large": raw}
        return {
            "raw": raw,
            "small": image_set.small_url or raw,
            "large": image_set.large_url or raw,
        }

    @property
    def tabs(self) -> list[CourseOverviewTabData]:
        """The tabs in their order; costs a query unless they were read along (``with_tabs``)."""
        rows = self.tab_set.all()  # type: ignore[attr-defined]  # of CourseOverviewTab
        return [
            CourseOverviewTabData(
                tab_id=row.tab_id,
                type=row.type,
                name=row.name,
                course_staff_only=row.course_staff_only,
                url_slug=row.url_slug,
                link=row.link,
                is_hidden=row.is_hidden,
            )
            for row in sorted(rows, key=lambda row: row.id)
        ]

    def is_discussion_tab_enabled(self, user: object = None) -> bool:
        """Return whether there is a discussion tab and ``FEATURES['ENABLE_DISCUSSION_SERVICE']`` is on.

        The feature is on by default. ``user`` is taken as Open edX takes it, and not looked at: who
        may see the tab is for the caller to decide.
        """
        return _feature("ENABLE_DISCUSSION_SERVICE", default=True) and any(
            tab.tab_id == DISCUSSION_TAB for tab in self.tabs
        )

    # --- what Open edX asks MongoDB for

    @property
    def allow_public_wiki_access(self) -> bool:
        """Whether the course wiki is open to those who are not enrolled."""
        return self._projected.allow_public_wiki_access

    @property
    def textbooks(self) -> list[Textbook]:
        """The textbooks, each with title and address; tables of contents are not fetched."""
        return [Textbook(title=title, book_url=url) for title, url in self._projected.textbooks]

    @property
    def pdf_textbooks(self) -> list[Any]:
        """The PDF textbooks as the author has stored them."""
        return self._projected.pdf_textbooks

    @property
    def html_textbooks(self) -> list[Any]:
        """The HTML textbooks as the author has stored them."""
        return self._projected.html_textbooks

    @property
    def hide_progress_tab(self) -> bool | None:
        """Whether the progress tab is hidden; None until the author has said so."""
        return self._projected.hide_progress_tab

    @property
    def edxnotes(self) -> bool:
        """Whether learners can take notes."""
        return self._projected.edxnotes

    @property
    def enable_ccx(self) -> bool:
        """Whether coaches may make custom courses of this one."""
        return self._projected.enable_ccx

    @property
    def course_visibility(self) -> str | None:
        """Who else than the enrolled sees content: ``private``, ``public_outline``, ``public``."""
        return self._projected.course_visibility

    @property
    def teams_enabled(self) -> bool:
        """Whether the author has configured teams."""
        return self._projected.teams_enabled

    @property
    def show_calculator(self) -> bool:
        """Whether learners have a calculator in the course."""
        return self._projected.show_calculator

    @property
    def edxnotes_visibility(self) -> bool:
        """Whether notes are shown unless the learner has chosen otherwise."""
        return self._projected.edxnotes_visibility

    @property
    def _projected(self) -> CourseOverviewProjectionData:
        """The projection's row, which has these columns; one query unless it was read along.

        Open edX's defaults where nothing was projected (yet).
        """
        read_along = self._state.fields_cache
        if "projection" not in read_along:
            model: Any = self._meta.get_field("projection").related_model
            narrow = model._default_manager.defer(*UNSHOWN_PROJECTION_COLUMNS)
            prefetch_related_objects([self], Prefetch("projection", queryset=narrow))
        row: CourseOverviewProjectionData | None = read_along["projection"]
        return CourseOverviewProjectionData() if row is None else row


def _present(now: datetime | None) -> datetime:
    return timezone.now() if now is None else now


def _feature(name: str, *, default: bool) -> bool:
    return bool(getattr(settings, "FEATURES", {}).get(name, default))
