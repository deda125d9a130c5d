"""A broker that has fallen silent: the connection is open, and no answer ever comes."""

import os
from urllib.parse import urlsplit

import pytest
from kombu import Connection

from lms_integration.topology import event_queue
from overview_worker import impatient_amqp
from overview_worker.impatient_amqp import bound_waits
from tests.faults.black_hole import Relay

pytestmark = pytest.mark.service


def test_an_answer_that_never_comes_is_an_error_and_no_wait_without_end(monkeypatch):
    bound_waits()
    monkeypatch.setattr(impatient_amqp, "REPLY_SECONDS", 0.2)
    url = urlsplit(os.environ["OVERVIEW_BROKER_URL"])
    assert url.port is not None
    with Relay(port=url.port) as relay:
        account = f"{url.username}:{url.password}"
        there = url._replace(netloc=f"{account}@127.0.0.1:{relay.port}").geturl()
        with Connection(there) as connection:
            queue = event_queue()(connection.default_channel)
            assert relay.swallow() == 1

            with pytest.raises(TimeoutError):
                queue.declare()
