"""Structures and definitions in MongoDB, with the last structures kept in memory.

Both are immutable, so what is kept can never be stale; it saves an author the read before an edit.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from dev.authoring.documents import Document
from dev.authoring.steps import Step, WriteStep

#: Most blocks kept: both branches of two very large courses, or of the demo course a hundred times.
_KEPT_BLOCK_COUNT = 100_000


class StructureStore:
    """Writes what edits make and reads what they start from."""

    def __init__(self, database: Database[Any]) -> None:
        self._structures = database["modulestore.structures"]
        self._definitions = database["modulestore.definitions"]
        self._kept: OrderedDict[ObjectId, Document] = OrderedDict()
        self._kept_block_count = 0

    def structure(self, structure_id: ObjectId) -> Document:
        """Return a structure.

        Raises:
            LookupError: there is none with this id.
        """
        if structure_id in self._kept:
            self._kept.move_to_end(structure_id)
            return self._kept[structure_id]
        document = _found(self._structures.find_one(structure_id), "structure", structure_id)
        self._keep(document)
        return document

    def definition(self, definition_id: ObjectId) -> Document:
        """Return a definition.

        Raises:
            LookupError: there is none with this id.
        """
        document = self._definitions.find_one(definition_id)
        return _found(document, "definition", definition_id)

    def insert(
        self, structures: Sequence[Document], definitions: Sequence[Document], *, step: Step
    ) -> None:
        """Write structures, then definitions: the order in which Studio's writes arrive."""
        if structures:
            step(WriteStep.STRUCTURE)
            self._structures.insert_many(structures)
        if definitions:
            step(WriteStep.DEFINITION)
            self._definitions.insert_many(definitions)
        for document in structures:
            self._keep(document)

    def _keep(self, document: Document) -> None:
        self._kept[document["_id"]] = document
        self._kept_block_count += len(document["blocks"])
        while self._kept_block_count > _KEPT_BLOCK_COUNT and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._kept_block_count -= len(oldest["blocks"])


def _found(document: Document | None, kind: str, document_id: ObjectId) -> Document:
    if document is None:
        raise LookupError(f"no {kind} {document_id} in the modulestore")
    return document
