"""Every setting that decides what the endpoints answer: name, default and reason; one typed accessor.

Names are Open edX's own wherever it has one, so that a platform's settings module can be used as it
is. What Open edX keeps in configuration tables for the whole site (and caches) are settings here:
request paths pay no query for them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver

#: Open edX's default mode: what a course without any mode offers.
_DEFAULT_MODE: Mapping[str, Any] = {
    "slug": "audit",
    "name": "Audit",
    "min_price": 0,
    "suggested_prices": "",
    "currency": "usd",
    "expiration_datetime": None,
    "description": None,
    "sku": None,
    "android_sku": None,
    "ios_sku": None,
    "bulk_sku": None,
}
_UTM_PARAMETERS: Mapping[str, str] = {
    "facebook": "utm_medium=social&utm_campaign=social-sharing-db&utm_source=facebook",
    "twitter": "utm_medium=social&utm_campaign=social-sharing-db&utm_source=twitter",
}
_ACTIVATION_PATH = "/api/send_account_activation_email"
_ON_BY_DEFAULT = frozenset(
    {"CERTIFICATES_HTML_VIEW", "ENABLE_DISCUSSION_SERVICE", "ENABLE_COURSEWARE_SEARCH"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteSettings:
    """What one site shows, as its settings say."""

    #: ``PLATFORM_NAME``: the site's name in page titles.
    platform_name: str
    #: ``LMS_ROOT_URL``: absolute URL of the LMS, without a slash at its end.
    lms_root_url: str
    #: ``LEARNING_MICROFRONTEND_URL``: where a course is taken.
    learning_url: str
    #: ``MEDIA_URL``: before the logo of an organization.
    media_url: str
    #: ``COURSE_MODE_DEFAULTS``: the mode of a course that has none.
    default_mode: Mapping[str, Any]
    #: ``EDX_API_KEY``: what servers send as ``X-Edx-Api-Key``; None refuses all of them.
    api_key: str | None
    #: ``COURSE_CATALOG_VISIBILITY_PERMISSION``: ``see_exists`` or ``see_in_catalog``.
    catalog_permission: str
    #: ``COURSE_ABOUT_VISIBILITY_PERMISSION``: ``see_exists`` or ``see_about_page``.
    about_permission: str
    #: ``SOCIAL_SHARING_SETTINGS``.
    social_sharing: Mapping[str, Any]
    #: Query strings by network, for links that are shared.
    utm_parameters: Mapping[str, str]
    #: ``OVERVIEW_COURSE_ORG_FILTER`` (Open edX: ``course_org_filter`` of the site configuration):
    #: only courses of these organizations are shown; empty shows all.
    course_orgs: frozenset[str]
    #: ``OVERVIEW_IGNORE_MOBILE_AVAILABLE`` (``IgnoreMobileAvailableFlagConfig``): the apps show all.
    ignore_mobile_available: bool
    #: ``OVERVIEW_AUTO_CERTIFICATES`` (waffle switch ``certificates.auto_certificate_generation``).
    auto_certificates: bool
    #: ``OVERVIEW_ASSET_BASE_URL`` (``AssetBaseUrlConfig``): host of a CDN for course assets; '' is none.
    asset_base_url: str
    #: ``OVERVIEW_DURATION_LIMITS_AS_OF`` (``CourseDurationLimitConfig``, for the whole site): audit
    #: access of enrolments since then expires; None is off.
    duration_limits_as_of: datetime | None
    #: ``OVERVIEW_DYNAMIC_UPGRADE_DEADLINES`` (``DynamicUpgradeDeadlineConfiguration``).
    dynamic_upgrade_deadlines: bool
    #: ``OVERVIEW_IMAGE_BASE_URL``: before the path of a course image on our pages; '' is the pages' own
    #: host. Unless it is set, images come from the LMS.
    image_base_url: str
    #: ``OVERVIEW_IMAGE_HOSTS``: origins (``https://cdn.example.org``) whose images our pages show too.
    image_hosts: tuple[str, ...]
    #: ``SEND_ACTIVATION_EMAIL_URL``: where a front end asks for another activation message.
    activation_url: str
    #: ``DEFAULT_FEEDBACK_EMAIL`` and ``PAYMENT_SUPPORT_EMAIL``.
    support_email: str
    billing_email: str
    #: ``MKTG_URLS``: addresses of the marketing site, in force with ``FEATURES['ENABLE_MKTG_SITE']``.
    marketing_urls: Mapping[str, str]
    #: ``FEATURES``.
    features: Mapping[str, bool]

    def has_feature(self, name: str) -> bool:
        """Return whether a feature is on, with Open edX's default where nothing is said."""
        return bool(self.features.get(name, name in _ON_BY_DEFAULT))


@cache
def site_settings() -> SiteSettings:
    """Return the settings of the process; read anew where Django says that one was changed."""
    root = str(_setting("LMS_ROOT_URL", "http://localhost:8000")).rstrip("/")
    return SiteSettings(
        platform_name=_setting("PLATFORM_NAME", "Open edX"),
        lms_root_url=root,
        learning_url=str(_setting("LEARNING_MICROFRONTEND_URL", None) or root).rstrip("/"),
        media_url=_setting("MEDIA_URL", "") or "/media/",
        default_mode={**_DEFAULT_MODE, **_setting("COURSE_MODE_DEFAULTS", {})},
        api_key=_setting("EDX_API_KEY", None) or None,
        catalog_permission=_setting("COURSE_CATALOG_VISIBILITY_PERMISSION", "see_exists"),
        about_permission=_setting("COURSE_ABOUT_VISIBILITY_PERMISSION", "see_exists"),
        social_sharing=_setting("SOCIAL_SHARING_SETTINGS", {}),
        utm_parameters=_UTM_PARAMETERS,
        course_orgs=frozenset(_setting("OVERVIEW_COURSE_ORG_FILTER", ())),
        ignore_mobile_available=_setting("OVERVIEW_IGNORE_MOBILE_AVAILABLE", False),
        auto_certificates=_setting("OVERVIEW_AUTO_CERTIFICATES", False),
        asset_base_url=_setting("OVERVIEW_ASSET_BASE_URL", ""),
        duration_limits_as_of=_setting("OVERVIEW_DURATION_LIMITS_AS_OF", None),
        dynamic_upgrade_deadlines=_setting("OVERVIEW_DYNAMIC_UPGRADE_DEADLINES", False),
        image_base_url=_image_base_url(root),
        image_hosts=tuple(_setting("OVERVIEW_IMAGE_HOSTS", ())),
        activation_url=_setting("SEND_ACTIVATION_EMAIL_URL", f"{root}{_ACTIVATION_PATH}"),
        support_email=_setting("DEFAULT_FEEDBACK_EMAIL", "feedback@example.com"),
        billing_email=_setting("PAYMENT_SUPPORT_EMAIL", "billing@example.com"),
        marketing_urls=_setting("MKTG_URLS", {}),
        features=_setting("FEATURES", {}),
    )


@receiver(setting_changed)
def _forget(**_: Any) -> None:
    site_settings.cache_clear()


def _image_base_url(lms_root_url: str) -> str:
    chosen = _setting("OVERVIEW_IMAGE_BASE_URL", None)
    return lms_root_url if chosen is None else str(chosen).rstrip("/")


def _setting(name: str, default: Any) -> Any:
    return getattr(settings, name, default)
