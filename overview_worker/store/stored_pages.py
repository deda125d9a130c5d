"""``run_ports.StoredPages``: what is stored of courses, in narrow columns, page by page."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from lms_integration.models import CourseOverview
from overview_worker.inspection_ports import InspectedCourse
from overview_worker.run_ports import RunStage
from overview_worker.store.conf import StoreConf
from overview_worker.store.failures import errors_translated
from overview_worker.store.sql_survey import Row, inspected, rows_of
from overview_worker.store.survey_statements import ROWS, SurveyStatements

#: Keys in one statement.
_CHUNK = 1000
_AFTER = "s.course_key > %s"
_UNTIL = " AND s.course_key <= %s"
# As the index's lists compare it; what the database folds differently is sorted out by nobody: an
# organisation whose name differs by such a letter is another one.
_OF_ORG = " AND LOWER(s.course_key) LIKE LOWER(%s) ESCAPE '!'"

_STATELESS = {
    RunStage.ROWS: (
        f"SELECT o.id, o.version, NULL FROM {ROWS} o "  # noqa: S608
        "LEFT JOIN overview_state s ON s.course_key = o.id "
        "WHERE s.course_key IS NULL AND o.id > %s{until} ORDER BY o.id LIMIT %s",
        " AND o.id <= %s",
    ),
    RunStage.PROJECTIONS: (
        "SELECT p.course_key, NULL, 1 FROM overview_projection p "
        "LEFT JOIN overview_state s ON s.course_key = p.course_key "
        "WHERE s.course_key IS NULL AND p.course_key > %s{until} ORDER BY p.course_key LIMIT %s",
        " AND p.course_key <= %s",
    ),
}


class DjangoStoredPages:
    """``run_ports.StoredPages`` on a Django connection; one instance a process, any thread."""

    def __init__(self, conf: StoreConf) -> None:
        self._conf = conf

    def page_stored(
        self, *, after_key: str, until_key: str, org: str, limit: int
    ) -> Sequence[InspectedCourse]:
        """Return the courses that have a state, after a key, in the order of the keys' bytes."""
        condition = _AFTER + (_UNTIL if until_key else "") + (_OF_ORG if org else "")
        pattern = f"course-v1:{_literally(org)}+%"
        parameters = [after_key, *([until_key] if until_key else []), *([pattern] if org else [])]
        with errors_translated(self._connection):
            statement = f"{self._states.format(condition=condition)} LIMIT %s"
            return _courses(rows_of(self._connection, statement, [*parameters, limit]))

    def find_stored(self, course_keys: Sequence[str]) -> Mapping[str, InspectedCourse]:
        """Return those of ``course_keys`` that have a state."""
        found: dict[str, InspectedCourse] = {}
        with errors_translated(self._connection):
            for start in range(0, len(course_keys), _CHUNK):
                keys = course_keys[start : start + _CHUNK]
                places = ", ".join(["%s"] * len(keys))
                statement = self._states.format(condition=f"s.course_key IN ({places})")
                for course in _courses(rows_of(self._connection, statement, keys)):
                    found[course.course_key] = course
        return found

    def find_row_versions(self, course_keys: Sequence[str]) -> Mapping[str, int]:
        """Return the versions of the overview rows of those of ``course_keys`` that have one."""
        rows = CourseOverview.objects.using(self._conf.using).filter(id__in=course_keys)
        with errors_translated(self._connection):
            return dict(rows.values_list("id", "version"))

    def page_stateless(
        self, *, stage: RunStage, after_key: str, until_key: str, limit: int
    ) -> Sequence[InspectedCourse]:
        """Return rows, or projections, that no state stands for, in the order of their table."""
        statement, until = _STATELESS[stage]
        statement = statement.format(until=until if until_key else "")
        parameters = [after_key, *([until_key] if until_key else []), limit]
        with errors_translated(self._connection):
            rows = rows_of(self._connection, statement, parameters)
        return [
            InspectedCourse(
                course_key=key,
                has_state=False,
                has_row=stage is RunStage.ROWS,
                has_projection=bool(projection),
                row_version=version,
            )
            for key, version, projection in rows
        ]

    @cached_property
    def _states(self) -> str:
        # Once a process: it asks the server for the collations.
        return SurveyStatements(self._connection).states_where("{condition}")

    @property
    def _connection(self) -> BaseDatabaseWrapper:
        # Looked up each time: Django's connections belong to threads.
        return connections[self._conf.using]


def _courses(rows: Sequence[Row]) -> list[InspectedCourse]:
    return [
        replace(inspected(key, columns), row_version=row_version)
        for key, *columns, row_version in rows
    ]


def _literally(text: str) -> str:
    """Return a text in which LIKE finds no pattern."""
    return "".join(f"!{each}" if each in "!%_" else each for each in text)
