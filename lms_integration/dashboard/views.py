"""The dashboard: a learner's courses, chosen, ordered and paged by the address alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from lms_integration.dashboard.cards import Card, card_of, courses_to_name
from lms_integration.dashboard.choices import Choice, Order, Status, choice_of
from lms_integration.dashboard.details import details_by_course
from lms_integration.dashboard.pages import page, show
from lms_integration.dashboard.paging import paging_context, title_of_page
from lms_integration.dashboard.queries import ListedPage, course_names, listed_page
from lms_integration.dashboard.sentences import gettext
from lms_integration.dashboard.words import found_in_words, status_in_words
from lms_integration.learners.standing import standing_of
from lms_integration.site_settings import site_settings


@page
@require_safe
@login_required
def dashboard(request: HttpRequest) -> HttpResponse:
    """Show one page of the courses that the signed-in learner is enrolled in."""
    choice = choice_of(request.GET.dict())
    user = cast(User, request.user)
    now, site = timezone.now(), site_settings()
    standing = standing_of(user)
    listed = listed_page(user.pk, choice, site=site, now=now)
    details = details_by_course(listed.courses, standing, user_id=user.pk, site=site, now=now)
    names = course_names(courses_to_name(listed.courses))
    cards = [
        card_of(
            each,
            details[each.enrolled.course_id],
            standing,
            names=names,
            site=site,
            now=now,
        )
        for each in listed.courses
    ]
    return show(request, "dashboard.html", dashboard_context(cards, listed, choice))


@dataclass(frozen=True, kw_only=True, slots=True)
class Tab:
    """One status that can be chosen."""

    words: str
    count: int
    noun: str  #: of what the count is, in singular or plural
    query: str
    is_current: bool


def dashboard_context(cards: Sequence[Card], listed: ListedPage, choice: Choice) -> dict[str, Any]:
    """Return what the template of the dashboard shows."""
    return {
        **paging_context(listed.page, choice, here_url=reverse("dashboard")),
        "cards": cards,
        "choice": choice,
        "found": found_in_words(listed.page),
        "has_any": listed.counts[Status.ALL] > 0,
        "orders": _orders(choice),
        "tabs": _tabs(listed, choice),
        "title": title_of_page(gettext("My courses"), listed.page.number),
    }


def _tabs(listed: ListedPage, choice: Choice) -> Sequence[Tab]:
    return [
        Tab(
            words=status_in_words(status),
            count=listed.counts[status],
            noun=ngettext("course", "courses", listed.counts[status]),
            query=choice.with_status(status).query,
            is_current=status is choice.status,
        )
        for status in Status
    ]


def _orders(choice: Choice) -> Sequence[tuple[str, str, bool]]:
    """Return value, words and whether it is chosen, of each order."""
    names = {
        Order.ENROLLED: gettext("Recently enrolled"),
        Order.NAME: gettext("Course name"),
        Order.START: gettext("Start date"),
    }
    return [(order.value, name, order is choice.order) for order, name in names.items()]
