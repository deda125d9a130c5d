"""Switched on in the admin's table, thumbnails come to the row: every process and server real."""

from typing import Any

import gridfs
from pymongo.database import Database

from dev.authoring.author import SplitAuthor
from dev.authoring.studio import Studio
from lms_integration.models import CourseOverviewImageSet
from lms_integration.platform_tables.models import CourseOverviewImageConfig
from tests.acceptance.processes import Pipeline, wait_for
from tests.pictures import opened, picture
from tests.thumbnail_scene import address

KEY = "course-v1:TestX+Thumbnails+R1"


def test_a_published_image_has_thumbnails_in_the_row_after_seconds(
    pipeline: Pipeline, author: SplitAuthor, mongo_database: Database[dict[str, Any]]
):
    CourseOverviewImageConfig.objects.create(enabled=True)
    files = gridfs.GridFS(mongo_database)
    files.put(picture(), _id=address(KEY, "asset", "card.png"), content_type="image/png")
    pipeline.start("intake", "live", "bulk", "beat")

    studio = Studio(author)
    studio.save(author.create_course, KEY, settings={"course_image": "card.png"})

    small = address(KEY, "thumbnail", "card-png-375x200.jpg")
    wait_for(
        lambda: CourseOverviewImageSet.objects.filter(
            course_overview_id=KEY, small_url=f"/{small}"
        ).exists(),
        what="the thumbnail in the row",
    )
    assert opened(bytes(files.get(small).read())).size == (360, 200)
