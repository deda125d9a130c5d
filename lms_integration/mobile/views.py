"""The mobile API: a learner's enrolments in five versions, their status, and the learner.

URLs, parameters and answers are those of ``lms/djangoapps/mobile_api/users`` of edx-platform. Nothing
is written, and nothing but SQL is read.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from django.contrib.auth.models import User
from django.http import HttpResponseRedirect
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from lms_integration.http.conditional import conditional
from lms_integration.learners.standing import standing_of
from lms_integration.learners.versions import (
    RECENT,
    Activity,
    own_versions,
    own_versions_with,
)
from lms_integration.mobile import schemas
from lms_integration.mobile.links import user_path
from lms_integration.mobile.lists import (
    Question,
    envelope,
    items,
    listing_of,
    old_items,
    primary_and_items,
    primary_and_rest,
)
from lms_integration.mobile.paging import pages_of_v3, pages_of_v4
from lms_integration.mobile.permissions import IsUserInUrl
from lms_integration.mobile.queries import enrollment_statuses, name_of
from lms_integration.mobile.selection import status_named
from lms_integration.mobile.status_list import status_items
from lms_integration.site_settings import site_settings

#: What ``?requested_fields=`` may ask for.
PROGRESS = "course_progress"


def _versions_of_list(request: Request, api_version: str, **_: Any) -> Sequence[str] | None:
    """Return the versions behind a list; version 4 alone shows where the learner was last."""
    versions_of = own_versions_with(Activity.LAST_SEEN) if api_version == "v4" else own_versions
    return versions_of(request)


class EnrollmentList(APIView):
    """The active enrolments of the asker, newest first, each with what is known of its course."""

    name = "User Course Enrollments List"
    permission_classes = (IsUserInUrl,)

    @conditional(_versions_of_list)
    def get(self, request: Request, username: str, api_version: str) -> Response:
        """Return the list as the version in the URL has it."""
        question = Question(
            user=_user(request),
            version=api_version,
            base_url=_base_url(request),
            site=site_settings(),
            now=timezone.now(),
            org=request.query_params.get("org"),
        )
        return Response(self.answer(request, question))

    def answer(self, request: Request, question: Question) -> Any:
        """Return the body of the answer."""
        raise NotImplementedError


@extend_schema_view(get=extend_schema(**schemas.LIST_V05))
class EnrollmentListV05(EnrollmentList):
    """Version 0.5: those only that the learner still has access to."""

    def answer(self, request: Request, question: Question) -> Any:
        """Return the list."""
        return old_items(listing_of(question, with_configs=False))


@extend_schema_view(get=extend_schema(**schemas.LIST_V1))
class EnrollmentListV1(EnrollmentList):
    """Version 1: all of them, with the end of the learner's access and the modes of the course."""

    def answer(self, request: Request, question: Question) -> Any:
        """Return the list."""
        listing = listing_of(question, with_configs=False)
        return items(listing.candidates, listing.scene)


@extend_schema_view(get=extend_schema(**schemas.LIST_V2))
class EnrollmentListV2(EnrollmentList):
    """Version 2: version 1 with the learner's time zone and the configuration of the apps."""

    def answer(self, request: Request, question: Question) -> Any:
        """Return the envelope with the list in it."""
        listing = listing_of(question, with_configs=True)
        return envelope(listing, items(listing.candidates, listing.scene))


@extend_schema_view(get=extend_schema(**schemas.LIST_V3))
class EnrollmentListV3(EnrollmentList):
    """Version 3: version 2 in pages."""

    def answer(self, request: Request, question: Question) -> Any:
        """Return the envelope with a page in it; raises NotFound where there is no such page."""
        listing, pages = listing_of(question, with_configs=True), pages_of_v3()
        page = pages.page_of(listing.candidates, request)
        return envelope(listing, pages.envelope(items(page, listing.scene)))


@extend_schema_view(get=extend_schema(**schemas.LIST_V4))
class EnrollmentListV4(EnrollmentList):
    """Version 4: version 3 with the course to go on with, or only those that a status covers."""

    def answer(self, request: Request, question: Question) -> Any:
        """Return the envelope with a page in it; raises NotFound where there is no such page."""
        status = status_named(request.query_params.get("status"))
        asked = replace(question, status=status)
        listing, pages = listing_of(asked, with_configs=True), pages_of_v4()
        primary, rest = primary_and_rest(listing) if status is None else (None, listing.candidates)
        with_progress = PROGRESS in request.query_params.get("requested_fields", "").split(",")
        first, results = primary_and_items(
            primary, pages.page_of(rest, request), listing.scene, with_progress=with_progress
        )
        body = envelope(listing, pages.envelope(results))
        return body if first is None else {**body, "primary": first}


@extend_schema_view(get=extend_schema(**schemas.STATUS_LIST))
class EnrollmentStatusList(APIView):
    """In which courses the asker is enrolled, by course key, and was active lately."""

    name = "User Enrollments Status"
    permission_classes = (IsUserInUrl,)

    @conditional(own_versions_with(Activity.COMPLETED_LATELY))
    def get(self, request: Request, username: str, api_version: str) -> Response:
        """Return the list, the same in every version."""
        user = _user(request)
        statuses = enrollment_statuses(user.pk, since=timezone.now() - RECENT)
        flag_counts = not site_settings().ignore_mobile_available
        return Response(status_items(statuses, standing_of(user), flag_counts=flag_counts))


@extend_schema_view(get=extend_schema(**schemas.USER_DETAIL))
class UserDetail(APIView):
    """The asker: names, address, and where their enrolments are."""

    name = "User Detail"
    permission_classes = (IsUserInUrl,)

    def get(self, request: Request, username: str, api_version: str) -> Response:
        """Return the learner; ``name`` is null for one without a profile."""
        user = _user(request)
        own_path = user_path(version=api_version, username=user.username)
        return Response(
            {
                "id": user.pk,
                "username": user.username,
                "email": user.email,
                "name": name_of(user.pk),
                "course_enrollments": f"{_base_url(request)}{own_path}/course_enrollments/",
            }
        )


@extend_schema(**schemas.MY_USER_INFO)
@api_view(["GET"])
@permission_classes([IsAuthenticated])
def my_user_info(request: Request, api_version: str) -> HttpResponseRedirect:
    """Send the asker to their own page; that they were here is not noted."""
    return HttpResponseRedirect(user_path(version=api_version, username=_user(request).username))


def _user(request: Request) -> User:
    return cast(User, request.user)  # permissions let nobody else through


def _base_url(request: Request) -> str:
    return request.build_absolute_uri("/").rstrip("/")
