"""A course that is to be created, and the blocks that it starts with. Does no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dev.authoring.bulk_edit import BulkEdit
from dev.authoring.documents import OVERVIEW, ROOT, NewBlock, course_key_parts, with_children
from dev.authoring.padding import new_block_id, padded_chapters

#: The tabs that every course made in Studio starts with.
DEFAULT_TABS: tuple[Mapping[str, Any], ...] = (
    {"type": "courseware", "name": "Course", "course_staff_only": False},
    {"type": "progress", "name": "Progress", "course_staff_only": False},
    {"type": "dates", "name": "Dates", "course_staff_only": False},
    {"type": "discussion", "name": "Discussion", "course_staff_only": False},
    {"type": "wiki", "name": "Wiki", "course_staff_only": False, "is_hidden": True},
    {"type": "textbooks", "name": "Textbooks", "course_staff_only": False},
)
_DEFAULT_OVERVIEW = (
    '<section class="about">\n  <h2>About this course</h2>\n'
    "  <p>What the course covers, and whom it is for.</p>\n</section>\n"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewCourse:
    """What the author of a new course has decided; everything else takes Studio's defaults."""

    course_key: str
    #: Settings of the course block.
    settings: Mapping[str, Any] = field(default_factory=dict)
    #: Fields of the course definition, such as ``grading_policy``.
    content: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)  #: ``{about block id: text}``
    chapters: Sequence[Mapping[str, Any]] = ()  #: settings of each chapter, in order
    block_count: int = 2  #: filler is added until the structure has at least so many blocks

    @property
    def wiki_slug(self) -> str:
        """Return the name of the course's wiki: what the content says, or the key with dots."""
        default = ".".join(course_key_parts(self.course_key))
        return str(self.content.get("wiki_slug") or default)


def creation(course: NewCourse, *, edited_on: datetime) -> BulkEdit:
    """Return the edit that creates a course, with everything published."""
    edit = BulkEdit(None, None, edited_on=edited_on)
    root, *others = starting_blocks(course)
    # Studio makes an empty definition and publishes an empty course, then saves over both.
    content = {"wiki_slug": course.wiki_slug, **course.content}
    edit.add(root, definition=edit.redefine(edit.define("course", {}), content))
    edit.publish([ROOT])
    for block in others:
        edit.add(block)
    edit.publish([ROOT, *(block.block_id for block in others)])
    return edit


def starting_blocks(course: NewCourse) -> list[NewBlock]:
    """Return the blocks of a new course: the course itself, its ``about`` blocks, its chapters.

    The definition fields of the course block are in ``course.content``, not here.
    """
    about = _about_blocks(course.about)
    chapters = [_chapter(settings) for settings in course.chapters]
    padding_count = max(0, course.block_count - 1 - len(about) - len(chapters))
    body = padded_chapters(chapters, padding_count=padding_count)
    return [_course_block(course.settings, body), *about, *body]


def _about_blocks(about: Mapping[str, str]) -> list[NewBlock]:
    texts = {OVERVIEW[1]: _DEFAULT_OVERVIEW, **about}
    return [about_block(name, text) for name, text in texts.items()]


def about_block(name: str, text: str) -> NewBlock:
    """Return an ``about`` block, such as ``short_description``, with its text."""
    fields = {"display_name": name} if name == OVERVIEW[1] else {}
    return NewBlock(block_id=("about", name), fields=fields, definition_fields={"data": text})


def _chapter(settings: Mapping[str, Any]) -> NewBlock:
    return NewBlock(block_id=new_block_id("chapter"), fields=settings, definition_fields={})


def _course_block(settings: Mapping[str, Any], body: Sequence[NewBlock]) -> NewBlock:
    fields: dict[str, Any] = {
        **settings,
        "discussion_topics": settings.get("discussion_topics", {"General": {"id": "course"}}),
        "tabs": settings.get("tabs", [dict(tab) for tab in DEFAULT_TABS]),
    }
    chapters = [block.block_id for block in body if block.block_id[0] == "chapter"]
    if chapters:
        fields = with_children(fields, chapters)
    return NewBlock(block_id=ROOT, fields=fields, definition_fields={})
