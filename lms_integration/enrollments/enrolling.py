"""Enrols and unenrols: one transaction, in which nothing can be overfilled and nothing is made twice.

Locks are taken in one order: the person, so that two requests for the same person wait for each other;
then the enrolment; then, only where a course holds so many learners and one is to be added, the row of
its overview (which is read, never written). Writes go to the enrolment tables alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User

from lms_integration.enrollments.admission import claim_invitation, has_seat, is_open_to
from lms_integration.enrollments.errors import (
    Refused,
    UnknownPerson,
    mode_unavailable,
    no_course,
    not_enrolled,
    shown,
)
from lms_integration.enrollments.items import course_item
from lms_integration.enrollments.orders import Caller, Change, Target, missing_attributes
from lms_integration.enrollments.patience import in_transaction
from lms_integration.enrollments.queries import COURSE_COLUMNS
from lms_integration.enrollments.rules import default_slug, is_offered, unexpired_modes
from lms_integration.learners.modes import Mode, modes_by_course
from lms_integration.learners.standing import standing_of
from lms_integration.models import CourseOverview
from lms_integration.platform_tables.models import CourseEnrollment, CourseEnrollmentAttribute

_COURSE_COLUMNS = (
    *COURSE_COLUMNS,
    "org",
    "max_student_enrollments_allowed",
    "visible_to_staff_only",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Request:
    """Everything that one request is judged by."""

    target: Target
    change: Change
    caller: Caller
    person: User
    now: datetime

    @property
    def is_forced(self) -> bool:
        """Whether windows, invitations and the expiry of modes do not count."""
        return self.change.force and self.caller.is_staff

    @property
    def username(self) -> str:
        """What the person is called in messages: as the request calls them."""
        return shown(self.target.username or self.person.get_username())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Course:
    """A course with all of its modes."""

    overview: CourseOverview
    modes: Sequence[Mode]

    def require_mode(
        self,
        slug: str | None,
        request: _Request,
        *,
        even_expired: bool,
        found: CourseEnrollment | None,
    ) -> None:
        """Refuse a mode that the course does not offer (any more); ``found`` is the person's enrolment."""
        offered = self.modes if even_expired else unexpired_modes(self.modes, now=request.now)
        if not is_offered(slug, offered):
            is_shown = _is_shown(self.overview, found, request)
            item = course_item(self.overview, modes=offered) if is_shown else None
            raise mode_unavailable(slug, self.overview.id, item)


def _is_shown(overview: CourseOverview, found: CourseEnrollment | None, request: _Request) -> bool:
    """Return whether a refusal may show the course: to all, to its team, and to who is in it."""
    if not overview.visible_to_staff_only or request.caller.is_trusted:
        return True
    is_enrolled = found is not None and found.is_active
    return is_enrolled or standing_of(request.person).is_staff_of(overview.id, overview.org)


def enroll(target: Target, change: Change, caller: Caller, *, now: datetime) -> int:
    """Do what was asked for and return the number of the enrolment's row.

    Raises Refused, and with it changes nothing; Busy where the database had too much to do.
    """
    return in_transaction(lambda: _enroll(target, change, caller, now=now))


def _enroll(target: Target, change: Change, caller: Caller, *, now: datetime) -> int:
    person = _locked_person(target)
    request = _Request(target=target, change=change, caller=caller, person=person, now=now)
    rows = CourseEnrollment.objects.select_for_update()
    found = rows.filter(user=person, course_id=target.course_id).first()
    if found is not None and caller.is_trusted and _is_changed(found, change):
        return _update(found, request)
    return _add(found, request)


def _locked_person(target: Target) -> User:
    people = get_user_model().objects.order_by("id")
    locked = people.select_for_update()
    if target.email and not target.username:
        # In two steps: not every site has an index of addresses, and a scan would lock everybody.
        number = people.filter(email=target.email).values_list("pk", flat=True).first()
        person = None if number is None else locked.filter(pk=number).first()
        name = f"with the email address {shown(target.email)}"
    else:
        person = locked.filter(username=target.username).first()
        name = shown(target.username)
    if person is None:
        raise UnknownPerson(f"The user {name} does not exist.")
    return person


def _is_changed(found: CourseEnrollment, change: Change) -> bool:
    return _mode_changes(found, change) or _activity_changes(found, change)


def _mode_changes(found: CourseEnrollment, change: Change) -> bool:
    return change.mode is not None and change.mode != found.mode


def _activity_changes(found: CourseEnrollment, change: Change) -> bool:
    return change.is_active is not None and change.is_active != found.is_active


# --- changed by the site's team or another server


def _update(found: CourseEnrollment, request: _Request) -> int:
    """Change mode and activity as asked for; windows and invitations do not count, seats do."""
    change = request.change
    _refuse_contradictions(found, change)
    if change.mode is not None:
        any_mode = request.caller.has_api_key or change.is_active is False
        course = _course(found.course_id)
        course.require_mode(change.mode, request, even_expired=any_mode, found=found)
    if change.is_active and not found.is_active:
        overview = _overview(found.course_id)
        if overview is not None and not has_seat(overview):
            raise not_enrolled(request.username, found.course_id)
    found.mode = found.mode if change.mode is None else change.mode
    found.is_active = found.is_active if change.is_active is None else change.is_active
    found.save(update_fields=["mode", "is_active"])
    _keep_attributes(found, change)
    return found.pk


def _refuse_contradictions(found: CourseEnrollment, change: Change) -> None:
    if (
        change.is_active is False
        and _activity_changes(found, change)
        and _mode_changes(found, change)
    ):
        raise Refused(
            f"Enrollment mode mismatch: active mode={found.mode}, "
            f"requested mode={shown(change.mode)}. Won't deactivate."
        )
    if missing := missing_attributes(change):
        raise Refused(
            f"Missing enrollment attributes: requested mode={change.mode} "
            f"required attributes={missing}"
        )


# --- made, or taken up again, by anybody


def _add(found: CourseEnrollment | None, request: _Request) -> int:
    """Make the enrolment or take it up again; one that is as it should be stays as it is."""
    change, now = request.change, request.now
    is_kept = found is not None and (found.is_active or change.is_active is False)
    if found is not None and is_kept and not _mode_changes(found, change):
        return found.pk
    course = _course(request.target.course_id)
    mode = change.mode
    if mode is None:
        mode = default_slug(unexpired_modes(course.modes, now=now))
    any_mode = request.is_forced or change.is_active is False
    course.require_mode(mode, request, even_expired=any_mode, found=found)
    if found is not None and is_kept:
        return found.pk
    _require_admission(course.overview, request)
    made = _made(found, request, mode=mode or "")
    claim_invitation(request.person, made.course_id)
    _keep_attributes(made, change)
    return made.pk


def _require_admission(overview: CourseOverview, request: _Request) -> None:
    is_open = request.is_forced or is_open_to(request.person, overview, now=request.now)
    if not is_open or not has_seat(overview):
        raise not_enrolled(request.username, overview.id)
    if request.change.cohort is not None:  # cohorts are the platform's; none is known here
        raise Refused(f"An error occured while adding to cohort [{request.change.cohort}]")


def _made(found: CourseEnrollment | None, request: _Request, *, mode: str) -> CourseEnrollment:
    """Return the enrolment in this mode, new or taken up again.

    The platform itself may make the same one at the same moment, without our locks.
    """
    values = {"mode": mode, "is_active": request.change.is_active is not False}
    if found is None:
        found, is_new = CourseEnrollment.objects.get_or_create(
            user=request.person, course_id=request.target.course_id, defaults=values
        )
        if is_new:
            return found
    CourseEnrollment.objects.filter(pk=found.pk).update(**values)
    return found


# --- what is read and written on both ways


def _course(course_id: str) -> _Course:
    overview = _overview(course_id)
    if overview is None:
        raise no_course(course_id)
    modes = modes_by_course([course_id], include_expired=True)[course_id]
    return _Course(overview=overview, modes=modes)


def _overview(course_id: str) -> CourseOverview | None:
    return CourseOverview.objects.filter(id=course_id).only(*_COURSE_COLUMNS).first()


def _keep_attributes(enrollment: CourseEnrollment, change: Change) -> None:
    """Write what the enrolment says, over what it said before under the same names."""
    for attribute in change.attributes:
        names = {"namespace": attribute.namespace, "name": attribute.name}
        rows = CourseEnrollmentAttribute.objects.filter(enrollment=enrollment, **names)
        if not rows.update(value=attribute.value):
            rows.create(enrollment=enrollment, value=attribute.value, **names)
