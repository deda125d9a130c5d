"""What a learner has chosen to see: which courses, in which order, which page. Does no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlencode

#: Longer texts are cut: no name of a course is found by more.
MAX_TEXT_LENGTH = 200
_Member = TypeVar("_Member", bound=StrEnum)


class Status(StrEnum):
    """Which courses; each enrolment is in ``ALL`` and in exactly one of the others."""

    ALL = "all"
    IN_PROGRESS = "in_progress"
    UPCOMING = "upcoming"  #: begins later, or is being prepared
    ENDED = "ended"  #: its end has passed, or it is no longer offered


class Order(StrEnum):
    """In which order."""

    ENROLLED = "enrolled"  #: newest enrolment first
    NAME = "name"
    START = "start"  #: first to start first; without a start last


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One view of the dashboard, as it stands in the address."""

    status: Status = Status.ALL
    order: Order = Order.ENROLLED
    text: str = ""
    page: str = ""

    @property
    def is_narrow(self) -> bool:
        """Whether something is left out on purpose."""
        return self.status is not Status.ALL or bool(self.text)

    @property
    def query(self) -> str:
        """The query string, with ``?``; '' for the plain dashboard."""
        chosen = {
            "status": "" if self.status is Status.ALL else self.status.value,
            "sort": "" if self.order is Order.ENROLLED else self.order.value,
            "q": self.text,
            "page": "" if self.page == "1" else self.page,
        }
        filled = {name: value for name, value in chosen.items() if value}
        return f"?{urlencode(filled)}" if filled else ""

    def with_status(self, status: Status) -> "Choice":
        """Return the first page of the same view with another status."""
        return replace(self, status=status, page="")

    def on_page(self, number: int) -> "Choice":
        """Return another page of the same view."""
        return replace(self, page=str(number))


def choice_of(parameters: Mapping[str, str]) -> Choice:
    """Return what the parameters of an address ask for; what means nothing is as if it was not there."""
    return Choice(
        status=_member(Status, parameters.get("status"), Status.ALL),
        order=_member(Order, parameters.get("sort"), Order.ENROLLED),
        text=" ".join(parameters.get("q", "").replace("\0", "").split())[:MAX_TEXT_LENGTH],
        page=parameters.get("page", ""),
    )


def _member(kind: type[_Member], text: str | None, default: _Member) -> _Member:
    try:
        return kind(text) if text else default
    except ValueError:
        return default
