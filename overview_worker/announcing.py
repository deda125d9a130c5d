"""Announcing what has changed: from the outbox to the exchange, batch by batch, while there is time.

At least once and in the order of the outbox: a batch is marked announced only when the broker has
confirmed all of it, and no two relays send at a time. Knows no framework.
"""

import logging
import time
from collections.abc import Callable

from overview_worker.announcing_ports import ChangeOutbox, Send
from overview_worker.errors import ExchangeUnavailable

logger = logging.getLogger(__name__)

#: Changes that are sent before their confirms are waited for.
BATCH_SIZE = 200
#: How long one turn goes on while there is more, in seconds: it has a live worker's place meanwhile.
TURN_SECONDS = 0.5


def announce_changes(
    outbox: ChangeOutbox, send: Send, *, now: Callable[[], float] = time.monotonic
) -> int:
    """Announce what waits, oldest first, for ``TURN_SECONDS``; return how many changes that was.

    While the broker is away the changes wait, and one line says so. ``now`` gives seconds.

    Raises:
        StoreUnavailable: the database did not answer.
    """
    deadline = now() + TURN_SECONDS
    announced = 0
    while now() < deadline:
        try:
            count = outbox.relay_batch(send, limit=BATCH_SIZE)
        except ExchangeUnavailable as error:
            logger.warning("changes wait to be announced: %s", error)
            break
        announced += count or 0
        if count is None or count < BATCH_SIZE:
            break
    return announced
