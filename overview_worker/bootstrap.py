"""The composition root: the one place that picks adapters and reads settings for them."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages
from pymongo import MongoClient

from celeryconfig import BROKER_ADDRESS
from lms_integration.conf import writes_platform_history
from lms_integration.data import COURSE_OVERVIEW_VERSION
from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings, ImageSetSettings
from overview_worker.change_exchange import ChangeExchange
from overview_worker.difference_reasons import ReasonRules
from overview_worker.documents import BuiltOverview, PublishedCourse
from overview_worker.image_sets import ImageSetSource
from overview_worker.inspection_ports import CurrentVersions, InspectionStore
from overview_worker.inspector import Inspector, MergingSurveyor
from overview_worker.modulestore.contentstore import MongoContentstore
from overview_worker.modulestore.mongo import (
    CourseIndex,
    MongoConf,
    MongoCourseIndex,
    MongoModulestore,
    connect,
)
from overview_worker.modulestore.sql_index import SqlCourseIndex
from overview_worker.ports import Modulestore, OverviewStore, RebuildCause
from overview_worker.rebuild import (
    BUILDER_VERSION,
    OWN_VERSIONS,
    Build,
    RebuildDepth,
    RebuildReport,
    rebuild_overviews,
)
from overview_worker.run_pages import MergedPages
from overview_worker.runs import RebuildRuns
from overview_worker.shadow import Shadow
from overview_worker.store.conf import StoreConf
from overview_worker.store.image_config import read_image_config
from overview_worker.store.inspection_store import DjangoInspectionStore
from overview_worker.store.overview_store import DjangoOverviewStore
from overview_worker.store.run_store import DjangoRunStore
from overview_worker.store.shadow_store import DjangoShadowStore
from overview_worker.store.sql_survey import SqlSurveyor
from overview_worker.store.stored_pages import DjangoStoredPages
from overview_worker.store.thumbnail_register import DjangoThumbnailRegister
from overview_worker.store.upkeep_store import DjangoUpkeepStore, RememberedTarget
from overview_worker.thumbnail_ports import ThumbnailStore
from overview_worker.thumbnails.making import ThumbnailMaker
from overview_worker.thumbnails.storage import StorageThumbnails
from overview_worker.upkeep_ports import UpkeepStore
from overview_worker.versions import RowVersions, rebuilds_other_versions


@dataclass(frozen=True, kw_only=True, slots=True)
class Dependencies:
    """What the use cases of one process work with."""

    modulestore: Modulestore
    store: OverviewStore
    build: Build
    inspector: Inspector
    shadow: Shadow
    thumbnails: ThumbnailMaker
    upkeep: UpkeepStore
    runs: RebuildRuns
    #: What rows are to be of; None where nobody has said.
    target: Callable[[], RowVersions | None]


def dependencies() -> Dependencies:
    """Return this process's adapters, made on first use: a MongoDB client must not cross a fork."""
    return _process_dependencies(os.getpid())[1]


@cache
def change_exchange() -> ChangeExchange:
    """Return where this process announces changes: the workers' own broker."""
    return ChangeExchange(BROKER_ADDRESS)


def close_dependencies() -> None:
    """Close this process's connections to MongoDB; the next use opens new ones."""
    if not _process_dependencies.cache_info().currsize:
        return
    client, _ = _process_dependencies(os.getpid())
    _process_dependencies.cache_clear()
    client.close()


@cache
def _process_dependencies(pid: int) -> tuple[MongoClient[dict[str, Any]], Dependencies]:
    conf, builder = mongo_conf(), builder_settings()
    client = connect(conf)
    return client, make_dependencies(client, conf, builder, image_sets=image_sets())


def make_dependencies(
    client: MongoClient[dict[str, Any]],
    conf: MongoConf,
    builder: BuilderSettings,
    *,
    image_sets: Callable[[], ImageSetSettings | None] | None = None,
) -> Dependencies:
    """Wire real adapters to a given MongoDB client and settings.

    ``image_sets`` is asked at every build, where the builder's settings for them may change.
    """
    sizes = image_sets or (lambda: builder.image_set)
    store_conf = StoreConf(
        builder_version=BUILDER_VERSION,
        catalog_owns_language=builder.catalog_owns_language,
        writes_platform_history=writes_platform_history(),
    )

    def build(course: PublishedCourse) -> BuiltOverview:
        return build_overview(course, settings=replace(builder, image_set=sizes()))

    register = DjangoThumbnailRegister(store_conf)
    contentstore = MongoContentstore(client, conf)
    thumbnail_store = _thumbnail_store(contentstore)
    modulestore = MongoModulestore(
        client,
        conf,
        index=_course_index(client, conf),
        with_thumbnails=lambda: sizes() is not None,
        thumbnail_urls=None if thumbnail_store.is_contentstore else register.urls,
    )
    inspection_store = DjangoInspectionStore(store_conf)
    upkeep = DjangoUpkeepStore(store_conf)
    target = RememberedTarget(upkeep)
    store = DjangoOverviewStore(store_conf)

    def rebuild(keys: Sequence[str], depth: RebuildDepth, cause: RebuildCause) -> RebuildReport:
        return rebuild_overviews(
            keys,
            modulestore=modulestore,
            store=store,
            build=build,
            depth=depth,
            cause=cause,
            target=target(),
        )

    def versions() -> CurrentVersions:
        return CurrentVersions(
            builder=OWN_VERSIONS.builder,
            schema=OWN_VERSIONS.schema,
            are_enforced=rebuilds_other_versions(own=OWN_VERSIONS, target=target.asked_anew()),
        )

    return Dependencies(
        modulestore=modulestore,
        store=store,
        build=build,
        inspector=Inspector(
            modulestore=modulestore,
            store=inspection_store,
            surveyor=_surveyor(modulestore, inspection_store, store_conf),
            build=build,
            current=CurrentVersions(builder=BUILDER_VERSION, schema=COURSE_OVERVIEW_VERSION),
            catalog_owns_language=builder.catalog_owns_language,
            target=target,
        ),
        shadow=_shadow(
            client,
            conf,
            builder,
            store_conf,
            # What is kept elsewhere is not in Open edX's rows.
            sizes=sizes if thumbnail_store.is_contentstore else lambda: None,
        ),
        thumbnails=ThumbnailMaker(
            contentstore=contentstore,
            store=thumbnail_store,
            register=register,
            is_on=lambda: sizes() is not None,
        ),
        upkeep=upkeep,
        runs=RebuildRuns(
            store=DjangoRunStore(store_conf),
            pages=MergedPages(published=modulestore, stored=DjangoStoredPages(store_conf)),
            rebuild=rebuild,
            versions=versions,
            worker=store_conf.worker,
            time_up=(SoftTimeLimitExceeded,),
        ),
        target=target,
    )


def _shadow(
    client: MongoClient[dict[str, Any]],
    conf: MongoConf,
    builder: BuilderSettings,
    store_conf: StoreConf,
    *,
    sizes: Callable[[], ImageSetSettings | None],
) -> Shadow:
    """Wire the comparison with Open edX's own rows, which needs no table of ours."""
    modulestore = MongoModulestore(
        client,
        conf,
        index=_course_index(client, conf),
        with_thumbnails=lambda: sizes() is not None,
    )
    return Shadow(
        modulestore=modulestore,
        store=DjangoShadowStore(store_conf),
        drafts=modulestore,
        build=lambda course: build_overview(course, settings=replace(builder, image_set=sizes())),
        rules=ReasonRules(default_image=builder.default_course_about_image_url),
        catalog_owns_language=builder.catalog_owns_language,
        compares_image_sets=lambda: sizes() is not None,
    )


@cache
def image_sets() -> ImageSetSource:
    """Return where this process looks whether image sets are on: the setting, else Open edX's table."""
    return ImageSetSource(
        lambda: _setting("OVERVIEW_IMAGE_SET", None), read_table=read_image_config
    )


def mongo_conf() -> MongoConf:
    """Return where the modulestore is, from ``OVERVIEW_MONGODB_URL`` and ``_DATABASE``."""
    return MongoConf(
        url=_setting("OVERVIEW_MONGODB_URL", "mongodb://127.0.0.1:27017"),
        database=_setting("OVERVIEW_MONGODB_DATABASE", "edxapp"),
    )


def builder_settings() -> BuilderSettings:
    """Return what shows in an overview of this deployment, from Open edX's own setting names.

    ``OVERVIEW_LMS_STATIC_URL`` is for processes whose ``STATIC_URL`` is Studio's.

    Raises:
        StoreUnavailable: the table that says whether image sets are on could not be read.
    """
    features = _setting("FEATURES", {})
    defaults = BuilderSettings()
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
        image_set=image_sets()(),
    )


def _surveyor(
    modulestore: Modulestore, store: InspectionStore, conf: StoreConf
) -> MergingSurveyor | SqlSurveyor:
    if _setting("OVERVIEW_COURSE_INDEX", "mongodb") == "mysql":
        return SqlSurveyor(conf)
    return MergingSurveyor(modulestore=modulestore, store=store)


def _thumbnail_store(contentstore: MongoContentstore) -> ThumbnailStore:
    place = _setting("OVERVIEW_THUMBNAIL_STORE", "contentstore")
    if place == "contentstore":
        return contentstore
    if place == "storage":
        alias = _setting("OVERVIEW_THUMBNAIL_STORAGE", "default")
        return StorageThumbnails(storages[alias], alias=alias)
    raise ImproperlyConfigured(
        f"OVERVIEW_THUMBNAIL_STORE is {place!r}: choose 'contentstore' (the modulestore's GridFS) or "
        "'storage' (a storage of Django's)"
    )


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
