"""The dashboard: a learner's courses, chosen, ordered and paged by the address alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from lms_integration.dashboard.cards import Card, card_of, courses_to_name
from lms_integration.dashboard.choices import Choice, Order, Status, choice_of
from lms_integration.dashboard.details import details_by_course
from lms_integration.dashboard.pages import page, show
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


@dataclass(frozen=True, kw_only=True, slots=True)
class PageLink:
    """One page that can be gone to; without a number, pages that are left out."""

    number: int | None
    query: str
    is_current: bool


def dashboard_context(cards: Sequence[Card], listed: ListedPage, choice: Choice) -> dict[str, Any]:
    """Return what the template of the dashboard shows."""
    return {
        "cards": cards,
        "choice": choice,
        "found": found_in_words(listed.page),
        "has_any": listed.counts[Status.ALL] > 0,
        "orders": _orders(choice),
        "page_links": _page_links(listed, choice),
        "tabs": _tabs(listed, choice),
        "title": _title(listed.page.number),
        "next_query": _neighbour(listed, choice, step=1),
        "previous_query": _neighbour(listed, choice, step=-1),
    }


def _title(page_number: int) -> str:
    words = gettext("My courses")
    if page_number == 1:
        return words
    return f"{words} ({gettext('page %(number)s') % {'number': page_number}})"


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


def _page_links(listed: ListedPage, choice: Choice) -> Sequence[PageLink]:
    page = listed.page
    return [
        PageLink(
            number=number if isinstance(number, int) else None,
            query=choice.on_page(number).query if isinstance(number, int) else "",
            is_current=number == page.number,
        )
        for number in page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1)
    ]


def _neighbour(listed: ListedPage, choice: Choice, *, step: int) -> str | None:
    """Return the query of the page before or after; None where there is none."""
    number = listed.page.number + step
    return choice.on_page(number).query if 1 <= number <= listed.page.paginator.num_pages else None
