"""The three lists as Open edX answers them: one course after another, each with queries of its own.

A course without a row is fetched from MongoDB, built and saved inside the request. What is shown of a
course is made by the product's own functions, so only the way to the data differs. Each course costs
fewer queries here than in the recorded Open edX: 9 in the mobile list (18 there), 4 in the enrolment
list (3 there, whose modes are read once more), 8 on the dashboard (7 there).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any, cast

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone
from pymongo import MongoClient
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from benchmarks.lazy_course import fill_lazily
from lms_integration.dashboard.cards import card_of
from lms_integration.dashboard.choices import Choice, Status
from lms_integration.dashboard.details import details_by_course
from lms_integration.dashboard.pages import show
from lms_integration.dashboard.queries import ListedCourse, ListedPage
from lms_integration.dashboard.views import dashboard_context
from lms_integration.enrollments.items import enrollment_item
from lms_integration.learners.enrolled import EnrolledCourse
from lms_integration.learners.modes import modes_by_course
from lms_integration.learners.standing import standing_of, unfulfilled_courses
from lms_integration.mobile.items import Scene, item_of
from lms_integration.mobile.queries import DownloadableCertificate, ListedEnrollment
from lms_integration.models import CourseOverview, CourseOverviewImageSet, CourseOverviewTab
from lms_integration.platform_tables.models import (
    CourseEnrollment,
    GeneratedCertificate,
    OrganizationCourse,
    Schedule,
)
from lms_integration.site_settings import site_settings

_mongo: list[Any] = []


@contextmanager
def filling_from(client: "MongoClient[dict[str, Any]]") -> Iterator[None]:
    """Say where courses without a row are fetched from."""
    _mongo.append(client[settings.OVERVIEW_MONGODB_DATABASE])
    try:
        yield
    finally:
        _mongo.pop()


class LazyMobileList(APIView):
    """Version 1 of the mobile list."""

    def get(self, request: Request) -> Response:
        """Return the items, each made from queries of its own."""
        user = cast(User, request.user)
        scene = Scene(
            user_id=user.pk,
            username=user.username,
            standing=standing_of(user),
            version="v1",
            base_url=request.build_absolute_uri("/").rstrip("/"),
            site=site_settings(),
            now=timezone.now(),
        )
        return Response([_mobile_item(each, scene) for each in _enrollments(user)])


def _mobile_item(enrollment: CourseEnrollment, scene: Scene) -> dict[str, Any]:
    key = enrollment.course_id
    overview = _overview(key)
    tabs = list(CourseOverviewTab.objects.filter(course_overview_id=key))
    organization = (
        OrganizationCourse.objects.filter(course_id=key, active=True)
        .select_related("organization")
        .first()
    )
    certificate = GeneratedCertificate.objects.filter(user_id=scene.user_id, course_id=key).first()
    listed = ListedEnrollment(
        enrolled=_enrolled(enrollment, overview),
        org_logo=organization.organization.logo if organization else None,
        has_discussion_tab=any(tab.tab_id == "discussion" for tab in tabs),
        is_unfulfilled=bool(unfulfilled_courses(scene.user_id, [key])),
        certificate=_downloadable(certificate),
        schedule=Schedule.objects.filter(enrollment_id=enrollment.pk).first(),
    )
    modes_by_course([key])  # the upgrade deadline asks for itself
    return item_of(listed, modes_by_course([key], include_expired=True)[key], scene)


def _downloadable(certificate: GeneratedCertificate | None) -> DownloadableCertificate | None:
    if certificate is None or certificate.status != "downloadable":
        return None
    return DownloadableCertificate(
        verify_uuid=certificate.verify_uuid, download_url=certificate.download_url
    )


class LazyEnrollmentList(APIView):
    """The learner's list of the Enrollment API."""

    def get(self, request: Request) -> Response:
        """Return the items, each made from queries of its own."""
        return Response([_enrollment_item(each) for each in _enrollments(request.user)])


def _enrollment_item(enrollment: CourseEnrollment) -> dict[str, Any]:
    key = enrollment.course_id
    enrollment._state.fields_cache |= {"overview": _overview(key), "tombstone": None}
    modes_by_course([key], include_expired=True)  # Open edX asks for all, then for those left
    return enrollment_item(enrollment, modes=modes_by_course([key])[key])


@login_required
def lazy_dashboard(request: HttpRequest) -> HttpResponse:
    """The dashboard, with all cards on one page."""
    user = cast(User, request.user)
    now, site, standing = timezone.now(), site_settings(), standing_of(user)
    cards, listed = [], []
    for enrollment in _enrollments(user):
        one = _listed_course(enrollment, user)
        details = details_by_course([one], standing, user_id=user.pk, site=site, now=now)
        names: Mapping[str, str] = {}
        cards.append(
            card_of(one, details[enrollment.course_id], standing, names=names, site=site, now=now)
        )
        listed.append(one)
    counts = dict.fromkeys(Status, 0) | {Status.ALL: len(cards)}
    page = Paginator([one.enrolled.enrollment for one in listed], max(1, len(listed))).page(1)
    choice = Choice()
    shown = ListedPage(courses=listed, page=cast(Any, page), counts=counts)
    return show(request, "dashboard.html", dashboard_context(cards, shown, choice))


def _listed_course(enrollment: CourseEnrollment, user: User) -> ListedCourse:
    key = enrollment.course_id
    _overview(key)  # the view asks once, the template once more for every card
    overview = _overview(key)
    modes_by_course([key], include_expired=True)
    return ListedCourse(
        enrolled=_enrolled(enrollment, overview),
        is_unfulfilled=bool(unfulfilled_courses(user.pk, [key])),
        schedule=Schedule.objects.filter(enrollment_id=enrollment.pk).first(),
    )


def _enrollments(user: Any) -> list[CourseEnrollment]:
    rows = CourseEnrollment.objects.filter(user_id=user.pk, is_active=True)
    return list(rows.select_related("user").order_by("-created", "id"))


def _overview(course_key: str) -> CourseOverview:
    """Return the row with its image set, building it first where there is none."""
    row = CourseOverview.objects.filter(id=course_key).first()
    if row is None:
        row = fill_lazily(course_key, _mongo[-1])
    CourseOverviewImageSet.objects.filter(course_overview_id=course_key).first()
    return row


def _enrolled(enrollment: CourseEnrollment, overview: CourseOverview) -> EnrolledCourse:
    return EnrolledCourse(enrollment=enrollment, overview=overview, tombstone=None, row_seq=0)


def urls(module: ModuleType) -> list[Any]:
    """Return the product's URLs with the lazy lists beside them."""
    return [
        path("lazy/mobile", LazyMobileList.as_view()),
        path("lazy/enrollment", LazyEnrollmentList.as_view()),
        path("lazy/dashboard", lazy_dashboard),
        *module.urlpatterns,
    ]
