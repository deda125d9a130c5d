"""Addresses of a course's images and of their thumbnails.

Follows ``course_image_url`` of edx-platform's ``openedx/core/lib/courses.py`` and ``StaticContent`` of
``xmodule/contentstore/content.py``. Nothing is URL-escaped, and only thumbnails are looked for.
Does no I/O.
"""

import posixpath
import re
from dataclasses import dataclass

from lms_integration.data import CourseOverviewImageSetData
from overview_worker.builder.fields import to_required_text, to_text
from overview_worker.builder.reading import FieldReader
from overview_worker.builder.settings import BuilderSettings, ImageSetSettings
from overview_worker.documents import PublishedCourse, Size, WantedThumbnails

#: Class default of both ``course_image`` and ``banner_image``.
DEFAULT_IMAGE = "images_course_image.jpg"

_NOT_IN_ASSET_NAMES = re.compile(r"[^\w.%-]")


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseImages:
    """What the image fields of one course come to; None is what there is while image sets are off."""

    course_image_url: str
    banner_image_url: str
    image_set: CourseOverviewImageSetData | None
    thumbnails: WantedThumbnails | None


def course_images(
    reader: FieldReader, *, course: PublishedCourse, settings: BuilderSettings
) -> CourseImages:
    """Return the image addresses of the course whose root block ``reader`` reads."""
    static_path = reader.read("static_asset_path", to_text, "")
    # With a static path Open edX joins the name to it, and fails on null.
    to_name = to_required_text if static_path else to_text
    image = reader.read("course_image", to_name, DEFAULT_IMAGE)
    banner = reader.read("banner_image", to_name, DEFAULT_IMAGE)
    if static_path:
        course_image_url = _static_url(static_path, "course_image", image)
        banner_image_url = _static_url(static_path, "banner_image", banner)
    else:
        course_image_url = _image_url(image, course, settings)
        banner_image_url = _image_url(banner, course, settings)
    # Switched on between reading the course and building it: the next rebuild is early enough.
    sizes = None if course.thumbnail_names is None else settings.image_set
    return CourseImages(
        course_image_url=course_image_url,
        banner_image_url=banner_image_url,
        image_set=_image_set(image, course, sizes),
        thumbnails=_wanted_thumbnails(image, sizes),
    )


def asset_name(name: str) -> str:
    """Return the name under which the contentstore keeps a file called ``name``."""
    return _NOT_IN_ASSET_NAMES.sub("_", name)


def thumbnail_names(asset: str, *, width: int, height: int) -> tuple[str, str]:
    """Return the names that a thumbnail of the asset may have, of which one exists at most.

    Raster images get a JPEG, SVG images a copy of themselves; which one it is hangs on the asset's
    content type. ``card.png`` gives ``card-png-375x200.jpg``, ``card.jpg`` ``card-375x200.jpg``.
    """
    stem, extension = posixpath.splitext(asset)
    size = f"-{width}x{height}"
    dashed = stem + extension.replace(".", "-")
    jpeg = f"{stem if extension == '.jpg' else dashed}{size}.jpg"
    svg = f"{stem if extension == '.svg' else dashed}{size}.svg"
    return (svg, jpeg) if extension == ".svg" else (jpeg, svg)


def _static_url(static_path: str, field: str, name: str | None) -> str:
    if name == DEFAULT_IMAGE:
        return f"/static/{static_path}/images/{field}.jpg"
    return f"/static/{static_path}/{name}"


def _image_url(name: str | None, course: PublishedCourse, settings: BuilderSettings) -> str:
    if not name:
        return settings.static_url + settings.default_course_about_image_url
    return _asset_url(course, "asset", asset_name(name))


def _asset_url(course: PublishedCourse, kind: str, name: str) -> str:
    return f"/asset-v1:{course.org}+{course.course}+{course.run}+type@{kind}+block@{name}"


def _image_set(
    image: str | None, course: PublishedCourse, sizes: ImageSetSettings | None
) -> CourseOverviewImageSetData | None:
    if sizes is None:
        return None
    if not image:
        return CourseOverviewImageSetData(small_url="", large_url="")
    asset = asset_name(image)
    return CourseOverviewImageSetData(
        small_url=_thumbnail_url(asset, course, sizes.small_width, sizes.small_height),
        large_url=_thumbnail_url(asset, course, sizes.large_width, sizes.large_height),
    )


def _thumbnail_url(asset: str, course: PublishedCourse, width: int, height: int) -> str:
    """Return the address of the thumbnail that is there, '' when there is none."""
    for name in thumbnail_names(asset, width=width, height=height):
        if name in course.thumbnail_urls:
            return course.thumbnail_urls[name]
        if name in (course.thumbnail_names or ()):
            return _asset_url(course, "thumbnail", name)
    return ""


def _wanted_thumbnails(
    image: str | None, sizes: ImageSetSettings | None
) -> WantedThumbnails | None:
    if sizes is None:
        return None
    return WantedThumbnails(
        image_name=asset_name(image) if image else "",
        sizes=(
            Size(width=sizes.small_width, height=sizes.small_height),
            Size(width=sizes.large_width, height=sizes.large_height),
        ),
    )
