"""Which task messages a worker accepts."""

import pytest
from celery.exceptions import InvalidTaskError

from overview_worker.refusals import check_task

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
