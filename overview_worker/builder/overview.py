"""Builds the overview of one course: published documents in, the rows of one course out.

Every rule of ``CourseOverview._create_or_update`` of edx-platform (VERSION 19), with the values of the
platform's settings passed in. A bad value in a field that decides who may enter or enrol ends the
build; a bad value anywhere else takes the field's default and is noted. Does no I/O, reads no clock.
"""

from collections.abc import Mapping

from lms_integration.data import COURSE_OVERVIEW_VERSION, DEFAULT_START, CourseOverviewData
from overview_worker.builder.about import about_text, course_video_url
from overview_worker.builder.certificates import END, certificate_display, to_has_active_certificate
from overview_worker.builder.dates import to_datetime
from overview_worker.builder.emails import to_email
from overview_worker.builder.fields import (
    BadValue,
    to_boolean,
    to_float,
    to_integer,
    to_json_list,
    to_required_float,
    to_required_text,
    to_text,
)
from overview_worker.builder.grading import DEFAULT_LOWEST_PASSING_GRADE, to_lowest_passing_grade
from overview_worker.builder.highlights import has_highlights
from overview_worker.builder.images import CourseImages, course_images
from overview_worker.builder.projection import course_projection
from overview_worker.builder.reading import BuildNotes, FieldReader
from overview_worker.builder.settings import BuilderSettings
from overview_worker.builder.tabs import course_tabs
from overview_worker.documents import Block, BuiltOverview, PublishedCourse

#: The *int* class default 65 of a field in per cent, over 100. Stored values are taken as they are.
DEFAULT_ENTRANCE_EXAM_SCORE = 0.65

#: Length of the key columns ``id`` and ``_location`` and of ``entrance_exam_id``, in characters.
LONGEST_KEY = 255


def build_overview(course: PublishedCourse, *, settings: BuilderSettings) -> BuiltOverview:
    """Return the overview, tabs, image set and projection of a published course.

    What was degraded in any of them is told too.

    Raises ``MalformedCourse`` for a bad value in a field that decides access (dates of the course and
    its enrolment, its visibility, its enrolment limits) and, with the field 'structure', when the
    course block is missing or is not an object. Raises nothing else, whatever the documents hold.
    """
    notes = BuildNotes(course.course_key)
    blocks = _blocks_by_id(course)
    reader = _root_reader(course, blocks, notes)
    images = course_images(reader, course=course, settings=settings)
    return BuiltOverview(
        overview=_overview(course, reader, blocks, images, settings),
        tabs=course_tabs(reader, tab_types=settings.tab_types),
        image_set=images.image_set,
        thumbnails=images.thumbnails,
        projection=course_projection(reader, blocks),
        degradations=notes.degradations,
        edited_by=course.edited_by,
    )


def _blocks_by_id(course: PublishedCourse) -> dict[tuple[str, str], Block]:
    # BSON's Code is a text that cannot be hashed, hence no isinstance.
    return {
        (block.block_type, block.block_id): block
        for block in reversed(course.blocks)
        if type(block.block_type) is str and type(block.block_id) is str
    }


def _root_reader(
    course: PublishedCourse, blocks: Mapping[tuple[str, str], Block], notes: BuildNotes
) -> FieldReader:
    match course.root:
        case (block_type, block_id) if type(block_type) is str and type(block_id) is str:
            root = blocks.get((block_type, block_id))
        case _:
            raise notes.refusal("structure", course.root, "not a block type and a block id")
    if root is None:
        raise notes.refusal("structure", course.root, "no course block")
    try:
        return FieldReader(root, notes)
    except BadValue as bad:
        raise notes.refusal("structure", root, str(bad)) from bad


def _location(course: PublishedCourse, reader: FieldReader) -> str:
    block_type, block_id = course.root
    run = f"{course.org}+{course.course}+{course.run}"
    location = f"block-v1:{run}+type@{block_type}+block@{block_id}"
    if len(location) > LONGEST_KEY or len(course.course_key) > LONGEST_KEY:
        raise reader.notes.refusal("structure", location, "a key longer than its column")
    return location


def _overview(
    course: PublishedCourse,
    reader: FieldReader,
    blocks: Mapping[tuple[str, str], Block],
    images: CourseImages,
    settings: BuilderSettings,
) -> CourseOverviewData:
    """Return the row; one line for each column, in the order of ``CourseOverviewData``."""
    read, access = reader.read, reader.read_access
    available_date, display_behavior = certificate_display(
        read("certificates_display_behavior", to_text, END),
        read("certificate_available_date", to_datetime, None),
    )
    default_enrollment_start = DEFAULT_START if settings.default_enrollment_start else None
    return CourseOverviewData(
        id=course.course_key,
        version=COURSE_OVERVIEW_VERSION,
        location=_location(course, reader),
        org=course.org,
        display_name=read("display_name", to_text, "Empty"),
        display_number_with_default=read("display_coursenumber", to_text, "") or course.course,
        display_org_with_default=read("display_organization", to_text, None) or course.org,
        start=access("start", to_datetime, DEFAULT_START),
        end=access("end", to_datetime, None),
        advertised_start=read("advertised_start", to_text, None),
        announcement=read("announcement", to_datetime, None),
        banner_image_url=images.banner_image_url,
        course_image_url=images.course_image_url,
        social_sharing_url=read("social_sharing_url", to_text, None),
        end_of_course_survey_url=read("end_of_course_survey_url", to_text, None),
        certificates_display_behavior=display_behavior,
        certificates_show_before_end=read("certificates_show_before_end", to_boolean, False),
        cert_html_view_enabled=read("cert_html_view_enabled", to_boolean, True),
        has_any_active_web_certificate=read("certificates", to_has_active_certificate, False),
        cert_name_short=read("cert_name_short", to_required_text, ""),
        cert_name_long=read("cert_name_long", to_required_text, ""),
        certificate_available_date=available_date,
        lowest_passing_grade=read(
            "grading_policy", to_lowest_passing_grade, DEFAULT_LOWEST_PASSING_GRADE
        ),
        days_early_for_beta=read("days_early_for_beta", to_float, None),
        mobile_available=read("mobile_available", to_boolean, settings.default_mobile_available),
        visible_to_staff_only=access("visible_to_staff_only", to_boolean, False),
        pre_requisite_courses_json=read("pre_requisite_courses", to_json_list, "[]"),
        enrollment_start=access("enrollment_start", to_datetime, default_enrollment_start),
        enrollment_end=access("enrollment_end", to_datetime, None),
        enrollment_domain=access("enrollment_domain", to_text, None),
        invitation_only=access("invitation_only", to_boolean, False),
        max_student_enrollments_allowed=access("max_student_enrollments_allowed", to_integer, None),
        catalog_visibility=access(
            "catalog_visibility", to_text, settings.default_catalog_visibility
        ),
        short_description=about_text(blocks, "short_description", notes=reader.notes),
        effort=about_text(blocks, "effort", notes=reader.notes),
        course_video_url=course_video_url(about_text(blocks, "video", notes=reader.notes)),
        self_paced=read("self_paced", to_boolean, False),
        has_highlights=has_highlights(reader, blocks),
        enable_proctored_exams=read("enable_proctored_exams", to_boolean, False),
        allow_proctoring_opt_out=read("allow_proctoring_opt_out", to_boolean, False),
        proctoring_provider=_proctoring_provider(reader, settings),
        proctoring_escalation_email=read("proctoring_escalation_email", to_email, None),
        entrance_exam_enabled=read("entrance_exam_enabled", to_boolean, False),
        entrance_exam_id=read("entrance_exam_id", _to_entrance_exam_id, ""),
        entrance_exam_minimum_score_pct=read(
            "entrance_exam_minimum_score_pct", to_required_float, DEFAULT_ENTRANCE_EXAM_SCORE
        ),
        force_on_flexible_peer_openassessments=read(
            "force_on_flexible_peer_openassessments", to_boolean, False
        ),
        language=None if settings.catalog_owns_language else read("language", to_text, None),
    )


def _proctoring_provider(reader: FieldReader, settings: BuilderSettings) -> str | None:
    """Return the stored provider only while proctored exams are switched on, else the default."""
    default = settings.default_proctoring_provider
    if not settings.proctored_exams_enabled:
        return default
    provider = reader.read("proctoring_provider", to_text, default)
    return default if provider is None else provider


def _to_entrance_exam_id(value: object) -> str:
    text = to_text(value) or ""
    if len(text) > LONGEST_KEY:
        raise BadValue(f"more than the {LONGEST_KEY} characters of its column")
    return text
