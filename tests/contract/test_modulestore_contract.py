"""What every ``ports.Modulestore`` promises: the twin, and MongoDB with either course index."""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import ObjectId
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from django.db import connection
from pymongo import MongoClient, monitoring
from pymongo.database import Database

from dev.authoring.author import SplitAuthor
from dev.authoring.index import MongoCourseIndex as AuthoredMongoIndex
from dev.authoring.index import SqlCourseIndex as AuthoredSqlIndex
from dev.authoring.index_table import TABLE
from dev.authoring.new_course import NewCourse
from lms_integration.course_keys import parse_course_key
from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings
from overview_worker.documents import CourseLagging, PublishedCourse, PublishedPointer
from overview_worker.errors import MalformedCourse, ModulestoreUnavailable
from overview_worker.modulestore import sql_index
from overview_worker.modulestore.mongo import (
    MongoConf,
    MongoCourseIndex,
    MongoModulestore,
    connect,
)
from overview_worker.modulestore.queries import range_filter
from overview_worker.modulestore.sql_index import SqlCourseIndex
from overview_worker.ports import Modulestore, ReadResult
from overview_worker.testing import InMemoryModulestore

KEY = "course-v1:Org+Course+Run"
OTHER = "course-v1:Org+Course+Run2"
THIRD = "course-v1:Org+Course+Run3"
NEVER = "course-v1:Org+Never+Run"


class InMemory:
    """The twin, and what the tests need beside the port."""

    def __init__(self) -> None:
        self.modulestore = InMemoryModulestore()

    def publish(self, course_key: str, display_name: str) -> None:
        self.modulestore.publish(course_key, display_name=display_name)

    def publish_about_page(self, course_key: str, html: str) -> None:
        self.modulestore.publish(course_key, about={"overview": html, "title": "Not read"})

    def rerun(self, source_key: str, new_key: str) -> None:
        self.modulestore.rerun(source_key, new_key)

    def rerun_as(self, source_key: str, new_key: str, display_name: str) -> None:
        self.modulestore.rerun(source_key, new_key)
        self.modulestore.save_draft(new_key, display_name=display_name)

    def delete(self, course_key: str) -> None:
        self.modulestore.delete(course_key)

    def create_draft(self, course_key: str) -> None:
        pass  # the twin knows published branches only

    def create_library(self) -> None:
        pass

    def lose_structure(self, course_key: str) -> None:
        pointer = self.modulestore.find_published([course_key])[course_key]
        self.modulestore.lose_structure(pointer.structure_id)

    def break_structure(self, course_key: str) -> None:
        self.modulestore.publish_malformed(course_key)

    def cut_off(self) -> Modulestore:
        self.modulestore.outage = ModulestoreUnavailable("gone")
        return self.modulestore


class Commands(monitoring.CommandListener):
    """Notes the commands that a client sends."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.names.append(event.command_name)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


class InMongo:
    """MongoDB, with the course index in MongoDB too."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self.database = database
        self.commands = Commands()
        self.conf = MongoConf(url=os.environ["OVERVIEW_MONGODB_URL"], database=database.name)
        self.client: MongoClient[dict[str, Any]] = MongoClient(
            self.conf.url, event_listeners=[self.commands]
        )
        self.author = SplitAuthor(database, index=self.authored_index())
        self.modulestore = self.modulestore_of(self.client, self.conf)

    def authored_index(self) -> Any:
        return AuthoredMongoIndex(self.database)

    def modulestore_of(self, client: MongoClient[dict[str, Any]], conf: MongoConf) -> Modulestore:
        return MongoModulestore(client, conf, index=MongoCourseIndex(client, conf))

    def publish(self, course_key: str, display_name: str) -> None:
        if course_key in self.author.course_keys():
            self.author.edit_settings(course_key, {"display_name": display_name})
        else:
            self.author.create_course(course_key, settings={"display_name": display_name})

    def publish_about_page(self, course_key: str, html: str) -> None:
        self.author.create_course(course_key, about={"overview": html, "title": "Not read"})

    def rerun(self, source_key: str, new_key: str) -> None:
        self.author.rerun(source_key, new_key)

    def rerun_as(self, source_key: str, new_key: str, display_name: str) -> None:
        self.author.rerun(source_key, new_key, {"display_name": display_name})

    def delete(self, course_key: str) -> None:
        self.author.delete_course(course_key)

    def create_draft(self, course_key: str) -> None:
        self.author.create_course(course_key)
        self.database["modulestore.active_versions"].update_one(
            self.index_query(course_key), {"$unset": {"versions.published-branch": 1}}
        )

    def create_library(self) -> None:
        self.database["modulestore.active_versions"].insert_one(
            {"org": "Org", "course": "Lib", "run": "library", "versions": {"library": ObjectId()}}
        )

    def lose_structure(self, course_key: str) -> None:
        self.database["modulestore.structures"].delete_one({"_id": self.structure_id(course_key)})

    def break_structure(self, course_key: str) -> None:
        self.change_structure(course_key, {"blocks": "none"})

    def change_structure(self, course_key: str, values: Mapping[str, Any]) -> None:
        structures = self.database["modulestore.structures"]
        structures.update_one({"_id": self.structure_id(course_key)}, {"$set": values})

    def change_root_field(self, course_key: str, name: str, value: object) -> None:
        self.database["modulestore.structures"].update_one(
            {"_id": self.structure_id(course_key)},
            {"$set": {f"blocks.$[root].fields.{name}": value}},
            array_filters=[{"root.block_type": "course"}],
        )

    def cut_off(self) -> Modulestore:
        """Return a modulestore whose MongoDB is not there."""
        nowhere = MongoConf(
            url="mongodb://127.0.0.1:1", database="none", server_selection_timeout_ms=50
        )
        self.client.close()
        self.client = connect(nowhere)
        return self.modulestore_of(self.client, nowhere)

    def structure_id(self, course_key: str) -> ObjectId:
        pointer = self.modulestore.find_published([course_key])[course_key]
        return ObjectId(pointer.structure_id)

    def index_query(self, course_key: str) -> dict[str, str]:
        org, course, run = course_key.removeprefix("course-v1:").split("+")
        return {"org": org, "course": course, "run": run}

    def close(self) -> None:
        self.client.close()


class InMongoAndSql(InMongo):
    """MongoDB, with the course index in SQL."""

    def authored_index(self) -> AuthoredSqlIndex:
        index = AuthoredSqlIndex(self.database)
        index.create_table()
        return index

    def modulestore_of(self, client: MongoClient[dict[str, Any]], conf: MongoConf) -> Modulestore:
        return MongoModulestore(client, conf, index=SqlCourseIndex())

    def create_draft(self, course_key: str) -> None:
        self.author.create_course(course_key)
        self.execute("UPDATE {table} SET published_version = '' WHERE course_id = %s", course_key)

    def create_library(self) -> None:
        self.execute(
            "INSERT INTO {table} (objectid, course_id, org, draft_version, published_version, "
            "library_version, wiki_slug, base_store, edited_on, last_update) "
            "VALUES (%s, 'library-v1:Org+Lib', 'Org', '', '', %s, '', 'mongodb', "
            "'2026-01-01', '2026-01-01')",
            str(ObjectId()),
            str(ObjectId()),
        )

    def execute(self, statement: str, *parameters: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement.format(table=TABLE), parameters)

    def close(self) -> None:
        super().close()
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {TABLE}")


_SERVICE = pytest.mark.service
_SQL = pytest.mark.django_db(transaction=True)
REAL = [
    pytest.param(InMongo, id="MongoDB", marks=[_SERVICE]),
    pytest.param(InMongoAndSql, id="MongoDB and SQL", marks=[_SERVICE, _SQL]),
]


def made(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param is InMemory:
        yield InMemory()
        return
    harness = request.param(request.getfixturevalue("mongo_database"))
    try:
        yield harness
    finally:
        harness.close()


@pytest.fixture(params=[pytest.param(InMemory, id="in memory"), *REAL])
def source(request: pytest.FixtureRequest) -> Iterator[Any]:
    yield from made(request)


@pytest.fixture(params=REAL)
def real(request: pytest.FixtureRequest) -> Iterator[Any]:
    yield from made(request)


@pytest.fixture
def mongo(mongo_database: Database[dict[str, Any]]) -> Iterator[InMongo]:
    source = InMongo(mongo_database)
    yield source
    source.close()


@pytest.fixture
def sql(
    transactional_db: None, mongo_database: Database[dict[str, Any]]
) -> Iterator[InMongoAndSql]:
    source = InMongoAndSql(mongo_database)
    yield source
    source.close()


def read(modulestore: Modulestore, *course_keys: str) -> Mapping[str, ReadResult]:
    """Read courses as a rebuild does."""
    return modulestore.read_published(list(modulestore.find_published(course_keys).values()))


def published(result: ReadResult) -> PublishedCourse:
    assert isinstance(result, PublishedCourse), result
    return result


def name_of(result: ReadResult) -> object:
    course = published(result)
    (root,) = [
        block for block in course.blocks if (block.block_type, block.block_id) == course.root
    ]
    return root.fields.get("display_name")


# The index


def test_only_published_courses_are_found(source):
    source.publish(KEY, "Tides")
    source.create_draft(OTHER)
    source.create_library()

    found = source.modulestore.find_published([KEY, OTHER, NEVER])

    assert list(found) == [KEY]
    assert found[KEY].course_key == KEY
    assert len(found[KEY].structure_id) == 24
    assert found[KEY].updated_at.tzinfo is not None


def test_nothing_is_found_where_nothing_is_asked_for(source):
    assert source.modulestore.find_published([]) == {}
    assert source.modulestore.read_published([]) == {}


def test_the_draft_branch_is_found_apart_from_what_is_published(source):
    source.publish(KEY, "Tides")
    source.rerun_as(KEY, OTHER, "Tides, again")

    drafts = source.modulestore.find_drafts([KEY, OTHER, NEVER])

    assert set(drafts) == {KEY, OTHER}
    assert name_of(source.modulestore.read_published([drafts[OTHER]])[OTHER]) == "Tides, again"
    assert name_of(read(source.modulestore, OTHER)[OTHER]) == "Tides"


def test_only_published_courses_are_listed(source):
    source.publish(OTHER, "Dunes")
    source.publish(KEY, "Tides")
    source.create_draft(THIRD)
    source.create_library()

    listed = list(source.modulestore.iter_published())

    assert {pointer.course_key for pointer in listed} == {KEY, OTHER}
    found = source.modulestore.find_published([KEY, OTHER])
    assert {pointer.course_key: pointer for pointer in listed} == found


def test_courses_are_listed_in_the_order_of_their_keys_bytes(source, monkeypatch):
    monkeypatch.setattr(sql_index, "_PAGE_SIZE", 2)
    keys = [
        "course-v1:A+C+R",
        "course-v1:A-B+C+R",
        "course-v1:A+C-1+R",
        "course-v1:A+C+R-1",
        "course-v1:A.B+C+R",
        "course-v1:A+c+R",
        "course-v1:a+C+R",
        "course-v1:Ä+C+R",
        "course-v1:A+C+R.2",
    ]
    for key in keys:
        source.publish(key, "Any")

    listed = [pointer.course_key for pointer in source.modulestore.iter_published()]

    assert listed == sorted(keys)
    paged: list[str] = []
    while found := keys_of(source, after_key=paged[-1] if paged else "", limit=2):
        paged += found
    assert paged == listed


def keys_of(
    source: Any, *, after_key: str = "", until_key: str = "", org: str = "", limit: int = 100
) -> list[str]:
    """Return the keys of a page of the index."""
    page = source.modulestore.page_published(
        after_key=after_key, until_key=until_key, org=org, limit=limit
    )
    return [pointer.course_key for pointer in page]


def test_a_page_begins_after_a_key_and_ends_with_one(source):
    keys = [f"course-v1:{org}+{course}+{run}" for org in "ABC" for course in "CD" for run in "RS"]
    for key in keys:
        source.publish(key, "Any")

    for begin in range(len(keys)):
        assert keys_of(source, after_key=keys[begin]) == keys[begin + 1 :]
        for end in range(begin + 1, len(keys)):
            found = keys_of(source, after_key=keys[begin], until_key=keys[end])
            assert found == keys[begin + 1 : end + 1]


def test_the_ends_of_a_page_need_not_be_courses(source):
    for key in (KEY, OTHER, THIRD):
        source.publish(key, "Any")

    assert keys_of(source, after_key=f"{KEY}1", until_key=f"{OTHER}1") == [OTHER]
    assert keys_of(source, after_key="course-v1:Org+Course+\U00020000") == []


def test_a_page_has_the_pointers_that_are_found_by_key(source):
    source.publish(KEY, "Tides")

    page = source.modulestore.page_published(after_key="", until_key="", org="", limit=5)

    assert list(page) == list(source.modulestore.find_published([KEY]).values())


def test_an_organisation_is_found_however_it_is_written_and_its_name_is_no_pattern(source):
    keys = [f"course-v1:{org}+C+R" for org in ("A.X", "a.x", "ABX", "A.X2")]
    for key in keys:
        source.publish(key, "Any")

    assert keys_of(source, org="a.X") == sorted(keys[:2])
    assert keys_of(source, org="a.X", after_key=keys[0]) == [keys[1]]
    assert keys_of(source, org="A_X") == []
    assert source.modulestore.count_published(org="a.X") == 2


def test_only_published_courses_are_paged_and_counted(source):
    source.publish(OTHER, "Dunes")
    source.publish(KEY, "Tides")
    source.create_draft(THIRD)
    source.create_library()

    assert keys_of(source) == [KEY, OTHER]
    assert source.modulestore.count_published(org="") == 2


def test_a_publish_moves_the_pointer_and_its_time(source):
    source.publish(KEY, "Tides")
    before = source.modulestore.find_published([KEY])[KEY]
    source.publish(KEY, "Dunes")
    after = source.modulestore.find_published([KEY])[KEY]

    assert after.structure_id != before.structure_id
    assert after.updated_at >= before.updated_at


def test_a_deleted_course_is_not_found(source):
    source.publish(KEY, "Tides")
    source.delete(KEY)

    assert source.modulestore.find_published([KEY]) == {}
    assert list(source.modulestore.iter_published()) == []


def test_keys_that_differ_by_case_are_different_courses(source):
    source.publish(KEY, "Tides")
    source.publish(KEY.replace("Run", "RUN"), "Dunes")

    courses = read(source.modulestore, KEY, KEY.replace("Run", "RUN"))

    assert {key: name_of(course) for key, course in courses.items()} == {
        KEY: "Tides",
        KEY.replace("Run", "RUN"): "Dunes",
    }
    assert source.modulestore.find_published([KEY.replace("Run", "run")]) == {}


# What is read


def test_a_published_course_is_read(source):
    source.publish(KEY, "Tides")
    pointer = source.modulestore.find_published([KEY])[KEY]

    course = read(source.modulestore, KEY)[KEY]

    assert isinstance(course, PublishedCourse)
    assert (course.org, course.course, course.run) == ("Org", "Course", "Run")
    assert course.source_version == pointer.structure_id
    assert course.source_updated_at == pointer.updated_at
    assert name_of(course) == "Tides"
    assert build_overview(course, settings=BuilderSettings()).overview.display_name == "Tides"


def test_the_about_page_is_read_along(source):
    source.publish_about_page(KEY, "<p>Tides</p>")

    course = published(read(source.modulestore, KEY)[KEY])

    built = build_overview(course, settings=BuilderSettings())
    assert built.projection.overview_html == "<p>Tides</p>"


def test_a_rerun_shows_the_structure_that_it_shares(source):
    source.publish(KEY, "Tides")
    source.rerun(KEY, OTHER)

    courses = read(source.modulestore, KEY, OTHER)
    original, rerun = published(courses[KEY]), published(courses[OTHER])

    assert (name_of(original), name_of(rerun)) == ("Tides", "Tides")
    assert (original.course_key, rerun.course_key) == (KEY, OTHER)
    assert original.source_version == rerun.source_version
    assert rerun.run == "Run2"


def test_a_pointer_into_the_past_reads_what_it_points_at(source):
    source.publish(KEY, "Tides")
    old = source.modulestore.find_published([KEY])[KEY]
    source.publish(KEY, "Dunes")

    assert name_of(source.modulestore.read_published([old])[KEY]) == "Tides"


def test_a_missing_structure_is_lagging_and_costs_no_other_course(source):
    source.publish(KEY, "Tides")
    source.publish(OTHER, "Dunes")
    source.lose_structure(KEY)

    courses = read(source.modulestore, KEY, OTHER)

    assert isinstance(courses[KEY], CourseLagging)
    assert name_of(courses[OTHER]) == "Dunes"


def test_a_missing_structure_has_no_size(source):
    source.publish(KEY, "There")
    source.publish(OTHER, "Lost")
    source.lose_structure(OTHER)
    pointers = source.modulestore.find_published([KEY, OTHER])

    sizes = source.modulestore.structure_bytes(list(pointers.values()))

    assert list(sizes) == [KEY]
    assert sizes[KEY] > 0
    assert source.modulestore.structure_bytes([]) == {}


def test_a_broken_structure_is_malformed_and_costs_no_other_course(source):
    source.publish(KEY, "Tides")
    source.publish(OTHER, "Dunes")
    source.break_structure(KEY)

    courses = read(source.modulestore, KEY, OTHER)

    assert isinstance(courses[KEY], MalformedCourse)
    assert "structure.blocks" in str(courses[KEY])
    assert name_of(courses[OTHER]) == "Dunes"


@pytest.mark.parametrize("structure_id", ["", "not a version", "g" * 24, "0" * 23])
def test_a_pointer_that_is_no_structure_id_is_lagging(source, structure_id):
    pointer = PublishedPointer(course_key=KEY, structure_id=structure_id, updated_at=None)

    assert isinstance(source.modulestore.read_published([pointer])[KEY], CourseLagging)


def test_a_source_that_is_away_says_so(source):
    source.publish(KEY, "Tides")
    pointers = list(source.modulestore.find_published([KEY]).values())
    away = source.cut_off()

    with pytest.raises(ModulestoreUnavailable):
        away.read_published(pointers)


# The real ones


def counted(source: InMongo, course_keys: Sequence[str]) -> list[str]:
    source.commands.names.clear()
    courses = read(source.modulestore, *course_keys)
    assert len(courses) == len(course_keys)
    assert all(isinstance(course, PublishedCourse) for course in courses.values())
    return source.commands.names


def test_one_course_costs_three_commands(real):
    about = {"short_description": "The sea.", "effort": "3 hours"}
    real.author.create_course(KEY, about=about, chapters=[{"highlights": ["a"]}])

    assert len(counted(real, [KEY])) <= 3


def test_a_hundred_courses_cost_hardly_more(real):
    keys = [f"course-v1:Org+Course{n:03}+Run" for n in range(100)]
    real.author.create_courses(
        [NewCourse(course_key=key, chapters=[{"highlights": ["a"]}] * 3) for key in keys]
    )

    assert len(counted(real, keys)) <= 6


def test_a_large_structure_is_cut_down_on_the_server(mongo):
    mongo.author.create_course(KEY, about={"effort": "3 hours", "syllabus": "…"}, block_count=500)

    course = read(mongo.modulestore, KEY)[KEY]

    assert isinstance(course, PublishedCourse)
    assert {block.block_type for block in course.blocks} == {"course", "about", "chapter"}
    about = [b.block_id for b in course.blocks if b.block_type == "about"]
    assert about == ["overview", "effort"]


def test_the_size_of_a_structure_is_that_of_its_document(mongo):
    large, small = (NewCourse(course_key=KEY, block_count=2000), NewCourse(course_key=OTHER))
    mongo.author.create_courses([large, small])
    mongo.author.rerun(OTHER, THIRD)
    pointers = mongo.modulestore.find_published([KEY, OTHER, THIRD])

    sizes = mongo.modulestore.structure_bytes(list(pointers.values()))

    structures = mongo.database["modulestore.structures"]
    for key, pointer in pointers.items():
        document = structures.find_one({"_id": ObjectId(pointer.structure_id)})
        assert abs(sizes[key] - len(bson.encode(document))) <= 64
    assert sizes[KEY] > 100 * sizes[OTHER]


def test_a_definition_that_is_not_there_yet_is_lagging(mongo):
    mongo.publish(OTHER, "Dunes")
    mongo.publish(KEY, "Tides")
    structure = mongo.database["modulestore.structures"].find_one({"_id": mongo.structure_id(KEY)})
    (root,) = [block for block in structure["blocks"] if block["block_type"] == "course"]
    mongo.database["modulestore.definitions"].delete_one({"_id": root["definition"]})

    courses = read(mongo.modulestore, KEY, OTHER)

    assert isinstance(courses[KEY], CourseLagging)
    assert str(root["definition"]) in str(courses[KEY])
    assert name_of(courses[OTHER]) == "Dunes"


@pytest.mark.parametrize(
    "values",
    [
        {"blocks": None},
        {"blocks": 5},
        {"blocks": {"course": {}}},
        {"root": None},
        {"root": "course"},
        {"root": ["course"]},
        {"root": ["course", 5]},
    ],
    ids=str,
)
def test_garbage_for_a_skeleton_is_malformed_for_its_own_course_only(mongo, values):
    mongo.publish(KEY, "Tides")
    mongo.publish(OTHER, "Dunes")
    mongo.change_structure(KEY, values)

    courses = read(mongo.modulestore, KEY, OTHER)

    assert isinstance(courses[KEY], MalformedCourse)
    assert name_of(courses[OTHER]) == "Dunes"


@pytest.mark.parametrize(
    "blocks",
    [
        [],
        [None, 5, "course", ["course", "course"]],
        [{}],
        [{"block_type": "course", "block_id": "course"}],
        [{"block_type": ["course"], "block_id": {"course": 1}, "fields": 5}],
        [{"block_type": "course", "block_id": "course", "fields": 5, "definition": "none"}],
        [{"block_type": "chapter", "block_id": "c", "fields": [1], "defaults": "x"}],
        [{"block_type": "about", "block_id": "effort", "definition": 7}],
    ],
    ids=str,
)
def test_garbage_for_blocks_is_left_to_the_builder(mongo, blocks):
    mongo.publish(KEY, "Tides")
    mongo.publish(OTHER, "Dunes")
    mongo.change_structure(KEY, {"blocks": blocks})

    courses = read(mongo.modulestore, KEY, OTHER)

    assert isinstance(courses[KEY], PublishedCourse)
    assert name_of(courses[OTHER]) == "Dunes"


@pytest.mark.parametrize("milliseconds", [2**62, -(2**62), 253_402_300_800_000])
def test_a_date_beyond_the_calendar_costs_only_its_field(mongo, milliseconds):
    mongo.publish(KEY, "Tides")
    mongo.publish(OTHER, "Dunes")
    mongo.change_root_field(KEY, "announcement", DatetimeMS(milliseconds))

    courses = read(mongo.modulestore, KEY, OTHER)
    built = build_overview(published(courses[KEY]), settings=BuilderSettings())

    assert built.overview.display_name == "Tides"
    assert built.overview.announcement is None
    assert [degradation.field for degradation in built.degradations] == ["announcement"]
    assert name_of(courses[OTHER]) == "Dunes"


def test_text_that_is_not_utf_8_costs_only_its_field(mongo):
    mongo.publish(KEY, "Tides")
    mongo.publish(OTHER, "Dunes")
    structures = mongo.database["modulestore.structures"]
    mongo.change_root_field(KEY, "display_name", "not utf-8: ??")
    structure = structures.find_one({"_id": mongo.structure_id(KEY)})
    broken = RawBSONDocument(
        bson.encode(structure).replace(b"not utf-8: ??", b"not utf-8: \xff\xfe")
    )
    structures.replace_one({"_id": structure["_id"]}, broken)

    courses = read(mongo.modulestore, KEY, OTHER)
    built = build_overview(published(courses[KEY]), settings=BuilderSettings())

    assert built.overview.id == KEY
    assert (built.overview.display_name or "").encode()  # whatever it is, a column can hold it
    assert name_of(courses[OTHER]) == "Dunes"


def test_the_index_that_is_the_truth_is_read(real):
    real.publish(KEY, "Tides")
    mongo_entries = real.database["modulestore.active_versions"]
    mongo_entries.delete_one(real.index_query(KEY))

    found = real.modulestore.find_published([KEY])

    assert bool(found) is isinstance(real, InMongoAndSql)


# Each index


@pytest.mark.parametrize(
    "values",
    [
        {"versions": None},
        {"versions": "published-branch"},
        {"versions": {"published-branch": None}},
        {"versions": {"published-branch": "a" * 24}},
    ],
    ids=str,
)
def test_garbage_in_an_entry_of_mongodb_is_no_published_branch(mongo, values):
    mongo.publish(KEY, "Tides")
    mongo.publish(OTHER, "Dunes")
    mongo.database["modulestore.active_versions"].update_one(
        mongo.index_query(KEY), {"$set": values}
    )

    assert list(mongo.modulestore.find_published([KEY, OTHER])) == [OTHER]
    assert [pointer.course_key for pointer in mongo.modulestore.iter_published()] == [OTHER]


@pytest.mark.parametrize("updated_at", [None, "yesterday", 5, DatetimeMS(2**62)])
def test_an_entry_without_a_readable_time_is_found_without_one(mongo, updated_at):
    mongo.publish(KEY, "Tides")
    mongo.database["modulestore.active_versions"].update_one(
        mongo.index_query(KEY), {"$set": {"last_update": updated_at}}
    )

    assert mongo.modulestore.find_published([KEY])[KEY].updated_at is None


def test_entries_that_are_no_course_keys_are_not_listed(mongo):
    mongo.publish(KEY, "Tides")
    mongo.database["modulestore.active_versions"].insert_one(
        {"org": "O r g", "course": 5, "versions": {"published-branch": ObjectId()}}
    )

    assert [pointer.course_key for pointer in mongo.modulestore.iter_published()] == [KEY]


def test_an_index_in_mongodb_that_is_away_says_so(mongo):
    away = mongo.cut_off()

    with pytest.raises(ModulestoreUnavailable):
        away.find_published([KEY])
    with pytest.raises(ModulestoreUnavailable):
        list(away.iter_published())
    with pytest.raises(ModulestoreUnavailable):
        away.page_published(after_key="", until_key="", org="", limit=5)
    with pytest.raises(ModulestoreUnavailable):
        away.count_published(org="")


def test_a_page_of_mongodb_reads_no_more_of_the_index_than_it_gives(mongo):
    keys = [f"course-v1:O{number % 5}+C{number:03}+R{number % 3}" for number in range(200)]
    mongo.author.create_courses([NewCourse(course_key=key) for key in keys])
    after = sorted(keys)[150]
    chosen = range_filter(org="", after=_parts(after), until=_parts(sorted(keys)[-1]))

    plan = mongo.database.command(
        "explain",
        {
            "find": "modulestore.active_versions",
            "filter": chosen,
            "sort": {"org": 1, "course": 1, "run": 1},
            "limit": 10,
        },
        verbosity="executionStats",
    )

    assert plan["executionStats"]["nReturned"] == 10
    assert plan["executionStats"]["totalDocsExamined"] <= 20


@pytest.mark.parametrize("version", ["not a version", "g" * 24, "0" * 23])
def test_an_invalid_version_in_sql_is_lagging(sql, version):
    sql.publish(KEY, "Tides")
    sql.publish(OTHER, "Dunes")
    sql.execute("UPDATE {table} SET published_version = %s WHERE course_id = %s", version, KEY)

    courses = read(sql.modulestore, KEY, OTHER)

    assert isinstance(courses[KEY], CourseLagging)
    assert name_of(courses[OTHER]) == "Dunes"


def test_microseconds_in_sql_are_kept(sql):
    sql.publish(KEY, "Tides")
    sql.execute("UPDATE {table} SET last_update = '2026-01-02 03:04:05.123456'")

    updated_at = sql.modulestore.find_published([KEY])[KEY].updated_at

    assert updated_at == datetime(2026, 1, 2, 3, 4, 5, 123_456, tzinfo=UTC)


def test_a_key_that_the_sql_column_cannot_hold_is_not_in_it(sql):
    sql.publish(KEY, "Tides")

    assert list(sql.modulestore.find_published([KEY, "course-v1:Org+\U00020000+Run"])) == [KEY]
    assert sql.modulestore.find_published(["course-v1:Org+\U00020000+Run"]) == {}


def test_the_sql_index_is_listed_in_pages(sql, monkeypatch):
    keys = [f"course-v1:Org+Course{n}+Run" for n in range(5)]
    sql.author.create_courses([NewCourse(course_key=key) for key in keys])
    monkeypatch.setattr(sql_index, "_PAGE_SIZE", 2)

    assert [pointer.course_key for pointer in sql.modulestore.iter_published()] == keys


def test_a_sql_index_that_is_not_there_says_so(sql):
    sql.execute("DROP TABLE {table}")

    with pytest.raises(ModulestoreUnavailable):
        sql.modulestore.find_published([KEY])
    with pytest.raises(ModulestoreUnavailable):
        list(sql.modulestore.iter_published())


def _parts(course_key: str) -> tuple[str, str, str]:
    parts = parse_course_key(course_key)
    return parts.org, parts.course, parts.run
