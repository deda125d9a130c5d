"""Filler for courses that need a size: chapters full of lessons, as heavy as those of real courses.

A course of 413 blocks weighs what Open edX's demo course does (236 kB of BSON a structure), one of
20,000 what a real one of that size does (8.8 MB). Does no I/O.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from math import ceil
from typing import Any
from uuid import uuid4

from dev.authoring.documents import BlockId, NewBlock, with_children

#: Blocks of a full chapter with what is below it: some four sections.
BLOCKS_PER_CHAPTER = 130
#: As many blocks as the demo course has carry the traces of an import from OLX, which makes them
#: larger; what comes after them looks as if written in Studio later.
IMPORTED_BLOCK_COUNT = 413

#: Levels below a chapter, each with the most blocks that one of them holds, itself included.
_LEVELS = (("sequential", 31), ("vertical", 6), ("unit", 1))
_UNIT_TYPES = ("html", "video", "html", "problem", "html")
_TEXT = (
    "<p>Read the notes before the seminar and mark the two claims that you find least convincing."
    " Bring one example from your own work, and write down what would change your mind.</p>\n"
) * 16
_MARKDOWN = ">>Which of these follows?<<\n\n( ) The first\n(x) The second\n"


def new_block_id(block_type: str) -> BlockId:
    """Return an id as Studio gives one to a new block: 32 hex digits."""
    return block_type, uuid4().hex


def padded_chapters(chapters: Sequence[NewBlock], *, padding_count: int) -> list[NewBlock]:
    """Return the chapters, filled evenly with so many blocks, each followed by what is below it.

    Where the blocks are too many for these chapters, some of them become further chapters.
    """
    total = len(chapters) + padding_count
    missing_count = max(0, ceil(total / BLOCKS_PER_CHAPTER) - len(chapters))
    all_chapters = [*chapters, *_further_chapters(missing_count, first=len(chapters) + 1)]
    numbers = count()
    filled: list[NewBlock] = []
    for chapter, budget in zip(
        all_chapters, _shares(total - len(all_chapters), len(all_chapters)), strict=True
    ):
        filled.extend(_with_descendants(chapter, budget, depth=0, numbers=numbers))
    return filled


def unit(block_id: BlockId, *, number: int, children: Sequence[BlockId] = ()) -> NewBlock:
    """Return a filler block of any type; the number varies its name and its length."""
    fields = {"display_name": _display_name(block_id[0], number), **_settings(block_id[0], number)}
    if number < IMPORTED_BLOCK_COUNT and block_id[0] != "video":
        fields["display_name"] += ": notes and questions"
        fields["xml_attributes"] = {"filename": ["{}/{}.xml".format(*block_id)] * 2}
    return NewBlock(
        block_id=block_id,
        fields=with_children(fields, children) if children else fields,
        definition_fields=_content(block_id[0], number),
    )


def _further_chapters(chapter_count: int, *, first: int) -> Iterator[NewBlock]:
    for number in range(first, first + chapter_count):
        fields = {"display_name": f"Part {number}: reading, practice and review"}
        yield NewBlock(block_id=new_block_id("chapter"), fields=fields, definition_fields={})


def _shares(total: int, share_count: int) -> list[int]:
    if not share_count:
        return []
    share, rest = divmod(total, share_count)
    return [share + 1] * rest + [share] * (share_count - rest)


def _with_descendants(
    parent: NewBlock, budget: int, *, depth: int, numbers: Iterator[int]
) -> list[NewBlock]:
    if budget == 0:
        return [parent]
    children: list[BlockId] = []
    below: list[NewBlock] = []
    for position, size in enumerate(_sizes(budget, most=_LEVELS[depth][1])):
        child = unit(new_block_id(_type_at(depth, position)), number=next(numbers))
        children.append(child.block_id)
        below.extend(_with_descendants(child, size - 1, depth=depth + 1, numbers=numbers))
    fields = with_children(parent.fields, children)
    filled = NewBlock(
        block_id=parent.block_id, fields=fields, definition_fields=parent.definition_fields
    )
    return [filled, *below]


def _sizes(budget: int, *, most: int) -> list[int]:
    full, rest = divmod(budget, most)
    return [most] * full + ([rest] if rest else [])


def _type_at(depth: int, position: int) -> str:
    block_type = _LEVELS[depth][0]
    return _UNIT_TYPES[position % len(_UNIT_TYPES)] if block_type == "unit" else block_type


def _display_name(block_type: str, number: int) -> str:
    names = {
        "sequential": "Section",
        "vertical": "Lesson",
        "html": "Reading",
        "video": "Lecture",
        "problem": "Exercise",
    }
    return f"{names[block_type]} {number + 1}"


def _settings(block_type: str, number: int) -> dict[str, Any]:
    if block_type == "video":
        return {
            "edx_video_id": "",
            "html5_sources": [],
            "sub": "",
            "transcripts": {},
            "youtube_id_1_0": f"lesson{number:05d}",
        }
    return {"markdown": _MARKDOWN} if block_type == "problem" else {}


def _content(block_type: str, number: int) -> Mapping[str, Any]:
    if block_type == "html":
        return {"data": _TEXT[: 400 + number * 389 % 2400]}
    if block_type == "problem":
        return {"data": f"<problem>{_TEXT[: 300 + number * 211 % 1200]}</problem>"}
    return {}
