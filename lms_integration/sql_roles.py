"""Who needs which right on which table: one SQL account a kind of process, and no more than it needs.

The tables are those of the Django models, so that a new one is granted without anybody's thinking of
it: read by the web process, and written by the workers if it is the pipeline's own.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

from django.apps import apps
from django.db.migrations.recorder import MigrationRecorder


class SqlRole(StrEnum):
    """A kind of process, by what it does in SQL."""

    MIGRATOR = "migrator"  #: ``manage.py migrate``: the only one that may change the schema
    WORKER = "worker"  #: intake, workers, beat and the ``overview`` commands
    READER = "reader"  #: the web process
    ADMIN = (
        "admin"  #: the web process where the admin's actions are used: it marks, and clears letters
    )
    PUBLISHER = "publisher"  #: Studio: an account of the platform's, which needs the marks besides
    SIGNALLER = "signaller"  #: ``overview_signals`` in the LMS: likewise, to mark what it has told


Rights = tuple[str, ...]

#: On the whole database.
MIGRATOR_RIGHTS: Rights = (
    *("SELECT", "INSERT", "UPDATE", "DELETE"),
    *("CREATE", "ALTER", "DROP", "INDEX", "REFERENCES"),
)
_WORKER_RIGHTS: Rights = ("SELECT", "INSERT", "UPDATE", "DELETE")
_PIPELINE_APP = "lms_integration"
#: Apps whose models the web process reads.
_REQUEST_APPS = frozenset(
    {
        *("lms_integration", "platform_tables", "auth", "contenttypes", "sessions"),
        *("authtoken", "oauth2_provider", "admin", "axes"),
        "django_celery_beat",
    }
)
#: What requests write: sessions, the sign-in and how often it failed, enrolments. Never an overview, never a mark. ``auth_user``:
#: the time of a sign-in, and a password's hash when Django's way of hashing has become stronger.
REQUEST_WRITES: Mapping[str, Rights] = {
    "django_session": ("INSERT", "UPDATE", "DELETE"),
    "auth_user": ("UPDATE (`last_login`, `password`)",),
    "axes_accessattempt": ("INSERT", "UPDATE", "DELETE"),
    "axes_accessattemptexpiration": ("DELETE",),
    "student_courseenrollment": ("INSERT", "UPDATE"),
    "student_courseenrollmentattribute": ("INSERT", "UPDATE", "DELETE"),
    "student_courseenrollmentallowed": ("INSERT", "UPDATE", "DELETE"),
}
#: Open edX's configuration of image sets: the workers go by it.
IMAGE_CONFIG_TABLE = "course_overviews_courseoverviewimageconfig"
#: What the admin's actions write besides.
_ADMIN_WRITES: Mapping[str, Rights] = {
    "overview_mark": ("INSERT", "UPDATE"),
    "overview_database_identity": ("INSERT",),
    "overview_dead_letter": ("UPDATE", "DELETE"),
    "overview_rebuild_run": ("INSERT", "UPDATE"),
    "overview_thumbnails": ("UPDATE",),
    IMAGE_CONFIG_TABLE: ("INSERT",),
    "django_admin_log": ("INSERT",),
}
#: The schedule that operators edit: django-celery-beat's tables, where it is installed.
_SCHEDULE_APP = "django_celery_beat"
_SCHEDULE_ENTRIES = "django_celery_beat_periodictask"
#: What beat writes there: that an entry was sent, and that one that is to run once has run.
_SCHEDULE_NOTES: Rights = ("SELECT", "UPDATE (`last_run_at`, `total_run_count`, `enabled`)")
_SCHEDULE_EDITS: Rights = ("INSERT", "UPDATE", "DELETE")
_PUBLISHER_RIGHTS: Mapping[str, Rights] = {
    "overview_mark": ("SELECT", "INSERT", "UPDATE"),
    "overview_database_identity": ("SELECT", "INSERT"),
}
_SIGNALLER_RIGHTS: Mapping[str, Rights] = {
    "overview_change": (
        "SELECT",
        "UPDATE (`signalled_at`, `signal_attempts`, `signal_retry_at`, `signal_told`, `signal_error`)",
    ),
    "overview_job": ("SELECT", "INSERT", "UPDATE"),
}
#: Where enrolments and certificates name courses: a tombstone that they show is not purged.
LEARNER_TABLES = ("student_courseenrollment", "certificates_generatedcertificate")
#: Open edX's course index; only where ``OVERVIEW_COURSE_INDEX`` is ``mysql``.
COURSE_INDEX_TABLE = "split_modulestore_django_splitmodulestorecourseindex"
#: Open edX's history of overview rows; only where ``OVERVIEW_WRITE_PLATFORM_HISTORY`` is on.
PLATFORM_HISTORY_TABLE = "course_overviews_historicalcourseoverview"


def table_rights(
    role: SqlRole, *, with_course_index: bool = False, with_platform_history: bool = False
) -> dict[str, Rights]:
    """Return ``{table: rights}`` of a role; nothing for the migrator, whose rights are on the database."""
    match role:
        case SqlRole.WORKER:
            found = dict.fromkeys(_tables({_PIPELINE_APP}), _WORKER_RIGHTS)
            found[_migrations_table()] = ("SELECT",)
            found |= dict.fromkeys((*LEARNER_TABLES, IMAGE_CONFIG_TABLE), ("SELECT",))
            schedule = _tables({_SCHEDULE_APP})
            found |= dict.fromkeys(schedule, ("SELECT",))
            found |= {table: _SCHEDULE_NOTES for table in schedule if table == _SCHEDULE_ENTRIES}
            if with_course_index:
                found[COURSE_INDEX_TABLE] = ("SELECT",)
            if with_platform_history:
                found[PLATFORM_HISTORY_TABLE] = ("INSERT",)
        case SqlRole.READER | SqlRole.ADMIN:
            writes = dict(REQUEST_WRITES)
            if role is SqlRole.ADMIN:
                writes |= {
                    **_ADMIN_WRITES,
                    **dict.fromkeys(_tables({_SCHEDULE_APP}), _SCHEDULE_EDITS),
                }
            tables = _tables(_REQUEST_APPS)
            found = {table: ("SELECT", *writes.get(table, ())) for table in tables}
        case SqlRole.PUBLISHER:
            found = dict(_PUBLISHER_RIGHTS)
        case SqlRole.SIGNALLER:
            found = dict(_SIGNALLER_RIGHTS)
        case SqlRole.MIGRATOR:
            found = {}
    return dict(sorted(found.items()))


def overview_tables() -> Sequence[str]:
    """Return the pipeline's own tables: those that no request writes."""
    return sorted(_tables({_PIPELINE_APP}))


def grant_statements(
    role: SqlRole,
    *,
    account: str,
    database: str,
    with_course_index: bool = False,
    with_platform_history: bool = False,
) -> Iterator[str]:
    """Yield the ``GRANT`` statements of a role for an ``'account'@'host'``; repeating them is safe."""
    if role is SqlRole.MIGRATOR:
        # Of a whole database the name is a pattern, in which ``_`` and ``%`` stand for anything.
        pattern = _quoted(re.sub(r"([_%\\])", r"\\\1", database))
        yield f"GRANT {', '.join(MIGRATOR_RIGHTS)} ON {pattern}.* TO {account};"
    found = table_rights(
        role, with_course_index=with_course_index, with_platform_history=with_platform_history
    )
    for table, rights in found.items():
        yield f"GRANT {', '.join(rights)} ON {_quoted(database)}.{_quoted(table)} TO {account};"


def account_name(user: str, host: str) -> str:
    """Return ``'user'@'host'`` as MySQL and MariaDB write it."""
    return "@".join(
        "'{}'".format(part.replace("\\", r"\\").replace("'", "''")) for part in (user, host)
    )


def _tables(labels: frozenset[str] | set[str]) -> set[str]:
    return {
        str(model._meta.db_table)
        for model in apps.get_models(include_auto_created=True)
        if model._meta.app_label in labels and model._meta.managed and not model._meta.proxy
    }


def _migrations_table() -> str:
    return str(MigrationRecorder.Migration._meta.db_table)


def _quoted(name: str) -> str:
    return "`{}`".format(name.replace("`", "``"))
