"""Calls are counted together in a real Redis; where it is away, or silent, requests are answered all the same."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from django.core.cache import caches
from django.test import Client, override_settings

from lms_integration.http.throttling import CACHE_OUTAGE
from lms_integration.settings import cache_settings

pytestmark = [pytest.mark.service, pytest.mark.django_db]

LIST = "/api/courses/v1/courses/"


@contextmanager
def cache_at(url: str) -> Iterator[None]:
    with override_settings(CACHES={"default": cache_settings(url)}):
        CACHE_OUTAGE.end()
        yield
        CACHE_OUTAGE.end()


def statuses(count: int) -> list[int]:
    return [Client().get(LIST).status_code for _ in range(count)]


def test_web_processes_with_a_shared_cache_count_together(redis_url: str):
    with cache_at(redis_url):
        caches["default"].clear()
        assert statuses(15) == [200] * 15

    with cache_at(redis_url):  # as another process: a connection of its own
        assert statuses(10) == [200] * 5 + [429] * 5
        caches["default"].clear()


def test_a_cache_that_is_away_stops_nobody(caplog: pytest.LogCaptureFixture):
    with cache_at("redis://127.0.0.1:1/0"):
        assert statuses(30) == [200] * 30

    assert sum("the cache is away" in each for each in caplog.messages) == 1


def test_a_silent_cache_costs_one_timeout_and_not_one_for_each_request(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(CACHE_OUTAGE, "_clock", lambda: 0.0)  # however slow the machine is
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with cache_at(f"redis://127.0.0.1:{port}/0"):
            assert statuses(10) == [200] * 10

        assert _waiting_connections(silent) == 1


def _waiting_connections(server: socket.socket) -> int:
    server.setblocking(False)
    count = 0
    with suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            count += 1
    return count


def test_a_cache_over_tls_has_its_certificate_and_name_verified():
    client = caches.create_connection  # what Django makes of the settings
    with override_settings(CACHES={"default": cache_settings("rediss://:x@cache.example.org/0")}):
        cache = client("default")
        kwargs = cache._cache._get_connection_pool(write=True).connection_kwargs  # type: ignore[attr-defined]

    assert kwargs["ssl_check_hostname"] is True
    assert kwargs.get("ssl_cert_reqs", "required") == "required"
