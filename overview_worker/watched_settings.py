"""Settings that rows depend on: what they are now, and which rows a change of each affects.

Names and rules are the builder's (``builder/settings.py``). What the request paths apply while they
answer (a CDN's address, say) is not here: no row holds it. Does no I/O and knows no framework.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from overview_worker.builder.settings import BuilderSettings
from overview_worker.upkeep_ports import AffectedRows, Value, WatchedSetting

NOBODY = AffectedRows()
EVERYBODY = AffectedRows(everything=True)


def watched_settings(settings: BuilderSettings) -> Sequence[WatchedSetting]:
    """Return the settings of a builder that rows depend on."""
    image_set = settings.image_set
    return [
        WatchedSetting(
            name="default image",
            value={"url": settings.static_url + settings.default_course_about_image_url},
        ),
        WatchedSetting(
            name="default mobile availability",
            value={"available": settings.default_mobile_available},
        ),
        WatchedSetting(
            name="default catalog visibility",
            value={"visibility": settings.default_catalog_visibility},
        ),
        WatchedSetting(
            name="proctoring",
            value={
                "enabled": settings.proctored_exams_enabled,
                "provider": settings.default_proctoring_provider,
            },
        ),
        WatchedSetting(
            name="default enrolment start", value={"set": settings.default_enrollment_start}
        ),
        WatchedSetting(
            name="owner of the language",
            value={"catalog": settings.catalog_owns_language},
        ),
        WatchedSetting(
            name="thumbnails",
            value={"sizes": None if image_set is None else asdict(image_set)},
        ),
    ]


def affected_rows(name: str, *, old: Value, new: Value) -> AffectedRows:
    """Return which rows have to be built again because a setting has changed from old to new."""
    match name:
        case "default image":
            urls = [old["url"]]
            return AffectedRows(equal={"course_image_url": urls, "banner_image_url": urls})
        case "default mobile availability":
            return AffectedRows(equal={"mobile_available": [old["available"]]})
        case "default catalog visibility":
            return AffectedRows(equal={"catalog_visibility": [old["visibility"]]})
        case "proctoring" if old["enabled"] == new["enabled"]:
            return AffectedRows(equal={"proctoring_provider": [old["provider"]]})
        case "owner of the language":
            return NOBODY if new["catalog"] else EVERYBODY
        case "thumbnails":
            return _affected_by_thumbnails(old["sizes"], new["sizes"])
        case _:
            return EVERYBODY


def _affected_by_thumbnails(old: Any, new: Any) -> AffectedRows:
    if old is None or new is None:  # every course gets an image set, an empty one at least; or none
        return EVERYBODY
    return AffectedRows(starts_with={"course_image_url": "/asset-v1:"})
