"""A reader who looks at all rows all the time, and notes what must never be seen."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import DatabaseError, InterfaceError, connection, connections

_LOOK = """
SELECT o.id, o.display_name, p.course_visibility, MIN(t.name), MAX(t.name), COUNT(*)
FROM course_overviews_courseoverview o
LEFT JOIN overview_projection p ON p.course_key = o.id
LEFT JOIN course_overviews_courseoverviewtab t ON t.course_overview_id = o.id
GROUP BY o.id, o.display_name, p.course_visibility
"""
_PERIOD_SECONDS = 0.1
_NOTED_COUNT = 10


class Onlooker:
    """Notes rows that are not of one version, and versions that are visible after newer ones.

    The courses must be of ``restless_author.numbered_settings``.
    """

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._newest: dict[str, int] = {}
        #: Courses whose row has gone: what was seen before must not come back.
        self._gone: dict[str, int] = {}
        self.look_count = 0
        self.problems: list[str] = []

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look meanwhile, in a thread; an outage of the database is sat out."""
        self._stopping.clear()
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            thread.join(30)

    def _run(self) -> None:
        try:
            while not self._stopping.wait(_PERIOD_SECONDS):
                try:
                    self._look()
                except (DatabaseError, InterfaceError):
                    with suppress(DatabaseError, InterfaceError):
                        connection.close()
        finally:
            connections.close_all()

    def _look(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_LOOK)
            rows = cursor.fetchall()
        self.look_count += 1
        for key, name, visibility, first_tab, last_tab, count in rows:
            if {name, visibility, first_tab, last_tab} != {name} or count != 2:
                self._note(
                    f"{key}: row {name}, projection {visibility}, tabs {first_tab}…{last_tab} ({count})"
                )
            elif name and name.isdigit():
                self._note_order(key, int(name))
        seen = {row[0] for row in rows}
        self._gone |= {key: number for key, number in self._newest.items() if key not in seen}

    def _note_order(self, key: str, number: int) -> None:
        newest = self._newest.get(key, 0)
        if number < newest:
            self._note(f"{key}: version {number} is visible after {newest}")
        elif number <= self._gone.get(key, 0):
            self._note(f"{key}: version {number} is visible again after its delete")
        self._newest[key] = max(number, newest)

    def _note(self, problem: str) -> None:
        if len(self.problems) < _NOTED_COUNT and problem not in self.problems:
            self.problems.append(f"{time.strftime('%H:%M:%S')} {problem}")
