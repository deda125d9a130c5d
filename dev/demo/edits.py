"""What Studio's author does, and what the row must be like afterwards. Does no I/O by itself.

Each edit is made from what the row holds, so that it changes something at every run of the demo.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar

from dev.authoring.author import PublishedChange
from dev.authoring.catalogue import SampleCourse
from dev.authoring.new_course import DEFAULT_TABS
from dev.authoring.studio import Studio
from dev.demo.seen import Facts

T = TypeVar("T")

GARBAGE_DATE = "some time in spring"
GARBAGE_DAYS = "a few"
READING_LIST = {"type": "static_tab", "name": "Reading list", "url_slug": "reading-list"}


class Ending(Enum):
    """How the pipeline is to answer an edit."""

    ROW = "row"  #: the row is built from the version just published
    GONE = "gone"  #: the row is deleted
    FAULT = "fault"  #: a fault is recorded, and the last good row stays


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """One thing that an author does to one course."""

    title: str
    course_key: str
    #: Saves and announces it as Studio does.
    save: Callable[[Studio], PublishedChange]
    #: What is to be found afterwards, shown in this order.
    expected: Facts
    ending: Ending = Ending.ROW
    #: Facts that are shown but cannot be foretold word by word.
    also_shown: tuple[str, ...] = field(default=())


def rename(course: SampleCourse, before: Facts) -> Edit:
    """Give the course another name."""
    title = course.settings["display_name"]
    name = other_than(before.get("display_name"), f"{title} (new edition)", title)
    return _setting("rename", course, {"display_name": name}, {"display_name": name})


def move_start(course: SampleCourse, before: Facts) -> Edit:
    """Let the course begin two weeks later, or again as planned."""
    planned: datetime = course.settings["start"]
    start = other_than(before.get("start"), planned + timedelta(weeks=2), planned)
    return _setting("move start", course, {"start": start}, {"start": start})


def change_image(course: SampleCourse, before: Facts) -> Edit:
    """Choose another course image."""
    urls = {_image_url(course, name): name for name in ("cover-autumn.jpg", "cover-spring.jpg")}
    url = other_than(before.get("course_image_url"), *urls)
    return _setting("image", course, {"course_image": urls[url]}, {"course_image_url": url})


def describe(course: SampleCourse, before: Facts) -> Edit:
    """Write another short description."""
    key, name = course.course_key, "short_description"
    text = other_than(before.get(name), "With a new final project.", "With a field trip.")
    return Edit(
        title="about text",
        course_key=key,
        save=lambda studio: studio.save(studio.author.edit_about, key, name, text),
        expected={name: text},
    )


def change_tabs(course: SampleCourse, before: Facts) -> Edit:
    """Add a tab of the author's own, or take it away again."""
    has_list = READING_LIST["name"] in _names(before.get("tabs"))
    own: list[Mapping[str, Any]] = [] if has_list else [READING_LIST]
    tabs = [*DEFAULT_TABS, *own]
    key = course.course_key
    return Edit(
        title="tabs",
        course_key=key,
        save=lambda studio: studio.save(studio.author.edit_tabs, key, tabs),
        expected={"tabs": tuple(str(tab["name"]) for tab in tabs)},
    )


def change_grading(course: SampleCourse, before: Facts) -> Edit:
    """Raise or lower what is needed to pass."""
    key = course.course_key
    grade = other_than(before.get("lowest_passing_grade"), Decimal("0.65"), Decimal("0.70"))
    graders = [{"type": "Exam", "short_label": "Ex", "min_count": 1, "drop_count": 0, "weight": 1}]
    policy = {"GRADER": graders, "GRADE_CUTOFFS": {"Pass": float(grade)}}
    return Edit(
        title="grading policy",
        course_key=key,
        save=lambda studio: studio.save(
            studio.author.edit_content, key, {"grading_policy": policy}
        ),
        expected={"lowest_passing_grade": grade},
    )


def describe_beside_draft(course: SampleCourse, before: Facts) -> Edit:
    """Publish a text of a course whose name is being changed in the draft branch."""
    edit = describe(course, before)
    return replace(edit, expected={**edit.expected, "display_name": before.get("display_name")})


def delete(course: SampleCourse, before: Facts) -> Edit:
    """Delete the course; what certificates need of it stays in a tombstone."""
    return Edit(
        title="delete",
        course_key=course.course_key,
        save=lambda studio: studio.delete_course(course.course_key),
        expected={"row": False, "tombstone": True},
        ending=Ending.GONE,
    )


def create_again(course: SampleCourse, before: Facts) -> Edit:
    """Create a course with the key of the one just deleted."""
    return Edit(
        title="create again",
        course_key=course.course_key,
        save=lambda studio: studio.save(lambda: studio.author.create_courses([course])[0]),
        expected={"row": True, "tombstone": False},
    )


def degrade(course: SampleCourse, before: Facts) -> Edit:
    """Publish, beside a new name, a value that is no number in a field that decides no access."""
    title = course.settings["display_name"]
    name = other_than(before.get("display_name"), f"{title} (new edition)", title)
    settings = {"display_name": name, "days_early_for_beta": GARBAGE_DAYS}
    expected = {
        "display_name": name,
        "days_early_for_beta": None,
        "degraded": ("days_early_for_beta",),
    }
    return replace(_setting("degraded", course, settings, expected), also_shown=("degradation",))


def break_start(course: SampleCourse, before: Facts) -> Edit:
    """Publish, beside a new name, a start that is no date: such a course must not be guessed at."""
    settings = {"display_name": "Never to be seen", "start": GARBAGE_DATE}
    kept = {name: before.get(name) for name in ("display_name", "start")}
    edit = _setting("broken", course, settings, kept)
    return replace(edit, ending=Ending.FAULT, also_shown=("fault",))


def other_than(present: object, *choices: T) -> T:
    """Return the first of the choices that is not what there is now."""
    return next(choice for choice in choices if choice != present)


def _setting(
    title: str, course: SampleCourse, settings: Mapping[str, Any], expected: Facts
) -> Edit:
    key = course.course_key
    return Edit(
        title=title,
        course_key=key,
        save=lambda studio: studio.save(studio.author.edit_settings, key, settings),
        expected=expected,
    )


def _image_url(course: SampleCourse, name: str) -> str:
    asset_key = course.course_key.replace("course-v1:", "asset-v1:", 1)
    return f"/{asset_key}+type@asset+block@{name}"


def _names(tabs: object) -> tuple[str, ...]:
    return tabs if isinstance(tabs, tuple) else ()
