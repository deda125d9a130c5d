"""What replaying a dead letter comes to."""

import json

import pytest

from lms_integration.events import CourseDeleted, CoursePublished, RebuildRequested, encode_event
from lms_integration.replay import NotReplayable, courses_of_task, events_of

KEY = "course-v1:TestX+Replay+R1"
OTHER = "course-v1:TestX+Replay+R2"


def replayed(body: bytes, *, course_key: str = "", body_bytes: int | None = None):
    length = len(body) if body_bytes is None else body_bytes
    return events_of(course_key=course_key, body=body, body_bytes=length)


def task(*arguments: object) -> bytes:
    return json.dumps([arguments, {}, {"callbacks": None}]).encode()


@pytest.mark.parametrize(
    "event", [CoursePublished(course_key=KEY), CourseDeleted(course_key=KEY, marked_in="x")]
)
def test_an_event_is_that_event_again(event):
    assert replayed(encode_event(event)) == (event,)


def test_a_letter_about_a_course_asks_for_its_rebuild():
    (event,) = replayed(b"", course_key=KEY)

    assert isinstance(event, RebuildRequested)
    assert event.course_key == KEY


@pytest.mark.parametrize(
    ("body", "courses"),
    [
        (task(KEY), [KEY]),
        (task([KEY, OTHER, KEY], True), [KEY, OTHER]),
        (task([]), []),
        (task([KEY, "nonsense"]), []),
        (task([KEY, 5]), []),
        (task(), []),
        (task({"a": 1}), []),
        (b'{"task": 1}', []),
        (b"[[", []),
        (b"\xff\xfe", []),
        (b"[" * 100_000, []),
    ],
)
def test_the_courses_of_a_task_are_those_of_its_first_argument(body, courses):
    assert list(courses_of_task(body)) == courses


def test_a_task_asks_for_the_rebuild_of_each_of_its_courses():
    events = replayed(task([KEY, OTHER], False))

    assert [(type(event), event.course_key) for event in events] == [
        (RebuildRequested, KEY),
        (RebuildRequested, OTHER),
    ]


@pytest.mark.parametrize(
    ("body", "course_key", "reason"),
    [
        (b"not json", "", "still no event: not JSON"),
        (encode_event(CoursePublished(course_key=KEY)).replace(b".v1", b".v9"), KEY, "unknown"),
        (b"", "", "names no course"),
        (b"", "nonsense", "'nonsense' is not a course key"),
    ],
)
def test_what_is_still_unreadable_says_so(body, course_key, reason):
    with pytest.raises(NotReplayable, match=reason):
        replayed(body, course_key=course_key)


def test_of_a_message_that_was_cut_only_the_beginning_is_known():
    whole = encode_event(CoursePublished(course_key=KEY))

    with pytest.raises(NotReplayable, match=r"only the first \d+ of its 9000 bytes"):
        replayed(whole, body_bytes=9000)
    with pytest.raises(NotReplayable, match="overview publish course-v1"):
        replayed(whole, body_bytes=9000, course_key=KEY)
