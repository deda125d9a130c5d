"""``GET /api/learner_home/init/``: a learner's dashboard as JSON, for Open edX's front end."""

from typing import cast

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from lms_integration.dashboard.details import details_by_course
from lms_integration.dashboard.learner_home import learner_home
from lms_integration.dashboard.learner_home_schema import (
    LearnerHomeErrorSchema,
    LearnerHomeSchema,
)
from lms_integration.dashboard.queries import home_courses
from lms_integration.http.conditional import conditional
from lms_integration.learners.standing import standing_of
from lms_integration.learners.versions import Activity, own_versions_with
from lms_integration.site_settings import site_settings

#: Names a learner whose dashboard the site's team wants to see.
MASQUERADE = "user"


class LearnerHomeView(APIView):
    """A learner's courses with dates, access and certificates, newest enrolment first."""

    @extend_schema(
        operation_id="learner_home_init",
        parameters=[
            OpenApiParameter(
                MASQUERADE,
                OpenApiTypes.STR,
                description="Username or e-mail address of another learner; for the site's team.",
            )
        ],
        responses={
            200: LearnerHomeSchema,
            401: LearnerHomeErrorSchema,
            403: LearnerHomeErrorSchema,
            404: LearnerHomeErrorSchema,
        },
        tags=["learner home"],
    )
    @conditional(own_versions_with(Activity.LAST_COMPLETED))
    def get(self, request: Request) -> Response:
        """Return the dashboard of the learner who asks, or of the one that the team names."""
        learner = _learner(request)
        now, site = timezone.now(), site_settings()
        standing = standing_of(learner)
        courses = home_courses(learner.pk, site=site)
        details = details_by_course(courses, standing, user_id=learner.pk, site=site, now=now)
        return Response(
            learner_home(
                courses,
                details,
                standing=standing,
                is_activated=learner.is_active,
                site=site,
                now=now,
            )
        )


def _learner(request: Request) -> User:
    """Return whose dashboard is asked for.

    Raises PermissionDenied unless the asker is of the site's team, NotFound for nobody.
    """
    name = request.query_params.get(MASQUERADE)
    if not name:
        return cast(User, request.user)
    if not request.user.is_staff:
        raise PermissionDenied
    found = User.objects.filter(Q(username=name) | Q(email=name)).order_by("id").first()
    if found is None:
        raise NotFound
    return found
