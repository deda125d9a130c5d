"""The columns that come from a course's ``about`` blocks.

Follows ``CourseDetails.fetch_about_attribute`` and ``parse_video_tag`` of edx-platform. Does no I/O.
"""

import re
from collections.abc import Mapping
from typing import Any

from overview_worker.builder.fields import BadValue, to_text
from overview_worker.builder.reading import BuildNotes, FieldReader
from overview_worker.documents import Block

_EMBEDDED_VIDEO = re.compile(r"(?<=embed/)[a-zA-Z0-9_-]+")
#: An old ``speed:id`` list. The '=' stays in the match, so the URL is of no use: kept as it is.
_SPEED_AND_VIDEO = re.compile(r"<?=\d+:[a-zA-Z0-9_-]+")


def about_text(
    blocks: Mapping[tuple[str, str], Block], block_id: str, *, notes: BuildNotes
) -> str | None:
    """Return the text of ``about/{block_id}``: None without the block, '' without ``data`` in it.

    A text that cannot be read is noted and counts as absent.
    """
    block = blocks.get(("about", block_id))
    if block is None:
        return None
    try:
        reader = FieldReader(block, notes, prefix=f"about/{block_id}/")
    except BadValue as bad:
        notes.degrade(f"about/{block_id}", _layers(block), str(bad))
        return None
    return reader.read("data", to_text, None) if reader.has("data") else ""


def course_video_url(about_video: str | None) -> str | None:
    """Return the YouTube address of the video that the text embeds, None when there is none."""
    if not about_video:
        return None
    video = _EMBEDDED_VIDEO.search(about_video) or _SPEED_AND_VIDEO.search(about_video)
    return f"http://www.youtube.com/watch?v={video[0]}" if video else None


def _layers(block: Block) -> tuple[Any, ...]:
    return block.fields, block.definition_fields, block.defaults
