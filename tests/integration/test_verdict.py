"""The verdict of trials, tested by sabotage: what is wrong is found, and called by its name."""

import pytest

from dev.authoring.author import SplitAuthor
from dev.trials.restless_author import numbered_settings
from dev.trials.verdict import Verdict, judge
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import (
    CourseOverview,
    CourseOverviewTab,
    OverviewProjection,
    OverviewState,
    OverviewTombstone,
)
from overview_worker.bootstrap import Dependencies
from overview_worker.rebuild import rebuild_overviews

pytestmark = [pytest.mark.service, pytest.mark.django_db(transaction=True)]

KEY = "course-v1:VerdictX+One+R1"
GONE = "course-v1:VerdictX+Gone+R1"


@pytest.fixture
def built(author: SplitAuthor, adapters: Dependencies) -> Dependencies:
    """One course that is there, and one that was deleted, both as they should be."""
    for key in (KEY, GONE):
        author.create_course(key, settings=numbered_settings(1))
    rebuild(adapters)
    author.delete_course(GONE)
    rebuild(adapters)
    return adapters


def rebuild(adapters: Dependencies) -> None:
    mark_courses([CourseMark(course_key=key) for key in (KEY, GONE)])
    rebuild_overviews(
        [KEY, GONE],
        modulestore=adapters.modulestore,
        store=adapters.store,
        build=adapters.build,
    )


def counts_of(verdict: Verdict) -> tuple[int, int, int, int]:
    return (
        len(verdict.stale),
        len(verdict.missing),
        len(verdict.resurrected),
        len(verdict.half_written),
    )


def test_what_is_as_published_is_clean(built: Dependencies):
    verdict = judge(built.inspector)

    assert verdict.is_clean
    assert verdict.keys() == set()
    assert (verdict.course_count, verdict.deleted_count) == (2, 1)


def test_a_version_that_was_not_built_is_stale(built: Dependencies, author: SplitAuthor):
    author.edit_settings(KEY, numbered_settings(2))

    assert counts_of(judge(built.inspector)) == (1, 0, 0, 0)


def test_a_row_that_is_not_there_is_missing(built: Dependencies):
    CourseOverviewTab.objects.all().delete()
    CourseOverview.objects.filter(id=KEY).delete()

    assert counts_of(judge(built.inspector)) == (0, 1, 0, 0)


def test_a_deleted_course_with_a_row_is_resurrected(built: Dependencies):
    row = CourseOverview.objects.get(id=KEY)
    row.pk = row.id = GONE
    row.save(force_insert=True)

    verdict = judge(built.inspector)

    assert counts_of(verdict) == (0, 0, 1, 0)
    assert verdict.keys() == {GONE}


@pytest.mark.parametrize("part", ["tabs", "projection", "column", "state", "tombstone"])
def test_parts_of_another_version_are_half_written(built: Dependencies, part: str):
    match part:
        case "tabs":
            CourseOverviewTab.objects.filter(type="progress").update(name="2")
        case "projection":
            OverviewProjection.objects.update(course_visibility="2")
        case "column":
            CourseOverview.objects.update(display_name="2")
        case "state":
            OverviewState.objects.filter(course_key=KEY).update(content_hash="2")
        case "tombstone":
            OverviewTombstone.objects.all().delete()

    verdict = judge(built.inspector)

    assert counts_of(verdict) == (0, 0, 0, 1)
    assert verdict.keys() == {GONE if part == "tombstone" else KEY}
