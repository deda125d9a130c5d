"""The platform settings that decide how a course becomes an overview, passed in as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from overview_worker.builder.tab_types import TAB_TYPES, TabType


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageSetSettings:
    """Thumbnail sizes in pixels, as ``CourseOverviewImageConfig`` has them; off unless given."""

    small_width: int = 375
    small_height: int = 200
    large_width: int = 750
    large_height: int = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class BuilderSettings:
    """What a deployment of Open edX can set that shows in an overview; defaults are Open edX's.

    ``static_url`` is the LMS's ``STATIC_URL``, also when Studio publishes. ``image_set`` is None while
    ``CourseOverviewImageConfig`` is disabled.
    """

    static_url: str = "/static/"
    default_course_about_image_url: str = "images/pencils.jpg"
    default_mobile_available: bool = False
    default_catalog_visibility: str = "both"
    proctored_exams_enabled: bool = False  #: FEATURES['ENABLE_PROCTORED_EXAMS']
    default_proctoring_provider: str | None = "null"  #: PROCTORING_BACKENDS['DEFAULT']
    default_enrollment_start: bool = False  #: CREATE_COURSE_WITH_DEFAULT_ENROLLMENT_START_DATE
    catalog_owns_language: bool = False  #: CatalogIntegration is enabled
    image_set: ImageSetSettings | None = None
    tab_types: Mapping[str, TabType] = field(default_factory=lambda: TAB_TYPES)
