"""The recorded state, loaded once a module and rolled back, and the recorded platform's settings."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.db import transaction
from django.test import override_settings

from tests.recorded_http import (
    JWT_KEY,
    RECORDED_SETTINGS,
    load_learner_home_state,
    load_recorded_state,
)
from tests.token_keys import verify_tokens_with


@pytest.fixture(scope="module")
def recorded_state(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The rows in force when the exchanges were recorded; nothing of them is left afterwards."""
    with django_db_blocker.unblock(), transaction.atomic():
        load_recorded_state()
        load_learner_home_state()
        yield
        transaction.set_rollback(True)


@pytest.fixture(autouse=True)
def recorded_settings(settings: Any) -> Iterator[None]:
    """The settings in force when the exchanges were recorded, and throttles without a history."""
    verify_tokens_with(JWT_KEY, settings=settings)
    cache.clear()
    with override_settings(**RECORDED_SETTINGS):
        yield
    cache.clear()
