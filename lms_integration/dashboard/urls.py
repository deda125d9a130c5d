"""URLs of the pages and of the learner home; Open edX's own wherever it has them."""

from collections.abc import Sequence

from django.urls import URLPattern, path, re_path
from django.views.generic import RedirectView

from lms_integration.dashboard.change_enrollment import ChangeEnrollmentView
from lms_integration.dashboard.course_page import course_about
from lms_integration.dashboard.course_search import Catalogue, CourseSearch
from lms_integration.dashboard.enrolling import EnrollingViews, Enrollments
from lms_integration.dashboard.learner_home_view import LearnerHomeView
from lms_integration.dashboard.signing import sign_in, sign_out
from lms_integration.dashboard.views import dashboard

#: A course key as it stands in an address. Those of old have slashes, and an enrolment may name
#: anything: its learner can leave it all the same.
_KEY = r"(?P<course_id>.+)"


def page_urls(enrollments: Enrollments, catalogue: Catalogue) -> Sequence[URLPattern]:
    """Return all URLs.

    ``enrollments`` does what the forms of the pages ask for; ``catalogue`` knows who may find which course.
    """
    enrolling = EnrollingViews(enrollments=enrollments)
    search = CourseSearch(catalogue=catalogue)
    return [
        path("", RedirectView.as_view(pattern_name="dashboard"), name="root"),
        path("dashboard", dashboard, name="dashboard"),
        path("login", sign_in, name="login"),
        path("logout", sign_out, name="logout"),
        re_path(r"^courses/?$", search.view, name="course_search"),
        path(
            "change_enrollment",
            ChangeEnrollmentView.as_view(enrollments=enrollments),
            name="change_enrollment",
        ),
        re_path(rf"^courses/{_KEY}/about/?$", course_about, name="course_about"),
        re_path(rf"^courses/{_KEY}/enroll$", enrolling.enroll, name="course_enroll"),
        re_path(rf"^courses/{_KEY}/unenroll$", enrolling.unenroll, name="course_unenroll"),
        re_path(r"^api/learner_home/init/?$", LearnerHomeView.as_view(), name="learner_home"),
    ]
