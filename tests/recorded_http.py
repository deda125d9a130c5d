"""Loads the recorded state of a real Open edX and replays its recorded requests against our endpoints.

The recording lies beside the project, in ``../shared/http``; without it the replay tests are skipped.
"""

import gzip
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jwt
import pytest
import time_machine
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django.test import Client, override_settings
from django.utils.dateparse import parse_datetime

from lms_integration.models import (
    CourseOverview,
    CourseOverviewTab,
    OverviewProjection,
)
from lms_integration.platform_tables.models import MobileConfig, Schedule
from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings
from tests.documented_api import assert_documented
from tests.recorded_overviews import projection_of
from tests.shared_data import SHARED_HTTP, published_courses, recorded_overviews

needs_recorded_http = pytest.mark.skipif(
    not SHARED_HTTP.is_dir(), reason=f"no recorded exchanges in {SHARED_HTTP}"
)

HOST = "learn.example.org"
API_KEY = "PUT_YOUR_API_KEY_HERE"
JWT_KEY = "the key that signs the replayed tokens, of these tests alone"

#: The recorded platform's settings that show in answers, by our names.
RECORDED_SETTINGS: Mapping[str, Any] = {
    "ALLOWED_HOSTS": [HOST],
    "LMS_ROOT_URL": "http://localhost:8000",
    "LEARNING_MICROFRONTEND_URL": "http://learning-mfe",
    "MEDIA_URL": "/uploads/",
    "EDX_API_KEY": API_KEY,
    "PLATFORM_NAME": "\u00e9dX",
    "SEND_ACTIVATION_EMAIL_URL": "https://courses.example.edx.org/api/send_account_activation_email",
    "FEATURES": {"ENABLE_COURSEWARE_SEARCH": False},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """One recorded request with what Open edX answered."""

    id: str
    caller: str
    method: str
    path: str
    query: str
    body: Any
    request_headers: Mapping[str, str]
    scheme: str
    status: int
    headers: Mapping[str, str]
    response: Any  #: parsed JSON; None where the answer was none
    response_text: str | None
    recorded_at: datetime
    raw: Mapping[
        str, Any
    ]  #: everything else that was recorded, such as ``variant`` and ``row_before``

    def __str__(self) -> str:
        return self.id


@cache
def exchanges(family: str) -> tuple[Exchange, ...]:
    """Return all exchanges of a family, such as ``mobile_users``, in file order; none without data."""
    return tuple(_exchange(raw) for raw in _read(family, default=[]))


FAMILIES = (
    "course_ids",
    "courses_detail",
    "courses_list",
    "enrollment_allowed",
    "enrollment_course",
    "enrollment_get",
    "enrollment_post",
    "enrollment_user_roles",
    "enrollments_list",
    "lazy_fill",
    "learner_home",
    "mobile_course_enrollments",
    "mobile_users",
    "throttling",
    "variants",
)


def by_path(family: str, prefix: str) -> list[Any]:
    """Return the exchanges of a family whose path begins so, as parameters of a test."""
    chosen = [each for each in exchanges(family) if each.path.startswith(prefix)]
    return [pytest.param(exchange, id=exchange.id) for exchange in chosen]


def by_id(family: str) -> list[Any]:
    """Return the exchanges of a family as parameters of a test, named by their ids."""
    return [pytest.param(exchange, id=exchange.id) for exchange in exchanges(family)]


def _exchange(raw: Mapping[str, Any]) -> Exchange:
    recorded_at = parse_datetime(raw["recorded_at"])
    assert recorded_at is not None
    return Exchange(
        id=raw["id"],
        caller=raw["caller"],
        method=raw["method"],
        path=raw["path"],
        query=raw.get("query") or "",
        body=raw.get("body"),
        request_headers=raw.get("request_headers") or {},
        scheme=raw.get("scheme", "http"),
        status=raw["status"],
        headers=raw["headers"],
        response=raw.get("response"),
        response_text=raw.get("response_text"),
        recorded_at=recorded_at if recorded_at.tzinfo else recorded_at.replace(tzinfo=UTC),
        raw=raw,
    )


def _read(name: str, *, default: Any) -> Any:
    path = SHARED_HTTP / f"{name}.json.gz"
    if not path.is_file():
        return default
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return json.load(file)


# --- the recorded state


def load_recorded_state() -> None:
    """Write all recorded rows that our tables have, overviews and their projections included."""
    fixtures = _read("fixtures", default={})
    load_overviews([*recorded_overviews().values(), *fixtures["overviews_big"]])
    load_tables(fixtures["tables"])


def load_learner_home_state() -> None:
    """Write the learners that were added for the recording of the learner home."""
    load_tables(_read("fixtures_learner_home", default={}))


def load_tables(tables: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
    """Write rows by table name, leaving out the tables and the columns that we do not have."""
    for model in apps.get_models():  # in the order of their dependencies
        rows = tables.get(model._meta.db_table)
        if rows:
            load_rows(model, rows)


def load_rows(model: type[models.Model], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as they are, dates included, over those with the same key."""
    columns = {field.column: field for field in model._meta.concrete_fields}
    instances = [
        model(
            **{
                columns[name].attname: _value(columns[name], value)
                for name, value in row.items()
                if name in columns
            }
        )
        for row in rows
    ]
    automatic = [
        field
        for field in columns.values()
        if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
    ]
    kept = [(field, field.auto_now, field.auto_now_add) for field in automatic]  # type: ignore[attr-defined]
    for field in automatic:
        field.auto_now = field.auto_now_add = False  # type: ignore[attr-defined]
    try:
        model._default_manager.bulk_create(instances)
    finally:
        for field, auto_now, auto_now_add in kept:
            field.auto_now, field.auto_now_add = auto_now, auto_now_add  # type: ignore[attr-defined]


def _value(field: "models.Field[Any, Any]", value: Any) -> Any:
    if isinstance(field, models.DateTimeField) and isinstance(value, str):
        parsed = parse_datetime(value)
        assert parsed is not None, value
        return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    if isinstance(field, models.BooleanField) and value is not None:
        return bool(value)
    return value


def load_overviews(records: Iterable[Mapping[str, Any]]) -> None:
    """Write recorded overview rows with their tabs and projections."""
    chosen = [record for record in records if record.get("row")]
    load_rows(CourseOverview, [record["row"] for record in chosen])
    CourseOverviewTab.objects.bulk_create(
        CourseOverviewTab(course_overview_id=record["row"]["id"], **tab)
        for record in chosen
        for tab in record["tabs"]
    )
    load_projections([record["row"]["id"] for record in chosen])


def load_projections(course_keys: Iterable[str]) -> None:
    """Write the projections beside overview rows; about pages as our builder reads the modulestore."""
    OverviewProjection.objects.bulk_create(
        projection_of(overview, overview_html=built_about_page(overview.id))
        for overview in CourseOverview.objects.filter(pk__in=list(course_keys))
    )


@cache
def built_about_page(course_key: str) -> str | None:
    """Return the about page that the builder makes of the recorded modulestore; None without a course."""
    course = published_courses().get(course_key)
    if course is None:
        return None
    return build_overview(course, settings=BuilderSettings()).projection.overview_html


# --- the replay


#: Bodies that were not JSON; the recording has not kept what they called themselves.
UNRECORDED_CONTENT_TYPES = {
    "post.text_plain": "text/plain",
    "post.form_encoded": "application/x-www-form-urlencoded",
}
#: All other writes came as from a page of the site.
SENT_WITHOUT_CSRF_TOKEN = frozenset({"post.csrf_missing"})


def send(exchange: Exchange) -> Any:
    """Send a recorded request as its recorded caller and return our response.

    Whatever we answer, the OpenAPI document has to describe it.
    """
    client = _client_of(exchange.caller)
    client.handler.enforce_csrf_checks = exchange.id in SENT_WITHOUT_CSRF_TOKEN
    if (language := exchange.headers.get("Content-Language", "en")) != "en":
        # Set by an answer before this one; the recording shows it by the language of this answer alone.
        client.cookies[settings.LANGUAGE_COOKIE_NAME] = language
    headers = {
        name: value for name, value in exchange.request_headers.items() if "\u2026" not in value
    }
    headers |= _credentials(exchange)
    arguments: dict[str, Any] = {"headers": headers, "secure": exchange.scheme == "https"}
    if exchange.body is not None:
        is_text = isinstance(exchange.body, str)
        arguments["data"] = exchange.body if is_text else json.dumps(exchange.body)
        arguments["content_type"] = exchange.request_headers.get(
            "Content-Type", UNRECORDED_CONTENT_TYPES.get(exchange.id, "application/json")
        )
    path = exchange.path + (f"?{exchange.query}" if exchange.query else "")
    response = client.generic(
        exchange.method,
        path,
        data=arguments.pop("data", ""),
        content_type=arguments.pop("content_type", "application/octet-stream"),
        QUERY_STRING=exchange.query,
        **arguments,
    )
    assert_documented(exchange.method, exchange.path, response)
    return response


def _client_of(caller: str) -> Client:
    client = Client(SERVER_NAME=HOST, raise_request_exception=False)
    username = caller.removesuffix("+apikey")
    if username not in ("anonymous", "apikey") and not username.startswith("jwt:"):
        client.force_login(User.objects.get(username=username))
    return client


def _credentials(exchange: Exchange) -> dict[str, str]:
    recorded = exchange.request_headers.get("Authorization", "")
    if exchange.caller.startswith("jwt:"):
        return {
            "Authorization": f"JWT {signed_token(exchange.caller.removeprefix('jwt:'), exchange.recorded_at)}"
        }
    if recorded.startswith("JWT abc.def."):
        return {"Authorization": "JWT abc.def.ghi"}
    if recorded.startswith("Bearer "):
        return {"Authorization": "Bearer nosuchtoken"}
    return {}


def signed_token(username: str, now: datetime) -> str:
    """Return a token that ``RECORDED_SETTINGS`` accepts for an hour from ``now``."""
    claims = {"preferred_username": username, "exp": int(now.timestamp()) + 3600}
    return jwt.encode(claims, JWT_KEY, algorithm="HS256")


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Exchanges that we answer otherwise on purpose; each is listed in ``docs/fidelity.md``."""

    ids: tuple[str, ...]
    reason: str  #: one sentence; the documentation repeats it
    check: Callable[[Any, Exchange], None]  #: asserts what we answer instead: (response, exchange)


def replay(exchange: Exchange, differences: Iterable[Difference] = ()) -> None:
    """Send an exchange at the time of its recording; assert that the answer is the same, or our own."""
    with time_machine.travel(exchange.recorded_at, tick=False):
        response = send(exchange)
    difference = next((each for each in differences if exchange.id in each.ids), None)
    if difference is None:
        assert_same(response, exchange)
    else:
        difference.check(response, exchange)


@contextmanager
def variant_in_force(exchange: Exchange) -> Iterator[None]:
    """Put in force what an exchange of the family ``variants`` changed: settings and rows of its own."""
    variant = exchange.raw.get("variant") or {}
    source = variant.get("same rows as")
    origin = next((each for each in exchanges("variants") if each.id == source), exchange)
    rows = origin.raw.get("variant") or {}
    load_tables(
        {
            table: [
                {"modified_date": str(exchange.recorded_at), **_with_own_key(row)}
                for row in rows.get(f"{table}_added", [])
            ]
            for table in ("student_courseenrollment", "certificates_generatedcertificate")
        }
    )
    for schedule in variant.get("schedules_schedule", []):
        Schedule.objects.update_or_create(
            enrollment_id=schedule["enrollment_id"],
            defaults={
                "start_date": parse_datetime(schedule["start_date"]),
                "upgrade_deadline": parse_datetime(schedule["upgrade_deadline"] or ""),
            },
        )
    if variant.get("mobile_api_mobileconfig") == []:
        MobileConfig.objects.all().delete()
    with override_settings(**_settings_of({**rows, **variant})):
        yield


def _with_own_key(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Let the database number a recorded row: its recorded number may be taken by another table's."""
    return {name: value for name, value in row.items() if name != "id"}


def _settings_of(variant: Mapping[str, Any]) -> dict[str, Any]:
    """Return our settings for a recorded variant, most of which are configuration tables there."""
    found: dict[str, Any] = {
        name: variant[name]
        for name in (
            "COURSE_CATALOG_VISIBILITY_PERMISSION",
            "COURSE_ABOUT_VISIBILITY_PERMISSION",
            "EDX_API_KEY",
        )
        if name in variant
    }
    if "FEATURES" in variant:
        found["FEATURES"] = {**RECORDED_SETTINGS["FEATURES"], **variant["FEATURES"]}
    if "SOCIAL_SHARING_SETTINGS.CUSTOM_COURSE_URLS" in variant:
        found["SOCIAL_SHARING_SETTINGS"] = {"CUSTOM_COURSE_URLS": True}
    for table, row in _first_rows(variant):
        match table:
            case "waffle_switch":
                found["OVERVIEW_AUTO_CERTIFICATES"] = row["active"]
            case "mobile_api_ignoremobileavailableflagconfig":
                found["OVERVIEW_IGNORE_MOBILE_AVAILABLE"] = row["enabled"]
            case "static_replace_assetbaseurlconfig":
                found["OVERVIEW_ASSET_BASE_URL"] = row["base_url"]
            case "course_duration_limits_coursedurationlimitconfig":
                found["OVERVIEW_DURATION_LIMITS_AS_OF"] = parse_datetime(row["enabled_as_of"])
            case "courseware_dynamicupgradedeadlineconfiguration":
                found["OVERVIEW_DYNAMIC_UPGRADE_DEADLINES"] = row["enabled"]
            case "site_configuration_siteconfiguration":
                found["OVERVIEW_COURSE_ORG_FILTER"] = row["site_values"]["course_org_filter"]
                found["LMS_ROOT_URL"] = row["site_values"]["LMS_ROOT_URL"]
    return found


def _first_rows(variant: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for table, rows in variant.items():
        if isinstance(rows, list) and rows:
            yield table, rows[0]


def prepare_lazy_fill(exchange: Exchange) -> None:
    """Bring the rows into the state that an exchange of the family ``lazy_fill`` was recorded in.

    Such an exchange starts from what the ones before it in the file left; here each stands alone, so
    what they left is made again: the row that is missing, or the row of an older version.
    """
    if exchange.id.endswith(".again"):
        first = exchange.id.removesuffix(".again")
        exchange = next(e for e in exchanges("lazy_fill") if e.id == first)
    prepared = exchange.raw.get("prepared") or ""
    if match := re.search(r"of (\S+) deleted just before", prepared):
        CourseOverview.objects.filter(id=match[1]).delete()
        OverviewProjection.objects.filter(course_key=match[1]).delete()
    if match := re.search(r'row of (\S+) given version (\d+) and display_name "(.+)"', prepared):
        CourseOverview.objects.filter(id=match[1]).update(
            version=int(match[2]), display_name=match[3]
        )


def assert_same(response: Any, exchange: Exchange) -> None:
    """Assert that status and JSON are those recorded."""
    assert response.status_code == exchange.status, response.content[:500]
    if exchange.response is not None:
        assert response.json() == exchange.response
    elif exchange.raw.get("response_bytes") == 0:
        assert response.content == b""


def assert_listed(differences: Iterable[Difference]) -> None:
    """Assert that every difference is named in the documentation, with its exchanges and its reason."""
    text = (Path(__file__).resolve().parents[1] / "docs" / "fidelity.md").read_text("utf-8")
    for difference in differences:
        assert difference.reason in text, difference.reason
        missing = [name for name in difference.ids if f"`{name}`" not in text]
        assert not missing, missing
