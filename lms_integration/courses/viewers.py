"""Through whose eyes courses are shown: nobody's, one's own, or somebody else's for the site's team."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from rest_framework.exceptions import NotFound, PermissionDenied

from lms_integration.learners.access import Standing, has_begun
from lms_integration.learners.standing import standing_of
from lms_integration.models import CourseOverview
from lms_integration.site_settings import site_settings

Person = AbstractBaseUser | AnonymousUser


@dataclass(frozen=True, kw_only=True, slots=True)
class Viewer:
    """A person, or an anonymous visitor, at one moment."""

    standing: Standing
    now: datetime
    email: str = ""  #: invitations are to addresses
    #: Courses that have begun for this person alone, who tests them.
    begun_early: AbstractSet[str] = frozenset()

    @property
    def user_id(self) -> int | None:
        """The account; None for a visitor."""
        return self.standing.user_id


def person_named(username: str, *, asking: Person) -> Person:
    """Return whom a request speaks for; without a name, an anonymous visitor, whoever asks.

    Raises PermissionDenied where the asking person may not speak for another one, existing or not,
    and NotFound where the site's team names nobody.
    """
    if not username:
        return AnonymousUser()
    if username == asking.get_username():
        return asking
    if not getattr(asking, "is_staff", False):
        raise PermissionDenied
    people = get_user_model().objects.only("username", "email", "is_staff")
    found = people.filter(username=username).first()
    if found is None:
        raise NotFound("User matching query does not exist.")
    return found


def viewer_of(person: Person, *, now: datetime) -> Viewer:
    """Return what decides which courses a person sees: none to two queries."""
    standing = standing_of(person)
    return Viewer(
        standing=standing,
        now=now,
        email=str(getattr(person, "email", "")),
        begun_early=_begun_early(standing, now=now),
    )


def _begun_early(standing: Standing, *, now: datetime) -> frozenset[str]:
    """Return the tested courses that have begun for their testers; one query, none without any."""
    if not standing.beta_courses or site_settings().has_feature("DISABLE_START_DATES"):
        return frozenset()
    tested = CourseOverview.objects.filter(pk__in=standing.beta_courses).only(
        "id", "start", "days_early_for_beta"
    )
    return frozenset(course.pk for course in tested if has_begun(course, standing, now=now))
