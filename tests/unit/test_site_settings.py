"""What the endpoints are told by settings: Open edX's names, Open edX's defaults."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from lms_integration.http.authentication import refuse_unset_secret
from lms_integration.site_settings import site_settings


def test_the_default_mode_is_open_edxs_and_parts_of_it_can_be_set(settings):
    settings.COURSE_MODE_DEFAULTS = {"name": "Just listening"}

    mode = site_settings().default_mode

    assert (mode["slug"], mode["name"], mode["min_price"]) == ("audit", "Just listening", 0)


@pytest.mark.parametrize(
    ("features", "name", "is_on"),
    [
        ({}, "CERTIFICATES_HTML_VIEW", True),
        ({"CERTIFICATES_HTML_VIEW": False}, "CERTIFICATES_HTML_VIEW", False),
        ({}, "DISABLE_START_DATES", False),
        ({"DISABLE_START_DATES": True}, "DISABLE_START_DATES", True),
    ],
)
def test_a_feature_that_nobody_sets_is_as_in_open_edx(settings, features, name, is_on):
    settings.FEATURES = features

    assert site_settings().has_feature(name) is is_on


def test_addresses_have_no_slash_at_their_end(settings):
    settings.LMS_ROOT_URL = "https://lms.example.org/"

    site = site_settings()

    assert site.lms_root_url == site.learning_url == "https://lms.example.org"


def test_an_empty_api_key_is_none(settings):
    settings.EDX_API_KEY = ""

    assert site_settings().api_key is None


def test_the_web_process_refuses_the_secret_that_everybody_can_read(settings):
    settings.SECRET_KEY = settings.UNSET_SECRET_KEY

    with pytest.raises(ImproperlyConfigured, match="OVERVIEW_SECRET_KEY"):
        refuse_unset_secret()


def test_the_web_process_serves_with_a_secret_of_its_own(settings):
    settings.SECRET_KEY = "of this site alone"

    refuse_unset_secret()
