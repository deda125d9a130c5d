"""One course in the JSON of Open edX's Courses API: every value is a column, or a function of some."""

from typing import Any
from urllib.parse import urlencode

from rest_framework import serializers
from rest_framework.request import Request

from lms_integration.courses.addresses import absolute, with_cdn
from lms_integration.models import CourseOverview
from lms_integration.site_settings import site_settings

#: Values of ``catalog_visibility`` with which a course is in no catalogue.
_HIDDEN = ("about", "none")
_BLOCKS_PATH = "/api/courses/v2/blocks/"


class _CoursePart(serializers.Serializer[CourseOverview]):
    """A part of a course's JSON; ``context`` has the ``request`` and the ``asset_base_url``."""

    @property
    def _request(self) -> Request:
        request: Request = self.context["request"]
        return request

    def _asset(self, uri: str) -> str:
        """Return where an image can be fetched: from the CDN, if the site has one."""
        return absolute(with_cdn(uri, base_url=self.context["asset_base_url"]), self._request)


class CatalogBannerSerializer(_CoursePart):
    """The banner image."""

    uri = serializers.CharField(source="banner_image_url")
    uri_absolute = serializers.SerializerMethodField()

    def get_uri_absolute(self, course: CourseOverview) -> str:
        """Return its address with a host."""
        return self._asset(course.banner_image_url)


class CatalogCourseImageSerializer(_CoursePart):
    """The course image."""

    uri = serializers.CharField(source="course_image_url")


class CatalogVideoSerializer(_CoursePart):
    """The introductory video."""

    uri = serializers.CharField(source="course_video_url", allow_null=True)


class CatalogImagesSerializer(_CoursePart):
    """The course image and its thumbnails, or itself in place of them."""

    raw = serializers.CharField()
    small = serializers.CharField()
    large = serializers.CharField()

    def to_representation(self, instance: CourseOverview) -> dict[str, str]:
        """Return the three addresses, with a host."""
        return {size: self._asset(uri) for size, uri in instance.image_urls.items()}


class CatalogMediaSerializer(_CoursePart):
    """All images, and the video."""

    banner_image = CatalogBannerSerializer(source="*")
    course_image = CatalogCourseImageSerializer(source="*")
    course_video = CatalogVideoSerializer(source="*")
    image = CatalogImagesSerializer(source="*")


class CatalogCourseSerializer(_CoursePart):
    """One course of the list."""

    blocks_url = serializers.SerializerMethodField()
    effort = serializers.CharField(allow_null=True)
    end = serializers.DateTimeField(allow_null=True)
    enrollment_start = serializers.DateTimeField(allow_null=True)
    enrollment_end = serializers.DateTimeField(allow_null=True)
    id = serializers.CharField()
    media = CatalogMediaSerializer(source="*")
    name = serializers.CharField(source="display_name_with_default_escaped")
    number = serializers.CharField(source="display_number_with_default")
    org = serializers.CharField(source="display_org_with_default")
    short_description = serializers.CharField(allow_null=True)
    start = serializers.DateTimeField(allow_null=True)
    start_display = serializers.CharField(allow_null=True)
    start_type = serializers.ChoiceField(choices=("string", "timestamp", "empty"))
    pacing = serializers.ChoiceField(choices=("self", "instructor"))
    mobile_available = serializers.BooleanField()
    hidden = serializers.SerializerMethodField()
    invitation_only = serializers.BooleanField()
    course_id = serializers.CharField(source="id")

    def get_blocks_url(self, course: CourseOverview) -> str:
        """Return where the LMS lists what the course consists of."""
        query = urlencode({"course_id": course.id})
        return self._request.build_absolute_uri(f"{_BLOCKS_PATH}?{query}")

    def get_hidden(self, course: CourseOverview) -> bool:
        """Return whether the course is in no catalogue."""
        return course.catalog_visibility in _HIDDEN


class CatalogCourseDetailSerializer(CatalogCourseSerializer):
    """One course with its about page; ``context`` has ``about_html``, ``is_enrolled`` or None, too."""

    overview = serializers.SerializerMethodField()
    certificate_available_date = serializers.DateTimeField(
        allow_null=True,
        required=False,
        help_text="Of instructor-paced courses, where certificates are made automatically.",
    )
    is_enrolled = serializers.BooleanField(
        required=False, help_text="Whether the person that the request names is enrolled."
    )

    def get_overview(self, course: CourseOverview) -> str | None:
        """Return the HTML of the about page."""
        html: str | None = self.context["about_html"]
        return html

    def to_representation(self, instance: CourseOverview) -> dict[str, Any]:
        """Return the JSON of one course, without what is not to be told."""
        shown: dict[str, Any] = super().to_representation(instance)
        if instance.self_paced or not site_settings().auto_certificates:
            del shown["certificate_available_date"]
        if self.context["is_enrolled"] is not None:
            shown["is_enrolled"] = self.context["is_enrolled"]
        return shown
