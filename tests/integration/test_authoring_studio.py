"""Studio's SQL side: the course index table beside MongoDB's, and the signals inside a transaction."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.dispatch import Signal
from pymongo.database import Database

from dev.authoring.author import CourseExists, SplitAuthor
from dev.authoring.dumps import dump_folder, load_modulestore_dump
from dev.authoring.index import SqlCourseIndex
from dev.authoring.index_table import TABLE
from dev.authoring.steps import WriteStep
from dev.authoring.studio import ReceiverFailed, Studio
from lms_integration import signals

pytestmark = [pytest.mark.service, pytest.mark.django_db(transaction=True)]

KEY = "course-v1:Org+Course+Run"
RERUN = "course-v1:Org+Course+Run2"
DUMP = dump_folder()


@pytest.fixture
def index(mongo_database: Database[Any], transactional_db: None) -> Iterator[SqlCourseIndex]:
    course_index = SqlCourseIndex(mongo_database)
    course_index.create_table()
    course_index.replace_all([])
    yield course_index
    course_index.replace_all([])


@pytest.fixture
def author(mongo_database: Database[Any], index: SqlCourseIndex) -> SplitAuthor:
    return SplitAuthor(mongo_database, index=index)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replace the signals by silent ones, so that only this test listens."""
    told: list[dict[str, Any]] = []

    def listen(sender: object, signal: Signal, **facts: Any) -> None:
        told.append(facts | {"in_transaction": connection.in_atomic_block})

    for name in ("course_published", "course_deleted"):
        signal = Signal()
        signal.connect(listen, weak=False)
        monkeypatch.setattr(signals, name, signal)
    return told


def rows() -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {TABLE} ORDER BY id")  # noqa: S608
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def mongo_entries(database: Database[Any]) -> list[dict[str, Any]]:
    return list(database["modulestore.active_versions"].find())


def agree(database: Database[Any]) -> bool:
    sql = {row["objectid"]: (row["draft_version"], row["published_version"]) for row in rows()}
    mongo = {
        str(entry["_id"]): tuple(str(version) for version in entry["versions"].values())
        for entry in mongo_entries(database)
    }
    return sql == mongo


def test_both_indexes_tell_the_same_after_each_edit(author, mongo_database):
    for edit in (
        lambda: author.create_course(KEY),
        lambda: author.edit_settings(KEY, {"display_name": "Tides"}),
        lambda: author.edit_draft(KEY, {"display_name": "Later"}),
        lambda: author.rerun(KEY, RERUN),
        lambda: author.delete_course(KEY),
    ):
        edit()

        assert agree(mongo_database)


def test_a_row_is_written_as_the_platform_writes_it(author):
    change = author.create_course(KEY)

    (row,) = rows()
    assert row["course_id"] == KEY
    assert row["org"] == "Org"
    assert row["published_version"] == change.published_version
    assert row["library_version"] == ""
    assert row["base_store"] == "mongodb"
    assert row["wiki_slug"] == "Org.Course.Run"
    assert row["edited_by_id"] == -1


def test_the_index_row_comes_before_the_index_document(mongo_database, index):
    steps: list[str] = []
    author = SplitAuthor(mongo_database, index=index, step=steps.append)

    author.create_course(KEY)
    author.delete_course(KEY)

    assert steps == [
        *("structure", "definition", "sql_index", "mongo_index"),
        *("sql_index", "mongo_index"),
    ]


def test_the_time_of_a_change_keeps_its_microseconds(author, index):
    change = author.create_course(KEY)

    entry = index.find(KEY)
    assert entry is not None
    assert entry.last_update == change.updated_at


def test_a_rollback_leaves_mongo_ahead_until_the_next_edit(author, mongo_database):
    created = author.create_course(KEY)

    with transaction.atomic():
        lost = author.edit_settings(KEY, {"display_name": "Lost"})
        transaction.set_rollback(True)

    (entry,), (row,) = mongo_entries(mongo_database), rows()
    assert str(entry["versions"]["published-branch"]) == lost.published_version
    assert row["published_version"] == created.published_version
    author.edit_settings(KEY, {"display_name": "Kept"})
    assert agree(mongo_database)


def test_a_stop_before_the_second_index_leaves_mongo_behind(author, mongo_database, index):
    author.create_course(KEY)

    def fail(step: WriteStep) -> None:
        if step is WriteStep.MONGO_INDEX:
            raise InterruptedError

    interrupted = SplitAuthor(mongo_database, index=index, step=fail)
    with pytest.raises(InterruptedError):
        interrupted.edit_settings(KEY, {"display_name": "New"})

    assert not agree(mongo_database)


def test_keys_are_compared_exactly(author, index):
    author.create_course(KEY)

    assert index.find(KEY.lower()) is None
    author.create_course(KEY.lower())
    assert index.course_keys() == {KEY, KEY.lower()}
    with pytest.raises(CourseExists):
        author.create_course(KEY)


def test_the_table_holds_a_key_once(author, index):
    author.create_course(KEY)
    entry = index.find(KEY)
    assert entry is not None

    with pytest.raises(IntegrityError), transaction.atomic():
        index.insert([entry], step=lambda _: None)


@pytest.mark.skipif(DUMP is None, reason="the recorded modulestore is not here")
def test_the_recorded_index_is_loaded_beside_the_modulestore(mongo_database, index):
    assert DUMP is not None

    load_modulestore_dump(DUMP, mongo_database, index_table=index)
    load_modulestore_dump(DUMP, mongo_database, index_table=index)

    keys = index.course_keys()
    assert len(rows()) == 322
    assert len(keys) == 319
    assert "course-v1:OpenedX+DemoX+DemoCourse" in keys


def test_a_publish_is_told_inside_the_transaction(author, heard):
    change = Studio(author).save(author.create_course, KEY, settings={"display_name": "Tides"})

    assert heard == [
        {
            "course_key": KEY,
            "published_version": change.published_version,
            "published_at": change.updated_at,
            "in_transaction": True,
        }
    ]


def test_a_delete_is_told_with_its_time(author, heard):
    studio = Studio(author)
    author.create_course(KEY)

    change = studio.delete_course(KEY)

    assert heard == [{"course_key": KEY, "deleted_at": change.updated_at, "in_transaction": True}]


def test_an_edit_of_the_draft_is_told_to_nobody(author, heard):
    author.create_course(KEY)

    Studio(author).save(author.edit_draft, KEY, {"display_name": "Later"})

    assert heard == []


def test_a_failing_receiver_is_raised_but_the_edit_is_saved(author, heard, mongo_database):
    def fail(**_: Any) -> None:
        raise ArithmeticError("receiver")

    signals.course_published.connect(fail)

    with pytest.raises(ReceiverFailed, match="receiver"):
        Studio(author).save(author.create_course, KEY)

    assert author.course_keys() == {KEY}


def test_a_failing_edit_is_told_to_nobody(author, heard):
    author.create_course(KEY)

    with pytest.raises(CourseExists):
        Studio(author).save(author.create_course, KEY)

    assert heard == []
