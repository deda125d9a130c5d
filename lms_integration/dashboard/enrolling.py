"""Enrolling and unenrolling from pages: plain forms, with a page in between where something is lost.

The rules are the Enrollment API's own: the root of the URLs hands its use case in, because parts of
the web process do not import each other.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from lms_integration.dashboard.cards import language_tag
from lms_integration.dashboard.course_page import course_seen_by
from lms_integration.dashboard.pages import View, page, show
from lms_integration.dashboard.queries import enrolled_course
from lms_integration.dashboard.words import name_in_words
from lms_integration.learners.certificates import certificates_by_course
from lms_integration.learners.enrolled import CourseState
from lms_integration.site_settings import site_settings

#: ``status`` of certificates that keep a learner from unenrolling, as in Open edX.
_CERTIFICATES_THAT_STAY = frozenset({"downloadable", "generating"})
_GET_OR_POST = require_http_methods(["GET", "HEAD", "POST"])


class Outcome(StrEnum):
    """What became of a wish to enrol or unenrol."""

    DONE = "done"
    REFUSED = "refused"  #: closed, full, by invitation, or without a mode that one can choose
    BUSY = "busy"  #: the database had too much to do


class Enrollments(Protocol):
    """Enrols and unenrols a person, by the Enrollment API's rules."""

    def enroll(self, user: User, course_id: str, *, now: datetime) -> Outcome:
        """Enrol a person in the course's default mode."""

    def unenroll(self, user: User, course_id: str, *, now: datetime) -> Outcome:
        """End a person's enrolment; its row is kept, inactive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnrollingViews:
    """The two views, bound to what does the work."""

    enrollments: Enrollments

    @property
    def enroll(self) -> View:
        """``POST``: enrol whoever is signed in; ``GET``, as after signing in, leads to the course."""
        return page(_GET_OR_POST(login_required(self._enroll)))

    @property
    def unenroll(self) -> View:
        """``GET``: ask whether this is meant; ``POST``: do it."""
        return page(_GET_OR_POST(login_required(self._unenroll)))

    def _enroll(self, request: HttpRequest, course_id: str) -> HttpResponse:
        if request.method != "POST":
            return redirect("course_about", course_id)
        now, user = timezone.now(), cast(User, request.user)
        seen = course_seen_by(user, course_id, site=site_settings(), now=now)
        outcome = self.enrollments.enroll(user, course_id, now=now)
        name = {"name": name_in_words(seen.overview, CourseState.AVAILABLE)}
        match outcome:
            case Outcome.DONE:
                messages.success(request, gettext("You are enrolled in “%(name)s”.") % name)
            case Outcome.REFUSED:
                text = gettext("You could not be enrolled in “%(name)s”: it is full or closed.")
                messages.error(request, text % name)
            case Outcome.BUSY:
                messages.error(request, _busy())
        return redirect("course_about", course_id)

    def _unenroll(self, request: HttpRequest, course_id: str) -> HttpResponse:
        now, user = timezone.now(), cast(User, request.user)
        enrolled = enrolled_course(user.pk, course_id)
        if enrolled is None:
            raise Http404
        name = name_in_words(enrolled.course, enrolled.state)
        refusal = why_enrolled_for_good(user, course_id)
        if request.method != "POST" or refusal:
            context = {
                "course_id": course_id,
                "name": name,
                "language": language_tag(enrolled.course.language),
                "refusal": refusal,
            }
            return show(request, "unenroll.html", context, status=409 if _is_post(request) else 200)
        if self.enrollments.unenroll(user, course_id, now=now) is Outcome.DONE:
            text = gettext("You are no longer enrolled in “%(name)s”.")
            messages.success(request, text % {"name": name})
        else:
            messages.error(request, _busy())
        return redirect("dashboard")


def _is_post(request: HttpRequest) -> bool:
    return request.method == "POST"


def why_enrolled_for_good(user: User, course_id: str) -> str:
    """Return why an enrolment has to stay; '' where it can be ended."""
    if site_settings().has_feature("DISABLE_UNENROLLMENT"):
        return gettext("On this site, learners do not unenroll themselves.")
    certificate = certificates_by_course(user.pk, [course_id]).get(course_id)
    if certificate is not None and certificate.status in _CERTIFICATES_THAT_STAY:
        return gettext("You have a certificate of this course, so you stay enrolled in it.")
    return ""


def _busy() -> str:
    return gettext("Nothing was changed: too much is going on at the moment. Please try again.")
