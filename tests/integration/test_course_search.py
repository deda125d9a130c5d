"""The page on which courses are found: which ones, for whom, in how many queries."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from lms_integration.dashboard import course_search
from lms_integration.models import CourseOverview
from lms_integration.platform_tables.models import CourseAccessRole
from tests.browser.scene import (
    ALGEBRA,
    DELETED,
    HIDDEN,
    OPEN,
    UNBUILT,
    course,
    learner,
    many_courses,
    whole_scene,
)

pytestmark = [pytest.mark.service, pytest.mark.django_db]

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
#: Count, keys of one page, their rows.
VISITOR_QUERIES = 3
#: Session, account, roles, and what one is enrolled in besides.
LEARNER_QUERIES = 7


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def keys_on(response: Any) -> list[str]:
    assert response.status_code == 200
    return re.findall(r'data-course="([^"]+)"', response.content.decode())


def statements(client: Client, path: str = "/courses") -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return [query["sql"] for query in captured]


def test_everybody_finds_the_courses_that_are_there_for_everybody():
    whole_scene()

    keys = keys_on(Client().get("/courses"))

    assert {ALGEBRA, OPEN} <= set(keys)
    assert not {HIDDEN, DELETED, UNBUILT} & set(keys)


def test_whatever_is_found_has_a_page_that_the_finder_may_see():
    user = whole_scene()
    CourseAccessRole.objects.create(user=user, org="Northgate", course_id=HIDDEN, role="staff")

    for client in (Client(), signed_in(user)):
        keys = keys_on(client.get("/courses"))
        assert keys
        assert {client.get(f"/courses/{key}/about").status_code for key in keys} == {200}


def test_a_team_finds_its_hidden_course():
    user = whole_scene()
    CourseAccessRole.objects.create(user=user, org="Northgate", course_id=HIDDEN, role="staff")

    assert HIDDEN in keys_on(signed_in(user).get("/courses"))


def test_words_narrow_what_is_found_and_stay_in_the_box():
    whole_scene()

    response = Client().get("/courses", {"q": "  world   1945 "})

    assert keys_on(response) == [OPEN]
    assert 'value="world 1945"' in response.content.decode()


@pytest.mark.parametrize("text", ["no such course", "%", "_", "x" * 5000, "'; DROP TABLE x"])
def test_what_nothing_matches_says_so(text: str):
    whole_scene()

    response = Client().get("/courses", {"q": text})

    assert keys_on(response) == []
    assert "No course was found." in response.content.decode()


def test_a_site_without_a_search_has_no_box():
    whole_scene()

    with override_settings(FEATURES={"ENABLE_COURSEWARE_SEARCH": False}):
        response = Client().get("/courses", {"q": "world"})

    assert len(keys_on(response)) > 1
    assert 'type="search"' not in response.content.decode()


def test_pages_show_each_course_once_and_keep_the_words():
    many_courses(learner(), 2 * course_search.PAGE_SIZE + 1)

    pages = [Client().get("/courses", {"q": "northgate", "page": page}) for page in (1, 2, 3)]

    found = [key for page in pages for key in keys_on(page)]
    assert len(found) == len(set(found)) == 2 * course_search.PAGE_SIZE + 1
    assert "/courses?q=northgate&amp;page=3" in pages[1].content.decode()
    assert keys_on(Client().get("/courses?q=northgate&page=99")) == keys_on(pages[2])
    assert Client().get("/courses?page=x").status_code == 200


def test_learners_see_where_they_are_enrolled():
    user = whole_scene()

    words = signed_in(user).get("/courses").content.decode()

    assert "You are enrolled" in words
    assert "You are enrolled" not in Client().get("/courses").content.decode()


@pytest.mark.parametrize("count", [1, 20, 60])
def test_finding_costs_the_same_for_any_number_of_courses(count: int):
    user = learner()
    many_courses(user, count)

    assert len(statements(Client())) == VISITOR_QUERIES
    assert len(statements(signed_in(user))) == LEARNER_QUERIES
    assert len(statements(signed_in(user), "/courses?q=northgate")) == LEARNER_QUERIES


def test_no_column_of_an_overview_is_read_that_is_not_shown():
    whole_scene()
    names = {field.name: field.column for field in CourseOverview._meta.concrete_fields}

    (found,) = [sql for sql in statements(Client()) if "`display_name`" in sql]

    read = set(re.findall(r"`course_overviews_courseoverview`\.`(\w+)`", found))
    assert read == {names[name] for name in course_search.COLUMNS if name in names}


def test_names_from_authors_are_text():
    course(
        "course-v1:Org+Num+Run",
        HOSTILE,
        display_org_with_default=HOSTILE,
        display_number_with_default=HOSTILE,
        advertised_start=HOSTILE,
        short_description=HOSTILE,
        language=HOSTILE,
        course_image_url=HOSTILE,
    )

    html = Client().get("/courses").content.decode()

    assert "<script" not in html
    assert not re.search(r"<[^>]*\bonerror", html)
    assert "<img src" not in html


def test_what_is_searched_for_is_text():
    html = Client().get("/courses", {"q": HOSTILE}).content.decode()

    assert "<script" not in html
    assert "<img src" not in html
    assert 'value="&#34;&gt;&lt;script' in html


def test_every_page_leads_there_and_the_marketing_site_comes_first():
    assert '<a href="/courses">' in Client().get("/login").content.decode()
    assert 'href="/courses" aria-current="page"' in Client().get("/courses").content.decode()

    with override_settings(
        FEATURES={"ENABLE_MKTG_SITE": True},
        MKTG_URLS={"ROOT": "https://www.example.org", "COURSES": "find"},
    ):
        assert 'href="https://www.example.org/find"' in Client().get("/login").content.decode()


def test_the_page_is_only_read():
    assert Client().post("/courses").status_code == 405
