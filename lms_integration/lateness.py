"""Why a publish took long to become visible: a closed list, with a sentence each."""

from enum import StrEnum

#: A publish that took longer is late: it is kept one by one, with its reason.
LATE_AFTER_MS = 1_000


class LateReason(StrEnum):
    """Why one publish was late; the values are those of ``overview_served.reason``."""

    WAITED = "waited"
    LOST = "lost"
    LAGGING = "lagging"
    FAULT = "fault"
    MODULESTORE = "modulestore"
    DATABASE = "database"

    @property
    def sentence(self) -> str:
        """What it means, for a person."""
        return _SENTENCES[self]


_SENTENCES = {
    LateReason.WAITED: "no worker came to it: none ran, or the queue was long",
    LateReason.LOST: "its event and its mark were lost; the inspector found it",
    LateReason.LAGGING: "the source was behind what was announced, or not complete",
    LateReason.FAULT: "it could not be built as it was published, until a later publish mended it",
    LateReason.MODULESTORE: "the modulestore did not answer",
    LateReason.DATABASE: "the overview database did not answer, or refused its lock",
}
