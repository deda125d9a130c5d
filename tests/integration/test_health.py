"""The health view: red on age, not on liveness."""

from datetime import UTC, datetime, timedelta

import pytest

from lms_integration.models import OverviewMark
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

    with django_assert_num_queries(5):
        client.get("/health")


def test_dead_letters_are_counted_and_do_not_turn_it_red(client):
    rebuild_letter(age=timedelta(days=3))

    response = client.get("/health")

    assert response.status_code == 200
    figures = response.json()["dead_letters"]["rebuild"]
    assert figures["count"] == 1
    assert figures["oldest_seconds"] == pytest.approx(3 * 86_400, abs=60)
