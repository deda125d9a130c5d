"""Links from one page of a list to the others, for ``pages.html``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page

from lms_integration.dashboard.choices import Choice
from lms_integration.dashboard.sentences import gettext


@dataclass(frozen=True, kw_only=True, slots=True)
class PageLink:
    """One page that can be gone to; without a number, pages that are left out."""

    number: int | None
    query: str
    is_current: bool


def paging_context(page: Page[Any], choice: Choice, *, here_url: str) -> dict[str, Any]:
    """Return what ``pages.html`` shows; ``here_url`` is the list's address without a query."""
    return {
        "here_url": here_url,
        "page_links": _page_links(page, choice),
        "next_query": _neighbour(page, choice, step=1),
        "previous_query": _neighbour(page, choice, step=-1),
    }


def title_of_page(words: str, number: int) -> str:
    """Return the title of a list, with the page's number from the second on."""
    if number == 1:
        return words
    return f"{words} ({gettext('page %(number)s') % {'number': number}})"


def _page_links(page: Page[Any], choice: Choice) -> Sequence[PageLink]:
    return [
        PageLink(
            number=number if isinstance(number, int) else None,
            query=choice.on_page(number).query if isinstance(number, int) else "",
            is_current=number == page.number,
        )
        for number in page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1)
    ]


def _neighbour(page: Page[Any], choice: Choice, *, step: int) -> str | None:
    """Return the query of the page before or after; None where there is none."""
    number = page.number + step
    return choice.on_page(number).query if 1 <= number <= page.paginator.num_pages else None
