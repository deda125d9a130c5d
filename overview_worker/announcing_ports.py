"""What announcing changes needs of the outside: an outbox to read, and somebody who sends."""

from collections.abc import Callable, Sequence
from typing import Protocol

from lms_integration.change_events import OverviewChanged

#: Sends events in their order and returns when the broker has all of them.
#: Raises ``ExchangeUnavailable`` when it may not have some.
Send = Callable[[Sequence[OverviewChanged]], None]


class ChangeOutbox(Protocol):
    """The changes that are not announced yet."""

    def relay_batch(self, send: Send, *, limit: int) -> int | None:
        """Hand the oldest ``limit`` changes to ``send`` and mark them announced; return how many.

        None while another relay does: only one at a time, whoever and wherever they are. When
        ``send`` raises, none of them is marked.

        Raises:
            StoreUnavailable: the database did not answer.
        """
        ...
