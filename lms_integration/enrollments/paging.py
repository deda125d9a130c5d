"""Pages of the staff list: newest first, each page with the addresses of the next and the previous one."""

from datetime import UTC

from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request


class NewestFirst(CursorPagination):
    """REST framework's cursors, whose position is a date of creation; another one is no cursor."""

    page_size = 100
    max_page_size = 100
    page_size_query_param = "page_size"
    ordering = ("-created", "id")

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Return where a page begins; None for the first one. Raises NotFound for anything else."""
        cursor = super().decode_cursor(request)
        if cursor is not None and cursor.position is not None and not _is_moment(cursor.position):
            raise NotFound(self.invalid_cursor_message)
        return cursor


def _is_moment(position: str | int) -> bool:
    try:
        moment = parse_datetime(str(position))
        return moment is not None and moment.tzinfo is not None and bool(moment.astimezone(UTC))
    except (ValueError, OverflowError):
        return False
