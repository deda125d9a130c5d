"""Reads bodies so that whatever is sent is data or a 400."""

from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser


class Utf8JsonParser(JSONParser):
    """JSON is UTF-8, whatever the request calls it; what is nested too deeply is no JSON for us."""

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the value; raises ParseError."""
        context = {**(parser_context or {}), "encoding": "utf-8"}
        try:
            return super().parse(stream, media_type, context)
        except RecursionError as error:
            raise ParseError("JSON parse error - nested too deeply") from error


PARSERS = (Utf8JsonParser, FormParser, MultiPartParser)
