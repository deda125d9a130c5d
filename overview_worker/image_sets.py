"""Whether image sets are switched on, and of which sizes: the setting, else Open edX's own table.

What comes first is in force:

1. the setting ``OVERVIEW_IMAGE_SET``: a dictionary of sizes switches them on, False off;
2. the newest row of ``course_overviews_courseoverviewimageconfig``, Open edX's configuration, which
   people edit in the admin;
3. off, as in Open edX.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from overview_worker.builder.settings import ImageSetSettings
from overview_worker.store.image_config import StoredImageConfig

logger = logging.getLogger(__name__)

#: How long a process goes by what it has read, in seconds. A run for changed settings begins later than
#: that (``upkeep.SETTLED_SECONDS``), so that no worker rebuilds with what it has read before.
REMEMBERED_SECONDS = 5.0
#: The largest side of a thumbnail, in pixels.
LARGEST_SIDE = 4096


class ImageSetSource:
    """The configuration in force, read again after ``REMEMBERED_SECONDS``."""

    def __init__(
        self,
        setting: Callable[[], object],
        *,
        read_table: Callable[[], StoredImageConfig | None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._setting = setting
        self._read_table = read_table
        self._monotonic = monotonic
        self._remembered: ImageSetSettings | None = None
        self._read_at: float | None = None

    def __call__(self) -> ImageSetSettings | None:
        """Return the sizes, None while image sets are off.

        Raises:
            ImproperlyConfigured: the setting makes no sense.
            StoreUnavailable: the database did not answer.
        """
        setting = self._setting()
        if setting is not None:
            return sizes_of_setting(setting)
        now = self._monotonic()
        if self._read_at is None or now - self._read_at >= REMEMBERED_SECONDS:
            self._remembered = sizes_of_table(self._read_table())
            self._read_at = now
        return self._remembered


def sizes_of_setting(setting: object) -> ImageSetSettings | None:
    """Return the sizes that ``OVERVIEW_IMAGE_SET`` names; None for False.

    Raises:
        ImproperlyConfigured: it is neither a dictionary of sizes nor False.
    """
    if setting is False:
        return None
    try:
        sizes = ImageSetSettings(**setting)  # type: ignore[arg-type]  # that is what is tried
    except TypeError as error:
        raise ImproperlyConfigured(
            f"OVERVIEW_IMAGE_SET is {setting!r}: a dictionary of small_width, small_height, "
            "large_width and large_height is expected, or False"
        ) from error
    if problem := _problem(sizes):
        raise ImproperlyConfigured(f"OVERVIEW_IMAGE_SET: {problem}")
    return sizes


def sizes_of_table(config: StoredImageConfig | None) -> ImageSetSettings | None:
    """Return the sizes of a row; None where there is none, it says off, or makes no sense."""
    if config is None or not config.enabled:
        return None
    sizes = ImageSetSettings(
        small_width=config.small_width,
        small_height=config.small_height,
        large_width=config.large_width,
        large_height=config.large_height,
    )
    if problem := _problem(sizes):
        logger.error("image sets stay off, their configuration makes no sense: %s", problem)
        return None
    return sizes


def _problem(sizes: ImageSetSettings) -> str:
    for name in ("small_width", "small_height", "large_width", "large_height"):
        value: Any = getattr(sizes, name)
        if type(value) is not int or not 1 <= value <= LARGEST_SIDE:
            return f"{name} is {value!r}: 1 to {LARGEST_SIDE} pixels are expected"
    return ""
