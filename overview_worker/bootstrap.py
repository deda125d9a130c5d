"""The composition root: the one place that picks adapters and reads settings for them."""

import os
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from pymongo import MongoClient

from lms_integration.data import COURSE_OVERVIEW_VERSION
from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings, ImageSetSettings
from overview_worker.inspection_ports import CurrentVersions, InspectionStore
from overview_worker.inspector import Inspector, MergingSurveyor
from overview_worker.modulestore.mongo import (
    CourseIndex,
    MongoConf,
    MongoCourseIndex,
    MongoModulestore,
    connect,
)
from overview_worker.modulestore.sql_index import SqlCourseIndex
from overview_worker.ports import Modulestore, OverviewStore
from overview_worker.rebuild import BUILDER_VERSION, Build
from overview_worker.store.conf import StoreConf
from overview_worker.store.inspection_store import DjangoInspectionStore
from overview_worker.store.overview_store import DjangoOverviewStore
from overview_worker.store.sql_survey import SqlSurveyor


@dataclass(frozen=True, kw_only=True, slots=True)
class Dependencies:
    """What the use cases of one process work with."""

    modulestore: Modulestore
    store: OverviewStore
    build: Build
    inspector: Inspector


def dependencies() -> Dependencies:
    """Return this process's adapters, made on first use: a MongoDB client must not cross a fork."""
    return _process_dependencies(os.getpid())[1]


def close_dependencies() -> None:
    """Close this process's connections to MongoDB; the next use opens new ones."""
    if not _process_dependencies.cache_info().currsize:
        return
    client, _ = _process_dependencies(os.getpid())
    _process_dependencies.cache_clear()
    client.close()


@cache
def _process_dependencies(pid: int) -> tuple[MongoClient[dict[str, Any]], Dependencies]:
    conf = mongo_conf()
    client = connect(conf)
    return client, make_dependencies(client, conf, builder_settings())


def make_dependencies(
    client: MongoClient[dict[str, Any]], conf: MongoConf, builder: BuilderSettings
) -> Dependencies:
    """Wire real adapters to a given MongoDB client and settings."""
    modulestore = MongoModulestore(client, conf, index=_course_index(client, conf))
    store_conf = StoreConf(
        builder_version=BUILDER_VERSION, catalog_owns_language=builder.catalog_owns_language
    )
    build = partial(build_overview, settings=builder)
    inspection_store = DjangoInspectionStore(store_conf)
    return Dependencies(
        modulestore=modulestore,
        store=DjangoOverviewStore(store_conf),
        build=build,
        inspector=Inspector(
            modulestore=modulestore,
            store=inspection_store,
            surveyor=_surveyor(modulestore, inspection_store, store_conf),
            build=build,
            current=CurrentVersions(builder=BUILDER_VERSION, schema=COURSE_OVERVIEW_VERSION),
            catalog_owns_language=builder.catalog_owns_language,
        ),
    )


def mongo_conf() -> MongoConf:
    """Return where the modulestore is, from ``OVERVIEW_MONGODB_URL`` and ``_DATABASE``."""
    return MongoConf(
        url=_setting("OVERVIEW_MONGODB_URL", "mongodb://127.0.0.1:27017"),
        database=_setting("OVERVIEW_MONGODB_DATABASE", "edxapp"),
        with_thumbnails=_setting("OVERVIEW_IMAGE_SET", None) is not None,
    )


def builder_settings() -> BuilderSettings:
    """Return what shows in an overview of this deployment, from Open edX's own setting names.

    ``OVERVIEW_LMS_STATIC_URL`` is for processes whose ``STATIC_URL`` is Studio's.
    """
    features = _setting("FEATURES", {})
    defaults = BuilderSettings()
    image_set = _setting("OVERVIEW_IMAGE_SET", None)
    return BuilderSettings(
        static_url=_setting("OVERVIEW_LMS_STATIC_URL", settings.STATIC_URL or "/static/"),
        default_course_about_image_url=_setting(
            "DEFAULT_COURSE_ABOUT_IMAGE_URL", defaults.default_course_about_image_url
        ),
        default_mobile_available=_setting("DEFAULT_MOBILE_AVAILABLE", False),
        default_catalog_visibility=_setting(
            "DEFAULT_COURSE_VISIBILITY_IN_CATALOG", defaults.default_catalog_visibility
        ),
        proctored_exams_enabled=features.get("ENABLE_PROCTORED_EXAMS", False),
        default_proctoring_provider=_setting("PROCTORING_BACKENDS", {"DEFAULT": "null"}).get(
            "DEFAULT"
        ),
        default_enrollment_start=features.get(
            "CREATE_COURSE_WITH_DEFAULT_ENROLLMENT_START_DATE", False
        ),
        catalog_owns_language=_setting("OVERVIEW_CATALOG_OWNS_LANGUAGE", False),
        image_set=None if image_set is None else ImageSetSettings(**image_set),
    )


def _surveyor(
    modulestore: Modulestore, store: InspectionStore, conf: StoreConf
) -> MergingSurveyor | SqlSurveyor:
    if _setting("OVERVIEW_COURSE_INDEX", "mongodb") == "mysql":
        return SqlSurveyor(conf)
    return MergingSurveyor(modulestore=modulestore, store=store)


def _course_index(client: MongoClient[dict[str, Any]], conf: MongoConf) -> CourseIndex:
    kind = _setting("OVERVIEW_COURSE_INDEX", "mongodb")
    if kind == "mongodb":
        return MongoCourseIndex(client, conf)
    if kind == "mysql":
        return SqlCourseIndex()
    raise ImproperlyConfigured(
        f"OVERVIEW_COURSE_INDEX is {kind!r}: choose 'mongodb' (active_versions) or 'mysql' "
        "(Open edX's split_modulestore_django table)"
    )


def _setting(name: str, default: Any) -> Any:
    return getattr(settings, name, default)
