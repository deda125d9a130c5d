"""Pages of a learner's enrolments, in the envelope of Open edX's apps."""

from collections.abc import Sequence
from typing import Any, TypeVar

from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request

Each = TypeVar("Each")


class EnrollmentPages(PageNumberPagination):
    """Pages by number: ``?page=``, also ``last``, and ``?page_size=``, up to a limit.

    A size that is no positive number is the default; a page that is not there is a 404.
    """

    page_size_query_param = "page_size"

    def __init__(self, *, page_size: int, max_page_size: int) -> None:
        self.page_size = page_size
        self.max_page_size = max_page_size

    def page_of(self, each: Sequence[Each], request: Request) -> Sequence[Each]:
        """Return what is on the page that is asked for. Raises NotFound where there is no such page."""
        found: Sequence[Each] | None = self.paginate_queryset(each, request)
        return found or []

    def envelope(self, results: Sequence[Any]) -> dict[str, Any]:
        """Return the page with the links and counts around it; after ``page_of``."""
        page: Any = self.page
        return {
            "next": self.get_next_link(),
            "previous": self.get_previous_link(),
            "count": page.paginator.count,
            "num_pages": page.paginator.num_pages,
            "current_page": page.number,
            "start": (page.number - 1) * page.paginator.per_page,
            "results": results,
        }


def pages_of_v3() -> EnrollmentPages:
    """Return the pages of version 3."""
    return EnrollmentPages(page_size=10, max_page_size=100)


def pages_of_v4() -> EnrollmentPages:
    """Return the pages of version 4."""
    return EnrollmentPages(page_size=5, max_page_size=50)
