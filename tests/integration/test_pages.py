"""The learner's pages on the real database: what they show, what they cost, and whom they refuse."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from lms_integration.dashboard import course_page, queries
from lms_integration.dashboard.choices import Status
from lms_integration.models import (
    CourseOverview,
    CourseOverviewImageSet,
    OverviewTombstone,
)
from lms_integration.platform_tables.models import (
    BlockCompletion,
    CourseAccessRole,
    CourseEnrollment,
    CourseEnrollmentAllowed,
    CourseMode,
    GeneratedCertificate,
)
from tests.browser.scene import (
    ALGEBRA,
    CLOSED,
    DELETED,
    HIDDEN,
    OPEN,
    UNBUILT,
    course,
    enrolled,
    learner,
    many_courses,
    requires,
    whole_scene,
)

pytestmark = [pytest.mark.service, pytest.mark.django_db]

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
#: Session, account, roles, counts, one page, certificates, names of required courses.
MOST_DASHBOARD_QUERIES = 7
#: Session, account, versions, enrolments, roles, certificates.
HOME_QUERIES = 6


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def keys_on(response: Any) -> list[str]:
    return re.findall(r'data-course="([^"]+)"', response.content.decode())


def words_on(response: Any) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", response.content.decode()).split())


def statements(client: Client, path: str) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return [query["sql"] for query in captured]


# --- the dashboard


def test_dashboard_loses_no_enrolment_and_says_why_a_course_is_not_there():
    user = whole_scene()
    CourseEnrollment.objects.create(user=user, course_id="no course key at all")

    response = signed_in(user).get("/dashboard")

    assert len(keys_on(response)) == 9
    assert {DELETED, UNBUILT, "no course key at all"} <= set(keys_on(response))
    assert "This course is being prepared." in words_on(response)
    assert "This course is no longer offered." in words_on(response)
    assert "Maps and Globes" in words_on(response)


def test_dashboard_tells_what_a_learner_needs_to_know():
    words = words_on(signed_in(whole_scene()).get("/dashboard"))

    assert "You can open this course once you have passed “Linear Algebra: Foundations" in words
    assert "You earned a certificate." in words
    assert "Starts soon:" in words
    assert "Start date to be announced" in words
    assert "Started Automne 2026" in words
    assert "français (French)" in words


def test_dashboard_leaves_out_what_a_learner_has_left():
    user = whole_scene()
    CourseEnrollment.objects.filter(course_id=ALGEBRA).update(is_active=False)

    assert ALGEBRA not in keys_on(signed_in(user).get("/dashboard"))


def test_dashboard_without_courses_says_where_to_find_some():
    response = signed_in(learner()).get("/dashboard")

    assert "You are not enrolled in a course yet" in words_on(response)
    assert 'class="button" href="/courses"' in response.content.decode()


def test_statuses_share_out_all_courses_as_their_cards_say():
    client = signed_in(whole_scene())
    shown = {}
    for status in Status:
        response = client.get("/dashboard", {"status": status.value})
        shown[status] = keys_on(response)
        assert f'aria-current="true">{_tab(response, status)}' in response.content.decode()

    parts = [key for status, keys in shown.items() if status is not Status.ALL for key in keys]
    assert sorted(parts) == sorted(shown[Status.ALL])
    assert UNBUILT in shown[Status.UPCOMING]
    assert DELETED in shown[Status.ENDED]
    assert len(shown[Status.IN_PROGRESS]) == 3


def _tab(response: Any, status: Status) -> str:
    return {
        Status.ALL: "All",
        Status.IN_PROGRESS: "In progress",
        Status.UPCOMING: "Upcoming",
        Status.ENDED: "Ended",
    }[status]


def test_orders_are_by_enrolment_name_and_start():
    client = signed_in(whole_scene())

    newest = keys_on(client.get("/dashboard"))
    names = keys_on(client.get("/dashboard?sort=name"))
    starts = keys_on(client.get("/dashboard?sort=start"))

    assert newest[0] == ALGEBRA
    assert newest[-1] == UNBUILT
    assert names[0] == "course-v1:Northgate+MATH201+2026"  # Abstract Algebra
    assert names[-1] == "course-v1:Northgate+ASTR220+2026"  # The Cosmos for Beginners
    assert starts[0] == DELETED
    assert starts[-1] == UNBUILT


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("QUANTUM", 1),
        ("algebra linear", 1),
        ("fr101", 1),
        ("écolenord", 1),
        ("globes", 1),
        ("new500", 1),
        ("100%", 0),
        ("_", 0),
        ("x" * 5000, 0),
        ("\0", 8),
    ],
)
def test_text_finds_names_organizations_and_numbers_of_all_courses(text: str, found: int):
    response = signed_in(whole_scene()).get("/dashboard", {"q": text})

    assert len(keys_on(response)) == found
    assert found or "No course matches." in words_on(response)


def test_pages_show_each_course_once_and_keep_the_choice():
    user = learner()
    count = 2 * queries.PAGE_SIZE + 6
    many_courses(user, count)
    client = signed_in(user)

    pages = [client.get("/dashboard", {"page": n, "sort": "name"}) for n in (1, 2, 3)]

    assert [len(keys_on(page)) for page in pages] == [queries.PAGE_SIZE, queries.PAGE_SIZE, 6]
    assert len({key for page in pages for key in keys_on(page)}) == count
    assert "?sort=name&amp;page=3" in pages[1].content.decode()
    assert keys_on(client.get("/dashboard?page=99")) == keys_on(client.get("/dashboard?page=3"))
    assert client.get("/dashboard?page=-1&status=x&sort=x").status_code == 200


def test_only_the_organizations_of_the_site_are_shown_but_no_unknown_course_is_lost():
    user = whole_scene()

    with override_settings(OVERVIEW_COURSE_ORG_FILTER=["ÉcoleNord"]):
        keys = keys_on(signed_in(user).get("/dashboard"))

    assert set(keys) == {"course-v1:ÉcoleNord+FR101+2026", DELETED, UNBUILT}


def test_names_from_authors_are_text_wherever_they_stand():
    user = learner(username="<b>x</b>")
    key = "course-v1:Org+Num+Run"
    course(
        key,
        HOSTILE,
        display_org_with_default=HOSTILE,
        display_number_with_default=HOSTILE,
        advertised_start=HOSTILE,
        short_description=HOSTILE,
        effort=HOSTILE,
        language=HOSTILE,
        course_image_url=HOSTILE,
        about=HOSTILE,
    )
    enrolled(user, key, mode=HOSTILE)
    client = signed_in(user)

    for path in ("/dashboard", f"/courses/{key}/about", f"/courses/{key}/unenroll"):
        html = client.get(path).content.decode()
        assert "<script" not in html
        assert not re.search(r"<[^>]*\bonerror", html)
        assert "<img src" not in html
        assert "<b>" not in html


def test_small_images_are_shown_where_the_site_makes_them():
    user = learner()
    course(ALGEBRA, "Algebra", course_image_url="/asset-v1:raw.png")
    CourseOverviewImageSet.objects.create(
        course_overview_id=ALGEBRA, small_url="/asset-v1:small.png", large_url=""
    )
    enrolled(user, ALGEBRA)

    html = signed_in(user).get("/dashboard").content.decode()
    (entry,) = signed_in(user).get("/api/learner_home/init/").json()["courses"]

    assert 'src="http://localhost:8000/asset-v1:small.png"' in html
    assert entry["course"]["bannerImgSrc"] == "/asset-v1:small.png"


def test_access_that_has_run_out_is_said_and_closes_the_course():
    user = learner()
    course(ALGEBRA, "Algebra", start=timezone.now() - timedelta(days=400))
    for slug in ("audit", "verified"):
        CourseMode.objects.create(course_id=ALGEBRA, mode_slug=slug, mode_display_name=slug)
    enrolled(user, ALGEBRA, days_ago=300)

    with override_settings(OVERVIEW_DURATION_LIMITS_AS_OF=timezone.now() - timedelta(days=500)):
        words = words_on(signed_in(user).get("/dashboard"))
        answer = signed_in(user).get("/api/learner_home/init/").json()

    assert "Your access ended on" in words
    assert "Open course" not in words
    assert answer["courses"][0]["enrollment"]["isAuditAccessExpired"] is True
    assert answer["courses"][0]["enrollment"]["accessExpirationDate"] is not None


# --- what it costs


@pytest.mark.parametrize("count", [1, 20, 60])
def test_dashboard_costs_the_same_for_any_number_of_courses(count: int):
    user = learner()
    many_courses(user, count)
    requires("course-v1:Northgate+M000+2026", ALGEBRA)
    CourseOverview.objects.update(pre_requisite_courses_json=f'["{ALGEBRA}"]')

    found = statements(signed_in(user), "/dashboard")

    assert len(found) == MOST_DASHBOARD_QUERIES, found


@pytest.mark.parametrize("count", [1, 20, 60])
def test_learner_home_costs_the_same_for_any_number_of_courses(count: int):
    user = learner()
    many_courses(user, count)

    found = statements(signed_in(user), "/api/learner_home/init/")

    assert len(found) == HOME_QUERIES, found


def test_limited_access_costs_one_query_more():
    user = learner()
    many_courses(user, 20)

    with override_settings(OVERVIEW_DURATION_LIMITS_AS_OF=timezone.now()):
        assert len(statements(signed_in(user), "/dashboard")) == MOST_DASHBOARD_QUERIES
        assert len(statements(signed_in(user), "/api/learner_home/init/")) == HOME_QUERIES + 1


@pytest.mark.parametrize(
    ("path", "columns"),
    [
        ("/dashboard", queries.CARD_COLUMNS),
        ("/api/learner_home/init/", queries.HOME_COLUMNS),
        (f"/courses/{ALGEBRA}/about", course_page.COLUMNS),
    ],
)
def test_no_column_of_an_overview_is_read_that_is_not_shown(path: str, columns: tuple[str, ...]):
    user = whole_scene()

    found = statements(signed_in(user), path)

    names = {field.name: field.column for field in CourseOverview._meta.concrete_fields}
    assert _columns(found, CourseOverview._meta.db_table) == {
        "id",
        *(names[name] for name in columns),
    } | ({"version"} if path == "/dashboard" else set())
    assert not _columns(found, "overview_state")
    assert _columns(found, "course_overviews_courseoverviewimageset") <= {
        "id",
        "course_overview_id",
        "small_url",
    }


def _columns(found: list[str], table: str) -> set[str]:
    """Return all columns of a table that statements name."""
    return {column for sql in found for column in re.findall(rf"`{table}`\.`(\w+)`", sql)}


@override_settings(SOCIAL_SHARING_SETTINGS={"CUSTOM_COURSE_URLS": True})
def test_all_columns_that_are_read_are_used(monkeypatch: pytest.MonkeyPatch):
    user = whole_scene()
    nameless = "course-v1:Northgate+NAMELESS+1"
    course(nameless, None, certificates_display_behavior="end_with_date")
    enrolled(user, nameless)
    GeneratedCertificate.objects.create(user=user, course_id=nameless, status="downloadable")
    CourseAccessRole.objects.create(
        user=user, org="Northgate", course_id="course-v1:Northgate+TBA100+2027", role="beta_testers"
    )
    for name, client_path in (
        ("CARD_COLUMNS", "/dashboard"),
        ("HOME_COLUMNS", "/api/learner_home/init/"),
    ):
        columns: tuple[str, ...] = getattr(queries, name)
        before = len(statements(signed_in(user), client_path))
        for column in columns:
            monkeypatch.setattr(queries, name, tuple(each for each in columns if each != column))
            # One that is used but was not read along costs a query for each course.
            assert len(statements(signed_in(user), client_path)) > before, column
        monkeypatch.setattr(queries, name, columns)


# --- one course


@pytest.mark.parametrize("permission", ["see_exists", "see_about_page"])
def test_hidden_deleted_and_unknown_courses_are_the_same_page(permission: str):
    user = whole_scene()
    enrolled(user, HIDDEN)
    course("course-v1:Northgate+NOPAGE+1", "x", catalog_visibility="none", invitation_only=True)
    CourseOverview.objects.filter(display_name="x").update(start=timezone.now() + timedelta(days=9))
    keys = [HIDDEN, DELETED, UNBUILT, "course-v1:No+Such+Course", "course-v1:Northgate+NOPAGE+1"]
    with override_settings(COURSE_ABOUT_VISIBILITY_PERMISSION=permission):
        for client in (signed_in(user), Client()):
            answers = [client.get(f"/courses/{key}/about") for key in keys]

            assert {answer.status_code for answer in answers} == {404}
            assert len({answer.content for answer in answers}) == 1
            assert len({_work(client, key) for key in keys}) == 1
            assert client.post(f"/courses/{HIDDEN}/enroll").status_code in (302, 404)
    assert not CourseEnrollment.objects.filter(course_id="course-v1:No+Such+Course").exists()


def _work(client: Client, key: str) -> str:
    """Return the statements behind a course's page, without its key and the time."""
    with CaptureQueriesContext(connection) as captured:
        client.get(f"/courses/{key}/about")
    text = "\n".join(query["sql"] for query in captured).replace(key, "KEY")
    return re.sub(r"\d{4}-\d\d-\d\d [\d:.]+", "TIME", text)


def test_teams_see_their_hidden_course_and_learners_their_closed_one():
    user = whole_scene()
    CourseAccessRole.objects.create(user=user, org="Northgate", course_id=HIDDEN, role="staff")
    enrolled(user, CLOSED)
    CourseOverview.objects.filter(id=CLOSED).update(start=timezone.now() + timedelta(days=9))

    assert signed_in(user).get(f"/courses/{HIDDEN}/about").status_code == 200
    assert signed_in(user).get(f"/courses/{CLOSED}/about").status_code == 200
    assert Client().get(f"/courses/{CLOSED}/about").status_code == 404


def test_catalogue_setting_decides_who_sees_a_page():
    course(OPEN, "Without a page", catalog_visibility="none")

    assert Client().get(f"/courses/{OPEN}/about").status_code == 200
    with override_settings(COURSE_ABOUT_VISIBILITY_PERMISSION="see_about_page"):
        assert Client().get(f"/courses/{OPEN}/about").status_code == 404


def test_course_page_shows_the_about_page_made_harmless():
    whole_scene()

    html = Client().get(f"/courses/{ALGEBRA}/about").content.decode()

    assert "<strong>rings</strong>" in html
    assert "4 hours a week" in html
    assert "stolen" not in html
    assert "Sign in to enroll" in html


def test_course_keys_of_old_have_pages_too():
    course("OldOrg/OLD101/Run", "Old", location="i4x://OldOrg/OLD101/course/Run")

    assert Client().get("/courses/OldOrg/OLD101/Run/about").status_code == 200


# --- enrolling


def test_enrolling_from_the_page_makes_the_enrolment_that_the_api_makes():
    user = whole_scene()
    client = signed_in(user)

    response = client.post(f"/courses/{OPEN}/enroll", follow=True)

    row = CourseEnrollment.objects.get(user=user, course_id=OPEN)
    assert (row.mode, row.is_active) == ("audit", True)
    assert "You are enrolled in “The World Since 1945”." in words_on(response)
    assert client.post(f"/courses/{OPEN}/enroll").status_code == 302


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"invitation_only": True},
        {"enrollment_end": timezone.now() - timedelta(days=1)},
        {"enrollment_start": timezone.now() + timedelta(days=1)},
        {"max_student_enrollments_allowed": 0},
        {"max_student_enrollments_allowed": 1},
    ],
)
@pytest.mark.parametrize("modes", [[], ["verified"], ["honor"], ["audit", "verified"]])
@pytest.mark.parametrize("is_invited", [False, True])
def test_page_and_api_enrol_by_the_same_rules(
    columns: Mapping[str, Any], modes: list[str], is_invited: bool
):
    course(OPEN, "Open", **columns)
    for slug in modes:
        CourseMode.objects.create(course_id=OPEN, mode_slug=slug, mode_display_name=slug)
    outcomes = []
    for name in ("page", "api"):
        user = learner(name, email=f"{name}@example.org")
        if is_invited:
            CourseEnrollmentAllowed.objects.create(email=user.email, course_id=OPEN)
        client = signed_in(user)
        if name == "page":
            client.post(f"/courses/{OPEN}/enroll")
        else:
            body = {"course_details": {"course_id": OPEN}}
            client.post("/api/enrollment/v1/enrollment", body, content_type="application/json")
        rows = CourseEnrollment.objects.filter(user=user)
        outcomes.append(list(rows.values_list("mode", "is_active")))
        rows.delete()

    assert outcomes[0] == outcomes[1]


def test_refused_enrolment_is_said_and_changes_nothing():
    user = learner()
    course(OPEN, "Full", max_student_enrollments_allowed=0)

    response = signed_in(user).post(f"/courses/{OPEN}/enroll", follow=True)

    assert "could not be enrolled in “Full”" in words_on(response)
    assert not CourseEnrollment.objects.exists()


def test_enrolling_needs_a_person_and_the_token():
    user = whole_scene()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user)

    assert Client().post(f"/courses/{OPEN}/enroll").headers["Location"].startswith("/login?next=")
    assert strict.post(f"/courses/{OPEN}/enroll").status_code == 403
    assert strict.post(f"/courses/{ALGEBRA}/unenroll").status_code == 403
    assert not CourseEnrollment.objects.filter(course_id=OPEN).exists()
    assert CourseEnrollment.objects.filter(course_id=ALGEBRA, is_active=True).exists()
    assert signed_in(user).get(f"/courses/{OPEN}/enroll").status_code == 302


@pytest.mark.parametrize("key", [ALGEBRA, DELETED, UNBUILT])
def test_unenrolling_asks_first_and_keeps_the_row(key: str):
    user = whole_scene()
    client = signed_in(user)

    asked = client.get(f"/courses/{key}/unenroll")
    assert CourseEnrollment.objects.get(course_id=key).is_active
    done = client.post(f"/courses/{key}/unenroll", follow=True)

    assert "Unenroll from this course?" in words_on(asked)
    assert "You are no longer enrolled in" in words_on(done)
    assert not CourseEnrollment.objects.get(course_id=key).is_active
    assert client.post(f"/courses/{key}/unenroll").status_code == 404


def test_certificates_and_sites_keep_learners_enrolled():
    user = whole_scene()
    key = "course-v1:Northgate+PHYS310+2024"

    response = signed_in(user).post(f"/courses/{key}/unenroll")
    with override_settings(FEATURES={"DISABLE_UNENROLLMENT": True}):
        forbidden = signed_in(user).post(f"/courses/{ALGEBRA}/unenroll")

    assert (response.status_code, forbidden.status_code) == (409, 409)
    assert "You have a certificate of this course" in words_on(response)
    assert not CourseEnrollment.objects.filter(is_active=False).exists()


# --- signing in and out, and what all pages have in common


def test_signing_in_goes_on_to_where_somebody_wanted_to_be():
    user = learner()
    user.set_password("secret words")
    user.save()
    form = {"username": user.username, "password": "secret words"}

    anonymous = Client().get("/dashboard?sort=name")
    home = Client().post("/login", form)
    on = Client().post("/login", {**form, "next": "/dashboard?sort=name"})
    away = Client().post("/login", {**form, "next": "https://evil.example/"})

    assert anonymous.headers["Location"] == "/login?next=/dashboard%3Fsort%3Dname"
    assert home.headers["Location"] == "/dashboard"
    assert on.headers["Location"] == "/dashboard?sort=name"
    assert away.headers["Location"] == "/dashboard"
    assert Client().get("/").headers["Location"] == "/dashboard"


def test_wrong_passwords_are_told_in_one_sentence_for_all():
    learner()

    wrong = Client().post("/login", {"username": "ada.lovelace", "password": "x"})
    unknown = Client().post("/login", {"username": "nobody", "password": "x"})

    for answer in (wrong, unknown):
        assert "do not belong together" in words_on(answer)
        assert 'role="alert"' in answer.content.decode()


def test_signing_out_is_a_post_and_ends_the_session():
    client = signed_in(learner())

    assert client.get("/logout").status_code == 405
    assert "You are signed out." in words_on(client.post("/logout", follow=True))
    assert client.get("/dashboard").status_code == 302


@pytest.mark.parametrize("path", ["/dashboard", "/login", "/nowhere", f"/courses/{ALGEBRA}/about"])
def test_every_page_forbids_scripts_and_is_kept_by_nobody(path: str):
    client = Client() if path == "/login" else signed_in(whole_scene())

    response = client.get(path)

    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith(
        "default-src 'self'; script-src 'none'; img-src 'self' http://localhost"
    )
    assert "unsafe" not in policy
    assert "no-store" in response.headers["Cache-Control"]
    assert " style=" not in response.content.decode()
    assert response.headers["Content-Language"] == "en"


def test_pages_speak_a_language_that_they_are_translated_into():
    client = signed_in(whole_scene())
    client.cookies["openedx-language-preference"] = "es"

    response = client.get("/dashboard")

    assert '<html lang="en">' in response.content.decode()
    assert "de enero" not in words_on(response)


def test_a_fault_is_told_without_asking_the_database(monkeypatch: pytest.MonkeyPatch):
    client = signed_in(learner())
    client.raise_request_exception = False
    monkeypatch.setattr(Paginator, "get_page", lambda *_: 1 / 0)

    response = client.get("/dashboard")

    assert response.status_code == 500
    assert "Your courses are safe." in words_on(response)


# --- the learner home, beyond what was recorded


def test_learner_home_shows_courses_without_overview_in_words():
    user = whole_scene()

    courses = signed_in(user).get("/api/learner_home/init/").json()["courses"]

    by_key = {each["courseRun"]["courseId"]: each for each in courses}
    assert len(courses) == 8
    assert by_key[UNBUILT]["courseRun"]["courseState"] == "never_built"
    assert by_key[UNBUILT]["courseRun"]["notice"].startswith("This course is being prepared.")
    assert by_key[UNBUILT]["courseRun"]["isStarted"] is False
    assert by_key[DELETED]["course"]["courseName"] == "Maps and Globes"
    assert by_key[DELETED]["courseRun"]["isArchived"] is True
    assert by_key[DELETED]["enrollment"]["coursewareAccess"]["isTooEarly"] is True
    assert "courseState" not in by_key[ALGEBRA]["courseRun"]
    unmet = by_key["course-v1:Northgate+MATH201+2026"]["enrollment"]["coursewareAccess"]
    assert unmet["hasUnmetPrerequisites"] is True


def test_learner_home_resumes_at_the_block_that_was_completed_last():
    user = whole_scene()
    for day, name in enumerate(("first", "last")):
        row = BlockCompletion.objects.create(
            user=user,
            course_key=ALGEBRA,
            block_key=f"block-v1:Northgate+MATH101+2026+type@html+block@{name}",
            block_type="html",
            completion=1.0,
        )
        BlockCompletion.objects.filter(pk=row.pk).update(
            modified=timezone.now() - timedelta(days=9 - day)
        )

    courses = signed_in(user).get("/api/learner_home/init/").json()["courses"]

    assert courses[0]["enrollment"]["hasStarted"] is True
    assert courses[0]["courseRun"]["resumeUrl"] == (
        f"/courses/{ALGEBRA}/jump_to/block-v1:Northgate+MATH101+2026+type@html+block@last"
    )


def test_learner_home_gives_the_address_of_a_certificate_page():
    user = whole_scene()

    courses = signed_in(user).get("/api/learner_home/init/").json()["courses"]

    (earned,) = [each["certificate"] for each in courses if each["certificate"]["isEarned"]]
    assert earned["certPreviewUrl"] == "/certificates/" + "0f" * 16
    assert GeneratedCertificate.objects.count() == 1


def test_team_may_look_through_the_eyes_of_a_learner_by_name_or_address():
    user = whole_scene()
    team = signed_in(learner("team", is_staff=True))

    by_name = team.get("/api/learner_home/init/", {"user": user.username})
    by_address = team.get("/api/learner_home/init/", {"user": "ada@example.org"})

    assert len(by_name.json()["courses"]) == 8
    assert by_name.json() == by_address.json()
    assert OverviewTombstone.objects.count() == 1
