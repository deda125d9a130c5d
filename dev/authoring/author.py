"""An author at work: each method changes a course as one save in Studio does.

Every edit writes new structures, then new definitions, then the course index, in that order and
without a MongoDB transaction, as recorded from Open edX. A course, chapter, section or ``about``
edit publishes at once; an edit of a unit stays in the draft branch until :meth:`SplitAuthor.publish`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from dev.authoring.bulk_edit import BulkEdit
from dev.authoring.documents import ROOT, BlockId, NewBlock, changed
from dev.authoring.index import CourseIndexEntry, CourseIndexWriter
from dev.authoring.new_course import NewCourse, about_block, creation
from dev.authoring.padding import new_block_id
from dev.authoring.steps import Step, no_step
from dev.authoring.structures import StructureStore


class CourseExists(ValueError):
    """A course of this key is in the course index already."""


class CourseNotFound(LookupError):
    """No course of this key is in the course index."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedChange:
    """What stands in the course index after an edit."""

    course_key: str
    published_version: str | None  #: 24 hex digits; None: deleted, or nothing is published
    updated_at: datetime  #: ``last_update`` as the index keeps it, or the moment of the delete
    is_publish: bool = True  #: False: only the draft branch moved, or nothing


def utcnow() -> datetime:
    """Return the present moment, aware and in UTC."""
    return datetime.now(UTC)


class SplitAuthor:
    """Writes courses into a Split modulestore; not safe to share between threads.

    Every method raises ``InvalidCourseKey`` for a text that is no course key.

    Args:
        database: Holds the ``modulestore.*`` collections.
        index: Where the versions of a course are found and saved.
        now: The clock.
        step: Called with the name of each write before it; what it raises stops the edit there.
    """

    def __init__(
        self,
        database: Database[Any],
        *,
        index: CourseIndexWriter,
        now: Callable[[], datetime] = utcnow,
        step: Step = no_step,
    ) -> None:
        self._store = StructureStore(database)
        self._index = index
        self._now = now
        self._step = step

    def course_keys(self) -> frozenset[str]:
        """Return the keys of all courses in the index."""
        return self._index.course_keys()

    def create_course(
        self,
        course_key: str,
        *,
        settings: Mapping[str, Any] | None = None,
        content: Mapping[str, Any] | None = None,
        about: Mapping[str, str] | None = None,
        chapters: Sequence[Mapping[str, Any]] = (),
        block_count: int = 2,
    ) -> PublishedChange:
        """Create a course with both branches, everything published; for the arguments see NewCourse.

        Raises:
            CourseExists: the key is taken.
        """
        self._refuse_existing(course_key)
        course = NewCourse(
            course_key=course_key,
            settings=settings or {},
            content=content or {},
            about=about or {},
            chapters=chapters,
            block_count=block_count,
        )
        return self.create_courses([course])[0]

    def create_courses(self, courses: Sequence[NewCourse]) -> tuple[PublishedChange, ...]:
        """Create many courses in few, large writes; about a key that is taken the index complains."""
        now = self._now()
        edits = [creation(course, edited_on=now) for course in courses]
        structures = [structure for edit in edits for structure in edit.structures()]
        definitions = [definition for edit in edits for definition in edit.definitions]
        entries = [
            _first_entry(course, edit, now=now) for course, edit in zip(courses, edits, strict=True)
        ]
        self._store.insert(structures, definitions, step=self._step)
        self._index.insert(entries, step=self._step)
        return tuple(self._change(entry) for entry in entries)

    def edit_settings(
        self, course_key: str, values: Mapping[str, Any], unset: Iterable[str] = ()
    ) -> PublishedChange:
        """Assign settings of the course block and remove those in ``unset``."""
        entry, edit = self._open(course_key)
        _change_fields(edit, ROOT, values, unset)
        edit.publish([ROOT])
        return self._save(entry, edit)

    def edit_content(
        self, course_key: str, values: Mapping[str, Any], unset: Iterable[str] = ()
    ) -> PublishedChange:
        """Assign fields of the course definition, such as ``grading_policy``, and remove others."""
        entry, edit = self._open(course_key)
        definition = self._store.definition(edit.draft_block(ROOT)["definition"])
        fields = changed(definition["fields"], values, unset)
        edit.update(ROOT, definition=edit.redefine(definition, fields))
        edit.publish([ROOT])
        return self._save(entry, edit)

    def edit_tabs(
        self, course_key: str, tabs: Sequence[Mapping[str, Any]] | None
    ) -> PublishedChange:
        """Replace the list of tabs."""
        return self.edit_settings(course_key, {"tabs": tabs})

    def edit_about(self, course_key: str, name: str, text: str | None) -> PublishedChange:
        """Write an ``about`` block, such as ``short_description``; None removes it."""
        entry, edit = self._open(course_key)
        block_id = ("about", name)
        if text is None:
            edit.remove(block_id)
        else:
            self._put_about(edit, name, text)
            edit.publish([block_id])
        return self._save(entry, edit)

    def add_chapter(
        self, course_key: str, settings: Mapping[str, Any], *, draft_unit: bool = False
    ) -> PublishedChange:
        """Add a last chapter; with ``draft_unit`` also a section in it and a unit not yet published."""
        entry, edit = self._open(course_key)
        chapter = _empty_block("chapter", settings)
        edit.append_child(chapter, parent=ROOT)
        published = [ROOT, chapter.block_id]
        if draft_unit:
            published.append(_add_draft_unit(edit, chapter.block_id))
        edit.publish(published)
        return self._save(entry, edit)

    def edit_chapter(
        self,
        course_key: str,
        position: int,
        values: Mapping[str, Any],
        unset: Iterable[str] = (),
    ) -> PublishedChange:
        """Assign settings of the chapter at a position, counted from 0, and remove others.

        Raises:
            IndexError: the course has fewer chapters.
        """
        entry, edit = self._open(course_key)
        chapter = edit.children(ROOT)[position]
        _change_fields(edit, chapter, values, unset)
        edit.publish([chapter])
        return self._save(entry, edit)

    def edit_html(self, course_key: str, text: str) -> PublishedChange:
        """Rewrite the first HTML unit of the course, in the draft branch only.

        Raises:
            LookupError: the course has no HTML unit.
        """
        entry, edit = self._open(course_key)
        self._put_text(edit, edit.first_of_type("html"), text)
        return self._save(entry, edit)

    def edit_draft(
        self, course_key: str, values: Mapping[str, Any], unset: Iterable[str] = ()
    ) -> PublishedChange:
        """Assign settings of the course block in the draft branch only."""
        entry, edit = self._open(course_key)
        _change_fields(edit, ROOT, values, unset)
        return self._save(entry, edit)

    def publish(self, course_key: str) -> PublishedChange:
        """Publish everything that the draft branch holds, in a new published structure."""
        entry, edit = self._open(course_key)
        edit.publish_everything()
        return self._save(entry, edit)

    def resave(self, course_key: str) -> PublishedChange:
        """Save the course block unchanged: a new published structure with the same content."""
        entry, edit = self._open(course_key)
        edit.publish([ROOT])
        return self._save(entry, edit)

    def rerun(
        self, source_key: str, new_key: str, settings: Mapping[str, Any] | None = None
    ) -> PublishedChange:
        """Create a course from another one.

        The published branch is the source's own structure; the settings go to the new draft
        structure only, until something publishes the course block.

        Raises:
            CourseExists: the new key is taken.
        """
        self._refuse_existing(new_key)
        source, edit = self._open(source_key)
        root = edit.draft_block(ROOT)
        definition = self._store.definition(root["definition"])
        edit.update(
            ROOT,
            fields=changed(root["fields"], settings or {}),
            definition=edit.redefine(definition, definition["fields"]),
        )
        self._store.insert(edit.structures(), edit.definitions, step=self._step)
        entry = _rerun_entry(new_key, edit, source=source, now=self._now())
        self._index.insert([entry], step=self._step)
        return self._change(entry)

    def delete_course(self, course_key: str) -> PublishedChange:
        """Take a course out of the index; its structures and definitions stay where they are."""
        entry = self._entry(course_key)
        self._index.delete(entry, step=self._step)
        deleted_at = self._index.as_stored(self._now())
        return PublishedChange(course_key=course_key, published_version=None, updated_at=deleted_at)

    def _entry(self, course_key: str) -> CourseIndexEntry:
        entry = self._index.find(course_key)
        if entry is None:
            raise CourseNotFound(f"{course_key} is not in the course index")
        return entry

    def _refuse_existing(self, course_key: str) -> None:
        if self._index.find(course_key) is not None:
            raise CourseExists(f"{course_key} is in the course index already")

    def _open(self, course_key: str) -> tuple[CourseIndexEntry, BulkEdit]:
        entry = self._entry(course_key)
        published = None
        if entry.published_version is not None:
            published = self._store.structure(entry.published_version)
        draft = self._store.structure(entry.draft_version)
        return entry, BulkEdit(draft, published, edited_on=self._now())

    def _save(self, entry: CourseIndexEntry, edit: BulkEdit) -> PublishedChange:
        structures = edit.structures()
        if not structures:
            return replace(self._change(entry), is_publish=False)
        draft_version, published_version = entry.draft_version, entry.published_version
        if edit.moves_draft:
            draft_version = edit.draft_structure_id
        if edit.moves_published:
            published_version = edit.published_structure_id
        self._store.insert(structures, edit.definitions, step=self._step)
        saved = replace(
            entry,
            draft_version=draft_version,
            published_version=published_version,
            last_update=self._now(),
        )
        self._index.replace(saved, step=self._step)
        return replace(self._change(saved), is_publish=edit.moves_published)

    def _put_about(self, edit: BulkEdit, name: str, text: str) -> None:
        if not edit.has_draft_block(("about", name)):
            edit.add(about_block(name, text))
        else:
            self._put_text(edit, ("about", name), text)

    def _put_text(self, edit: BulkEdit, block_id: BlockId, text: str) -> None:
        definition = self._store.definition(edit.draft_block(block_id)["definition"])
        fields = {**definition["fields"], "data": text}
        edit.update(block_id, definition=edit.redefine(definition, fields))

    def _change(self, entry: CourseIndexEntry) -> PublishedChange:
        version = entry.published_version
        return PublishedChange(
            course_key=entry.course_key,
            published_version=None if version is None else str(version),
            updated_at=self._index.as_stored(entry.last_update),
        )


def _change_fields(
    edit: BulkEdit, block_id: BlockId, values: Mapping[str, Any], unset: Iterable[str]
) -> None:
    fields = edit.draft_block(block_id)["fields"]
    edit.update(block_id, fields=changed(fields, values, unset))


def _add_draft_unit(edit: BulkEdit, chapter: BlockId) -> BlockId:
    """Add a section with one unit below a chapter and return the section, the part to publish."""
    section = _empty_block("sequential", {"display_name": "Section"})
    unit = _empty_block("vertical", {"display_name": "Lesson"})
    reading = _empty_block("html", {"display_name": "Reading"}, content={"data": "<p>To read.</p>"})
    edit.append_child(section, parent=chapter)
    edit.append_child(unit, parent=section.block_id)
    edit.append_child(reading, parent=unit.block_id)
    return section.block_id


def _empty_block(
    block_type: str, settings: Mapping[str, Any], *, content: Mapping[str, Any] | None = None
) -> NewBlock:
    block_id = new_block_id(block_type)
    return NewBlock(block_id=block_id, fields=settings, definition_fields=content or {})


def _first_entry(course: NewCourse, edit: BulkEdit, *, now: datetime) -> CourseIndexEntry:
    return CourseIndexEntry(
        entry_id=ObjectId(),
        course_key=course.course_key,
        draft_version=edit.draft_structure_id,
        published_version=edit.published_structure_id,
        wiki_slug=course.wiki_slug,
        edited_on=now,
        last_update=now,
    )


def _rerun_entry(
    new_key: str, edit: BulkEdit, *, source: CourseIndexEntry, now: datetime
) -> CourseIndexEntry:
    return replace(
        source,
        entry_id=ObjectId(),
        course_key=new_key,
        draft_version=edit.draft_structure_id,
        edited_on=now,
        last_update=now,
    )
