"""The health view: red on age, not on liveness."""

from datetime import UTC, datetime, timedelta

import pytest

from lms_integration.models import OverviewInspection, OverviewMark, OverviewState
from tests.letters import rebuild_letter

pytestmark = pytest.mark.django_db

KEY = "course-v1:TestX+Health+R1"


def dirty(*, seconds: float, **values) -> None:
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    OverviewMark.objects.create(course_key=KEY, wanted=2, done=1, dirty_since=since, **values)


def test_it_is_green_while_nothing_waits(client):
    response = client.get("/health")

    assert response.status_code == 200
    body = response.json()
    assert body.pop("dead_letters") == {
        origin: {"count": 0, "oldest_seconds": 0.0}
        for origin in ("intake", "rebuild", "task", "broker")
    }
    assert body == {
        "healthy": True,
        "dirty_count": 0,
        "oldest_dirty_seconds": 0.0,
        "held_back_count": 0,
        "held_delete_count": 0,
        "inspection": {"overdue": False, "seconds": None, "broke_off": False},
        "stopped_runs": [],
    }


def test_it_is_green_while_a_course_has_been_dirty_for_seconds(client):
    dirty(seconds=5)

    response = client.get("/health")

    assert response.status_code == 200
    assert response.json()["dirty_count"] == 1


def test_it_is_red_when_a_course_has_been_dirty_for_minutes(client):
    dirty(seconds=300)

    response = client.get("/health")

    assert response.status_code == 503
    assert response.json()["oldest_dirty_seconds"] >= 299


def test_a_course_that_waits_for_its_author_does_not_turn_it_red(client):
    dirty(seconds=3000, next_attempt_at=datetime.now(UTC) + timedelta(hours=5))

    response = client.get("/health")

    assert response.status_code == 200
    assert response.json()["held_back_count"] == 1


def test_it_asks_the_database_a_constant_and_small_number_of_times(
    client, django_assert_num_queries
):
    dirty(seconds=1)

    with django_assert_num_queries(8):
        client.get("/health")


def test_dead_letters_are_counted_and_do_not_turn_it_red(client):
    rebuild_letter(age=timedelta(days=3))

    response = client.get("/health")

    assert response.status_code == 200
    figures = response.json()["dead_letters"]["rebuild"]
    assert figures["count"] == 1
    assert figures["oldest_seconds"] == pytest.approx(3 * 86_400, abs=60)


# Whether somebody looks at the rows


def inspected(*, seconds_ago: float, error: str = "") -> None:
    moment = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    finished_at = None if error else moment
    OverviewInspection.objects.create(started_at=moment, finished_at=finished_at, error=error)


def built(*, seconds_ago: float) -> None:
    built_at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    OverviewState.objects.create(course_key=KEY, source_version="a" * 24, built_at=built_at)


def test_it_is_green_while_passes_end(client):
    inspected(seconds_ago=60)

    response = client.get("/health")

    assert response.status_code == 200
    assert 59 < response.json()["inspection"].pop("seconds") < 90


def test_it_is_red_when_no_pass_has_ended_for_five_minutes_whatever_was_begun(client):
    inspected(seconds_ago=400)
    inspected(seconds_ago=10, error="KeyError('a bug')")

    response = client.get("/health")

    assert response.status_code == 503
    assert response.json()["inspection"]["overdue"]
    assert response.json()["inspection"]["broke_off"]


def test_what_a_pass_broke_off_with_is_not_told_to_everybody(client):
    inspected(seconds_ago=10, error="KeyError('a bug')")

    assert b"a bug" not in client.get("/health").content


def test_it_is_red_when_there_are_courses_and_no_pass_ever_ended(client):
    built(seconds_ago=400)

    assert client.get("/health").status_code == 503


def test_it_is_green_before_the_first_pass_of_a_new_site(client):
    built(seconds_ago=10)

    assert client.get("/health").status_code == 200


@pytest.mark.parametrize(("limit", "status"), [(0, 200), (30, 503), (3600, 200)])
def test_the_age_is_a_setting(client, settings, limit, status):
    settings.OVERVIEW_MAX_INSPECTION_AGE_SECONDS = limit
    inspected(seconds_ago=400)

    assert client.get("/health").status_code == status


def test_a_clock_that_was_set_back_hides_no_pass_that_ended_since(client):
    inspected(seconds_ago=-300)
    inspected(seconds_ago=10)

    assert client.get("/health").json()["inspection"]["seconds"] > 9
