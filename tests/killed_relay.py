"""A relay that dies by SIGKILL when the broker has all of a batch, and the database knows of none."""

import os
import signal
from collections.abc import Sequence

from lms_integration.change_events import OverviewChanged
from overview_worker.announcing import announce_changes
from overview_worker.change_exchange import ChangeExchange
from overview_worker.store.outbox import DjangoChangeOutbox

_exchange = ChangeExchange(os.environ["OVERVIEW_BROKER_URL"])


def _send_and_die(events: Sequence[OverviewChanged]) -> None:
    _exchange.send(events)
    os.kill(os.getpid(), signal.SIGKILL)


announce_changes(DjangoChangeOutbox(), _send_and_die)
