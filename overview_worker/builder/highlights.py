"""Whether a course has weekly highlights to send.

Follows ``course_has_highlights`` of edx-platform's ``schedules/content_highlights.py``: any child of
the course that is not hidden from the table of contents and has highlights. Does no I/O.
"""

from collections.abc import Iterator, Mapping

from overview_worker.builder.fields import BadValue, to_boolean, to_list
from overview_worker.builder.reading import FieldReader
from overview_worker.documents import Block


def has_highlights(reader: FieldReader, blocks: Mapping[tuple[str, str], Block]) -> bool:
    """Return whether highlights are switched on and a chapter of the course has some.

    ``reader`` reads the course block. Chapters that it does not name as children do not count.
    """
    if not reader.read("highlights_enabled_for_messaging", to_boolean, False):
        return False
    return any(_shows_highlights(chapter, reader) for chapter in _chapters(reader, blocks))


def _chapters(reader: FieldReader, blocks: Mapping[tuple[str, str], Block]) -> Iterator[Block]:
    for child in reader.read("children", to_list, []):
        match child:
            case ["chapter", block_id] if type(block_id) is str:
                chapter = blocks.get(("chapter", block_id))
                if chapter is not None:
                    yield chapter
            case [str(), str()]:
                pass
            case _:
                reader.degrade("children", child, "not a block type and a block id")


def _shows_highlights(chapter: Block, course_reader: FieldReader) -> bool:
    prefix = f"chapter/{chapter.block_id}"
    try:
        reader = FieldReader(chapter, course_reader.notes, prefix=f"{prefix}/")
    except BadValue as bad:
        course_reader.notes.degrade(prefix, (chapter.fields, chapter.defaults), str(bad))
        return False
    if reader.read("hide_from_toc", to_boolean, False):
        return False
    return bool(reader.read("highlights", to_list, []))
