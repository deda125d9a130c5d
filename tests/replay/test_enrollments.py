"""The Enrollment API answers as a real Open edX did: every recorded exchange, replayed."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.utils.dateparse import parse_datetime

from lms_integration.platform_tables.models import CourseEnrollment
from tests.recorded_http import (
    Exchange,
    assert_listed,
    assert_same,
    by_id,
    by_path,
    exchanges,
    load_tables,
    needs_recorded_http,
    prepare_lazy_fill,
    replay,
    send,
    variant_in_force,
)
from tests.replay.enrollment_differences import ADV5, DIFFERENCES, text_of

pytestmark = [
    needs_recorded_http,
    pytest.mark.django_db,
    pytest.mark.usefixtures("before_the_learner_home"),
]

ROOT = "/api/enrollment/"
#: Courses that could not be built, by the failure that names the exchange.
UNBUILDABLE = {
    "OSError": "course-v1:GradeOrg+GPRAW0+R1",
    "ParserError": "course-v1:RawOrg+RAWDATE12+R1",
    "not_null_violation": "course-v1:CertOrg+NAMESNULL+R1",
}
END3 = "course-v1:DateOrg+END3+R1"


@pytest.fixture
def before_the_learner_home(recorded_state: None, db: None) -> None:
    """The recorded state without the learners that were added for the learner home, later."""
    CourseEnrollment.objects.filter(user__username__startswith="h_").delete()


@pytest.mark.parametrize("exchange", by_id("enrollment_get"))
def test_an_enrollment_is_read_as_recorded(exchange: Exchange):
    replay(exchange, DIFFERENCES)


@pytest.mark.parametrize("exchange", by_id("enrollment_course"))
def test_a_course_is_read_as_recorded(exchange: Exchange):
    replay(exchange, DIFFERENCES)


@pytest.mark.parametrize("exchange", by_id("enrollment_user_roles"))
def test_roles_are_read_as_recorded(exchange: Exchange):
    with time_machine.travel(exchange.recorded_at, tick=False):
        response = send(exchange)

    # Open edX gives them in the order of a set.
    assert (response.status_code, _sorted_roles(response.json())) == (
        exchange.status,
        _sorted_roles(exchange.response),
    )


def _sorted_roles(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**answer, "roles": sorted(answer["roles"], key=lambda role: sorted(role.items()))}


@pytest.mark.parametrize("exchange", by_id("enrollments_list"))
def test_the_staff_list_is_read_as_recorded(exchange: Exchange):
    replay(exchange, DIFFERENCES)


@pytest.mark.parametrize("exchange", by_path("variants", ROOT))
def test_a_changed_setting_shows_as_recorded(exchange: Exchange):
    with variant_in_force(exchange):
        replay(exchange, DIFFERENCES)


@pytest.mark.parametrize("exchange", by_path("lazy_fill", ROOT))
def test_a_missing_or_stale_row_is_answered_as_recorded(exchange: Exchange):
    prepare_lazy_fill(exchange)
    _add_unbuildable_enrollment(exchange)

    replay(exchange, DIFFERENCES)


def _add_unbuildable_enrollment(exchange: Exchange) -> None:
    """Enrol g_none as the exchanges before had: in the course that was filled, and in a broken one."""
    failure = exchange.id.split(".")[2] if exchange.id.startswith("lazy.unbuildable.") else ""
    if failure:
        user = {"user_id": 1001, "is_active": 1, "mode": "audit"}
        rows = [
            {"course_id": END3, "created": "2026-11-22 20:37:08.384900", **user},
            {"course_id": UNBUILDABLE[failure], "created": "2026-07-07 00:00:00", **user},
        ]
        load_tables({"student_courseenrollment": rows})


def test_all_writes_in_their_order_do_what_was_recorded():
    story = _Story()

    for exchange in (*exchanges("enrollment_post"), *exchanges("enrollment_allowed")):
        story.replay(exchange)

    assert story.failures == []


class _Story:
    """Replays exchanges that build on one another; what we make is made at the replayed times."""

    #: Enrolments that are there after an exchange, where it is not what was recorded.
    OTHER_ROWS: Mapping[str, Sequence[tuple[str, int, str]]] = {
        "post.case_variant": (),
        "post.case_variant_not_enrolled": (),
        "post.apikey_deactivate_not_enrolled": ((ADV5, 0, "audit"),),
        "post.is_active_null": ((ADV5, 1, "audit"),),
        "post.attrs_no_value": (),
        "post.cohort_unknown": (),
        "post.noprofile_user": (("course-v1:DateOrg+END2+R1", 1, "audit"),),
    }

    def __init__(self) -> None:
        self.failures: list[str] = []
        self._ours: dict[str, str] = {}  #: our times of creation by the recorded ones

    def replay(self, exchange: Exchange) -> None:
        """Replay one exchange and note by its name what was not as it should be."""
        self._note_creation(exchange)
        cache.clear()  # recorded without throttles
        try:
            replay(replace(exchange, response=self._retimed(exchange.response)), DIFFERENCES)
            self._compare_rows(exchange)
        except AssertionError as error:
            self.failures.append(f"{exchange.id}: {error}")

    def _note_creation(self, exchange: Exchange) -> None:
        before = {row["id"] for row in exchange.raw.get("row_before") or ()}
        for row in exchange.raw.get("row_after") or ():
            if row["id"] not in before:
                self._note(row["created"].replace(" ", "T") + "Z", exchange)
        if exchange.status == 201:
            self._note(exchange.response["created"], exchange)

    def _note(self, recorded: str, exchange: Exchange) -> None:
        self._ours[recorded] = text_of(exchange.recorded_at) or ""

    def _retimed(self, answer: Any) -> Any:
        text = json.dumps(answer)
        for recorded, ours in self._ours.items():
            text = text.replace(recorded, ours)
        return json.loads(text)

    def _compare_rows(self, exchange: Exchange) -> None:
        subject = exchange.raw.get("row_of") or {}
        if not subject.get("course_id"):
            return
        rows = CourseEnrollment.objects.filter(
            user__username=subject["user"], course_id=subject["course_id"]
        )
        if exchange.id in self.OTHER_ROWS:
            found = tuple((row.course_id, int(row.is_active), row.mode) for row in rows)
            assert found == self.OTHER_ROWS[exchange.id]
        else:
            expected = [self._row(row) for row in exchange.raw["row_after"]]
            assert [_stored(row) for row in rows] == expected

    def _row(self, recorded: Mapping[str, Any]) -> Mapping[str, Any]:
        created = recorded["created"].replace(" ", "T") + "Z"
        return {
            "course_id": recorded["course_id"],
            "created": parse_datetime(self._ours.get(created, created)),
            "is_active": bool(recorded["is_active"]),
            "mode": recorded["mode"],
            "user_id": recorded["user_id"],
            "attributes": recorded.get("attributes", []),
        }


def _stored(row: CourseEnrollment) -> Mapping[str, Any]:
    return {
        "course_id": row.course_id,
        "created": row.created,
        "is_active": row.is_active,
        "mode": row.mode,
        "user_id": row.user_id,
        "attributes": list(row.attributes.order_by("id").values("namespace", "name", "value")),
    }


def test_too_many_calls_are_refused_as_recorded():
    calls: Counter[str] = Counter()

    for exchange in _throttled():
        group = exchange.id.rpartition(".")[0]
        nth = exchange.raw["nth_request"]
        first = exchange.recorded_at - timedelta(seconds=exchange.raw["seconds_since_first"])
        with time_machine.travel(first, tick=False):
            for _ in range(nth - 1 - calls[group]):
                assert send(exchange).status_code == 200
        calls[group] = nth
        with time_machine.travel(exchange.recorded_at, tick=False):
            response = send(exchange)
        assert_same(response, exchange)
        if exchange.status == 429:  # Open edX drops the header where the message is another's
            message = next(iter(exchange.response.values()))
            assert response.headers["Retry-After"] == _seconds(message)


def _throttled() -> Iterator[Exchange]:
    return (each for each in exchanges("throttling") if each.path.startswith(ROOT))


def _seconds(message: str) -> str:
    return message.partition("available in ")[2].partition(" ")[0]


def test_every_difference_is_documented():
    assert_listed(DIFFERENCES)
