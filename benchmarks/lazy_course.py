"""What a request that finds no row has to do: fetch a course whole from MongoDB, build it, save the row.

With the product's own builder, so that a comparison is of the way, not of the code.
"""

from typing import Any

from bson import ObjectId
from django.db import transaction
from pymongo.database import Database

from lms_integration.course_keys import parse_course_key
from lms_integration.models import CourseOverview, CourseOverviewTab
from overview_worker.bootstrap import builder_settings
from overview_worker.builder.overview import build_overview
from overview_worker.documents import BuiltOverview, PublishedCourse, PublishedPointer
from overview_worker.modulestore.parsing import course_of

#: Types of the blocks whose definitions are fetched too.
_NEEDED_TYPES = ("course", "about", "chapter")


def fill_lazily(course_key: str, database: Database[dict[str, Any]]) -> CourseOverview:
    """Fetch, build and save one course; return its row.

    Raises LookupError where the course has no published branch.
    """
    course = fetch_whole_course(course_key, database)
    return save_row(build_overview(course, settings=builder_settings()))


def fetch_whole_course(course_key: str, database: Database[dict[str, Any]]) -> PublishedCourse:
    """Return a published course: index entry, whole structure, definitions; three round trips."""
    parts = parse_course_key(course_key)
    entry = database["modulestore.active_versions"].find_one(
        {"org": parts.org, "course": parts.course, "run": parts.run}
    )
    if entry is None:
        raise LookupError(course_key)
    structure_id: ObjectId = entry["versions"]["published-branch"]
    structure = database["modulestore.structures"].find_one({"_id": structure_id})
    if structure is None:
        raise LookupError(course_key)
    needed = [block for block in structure["blocks"] if block["block_type"] in _NEEDED_TYPES]
    definitions = {
        each["_id"]: each
        for each in database["modulestore.definitions"].find(
            {"_id": {"$in": [block["definition"] for block in needed]}}
        )
    }
    pointer = PublishedPointer(
        course_key=course_key, structure_id=str(structure_id), updated_at=None
    )
    course = course_of(
        pointer,
        {**structure, "blocks": needed},
        definitions,
        thumbnail_names=frozenset(),
        thumbnail_urls={},
    )
    if not isinstance(course, PublishedCourse):
        raise LookupError(f"{course_key}: {course}")
    return course


def save_row(built: BuiltOverview) -> CourseOverview:
    """Save the row and its tabs in one transaction, as a model's ``save`` does it."""
    overview = built.overview
    names = [name for name in type(overview).__dataclass_fields__ if name != "id"]
    with transaction.atomic():
        row = CourseOverview.objects.filter(id=overview.id).first() or CourseOverview(
            id=overview.id
        )
        for name in names:
            setattr(row, name, getattr(overview, name))
        row.save()
        CourseOverviewTab.objects.filter(course_overview_id=overview.id).delete()
        CourseOverviewTab.objects.bulk_create(
            [
                CourseOverviewTab(
                    course_overview_id=overview.id,
                    tab_id=tab.tab_id,
                    type=tab.type,
                    name=tab.name,
                    course_staff_only=tab.course_staff_only,
                    url_slug=tab.url_slug,
                    link=tab.link,
                    is_hidden=tab.is_hidden,
                )
                for tab in built.tabs
            ]
        )
    return row
