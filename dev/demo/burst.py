"""A burst: one course published again and again, in a few requests of Studio, faster than rebuilds."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import transaction

from dev.authoring.author import PublishedChange
from dev.authoring.catalogue import SampleCourse
from dev.authoring.studio import Studio
from dev.demo.seen import look_at_facts, look_at_progress
from dev.demo.watching import NotArrived, Times, times_of, wait_for_progress

PUBLISH_COUNT = 200
#: Requests that the publishes are spread over. Studio commits once a request (``ATOMIC_REQUESTS``),
#: and only then are a request's events sent, each of them.
REQUEST_COUNT = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class BurstOutcome:
    """What a burst came to."""

    times: Times  #: since the last publish
    mark_count: int
    rebuild_count: int  #: those that changed the row; every publish changes the name
    name: str


def publish_burst(
    studio: Studio, course: SampleCourse, *, check: Callable[[], None]
) -> BurstOutcome:
    """Publish 200 times and wait for the last name; raises NotArrived if too little is coalesced."""
    key, title = course.course_key, course.settings["display_name"]
    before = look_at_progress(key)
    change = _publish(studio, key, title)
    confirmed_at = datetime.now(UTC)
    check()
    after = wait_for_progress(
        key,
        lambda now: now.is_clean and now.source_version == change.published_version,
        check=check,
    )
    seen_at = datetime.now(UTC)
    outcome = BurstOutcome(
        times=times_of(
            change, confirmed_at=confirmed_at, written_at=after.written_at, seen_at=seen_at
        ),
        mark_count=after.wanted - before.wanted,
        rebuild_count=after.row_changes - before.row_changes,
        name=str(look_at_facts(key).get("display_name")),
    )
    _refuse_wrong(outcome, key, last_name=_name(title, PUBLISH_COUNT))
    return outcome


def _publish(studio: Studio, key: str, title: str) -> PublishedChange:
    in_request = PUBLISH_COUNT // REQUEST_COUNT
    number = 0
    for _ in range(REQUEST_COUNT):
        with transaction.atomic():
            for _ in range(in_request):
                number += 1
                settings = {"display_name": _name(title, number)}
                change = studio.save(studio.author.edit_settings, key, settings)
    return change


def _name(title: str, number: int) -> str:
    return f"{title} ({number})"


def _refuse_wrong(outcome: BurstOutcome, key: str, *, last_name: str) -> None:
    if outcome.mark_count < PUBLISH_COUNT:
        raise NotArrived(f"{key}: only {outcome.mark_count} of {PUBLISH_COUNT} publishes marked it")
    if outcome.rebuild_count > PUBLISH_COUNT // 4:
        raise NotArrived(f"{key}: {outcome.rebuild_count} rebuilds: nothing was coalesced")
    if outcome.name != last_name:
        raise NotArrived(f"{key}: display_name is {outcome.name!r}, not {last_name!r}")
