"""Where a course's pages, images and the site's other places are. Does no I/O."""

import re
from urllib.parse import quote, urlsplit

from lms_integration.models import CourseOverview
from lms_integration.site_settings import SiteSettings

#: What stays as it is in the path of a URL, as in Django's ``reverse``.
_SAFE = "/~:@!$&'()*+,;=-._"
#: Paths of course assets, which a CDN serves.
_ASSET_PATHS = ("/asset-v1:", "/c4x/")
#: Host and port, without a user or anything that would end a directive of a security policy.
_HOST = re.compile(r"[\w.\-\[\]:]+")


def home_url(course_id: str, site: SiteSettings) -> str:
    """Return where a course is taken, the key as it is: so clients of Open edX expect it."""
    return f"{site.learning_url}/course/{course_id}/home"


def about_url(course: CourseOverview, site: SiteSettings) -> str:
    """Return the address under which a course is shown to the world."""
    if site.social_sharing.get("CUSTOM_COURSE_URLS") and course.social_sharing_url:
        return course.social_sharing_url
    if site.has_feature("ENABLE_MKTG_SITE") and course.marketing_url:
        return course.marketing_url
    return f"{site.lms_root_url}/courses/{course.id}/about"


def lms_path(course_id: str, *, before: str, after: str) -> str:
    """Return a path of the LMS, percent-encoded."""
    return f"{before}{quote(course_id, safe=_SAFE)}{after}"


def search_url(site: SiteSettings) -> str:
    """Return where courses are found: our page, at the LMS's path, or the marketing site's."""
    urls = site.marketing_urls
    if site.has_feature("ENABLE_MKTG_SITE") and {"ROOT", "COURSES"} <= set(urls):
        return f"{urls['ROOT'].rstrip('/')}/{urls['COURSES'].lstrip('/')}"
    return "/courses"


def certificate_link(url: str, site: SiteSettings) -> str:
    """Return where a certificate is: a page of the LMS, or a file; '' for what is no web address."""
    if url.startswith("/") and not url.startswith("//"):
        return site.lms_root_url + url
    return url if _origin(url) else ""


def image_url(address: str | None, site: SiteSettings) -> str:
    """Return where an image is; '' for none, and for one on a host that pages show no image of."""
    if not address:
        return ""
    if address.startswith("/") and not address.startswith("//"):
        return _image_base(address, site) + address
    origin = _origin(address)
    return address if origin and origin in image_origins(site) else ""


def image_origins(site: SiteSettings) -> tuple[str, ...]:
    """Return the origins, other than a page's own, that pages show images of."""
    known = (site.image_base_url, _cdn(site), *site.image_hosts)
    return tuple(dict.fromkeys(filter(None, map(_origin, known))))


def _image_base(path: str, site: SiteSettings) -> str:
    is_asset = path.startswith(_ASSET_PATHS)
    return _cdn(site) if is_asset and site.asset_base_url else site.image_base_url


def _cdn(site: SiteSettings) -> str:
    """Return the CDN's URL; the setting names its host, as Open edX's does."""
    host = site.asset_base_url.rstrip("/").rpartition("//")[2]
    return f"https://{host}" if host else ""


def _origin(url: str) -> str:
    """Return scheme, host and port; '' for a path, and for what is no URL of the web."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    is_web = parts.scheme in ("http", "https") and _HOST.fullmatch(parts.netloc)
    return f"{parts.scheme}://{parts.netloc}" if is_web else ""
