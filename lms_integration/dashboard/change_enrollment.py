"""``POST /change_enrollment``: Open edX's form endpoint, by which its pages enrol and unenrol learners.

Facts from ``change_enrollment`` of edx-platform's ``student/views/management.py``: parameters, answers
and their sentences, which scripts show as they are. The rules are the Enrollment API's, as on our pages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django.contrib.auth.models import User
from django.http import Http404, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, inline_serializer
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey
from rest_framework import serializers
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

from lms_integration.dashboard.course_page import course_seen_by
from lms_integration.dashboard.enrolling import Enrollments, Outcome, why_enrolled_for_good
from lms_integration.dashboard.queries import enrolled_course
from lms_integration.http.authentication import JwtAuthentication, SessionAuthentication
from lms_integration.learners.modes import VERIFIED, modes_by_course
from lms_integration.site_settings import site_settings

#: Where a course offers one of these, Open edX's page for choosing a mode is next.
_CHOSEN_MODES = frozenset({VERIFIED, "professional", "no-id-professional"})
_ORDER = inline_serializer(
    "ChangeEnrollment",
    {
        "enrollment_action": serializers.ChoiceField(choices=("enroll", "unenroll")),
        "course_id": serializers.CharField(),
    },
)
_SENTENCE = "text/html"
_REFUSAL = inline_serializer("ChangeEnrollmentRefusal", {"detail": serializers.CharField()})


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wish:
    """What a learner asks for, and when."""

    user: User
    course_id: str
    now: datetime


class ChangeEnrollmentView(APIView):
    """Enrols or unenrols whoever is signed in, by session or JSON Web Token."""

    authentication_classes = (JwtAuthentication, SessionAuthentication)
    permission_classes = (AllowAny,)
    parser_classes = (FormParser, MultiPartParser)
    #: Does what is asked for; the root of the URLs hands it in.
    enrollments: Enrollments = cast(Enrollments, None)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Return what errors are written with; whatever the asker would rather have, it gets text."""
        return super().perform_content_negotiation(request, force=True)

    @extend_schema(
        operation_id="change_enrollment",
        request={"application/x-www-form-urlencoded": _ORDER},
        responses={
            (200, _SENTENCE): OpenApiResponse(
                OpenApiTypes.STR, "Done: no body, or the address where a mode can be chosen."
            ),
            (400, _SENTENCE): OpenApiResponse(OpenApiTypes.STR, "Why not, in a sentence."),
            (400, "application/json"): _REFUSAL,
            (401, "application/json"): _REFUSAL,
            (403, _SENTENCE): OpenApiResponse(OpenApiTypes.STR, "Nobody is signed in; no body."),
            (403, "application/json"): OpenApiResponse(_REFUSAL, "The CSRF token is missing."),
            (415, "application/json"): _REFUSAL,
            (503, _SENTENCE): OpenApiResponse(OpenApiTypes.STR, "Too busy; try again soon."),
        },
    )
    def post(self, request: Request) -> HttpResponse:
        """Do it and answer 200; or say in a sentence why not."""
        if not request.user.is_authenticated:
            return HttpResponse(status=403)
        form = cast(Mapping[str, Any], request.data)
        action, course_id = form.get("enrollment_action"), form.get("course_id")
        if course_id is None:
            return _refusal(gettext("Course id not specified"))
        if not _is_course_id(course_id):
            return _refusal(gettext("Invalid course id"))
        wish = _Wish(user=request.user, course_id=course_id, now=timezone.now())
        match action:
            case "enroll":
                return self._enroll(wish)
            case "unenroll":
                return self._unenroll(wish)
        return _refusal(gettext("Enrollment action is invalid"))

    def _enroll(self, wish: _Wish) -> HttpResponse:
        try:
            course_seen_by(wish.user, wish.course_id, site=site_settings(), now=wish.now)
        except Http404:  # unknown, deleted, or for others' eyes only: which, is not said
            return _refusal(gettext("Course id is invalid"))
        outcome = self.enrollments.enroll(wish.user, wish.course_id, now=wish.now)
        return _answer(outcome) or HttpResponse(_next_address(wish))

    def _unenroll(self, wish: _Wish) -> HttpResponse:
        if enrolled_course(wish.user.pk, wish.course_id) is None:
            return _refusal(gettext("You are not enrolled in this course"))
        if why_not := why_enrolled_for_good(wish.user, wish.course_id):
            return _refusal(why_not)
        outcome = self.enrollments.unenroll(wish.user, wish.course_id, now=wish.now)
        return _answer(outcome) or HttpResponse()


def _is_course_id(text: str) -> bool:
    try:
        CourseKey.from_string(text)
    except InvalidKeyError:
        return False
    return True


def _answer(outcome: Outcome) -> HttpResponse | None:
    """Return what is answered to a wish that was not done; None where it was."""
    match outcome:
        case Outcome.REFUSED:
            return _refusal(gettext("Could not enroll"))
        case Outcome.BUSY:
            return HttpResponse(status=503, headers={"Retry-After": "1"})
        case Outcome.DONE:
            return None


def _next_address(wish: _Wish) -> str:
    """Return the address of Open edX's page for choosing a mode; '' where there is nothing to choose."""
    modes = modes_by_course([wish.course_id], now=wish.now)[wish.course_id]
    if _CHOSEN_MODES.isdisjoint(mode.slug for mode in modes):
        return ""
    return f"{site_settings().lms_root_url}/course_modes/choose/{wish.course_id}/"


def _refusal(sentence: str) -> HttpResponse:
    return HttpResponse(sentence, status=400)
