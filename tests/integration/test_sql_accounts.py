"""The accounts that ``overview grants`` prints can do their process's work, and nothing else."""

from contextlib import suppress
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import Client, override_settings
from django.urls import get_resolver

from dev.authoring.author import SplitAuthor
from lms_integration.deployment import excess_right_problems
from lms_integration.events import CoursePublished
from lms_integration.models import (
    CourseOverview,
    DatabaseIdentity,
    OverviewChange,
    OverviewMark,
    OverviewState,
    OverviewTombstone,
)
from lms_integration.platform_tables.models import CourseEnrollment
from lms_integration.signalling import Signaller
from lms_integration.sql_roles import (
    PLATFORM_HISTORY_TABLE,
    SqlRole,
    overview_tables,
    table_rights,
)
from overview_worker.bootstrap import Dependencies
from overview_worker.documents import DeadLetterEntry, DeadLetterSource
from overview_worker.intake_store import DjangoIntakeStore
from overview_worker.rebuild import RebuildOutcome, rebuild_overviews
from overview_worker.sweeper import sweep
from tests.sql_accounts import (
    PREFIX,
    granted_roles,
    printed_accounts,
    printed_grants,
    signed_in,
)

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "course-v1:TestX+Rights+R1"
OTHER = "course-v1:TestX+Rights+R2"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
ACCESS_DENIED = {1142, 1143, 1044}


@pytest.fixture
def accounts():
    roles = ("migrator", "worker", "reader", "admin", "publisher", "signaller")
    with printed_accounts(*roles) as passwords:
        yield passwords


def rebuild(adapters: Dependencies, *keys: str):
    report = rebuild_overviews(
        keys, modulestore=adapters.modulestore, store=adapters.store, build=adapters.build
    )
    return report.outcomes


def mark(*keys: str) -> list[str]:
    events = [CoursePublished(course_key=key) for key in keys]
    return list(DjangoIntakeStore().mark_events(events))


def printed(*arguments: str) -> str:
    """Run an ``overview`` command, whatever its exit code; return what it printed."""
    output = StringIO()
    with suppress(SystemExit):
        call_command("overview", *arguments, stdout=output)
    return output.getvalue()


def refused(statement: str) -> bool:
    """Whether the account may not run a statement."""
    with connection.cursor() as cursor:
        try:
            cursor.execute(statement)
        except OperationalError as error:
            return error.args[0] in ACCESS_DENIED
    return False


def test_the_worker_lives_through_a_courses_whole_life(
    accounts, adapters: Dependencies, author: SplitAuthor
):
    author.create_course(KEY, settings={"display_name": "Built by a worker"})
    author.create_course(OTHER, settings={"start": "garbage"})

    with signed_in("worker", accounts["worker"]):
        assert sorted(mark(KEY, OTHER)) == [KEY, OTHER]
        outcomes = rebuild(adapters, KEY, OTHER)
        assert outcomes == {KEY: RebuildOutcome.WRITTEN, OTHER: RebuildOutcome.FAULTY}
        assert CourseOverview.objects.get(id=KEY).display_name == "Built by a worker"
        author.edit_settings(KEY, {"display_name": "Renamed"})
        mark(KEY)
        OverviewMark.objects.filter(course_key=KEY).update(dirty_since=LONG_AGO)
        swept: list[str] = []
        assert sweep(store=adapters.store, enqueue=swept.extend, enqueue_together=swept.extend) == 1
        assert rebuild(adapters, *swept) == {KEY: RebuildOutcome.WRITTEN}
        author.delete_course(KEY)
        mark(KEY)
        assert rebuild(adapters, KEY) == {KEY: RebuildOutcome.DELETED}
        author.create_course(KEY)
        mark(KEY)
        assert rebuild(adapters, KEY) == {KEY: RebuildOutcome.WRITTEN}
        assert not OverviewTombstone.objects.exists()


def test_the_workers_account_is_enough_for_the_commands(
    accounts, mongo_database, broker_url, author: SplitAuthor
):
    author.create_course(KEY)

    with (
        override_settings(OVERVIEW_MONGODB_DATABASE=mongo_database.name),
        signed_in("worker", accounts["worker"]),
    ):
        for command in (["reindex", KEY, "--here"], ["explain", KEY], ["status"]):
            assert "denied" not in printed(*command)

    assert OverviewState.objects.get(course_key=KEY).source_version


def test_the_worker_records_dead_letters_and_postpones(accounts, adapters: Dependencies):
    mark(KEY)
    letter = DeadLetterEntry(source=DeadLetterSource.INTAKE, reason="no event", body=b"x")

    with signed_in("worker", accounts["worker"]):
        DjangoIntakeStore().record_dead_letters([letter, letter])
        assert rebuild(adapters, KEY) == {KEY: RebuildOutcome.ABSENT}

    assert OverviewMark.objects.get(course_key=KEY).wanted == 1


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM auth_user",
        "SELECT * FROM django_session",
        "UPDATE student_courseenrollment SET is_active = 0",
        "DELETE FROM django_migrations",
        "SELECT * FROM mysql.user",
    ],
)
def test_the_worker_sees_nothing_of_people_and_of_the_server(accounts, statement):
    with signed_in("worker", accounts["worker"]):
        assert refused(statement)


def test_studios_account_marks_and_does_nothing_else(accounts):
    with signed_in("publisher", accounts["publisher"]):
        assert mark(KEY) == [KEY]
        assert DatabaseIdentity.objects.count() == 1
        assert refused("DELETE FROM overview_mark")
        assert refused("SELECT * FROM overview_state")
        assert refused("SELECT * FROM course_overviews_courseoverview")

    assert OverviewMark.objects.get(course_key=KEY).wanted == 1


@pytest.mark.parametrize("table", overview_tables())
def test_the_reader_reads_the_pipelines_tables_and_writes_none(accounts, table):
    with signed_in("reader", accounts["reader"]):
        assert not refused(f"SELECT * FROM {table} LIMIT 1")  # noqa: S608 - a model's table
        assert refused(f"DELETE FROM {table}")  # noqa: S608
        assert refused(f"TRUNCATE TABLE {table}")


def test_the_reader_cannot_write_an_overview_as_the_orm_would(accounts):
    with signed_in("reader", accounts["reader"]):
        with pytest.raises(OperationalError, match="1142"):
            CourseOverview.objects.update(display_name="Forged")
        with pytest.raises(OperationalError, match="1142"):
            OverviewMark.objects.create(course_key=KEY, wanted=1)


def test_the_admins_account_marks_and_clears_letters_and_writes_no_overview(accounts):
    with signed_in("admin", accounts["admin"]):
        mark(KEY)
        assert not refused("DELETE FROM overview_dead_letter")
        assert refused("UPDATE course_overviews_courseoverview SET display_name = 'Forged'")
        assert refused("DELETE FROM overview_state")

    assert OverviewMark.objects.get(course_key=KEY).wanted == 1


@pytest.mark.parametrize("role", ["worker", "reader", "admin", "publisher"])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE forged (id INT)",
        "DROP TABLE overview_mark",
        "ALTER TABLE overview_state ADD COLUMN forged INT",
        "CREATE INDEX forged ON overview_mark (wanted)",
        "CREATE TRIGGER forged BEFORE INSERT ON overview_mark FOR EACH ROW SET NEW.wanted = 0",
    ],
    ids=["create", "drop", "alter", "index", "trigger"],
)
def test_only_the_migrator_changes_the_schema(accounts, role, statement):
    with signed_in(role, accounts[role]):
        assert refused(statement)


def test_the_migrator_changes_the_schema_of_this_database_alone(accounts):
    with signed_in("migrator", accounts["migrator"]):
        call_command("migrate", verbosity=0)
        assert not refused("CREATE TABLE forged (id INT)")
        assert not refused("DROP TABLE forged")
        assert refused("CREATE DATABASE testXoverview")
        assert refused("SELECT * FROM mysql.user")


@pytest.mark.parametrize(
    ("role", "serves_web"),
    [("worker", False), ("reader", True), ("publisher", False), ("signaller", False)],
)
def test_the_doctor_finds_no_right_too_many(accounts, role, serves_web):
    with signed_in(role, accounts[role]):
        assert excess_right_problems(connection, serves_web=serves_web) == []


def test_the_doctor_finds_the_rights_of_the_tests_own_account_too_many():
    with_rights = excess_right_problems(connection)

    assert [problem.id for problem in with_rights] == ["overview.E109"]
    assert "ALL PRIVILEGES" in with_rights[0].what


def test_the_doctor_tells_a_worker_who_serves_the_web(accounts):
    with signed_in("worker", accounts["worker"]):
        (problem,) = excess_right_problems(connection, serves_web=True)

    assert "INSERT on " in problem.what


@pytest.mark.parametrize("active", [False, True], ids=["not taken on", "taken on"])
def test_the_doctor_finds_rights_that_come_by_a_role_of_a_role(accounts, active):
    with (
        granted_roles("worker", "outer", "inner", right="DROP"),
        signed_in("worker", accounts["worker"]),
        connection.cursor() as cursor,
    ):
        if active:
            cursor.execute(f"SET ROLE `{PREFIX}outer`")
        before = active_role(cursor)
        (problem,) = excess_right_problems(connection)
        after = active_role(cursor)

    assert "DROP on " in problem.what
    assert "SELECT on " not in problem.what
    assert after == before


def active_role(cursor) -> object:
    cursor.execute("SELECT CURRENT_ROLE()")
    return cursor.fetchone()[0]


def test_the_signaller_notes_what_it_has_told_and_can_change_no_more(accounts):
    change = OverviewChange.objects.create(
        course_key=KEY, row_seq=1, kind="deleted", changed_at=LONG_AGO
    )

    with signed_in("signaller", accounts["signaller"]):
        signaller = Signaller()
        signaller.register(from_now=False)
        assert signaller.tell_waiting().told_count == 1
        signaller.release()
        assert refused("UPDATE overview_change SET columns = '{}'")
        assert refused("DELETE FROM overview_change")
        assert refused("SELECT * FROM overview_mark")

    change.refresh_from_db()
    assert change.signalled_at is not None


def test_the_worker_may_add_to_open_edxs_history_only_where_that_is_wanted():
    table = f"`{PLATFORM_HISTORY_TABLE}`"
    with override_settings(OVERVIEW_WRITE_PLATFORM_HISTORY=True):
        wanted = [line for line in printed_grants("worker") if table in line]

    assert [line.partition(" ON ")[0] for line in wanted] == ["GRANT INSERT"]
    assert not any(table in line for line in printed_grants("worker"))


def test_every_table_of_the_pipeline_is_granted_to_workers_and_readers():
    tables = set(overview_tables())

    assert tables <= set(table_rights(SqlRole.WORKER))
    assert {
        rights for table, rights in table_rights(SqlRole.READER).items() if table in tables
    } == {("SELECT",)}


def test_the_statements_can_be_run_again_after_an_upgrade(accounts):
    assert all(
        line.startswith(("CREATE USER ", "GRANT ")) for line in printed_grants("worker", "reader")
    )


# The web process --------------------------------------------------------------------------------

#: What stands for the parts of an address, by their names.
PARTS = {
    "username": "learner",
    "user": "learner",
    "api_version": "v1",
    "version": "v1",
    "course_key": KEY,
    "course_id": KEY,
    "course_key_string": KEY,
    "course_id_string": KEY,
    "path": "x",
}
_UNKNOWN = "x"


def reversed_addresses() -> list[str]:
    resolver = get_resolver()
    paths = []
    for name in {key for key in resolver.reverse_dict if isinstance(key, str)}:
        for possibility, _, _, _ in resolver.reverse_dict.getlist(name):
            for template, parameters in possibility:
                values = {each: PARTS.get(each, _UNKNOWN) for each in parameters}
                paths.append("/" + template % values)
    return sorted(set(paths))


@pytest.fixture
def learner(author: SplitAuthor, adapters: Dependencies) -> User:
    author.create_course(KEY, settings={"display_name": "Served"})
    mark(KEY)
    rebuild(adapters, KEY)
    user = User.objects.create_user("learner", "learner@example.org", "let-me-in")
    CourseEnrollment.objects.create(user=user, course_id=KEY)
    return user


def test_the_reader_serves_every_address_that_there_is(accounts, learner, client: Client):
    with signed_in("reader", accounts["reader"]):
        assert client.login(username="learner", password="let-me-in")
        statuses = {path: client.get(path).status_code for path in reversed_addresses()}

    assert "/health" in statuses
    assert {path: status for path, status in statuses.items() if status >= 500} == {}


def test_the_reader_enrols(accounts, learner, client: Client):
    path = "/api/enrollment/v1/enrollment"
    CourseEnrollment.objects.all().delete()

    with signed_in("reader", accounts["reader"]):
        client.login(username="learner", password="let-me-in")
        response = client.post(
            path, {"course_details": {"course_id": KEY}}, content_type="application/json"
        )

    assert response.status_code == 200, response.content
    assert CourseEnrollment.objects.get(user=learner).course_id == KEY
