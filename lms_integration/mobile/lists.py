"""A learner's list of enrolments in each of its versions: what is asked, read and answered.

The number of queries does not depend on the number of enrolments: who is asking (two, where it is a
session), which enrolments there are, what the learner is, and if any are shown, those and their modes;
version 4 also asks where the learner was last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User

from lms_integration.learners.modes import Mode, modes_by_course
from lms_integration.mobile.items import (
    Item,
    Scene,
    has_expired,
    item_of,
    no_progress,
    old_item_of,
    primary_item,
)
from lms_integration.mobile.queries import (
    Learner,
    ListedEnrollment,
    candidates,
    latest_progress,
    learner_of,
    listed_enrollments,
)
from lms_integration.mobile.selection import Candidate, Status, having, primary_of, shown
from lms_integration.site_settings import SiteSettings

#: Names of configuration values that the apps' shops are configured with begin so.
_SHOP_PREFIX = "iap_"


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """Whose enrolments are asked for, and how."""

    user: User
    version: str  #: as it stands in the URL
    base_url: str  #: scheme and host, without a slash at the end
    site: SiteSettings
    now: datetime
    org: str | None = None
    status: Status | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """Which enrolments the apps show to a learner, newest first."""

    learner: Learner
    scene: Scene
    candidates: Sequence[Candidate]


def listing_of(question: Question, *, with_configs: bool) -> Listing:
    """Return what the apps show; the time zone and the configuration only ``with_configs``."""
    found = candidates(question.user.pk, with_status=question.status is not None)
    learner = learner_of(question.user, with_configs=with_configs)
    visible = shown(
        found,
        learner.standing,
        flag_counts=not question.site.ignore_mobile_available,
        org=question.org,
        site_orgs=question.site.course_orgs,
    )
    if question.status is not None:
        visible = having(visible, question.status, now=question.now)
    return Listing(learner=learner, scene=_scene(question, learner), candidates=visible)


def _scene(question: Question, learner: Learner) -> Scene:
    return Scene(
        user_id=question.user.pk,
        username=question.user.get_username(),
        standing=learner.standing,
        version=question.version,
        base_url=question.base_url,
        site=question.site,
        now=question.now,
    )


def old_items(listing: Listing) -> Sequence[Item]:
    """Return the items of version 0.5, which leaves out what the learner has no access to any more."""
    scene = listing.scene
    return [
        old_item_of(each, modes, scene)
        for each, modes in _with_modes(listing.candidates, scene)
        if not has_expired(each, modes, scene)
    ]


def items(
    chosen: Sequence[Candidate], scene: Scene, *, with_progress: bool = False
) -> Sequence[Item]:
    """Return the items of enrolments, in their order, as versions 1 to 4 show them."""
    progress = {"course_progress": no_progress()} if with_progress else {}
    return [
        {**item_of(each, modes, scene), **progress} for each, modes in _with_modes(chosen, scene)
    ]


def primary_and_rest(listing: Listing) -> tuple[Candidate | None, Sequence[Candidate]]:
    """Return the enrolment to go on with, if there is one, and the others."""
    course_ids = [each.id for each in listing.candidates if each.has_overview]
    if not course_ids:
        return None, listing.candidates
    progress = latest_progress(listing.scene.user_id, course_ids)
    primary = primary_of(listing.candidates, progress)
    return primary, [each for each in listing.candidates if each is not primary]


def primary_and_items(
    primary: Candidate | None, page: Sequence[Candidate], scene: Scene, *, with_progress: bool
) -> tuple[Item | None, Sequence[Item]]:
    """Return the item of the enrolment to go on with, and those of a page, read together."""
    if primary is None:
        return None, items(page, scene, with_progress=with_progress)
    first, *others = items([primary, *page], scene, with_progress=with_progress)
    return primary_item(first), others


def envelope(listing: Listing, enrollments: Any) -> dict[str, Any]:
    """Return what versions 2 to 4 put around the enrolments."""
    configs = listing.learner.configs
    return {
        "configs": _configs(configs),
        "user_timezone": listing.learner.time_zone,
        "enrollments": enrollments,
    }


def _configs(configs: Mapping[str, str]) -> Mapping[str, Any]:
    shop = {name: value for name, value in configs.items() if name.startswith(_SHOP_PREFIX)}
    rest = {name: value for name, value in configs.items() if name not in shop}
    return {"iap_configs": shop, **rest}


def _with_modes(
    chosen: Sequence[Candidate], scene: Scene
) -> Sequence[tuple[ListedEnrollment, Sequence[Mode]]]:
    """Return enrolments with the modes of their courses, expired ones included."""
    if not chosen:
        return []
    site = scene.site
    listed = listed_enrollments(
        scene.user_id,
        [each.enrollment_id for each in chosen],
        with_schedules=site.dynamic_upgrade_deadlines or site.duration_limits_as_of is not None,
    )
    modes = modes_by_course((each.enrolled.course_id for each in listed), include_expired=True)
    return [(each, modes[each.enrolled.course_id]) for each in listed]
