"""Makes published courses for tests of the builder, from nothing but the fields that matter."""

from collections.abc import Mapping
from typing import Any

from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings
from overview_worker.documents import Block, BuiltOverview, PublishedCourse


def make_block(
    block_type: str,
    block_id: str,
    fields: Any = None,
    *,
    definition: Any = None,
    defaults: Any = None,
) -> Block:
    return Block(
        block_type=block_type,
        block_id=block_id,
        fields={} if fields is None else fields,
        defaults={} if defaults is None else defaults,
        definition_fields={} if definition is None else definition,
    )


def make_course(
    fields: Mapping[str, Any] | None = None,
    *,
    definition: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
    about: Mapping[str, Any] | None = None,
    chapters: Mapping[str, Any] | None = None,
    root: tuple[str, str] = ("course", "course"),
    thumbnail_names: frozenset[str] | None = frozenset(),
) -> PublishedCourse:
    """Return ``course-v1:Org+Course+Run``; ``about`` is ``{id: data}``, ``chapters`` ``{id: fields}``."""
    blocks = [make_block(*root, fields, definition=definition, defaults=defaults)]
    for block_id, data in (about or {}).items():
        blocks.append(make_block("about", block_id, definition={"data": data}))
    for block_id, chapter_fields in (chapters or {}).items():
        blocks.append(make_block("chapter", block_id, chapter_fields))
    return PublishedCourse(
        course_key="course-v1:Org+Course+Run",
        org="Org",
        course="Course",
        run="Run",
        source_version="5f1e" * 6,
        source_updated_at=None,
        root=root,
        blocks=tuple(blocks),
        thumbnail_names=thumbnail_names,
    )


def build(
    fields: Mapping[str, Any] | None = None,
    *,
    settings: BuilderSettings | None = None,
    **course: Any,
) -> BuiltOverview:
    return build_overview(make_course(fields, **course), settings=settings or BuilderSettings())


def column(built: BuiltOverview, name: str) -> Any:
    return getattr(built.overview, name)


def degraded_fields(built: BuiltOverview) -> list[str]:
    return [degradation.field for degradation in built.degradations]
