"""The writes that make up one edit, by name, so that a test can stop between two of them."""

from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias


class WriteStep(StrEnum):
    """One kind of write of an edit, in the order in which Studio makes them."""

    STRUCTURE = "structure"
    DEFINITION = "definition"
    SQL_INDEX = "sql_index"
    MONGO_INDEX = "mongo_index"


#: Called before each write; what it raises stops the edit there.
Step: TypeAlias = Callable[[WriteStep], None]


def no_step(step: WriteStep) -> None:
    """Let every write happen."""
