"""A Studio process around its authors: the SQL transaction, and the signal sent inside it."""

from collections.abc import Callable, Iterable
from typing import Any, ParamSpec

from django.db import DEFAULT_DB_ALIAS, transaction

from dev.authoring.author import PublishedChange, SplitAuthor
from lms_integration import signals

P = ParamSpec("P")


class ReceiverFailed(RuntimeError):
    """A receiver of a signal raised; the edit itself is saved."""


class Studio:
    """Saves what an author does as one request of Studio would.

    As in the platform, a failing receiver does not undo the edit; unlike it, the failure is raised,
    once the transaction is committed.

    Args:
        author: The author whose edits are saved.
        using: Alias of the SQL database that holds the course index and the marks.
    """

    def __init__(self, author: SplitAuthor, *, using: str = DEFAULT_DB_ALIAS) -> None:
        self.author = author
        self._using = using

    def save(
        self, edit: Callable[P, PublishedChange], *args: P.args, **kwargs: P.kwargs
    ) -> PublishedChange:
        """Make an edit, ``studio.save(author.edit_settings, course_key, {…})``, and tell of it.

        An edit of the draft branch alone is told to nobody.

        Raises:
            ReceiverFailed: the edit is saved, but a receiver raised.
        """
        with transaction.atomic(using=self._using):
            change = edit(*args, **kwargs)
            responses = self._tell_published(change) if change.is_publish else []
        _raise_failure(responses)
        return change

    def delete_course(self, course_key: str) -> PublishedChange:
        """Delete a course and tell of it.

        Raises:
            ReceiverFailed: the course is deleted, but a receiver raised.
        """
        with transaction.atomic(using=self._using):
            change = self.author.delete_course(course_key)
            responses = signals.course_deleted.send_robust(
                sender=type(self), course_key=change.course_key, deleted_at=change.updated_at
            )
        _raise_failure(responses)
        return change

    def _tell_published(self, change: PublishedChange) -> list[tuple[Any, Any]]:
        return signals.course_published.send_robust(
            sender=type(self),
            course_key=change.course_key,
            published_version=change.published_version,
            published_at=change.updated_at,
        )


def _raise_failure(responses: Iterable[tuple[Any, Any]]) -> None:
    for receiver, response in responses:
        if isinstance(response, Exception):
            raise ReceiverFailed(f"{receiver!r} raised {response!r}") from response
