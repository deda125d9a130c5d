"""The page on which courses are found: those that somebody may see, with a search, a page at a time.

Which these are, the root of the URLs says: parts of the web process do not import each other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from django.contrib.auth.models import AnonymousUser, User
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from lms_integration.dashboard import words
from lms_integration.dashboard.cards import language_tag, tint_of
from lms_integration.dashboard.choices import Choice, Status, choice_of
from lms_integration.dashboard.links import image_url
from lms_integration.dashboard.pages import View, page, show
from lms_integration.dashboard.paging import paging_context, title_of_page
from lms_integration.dashboard.queries import thumbnail
from lms_integration.dashboard.sentences import gettext
from lms_integration.learners.enrolled import CourseState
from lms_integration.models import CourseOverview
from lms_integration.platform_tables.models import CourseEnrollment
from lms_integration.site_settings import SiteSettings, site_settings

#: What a card is made of.
COLUMNS = (
    "id",
    "location",
    "display_name",
    "display_number_with_default",
    "display_org_with_default",
    "course_image_url",
    "start",
    "end",
    "advertised_start",
    "self_paced",
    "language",
    "short_description",
    "image_set__small_url",
)
#: Cards on one page: rows of two, three or four.
PAGE_SIZE = 24


class Catalogue(Protocol):
    """Knows which courses somebody may find."""

    def found(self, user: User | AnonymousUser, text: str, *, now: datetime) -> QuerySet[Any, str]:
        """Return the keys of the courses with every word of ``text``, in order and not yet read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundCourse:
    """One course, ready to be shown."""

    course_id: str
    name: str
    org: str
    number: str
    language: str  #: language tag of the course's own words; '' where it is not known
    image: str  #: address of the image; '' for none
    tint: int  #: which colour stands behind the image, from 1
    status: Status
    status_words: str
    about: str  #: the author's one sentence on it; '' for none
    dates: Sequence[str]
    facts: Sequence[str]  #: pacing, language
    is_enrolled: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseSearch:
    """The view, bound to what knows the courses."""

    catalogue: Catalogue

    @property
    def view(self) -> View:
        """``GET``: one page of the courses that the asker may see, those found where words are given."""
        return page(require_safe(self._view))

    def _view(self, request: HttpRequest) -> HttpResponse:
        now, site = timezone.now(), site_settings()
        asked = choice_of(request.GET.dict())
        has_search = site.has_feature("ENABLE_COURSEWARE_SEARCH")
        choice = Choice(text=asked.text if has_search else "", page=asked.page)
        keys = self.catalogue.found(request.user, choice.text, now=now)
        listed: Page[str] = Paginator(keys, PAGE_SIZE).get_page(choice.page)
        courses = _courses(request.user, list(listed.object_list), site=site, now=now)
        title = gettext("Find courses")
        context = {
            **paging_context(listed, choice, here_url=reverse("course_search")),
            "choice": choice,
            "courses": courses,
            "found": words.found_in_words(listed) if listed.paginator.count else "",
            "has_search": has_search,
            "title": title_of_page(title, listed.number),
        }
        return show(request, "courses.html", context)


def _courses(
    user: User | AnonymousUser, keys: Sequence[str], *, site: SiteSettings, now: datetime
) -> Sequence[FoundCourse]:
    """Return what is shown of the courses, as far as they are still there: two queries at most."""
    rows = CourseOverview.objects.filter(pk__in=keys).select_related("image_set").only(*COLUMNS)
    overviews = {row.pk: row for row in rows} if keys else {}
    own = _enrolled(user, overviews)
    return [
        _found_course(overviews[key], is_enrolled=key in own, site=site, now=now)
        for key in keys
        if key in overviews
    ]


def _enrolled(user: User | AnonymousUser, keys: Iterable[str]) -> frozenset[str]:
    wanted = list(keys)
    if user.pk is None or not wanted:
        return frozenset()
    rows = CourseEnrollment.objects.filter(user_id=user.pk, course_id__in=wanted, is_active=True)
    return frozenset(rows.values_list("course_id", flat=True))


def _found_course(
    course: CourseOverview, *, is_enrolled: bool, site: SiteSettings, now: datetime
) -> FoundCourse:
    state = CourseState.AVAILABLE
    status = words.status_of(course, state, now=now)
    facts = (words.pacing_in_words(course, state), words.language_in_words(course.language))
    return FoundCourse(
        course_id=course.id,
        name=words.name_in_words(course, state),
        org=course.display_org_with_default,
        number=course.display_number_with_default,
        language=language_tag(course.language),
        image=image_url(thumbnail(course), site),
        tint=tint_of(course.id),
        status=status,
        status_words=words.status_in_words(status),
        about=words.plain(course.short_description),
        dates=words.dates_in_words(course, state, now=now),
        facts=[fact for fact in facts if fact],
        is_enrolled=is_enrolled,
    )
