"""Pages of the Courses API: the exact count beside the results."""

from typing import Any

from rest_framework.pagination import PageNumberPagination
from rest_framework.response import Response

_PAGE_ADDRESS = {"type": "string", "format": "uri", "nullable": True}


class CoursePagination(PageNumberPagination):
    """Pages of 10, or of as many as ``page_size`` says, at most 100; ``page`` may be ``last``."""

    page_size = 10
    page_size_query_param = "page_size"
    max_page_size = 100

    def get_paginated_response(self, data: Any) -> Response:
        """Return one page and where it stands."""
        page: Any = self.page
        pagination = {
            "next": self.get_next_link(),
            "previous": self.get_previous_link(),
            "count": page.paginator.count,
            "num_pages": page.paginator.num_pages,
        }
        return Response({"results": data, "pagination": pagination})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the schema of a page of what ``schema`` describes."""
        pagination = {
            "next": _PAGE_ADDRESS,
            "previous": _PAGE_ADDRESS,
            "count": {"type": "integer", "minimum": 0},
            "num_pages": {"type": "integer", "minimum": 1},
        }
        described = {"type": "object", "required": [*pagination], "properties": pagination}
        return {
            "type": "object",
            "required": ["results", "pagination"],
            "properties": {"results": schema, "pagination": described},
        }


class CourseIdPagination(CoursePagination):
    """The same, at most 1000."""

    max_page_size = 1000
