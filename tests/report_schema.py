"""The documented shape of the JSON report of a comparison."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

_PATH = Path(__file__).parents[1] / "docs" / "operations" / "comparison-report.schema.json"


@cache
def report_schema() -> dict[str, Any]:
    """Return the schema that the documentation names."""
    schema: dict[str, Any] = json.loads(_PATH.read_text(encoding="utf-8"))
    return schema


def assert_is_documented(document: dict[str, Any]) -> None:
    """Assert that a report has the shape that the documentation promises."""
    jsonschema_rs.validator_for(report_schema()).validate(document)
