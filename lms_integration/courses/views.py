"""Open edX's Courses API (version 1): the list of courses, one course, the keys of one's own courses.

Everything comes from SQL, with a number of queries that does not depend on how many courses there are.
"""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from lms_integration.courses.errors import (
    FORBIDDEN,
    NO_COURSE,
    NO_PAGE,
    THROTTLED,
    UNAUTHENTICATED,
    UNREADABLE,
)
from lms_integration.courses.pagination import CourseIdPagination, CoursePagination
from lms_integration.courses.parameters import (
    DetailParameters,
    IdsParameters,
    ListParameters,
    course_key_of_path,
    read_parameters,
)
from lms_integration.courses.queries import (
    Filters,
    courses_of_role,
    is_enrolled,
    listed_courses,
    read_detail,
    read_overviews,
)
from lms_integration.courses.serializers import (
    CatalogCourseDetailSerializer,
    CatalogCourseSerializer,
)
from lms_integration.courses.viewers import person_named, viewer_of
from lms_integration.http.developer_errors import DeveloperErrors
from lms_integration.http.throttling import CourseListThrottle
from lms_integration.learners.standing import standing_of
from lms_integration.site_settings import site_settings


class _CoursesView(DeveloperErrors, GenericAPIView[Any]):
    """A view that shows courses."""

    def get_serializer_context(self) -> dict[str, Any]:
        """Return what all courses of an answer have in common."""
        site = site_settings()
        return {**super().get_serializer_context(), "asset_base_url": site.asset_base_url}


class CourseListView(_CoursesView):
    """``GET /api/courses/v1/courses/``: 3 queries for a visitor, at most 8 for anybody."""

    permission_classes = (AllowAny,)
    throttle_classes = (CourseListThrottle,)
    pagination_class = CoursePagination
    serializer_class = CatalogCourseSerializer

    @extend_schema(
        summary="Courses that somebody may see",
        operation_id="list_courses",
        parameters=[ListParameters],
        responses={
            200: CatalogCourseSerializer(many=True),
            400: UNREADABLE,
            401: UNAUTHENTICATED,
            403: FORBIDDEN,
            404: NO_PAGE,
            429: THROTTLED,
        },
    )
    def get(self, request: Request) -> Response:
        """List the courses that the named person, or an anonymous visitor, may see."""
        asked = read_parameters(ListParameters, request)
        person = person_named(asked.pop("username", ""), asking=request.user)
        asked.pop("mobile_search", None)
        viewer = viewer_of(person, now=timezone.now())
        keys = self.paginate_queryset(listed_courses(viewer, Filters(**asked)))
        items = self.get_serializer(read_overviews(keys or ()), many=True)
        return self.get_paginated_response(items.data)


class CourseDetailView(_CoursesView):
    """``GET /api/courses/v1/courses/{course_key}``: 2 queries for a visitor, at most 8 for anybody."""

    permission_classes = (AllowAny,)
    throttle_classes = ()
    pagination_class = None
    serializer_class = CatalogCourseDetailSerializer

    @extend_schema(
        summary="One course with its about page",
        operation_id="retrieve_course",
        parameters=[DetailParameters],
        responses={
            200: CatalogCourseDetailSerializer,
            400: UNREADABLE,
            401: UNAUTHENTICATED,
            403: FORBIDDEN,
            404: NO_COURSE,
        },
    )
    def get(self, request: Request, course_key: str) -> Response:
        """Show one course as the named person, or an anonymous visitor, sees it."""
        key = course_key_of_path(course_key)
        asked = read_parameters(DetailParameters, request)
        person = person_named(asked.get("username", ""), asking=request.user)
        viewer = viewer_of(person, now=timezone.now())
        found = read_detail(viewer, key)
        if found is None:
            raise NotFound("Course not found.")
        context = {
            **self.get_serializer_context(),
            "about_html": found.about_html,
            "is_enrolled": None if viewer.user_id is None else is_enrolled(viewer.user_id, key),
        }
        return Response(CatalogCourseDetailSerializer(found.overview, context=context).data)


class CourseIdsView(DeveloperErrors, GenericAPIView[Any]):
    """``GET /api/courses/v1/course_ids/``: at most 6 queries."""

    permission_classes = (IsAuthenticated,)
    throttle_classes = (CourseListThrottle,)
    pagination_class = CourseIdPagination

    @extend_schema(
        summary="Keys of the courses that somebody has a role in",
        operation_id="list_course_ids",
        parameters=[IdsParameters],
        responses={
            200: serializers.ListSerializer(child=serializers.CharField()),
            400: UNREADABLE,
            401: UNAUTHENTICATED,
            403: FORBIDDEN,
            404: NO_PAGE,
            429: THROTTLED,
        },
    )
    def get(self, request: Request) -> Response:
        """List the keys of the courses in which the named person, or the asking one, has a role."""
        asked = read_parameters(IdsParameters, request)
        name = asked.get("username") or request.user.get_username()
        standing = standing_of(person_named(name, asking=request.user))
        keys = self.paginate_queryset(courses_of_role(standing, role=asked["role"]))
        return self.get_paginated_response(list(keys or ()))
