"""Addresses in the answers of the mobile API. Does no I/O."""

from urllib.parse import quote, urljoin

from lms_integration.models import CourseOverview

#: Letters that Open edX leaves as they are in a path.
_PATH_LETTERS = "/~:@!$&'()*+,;="


def course_info_url(base_url: str, *, version: str, course_id: str, part: str) -> str:
    """Return where the apps find a course's ``updates`` or ``handouts``."""
    course = quote(course_id, safe=_PATH_LETTERS)
    return f"{base_url}/api/mobile/{version}/course_info/{course}/{part}"


def discussion_url(base_url: str, *, course_id: str) -> str:
    """Return where the apps find a course's discussion; one version serves all of theirs."""
    return f"{base_url}/api/discussion/v1/courses/{quote(course_id, safe=_PATH_LETTERS)}"


def about_url(course: CourseOverview, *, lms_root_url: str) -> str:
    """Return the page that describes a course: the author's, if the site links to such, or ours."""
    if course.has_social_sharing_url():
        return str(course.social_sharing_url)
    if course.has_marketing_url():
        return str(course.marketing_url)
    return f"{lms_root_url}/courses/{course.id}/about"


def user_path(*, version: str, username: str) -> str:
    """Return the path of a learner's own page in the API."""
    return f"/api/mobile/{version}/users/{quote(username, safe=_PATH_LETTERS)}"


def absolute(base_url: str, path: str) -> str:
    """Return the absolute form of a path of this site; a URL stays as it is."""
    return urljoin(base_url + "/", path)


def logo_url(logo: str | None, *, media_url: str) -> str:
    """Return where an organization's logo is; '' where it has none."""
    return media_url + logo if logo else ""
