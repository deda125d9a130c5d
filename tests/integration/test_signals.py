"""Studio's side: the mark joins the publishing transaction, the event follows its commit."""

import pytest
from django.db import transaction
from django.test import override_settings

from lms_integration import announcements
from lms_integration.events import CourseDeleted, CoursePublished, Event
from lms_integration.identity import database_identity
from lms_integration.models import OverviewMark
from lms_integration.publisher import PublishOutcome
from lms_integration.signals import course_deleted, course_published

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "course-v1:TestX+Signals+R1"
VERSION = "6b033f466c2a3b3c53b90433"


@pytest.fixture
def sent(monkeypatch) -> list[Event]:
    """The events that were handed to the publisher, instead of a broker."""
    events: list[Event] = []

    def publish(event: Event) -> PublishOutcome:
        events.append(event)
        return PublishOutcome.SENT

    monkeypatch.setattr(announcements, "publish_event", publish)
    return events


def test_a_publish_marks_its_course_and_sends_one_event_after_the_commit(sent):
    with transaction.atomic():
        course_published.send(sender=None, course_key=KEY, published_version=VERSION)
        assert OverviewMark.objects.get(course_key=KEY).wanted == 1
        assert sent == []

    (event,) = sent
    assert isinstance(event, CoursePublished)
    assert (event.course_key, event.published_version) == (KEY, VERSION)
    assert event.marked_in == database_identity()


def test_a_publish_that_is_rolled_back_leaves_neither_mark_nor_event(sent):
    with transaction.atomic():
        course_published.send(sender=None, course_key=KEY)
        transaction.set_rollback(True)

    assert not OverviewMark.objects.exists()
    assert sent == []


def test_a_delete_is_announced_as_one(sent):
    course_deleted.send(sender=None, course_key=KEY)

    (event,) = sent
    assert isinstance(event, CourseDeleted)
    assert OverviewMark.objects.get(course_key=KEY).wanted == 1


@pytest.mark.parametrize("key", ["library-v1:LibOrg+LIB0", "Old/Course/Run", "ccx-v1:a+b+c+ccx@1"])
def test_what_is_no_split_course_is_left_alone(sent, key):
    responses = course_published.send_robust(sender=None, course_key=key)

    assert all(response is None for _, response in responses)
    assert sent == []
    assert not OverviewMark.objects.exists()


def test_with_the_broker_down_the_mark_stands_and_nothing_is_raised():
    with override_settings(OVERVIEW_BROKER_URL="amqp://127.0.0.1:9/x"):
        responses = course_published.send_robust(sender=None, course_key=KEY)

    assert [response for _, response in responses] == [None]
    assert OverviewMark.objects.get(course_key=KEY).dirty_since is not None
