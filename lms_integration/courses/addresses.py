"""Addresses of course assets: from the site's CDN where it has one, with a host always."""

from urllib.parse import urlsplit

from rest_framework.request import Request


def with_cdn(uri: str, *, base_url: str) -> str:
    """Return the address with the host ``base_url``; as it is where it has a host, or there is no CDN.

    The scheme is left to the request, as in Open edX.
    """
    if not uri or not base_url or _has_host(uri):
        return uri
    return f"//{base_url}/{uri.removeprefix('/')}"


def absolute(uri: str, request: Request) -> str:
    """Return the address with a host, percent-encoded; as it is where it is empty or no address at all.

    Authors may have stored anything.
    """
    if not uri:
        return uri
    try:
        return request.build_absolute_uri(uri)
    except ValueError:
        return uri


def _has_host(uri: str) -> bool:
    try:
        return bool(urlsplit(uri).netloc)
    except ValueError:
        return True
