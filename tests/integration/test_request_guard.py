"""The guard raises on whatever a request path may not do, also where it was caught."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import RequestFactory
from kombu import Connection

from lms_integration.http.guard import RequestPathGuard, RequestPathViolation, sql_reads_only
from lms_integration.models import CourseOverview, OverviewState
from lms_integration.platform_tables.models import CourseEnrollment
from overview_worker.celery import app as celery_app

COURSE = "course-v1:Guard+G1+R1"


def test_a_command_on_an_open_connection_to_mongodb_raises(mongo_client):
    mongo_client.admin.command("ping")

    with pytest.raises(RequestPathViolation, match="MongoClient"), sql_reads_only():
        mongo_client.admin.command("ping")


def test_a_connection_to_the_broker_raises(broker_url):
    with (
        pytest.raises(RequestPathViolation, match="Connection"),
        sql_reads_only(),
        Connection(broker_url) as connection,
    ):
        connection.connect()


def test_a_task_that_is_sent_raises(broker_url):
    with pytest.raises(RequestPathViolation, match="send_task"), sql_reads_only():
        celery_app.send_task("overview.anything")


def test_a_violation_that_somebody_swallowed_is_raised_at_the_end(mongo_client):
    def careless():
        try:
            mongo_client.admin.command("ping")
        except AssertionError:
            return "all is well"
        return "not reached"

    with pytest.raises(RequestPathViolation), sql_reads_only():
        assert careless() == "all is well"


@pytest.mark.django_db
def test_writing_an_overview_raises():
    overview = CourseOverview(id=COURSE, version=19, pre_requisite_courses_json="[]")

    with pytest.raises(RequestPathViolation, match="courseoverview"), sql_reads_only():
        overview.save(force_insert=True)


@pytest.mark.django_db
def test_writing_a_state_raises():
    with pytest.raises(RequestPathViolation, match="overview_state"), sql_reads_only():
        OverviewState.objects.filter(course_key=COURSE).update(deleted=True)


@pytest.mark.django_db
def test_reading_overviews_and_writing_enrolments_are_what_requests_are_for():
    user = User.objects.create_user("guarded")

    with sql_reads_only():
        assert not CourseOverview.objects.exists()
        CourseEnrollment.objects.create(
            user=user, course_id=COURSE, created=datetime(2026, 1, 1, tzinfo=UTC)
        )

    assert CourseEnrollment.objects.filter(course_id=COURSE).exists()


@pytest.mark.django_db
def test_the_middleware_holds_a_whole_request_to_it(mongo_client):
    def view(_request):
        mongo_client.admin.command("ping")
        return HttpResponse()

    with pytest.raises(RequestPathViolation):
        RequestPathGuard(view)(RequestFactory().get("/"))


def test_outside_of_a_request_nothing_is_refused(mongo_client):
    with sql_reads_only():
        pass

    assert mongo_client.admin.command("ping")["ok"] == 1
