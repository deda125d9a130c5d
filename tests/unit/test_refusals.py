"""Which task messages a worker accepts."""

import pytest
from celery.exceptions import InvalidTaskError

from overview_worker.refusals import check_task, periodic_job_of

NONE = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


@pytest.mark.parametrize("payload", [[["key"], {}, NONE], [[], {"rewrite": True}, {}]])
def test_what_the_pipeline_sends_is_accepted(payload):
    check_task(payload)


@pytest.mark.parametrize(
    "payload",
    [
        None,
        5,
        "abc",
        {"args": [], "kwargs": {}},
        [],
        [1, 2],
        [["key"], {}],
        [["key"], {}, {}, {}],
        ["key", {}, {}],
        [["key"], 5, {}],
        [["key"], {}, None],
        [["key"], {}, {"chain": [{"task": "overview.sweep"}]}],
    ],
)
def test_anything_else_is_refused(payload):
    with pytest.raises(InvalidTaskError):
        check_task(payload)


def test_a_job_that_beat_sends_by_itself_is_known_by_its_header():
    assert periodic_job_of({"task": "overview.sweep", "celery_beat_task": True}) == "overview.sweep"


@pytest.mark.parametrize(
    "headers",
    [
        None,
        {},
        {"celery_beat_task": True},
        {"task": "overview.sweep"},
        {"task": "overview.sweep", "celery_beat_task": "yes"},
        {"task": "grades.sweep", "celery_beat_task": True},
        {"task": "overview.sweep\nforged line", "celery_beat_task": True},
        {"task": 5, "celery_beat_task": True},
    ],
)
def test_nothing_else_is_a_job_of_beat_s(headers):
    assert periodic_job_of(headers) is None
