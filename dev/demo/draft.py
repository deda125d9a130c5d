"""An edit of the draft branch alone, which nobody is to be told of."""

from dev.authoring.studio import Studio
from dev.demo.seen import look_at_facts, look_at_progress
from dev.demo.watching import NotArrived

DRAFT_NAME = "A name that is not published yet"


def edit_draft_only(studio: Studio, course_key: str) -> str:
    """Rename a course in the draft branch; return the name that the row keeps. Raises NotArrived.

    Whether the row keeps it at its next rebuild too is for the next publish of the course to show.
    """
    before = look_at_progress(course_key)
    studio.save(studio.author.edit_draft, course_key, {"display_name": DRAFT_NAME})
    after = look_at_progress(course_key)
    if after != before:
        raise NotArrived(f"{course_key}: a draft edit was announced: {before} became {after}")
    return str(look_at_facts(course_key).get("display_name"))
