"""Addresses of course assets: the CDN's, the site's, and those that are none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from lms_integration.courses.addresses import absolute, with_cdn


def site(**environ: Any) -> Request:
    return Request(APIRequestFactory().get("/api/", **environ))


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("/asset-v1:a.png", "//cdn.example.net/asset-v1:a.png"),
        ("asset.png", "//cdn.example.net/asset.png"),
        ("/a.png?b=c#d", "//cdn.example.net/a.png?b=c#d"),
        ("", ""),
        ("http://elsewhere.example.org/a.png", "http://elsewhere.example.org/a.png"),
        ("//elsewhere.example.org/a.png", "//elsewhere.example.org/a.png"),
        ("//[broken", "//[broken"),
    ],
)
def test_what_has_no_host_comes_from_the_cdn(uri, shown):
    assert with_cdn(uri, base_url="cdn.example.net") == shown


def test_without_a_cdn_nothing_changes():
    assert with_cdn("/a.png", base_url="") == "/a.png"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("/a b/\u00e9.png", "http://testserver/a%20b/%C3%A9.png"),
        ("//cdn.example.net/a.png", "http://cdn.example.net/a.png"),
        ("https://elsewhere.example.org/a.png", "https://elsewhere.example.org/a.png"),
        ("", ""),
        ("//[broken", "//[broken"),
    ],
)
def test_an_address_has_the_host_of_the_request(uri, shown):
    assert absolute(uri, site()) == shown


def test_an_address_has_the_scheme_of_the_request():
    request = site(**{"wsgi.url_scheme": "https"})

    assert absolute("//cdn.example.net/a.png", request) == "https://cdn.example.net/a.png"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_stored_text_has_an_address(text):
    assert isinstance(absolute(with_cdn(text, base_url="cdn.example.net"), site()), str)
