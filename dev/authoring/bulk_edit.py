"""What one edit changes in a course: at most one new structure a branch, and some definitions.

Open edX calls this a bulk operation: however many blocks it touches, it ends in one index write.
Does no I/O.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId

from dev.authoring.documents import (
    ROOT,
    BlockId,
    Document,
    NewBlock,
    block_id_of,
    edited_block,
    new_block,
    new_definition,
    next_definition,
    published_block,
    structure,
    with_children,
)


class BulkEdit:
    """The two branches of a course while they are edited; a branch left alone gets no structure.

    Pass None for both branches to write a course that does not exist yet.
    """

    def __init__(
        self, draft: Document | None, published: Document | None, *, edited_on: datetime
    ) -> None:
        self.definitions: list[Document] = []
        self._draft = _BranchEdit(draft, edited_on=edited_on)
        self._published = _BranchEdit(published, edited_on=edited_on)
        self._edited_on = edited_on

    @property
    def moves_draft(self) -> bool:
        """Return whether the draft branch gets a new structure."""
        return self._draft.is_changed

    @property
    def moves_published(self) -> bool:
        """Return whether the published branch gets a new structure."""
        return self._published.is_changed

    @property
    def draft_structure_id(self) -> ObjectId:
        """Return the id of the draft branch's new structure, if it gets one."""
        return self._draft.structure_id

    @property
    def published_structure_id(self) -> ObjectId:
        """Return the id of the published branch's new structure, if it gets one."""
        return self._published.structure_id

    def structures(self) -> list[Document]:
        """Return the new structures, at most one of each branch."""
        return [branch.to_structure() for branch in self._branches() if branch.is_changed]

    def draft_block(self, block_id: BlockId) -> Document:
        """Return a block as the draft branch has it now.

        Raises:
            KeyError: the draft branch has no such block.
        """
        return self._draft.blocks[block_id]

    def has_draft_block(self, block_id: BlockId) -> bool:
        """Return whether the draft branch has this block."""
        return block_id in self._draft.blocks

    def first_of_type(self, block_type: str) -> BlockId:
        """Return the first block of a type in the draft branch.

        Raises:
            LookupError: it has none.
        """
        for block_id in self._draft.blocks:
            if block_id[0] == block_type:
                return block_id
        raise LookupError(f"the course has no block of type {block_type}")

    def children(self, block_id: BlockId) -> tuple[BlockId, ...]:
        """Return the children of a draft block, in order."""
        return tuple(_children(self._draft.blocks[block_id]))

    def define(self, block_type: str, fields: Mapping[str, Any]) -> Document:
        """Write a first definition and return it."""
        definition = new_definition(block_type, fields, edited_on=self._edited_on)
        self.definitions.append(definition)
        return definition

    def redefine(self, definition: Mapping[str, Any], fields: Mapping[str, Any]) -> Document:
        """Write the definition that follows another and return it."""
        following = next_definition(definition, fields, edited_on=self._edited_on)
        self.definitions.append(following)
        return following

    def add(self, block: NewBlock, *, definition: Mapping[str, Any] | None = None) -> None:
        """Put a new block, with its definition, into the draft branch."""
        if definition is None:
            definition = self.define(block.block_id[0], block.definition_fields)
        added = new_block(
            block.block_id,
            block.fields,
            definition_id=definition["_id"],
            structure_id=self._draft.structure_id,
            edited_on=self._edited_on,
        )
        self._draft.put(added)

    def append_child(self, block: NewBlock, *, parent: BlockId) -> None:
        """Put a new block into the draft branch as the last child of another."""
        self.add(block)
        parent_block = self._draft.blocks[parent]
        children = [*_children(parent_block), block.block_id]
        self.update(parent, fields=with_children(parent_block["fields"], children))

    def update(
        self,
        block_id: BlockId,
        *,
        fields: Mapping[str, Any] | None = None,
        definition: Mapping[str, Any] | None = None,
    ) -> None:
        """Save a draft block, with other fields, another definition, or as it is."""
        block = self._draft.blocks[block_id]
        edited = edited_block(
            block,
            block["fields"] if fields is None else fields,
            definition_id=block["definition"] if definition is None else definition["_id"],
            structure_id=self._draft.structure_id,
            edited_on=self._edited_on,
        )
        self._draft.put(edited)

    def remove(self, block_id: BlockId) -> None:
        """Take a block that is nobody's child, such as an ``about`` block, out of both branches."""
        self._draft.drop(block_id)
        self._published.drop(block_id)

    def publish(self, block_ids: Iterable[BlockId]) -> None:
        """Copy these draft blocks to the published branch; children not published stay unlisted."""
        copied = tuple(block_ids)
        known = self._published.blocks.keys() | set(copied)
        for block_id in copied:
            draft = self._draft.blocks[block_id]
            block = published_block(
                draft,
                [child for child in _children(draft) if child in known],
                before=self._published.blocks.get(block_id),
                structure_id=self._published.structure_id,
                edited_on=self._edited_on,
            )
            self._published.put(block)

    def publish_everything(self) -> None:
        """Make the published branch hold what the draft branch holds, in a new structure."""
        for block_id in tuple(self._published.blocks.keys() - self._draft.blocks.keys()):
            self._published.drop(block_id)
        self.publish({ROOT: None} | dict.fromkeys(self._unpublished()))

    def _branches(self) -> "tuple[_BranchEdit, _BranchEdit]":
        # The published structure is written first, as in most of the recorded edits.
        return self._published, self._draft

    def _unpublished(self) -> Iterable[BlockId]:
        for block_id, draft in self._draft.blocks.items():
            published = self._published.blocks.get(block_id)
            draft_version = draft["edit_info"]["update_version"]
            if published is None or published["edit_info"]["source_version"] != draft_version:
                yield block_id


class _BranchEdit:
    """The blocks of one branch while it is edited, in the order of its structure."""

    def __init__(self, previous: Document | None, *, edited_on: datetime) -> None:
        self.structure_id = ObjectId()
        self.blocks: dict[BlockId, Document] = {}
        if previous is not None:
            self.blocks = {block_id_of(block): block for block in previous["blocks"]}
        self._previous = previous
        self._edited_on = edited_on
        self.is_changed = False

    def put(self, block: Document) -> None:
        self.blocks[block_id_of(block)] = block
        self.is_changed = True

    def drop(self, block_id: BlockId) -> None:
        if self.blocks.pop(block_id, None) is not None:
            self.is_changed = True

    def to_structure(self) -> Document:
        return structure(
            self.structure_id,
            self.blocks.values(),
            previous=self._previous,
            edited_on=self._edited_on,
        )


def _children(block: Mapping[str, Any]) -> list[BlockId]:
    return [(block_type, block_id) for block_type, block_id in block["fields"].get("children", ())]
