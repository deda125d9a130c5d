"""What course lists need of an overview, cut down to narrow columns that can be indexed.

Pure: whoever writes an overview row can make the listing columns of ``overview_projection`` from it.
Does no I/O and knows no framework.
"""

import re
from html import unescape

from lms_integration.course_keys import COURSE_KEY_MAX_LENGTH
from lms_integration.data import CourseOverviewData, CourseOverviewListingData

#: Width of ``catalog_visibility``, in characters: no value that means something is as long.
CATALOG_VISIBILITY_LENGTH = 32
#: The most that one name and the description give to ``search_text``, in characters.
SEARCHED_NAME_LENGTH = 500
SEARCHED_DESCRIPTION_LENGTH = 2000

#: Without '<' inside, or many of them in a row would take quadratic time.
_TAG = re.compile(r"<[^<>]*>")


def listing_of(overview: CourseOverviewData) -> CourseOverviewListingData:
    """Return the listing columns of one overview row."""
    visibility = overview.catalog_visibility
    return CourseOverviewListingData(
        course_key=overview.id,
        sort_key=overview.id,
        org=overview.org[:COURSE_KEY_MAX_LENGTH],
        start=overview.start,
        end=overview.end,
        enrollment_start=overview.enrollment_start,
        enrollment_end=overview.enrollment_end,
        invitation_only=overview.invitation_only,
        visible_to_staff_only=overview.visible_to_staff_only,
        mobile_available=overview.mobile_available,
        catalog_visibility=visibility and visibility[:CATALOG_VISIBILITY_LENGTH],
        days_early_for_beta=overview.days_early_for_beta,
        self_paced=overview.self_paced,
        enrollment_domain=overview.enrollment_domain,
        max_student_enrollments_allowed=overview.max_student_enrollments_allowed,
        search_text=search_text_of(overview),
    )


def search_text_of(overview: CourseOverviewData) -> str:
    """Return what a search looks through, one line each: name, key, org, number, description.

    Org and number are those that are displayed. HTML is left out of the description.
    """
    description = (overview.short_description or "")[:SEARCHED_DESCRIPTION_LENGTH]
    lines = (
        _name(overview.display_name),
        overview.id,
        _name(overview.display_org_with_default),
        _name(overview.display_number_with_default),
        unescape(_TAG.sub(" ", description)),
    )
    return "\n".join(" ".join(line.split()) for line in lines)


def _name(text: str | None) -> str:
    return (text or "")[:SEARCHED_NAME_LENGTH]
