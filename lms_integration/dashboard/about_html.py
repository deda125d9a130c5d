"""An author's about page, made harmless: a short list of tags and attributes survives, nothing else.

Script, style, frames, forms, handlers and every other attribute go. Links lead to the web or to an
e-mail address; images come from hosts that the pages' own policy allows. Does no I/O.
"""

import re

import nh3
from django.utils.safestring import SafeString, mark_safe
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey

from lms_integration.dashboard.links import image_url
from lms_integration.site_settings import SiteSettings

#: Longer pages are cut before they are read: no author writes half a million letters.
MAX_LENGTH = 500_000
_TAGS = {
    *(
        "a",
        "abbr",
        "article",
        "b",
        "blockquote",
        "br",
        "caption",
        "cite",
        "code",
        "dd",
        "del",
        "div",
    ),
    *(
        "dl",
        "dt",
        "em",
        "figcaption",
        "figure",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "img",
    ),
    *("ins", "kbd", "li", "ol", "p", "pre", "q", "s", "section", "small", "span", "strong", "sub"),
    *("sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul"),
}
#: What is left out together with what it holds; of other tags the text stays.
_LEFT_OUT = {
    *(
        "script",
        "style",
        "iframe",
        "object",
        "embed",
        "noscript",
        "template",
        "svg",
        "math",
        "title",
    ),
    *("textarea", "select", "audio", "video", "canvas", "form", "button"),
}
_ATTRIBUTES = {
    "*": {"lang", "dir"},
    "a": {"href", "title"},
    "abbr": {"title"},
    "img": {"src", "alt", "title", "width", "height"},
    "ol": {"start"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
}
_SCHEMES = {"http", "https", "mailto"}
_NUMBER = re.compile(r"\d{1,4}")
_HEADING = re.compile(r"(</?)h1(?=[\s>])")
#: An image as the library writes it: quotes inside of values are written as entities.
_IMAGE = re.compile(r'<img(?: [a-z]+="[^"]*")*>')
_STATIC = "/static/"


def harmless(html: str, course_id: str, *, site: SiteSettings) -> SafeString:
    """Return an about page that can stand in ours as it is; '' where nothing of it is left.

    Its first headings become second ones, because the course's name is the page's first.
    """
    cleaned = _clean(html[:MAX_LENGTH], course_id, site=site)
    # Once more, so that nothing that was changed as text stands there unseen.
    return mark_safe(_clean(_tidied(cleaned), course_id, site=site).strip())  # noqa: S308


def _clean(html: str, course_id: str, *, site: SiteSettings) -> str:
    return nh3.clean(
        html,
        tags=_TAGS,
        clean_content_tags=_LEFT_OUT,
        attributes=_ATTRIBUTES,
        attribute_filter=lambda tag, name, value: _attribute(
            tag, name, value, course_id=course_id, site=site
        ),
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )


def _tidied(cleaned: str) -> str:
    """Return a clean page without images that show nothing, and with one first heading less."""
    return _IMAGE.sub(_tidied_image, _HEADING.sub(r"\1h2", cleaned))


def _tidied_image(found: re.Match[str]) -> str:
    """Return an image with words for those who cannot see it, were it none; '' without an address."""
    if ' src="' not in found[0]:
        return ""
    return found[0] if ' alt="' in found[0] else found[0].replace("<img", '<img alt=""', 1)


def has_words(html: str) -> bool:
    """Return whether a page says or shows anything, besides its tags."""
    return "<img" in html or bool(re.sub(r"<[^>]*>|&nbsp;|\s", "", html))


def _attribute(
    tag: str, name: str, value: str, *, course_id: str, site: SiteSettings
) -> str | None:
    """Return what becomes of an attribute's value; None leaves it out."""
    match tag, name:
        case "img", "src":
            return image_url(_asset(value.strip(), course_id), site) or None
        case _, "href":
            return _link(value.strip(), course_id, site=site)
        case _, "width" | "height" | "colspan" | "rowspan" | "start":
            return value if _NUMBER.fullmatch(value) else None
        case _, "dir":
            return value if value in ("ltr", "rtl", "auto") else None
        case _:
            return value


def _link(address: str, course_id: str, *, site: SiteSettings) -> str:
    """Return an address as it is, or of the LMS where it is a path: authors write those for it."""
    if address.startswith("/") and not address.startswith("//"):
        return site.lms_root_url + _asset(address, course_id)
    return address


def _asset(address: str, course_id: str) -> str:
    """Return the path of a course's own file, which authors write as ``/static/name``."""
    if not address.startswith(_STATIC):
        return address
    try:
        key = CourseKey.from_string(course_id)
    except InvalidKeyError:
        return address
    name = address.removeprefix(_STATIC).replace("/", "_")
    return "/" + str(key.make_asset_key("asset", name)).lstrip("/")
