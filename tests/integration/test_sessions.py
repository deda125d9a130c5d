"""Sessions and accounts: ours are read otherwise than Django's, and are the same."""

from datetime import timedelta
from importlib import import_module

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore as DjangoSessionStore
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from lms_integration.http.sessions import Accounts, SessionStore

pytestmark = [pytest.mark.service, pytest.mark.django_db]


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", password="a password of her own")


@pytest.fixture
def signed_in(ann: User) -> Client:
    client = Client()
    client.force_login(ann)
    return client


def is_signed_in(client: Client) -> bool:
    return client.get("/dashboard").status_code == 200


def test_the_site_uses_them(signed_in: Client):
    assert import_module(settings.SESSION_ENGINE).SessionStore is SessionStore
    assert is_signed_in(signed_in)


def test_a_session_that_django_wrote_is_read_and_the_reverse():
    written = DjangoSessionStore()
    written["colour"] = "green"
    written.create()

    ours = SessionStore(written.session_key)
    assert ours["colour"] == "green"
    ours["colour"] = "blue"
    ours.save()

    assert DjangoSessionStore(written.session_key)["colour"] == "blue"


def test_an_expired_session_signs_nobody_in(signed_in: Client):
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))

    assert not is_signed_in(signed_in)


def test_a_key_that_is_nobodys_is_not_taken_over():
    store = SessionStore("0123456789abcdefghijklmnopqrstuv")
    store["colour"] = "green"
    store.save()

    assert store.session_key != "0123456789abcdefghijklmnopqrstuv"
    assert not Session.objects.filter(pk="0123456789abcdefghijklmnopqrstuv").exists()


def test_an_account_that_is_gone_or_has_another_password_is_signed_out(
    ann: User, signed_in: Client
):
    other = Client()
    other.force_login(ann)
    ann.set_password("another password of her own")
    ann.save()
    assert not is_signed_in(other)
    assert Accounts().get_user(ann.pk) == ann

    User.objects.all().delete()

    assert Accounts().get_user(ann.pk) is None
    assert not is_signed_in(signed_in)


def test_an_account_that_has_not_been_activated_is_served(ann: User, signed_in: Client):
    User.objects.update(is_active=False)

    assert is_signed_in(signed_in)
