"""URLs of the mobile API; Open edX's own, with their oddities."""

from django.urls import URLPattern, re_path

from lms_integration.mobile import views

_USER = r"users/(?P<username>[\w .@_+-]+)"
#: Version 0.5 is matched with its dot as Open edX does: any letter will do.
_VERSION = r"(?P<api_version>v(?:4|3|2|1|0.5))"
_LISTS = {
    r"v0\.5": views.EnrollmentListV05,
    "v1": views.EnrollmentListV1,
    "v2": views.EnrollmentListV2,
    "v3": views.EnrollmentListV3,
    "v4": views.EnrollmentListV4,
}


def _list_url(version: str, view: type[views.EnrollmentList]) -> URLPattern:
    return re_path(
        rf"^api/mobile/{version}/{_USER}/course_enrollments/$",
        view.as_view(),
        {"api_version": version.replace("\\", "")},
    )


urlpatterns: list[URLPattern] = [
    *(_list_url(version, view) for version, view in _LISTS.items()),
    re_path(
        rf"^api/mobile/(?P<api_version>v0.5)/{_USER}/course_enrollments/$",
        views.EnrollmentListV1.as_view(schema=None),
    ),
    # No end: whatever follows is ignored, as in Open edX.
    re_path(
        rf"^api/mobile/{_VERSION}/{_USER}/enrollments_status/",
        views.EnrollmentStatusList.as_view(),
    ),
    re_path(rf"^api/mobile/{_VERSION}/{_USER}$", views.UserDetail.as_view()),
    re_path(rf"^api/mobile/{_VERSION}/my_user_info$", views.my_user_info),
]
