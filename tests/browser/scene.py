"""A learner with courses in every state that the pages know, for people and tests to look at."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey

from lms_integration.models import CourseOverview, OverviewProjection, OverviewTombstone
from lms_integration.platform_tables.models import (
    CourseEnrollment,
    CourseMilestone,
    GeneratedCertificate,
    Milestone,
    MilestoneRelationshipType,
)
from tests.recorded_overviews import projection_of

USERNAME, PASSWORD = "ada.lovelace", "notes on the engine"

ALGEBRA = "course-v1:Northgate+MATH101+2026"
OPEN = "course-v1:Northgate+HIST210+2026"
CLOSED = "course-v1:Northgate+CHEM130+2020"
HIDDEN = "course-v1:Northgate+SECRET+2026"
DELETED = "course-v1:Northgate+GEO001+2019"
UNBUILT = "course-v1:Northgate+NEW500+2027"
ABOUT = """
<section class="about"><h2>About This Course</h2>
<p>Numbers, and what can be done with them: from counting to <em>groups</em>, <strong>rings</strong>
and fields. Nothing is taken for granted but patience.</p>
<h3>What you will learn</h3>
<ul><li>to read a proof, and to write one,</li><li>to see structure where there seemed to be none,</li>
<li>where the symbols come from.</li></ul></section>
<section class="prerequisites"><h2>Prerequisites</h2><p>School mathematics.
<a href="/courses/course-v1:Northgate+PRE001+2025/about">A short course</a> refreshes it.</p></section>
<section class="course-staff"><h2>Course Staff</h2><article><h3>Dr. Émilie Noether</h3>
<p>Teaches algebra since 2009.</p></article></section>
<script>document.title = "stolen"</script><img src=x onerror="document.title = 'stolen'">
"""


def course(key: str, name: str | None, **columns: Any) -> CourseOverview:
    """Write an overview with its projection; it started a month ago and has no end."""
    parsed = CourseKey.from_string(key)
    about = columns.pop("about", None)
    defaults: dict[str, Any] = {
        "version": CourseOverview.VERSION,
        "location": str(parsed.make_usage_key("course", "course")),
        "org": parsed.org,
        "display_name": name,
        "display_org_with_default": parsed.org,
        "display_number_with_default": parsed.course,
        "start": timezone.now() - timedelta(days=30),
        "course_image_url": "",
        "pre_requisite_courses_json": "[]",
        "catalog_visibility": "both",
        "language": "en",
    }
    overview = CourseOverview.objects.create(id=key, **defaults | columns)
    projection_of(overview, overview_html=about).save(force_insert=True)
    return overview


def learner(username: str = USERNAME, **columns: Any) -> User:
    """Write an account whose password the web process accepts: it hashes as in production."""
    password = PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1)
    return User.objects.create(username=username, password=password, **columns)


def enrolled(user: User, key: str, *, days_ago: int = 1, mode: str = "audit") -> CourseEnrollment:
    """Enrol a learner some days ago."""
    row = CourseEnrollment.objects.create(user=user, course_id=key, mode=mode)
    row.created = timezone.now() - timedelta(days=days_ago)
    row.save(update_fields=["created"])
    return row


def whole_scene() -> User:
    """Write a learner with a course in every state, and courses to find."""
    user, now = learner(email="ada@example.org"), timezone.now()
    course(
        ALGEBRA,
        "Linear Algebra: Foundations and Frontiers",
        end=now + timedelta(days=90),
        about=ABOUT,
        short_description="From counting to groups, rings and fields.",
        effort="4 hours a week",
        course_image_url="/asset-v1:Northgate+MATH101+2026+type@asset+block@algebra.svg",
    )
    course(
        "course-v1:Northgate+ASTR220+2026",
        "The Cosmos for Beginners",
        start=now + timedelta(days=3),
        self_paced=True,
    )
    course(
        "course-v1:ÉcoleNord+FR101+2026",
        "Introduction à la littérature française du XIXe siècle",
        language="fr",
        advertised_start="Automne 2026",
        self_paced=True,
        course_image_url="/asset-v1:missing.png",
    )
    course(
        "course-v1:Northgate+PHYS310+2024",
        "Quantum Mechanics II",
        start=datetime(2024, 9, 2, tzinfo=UTC),
        end=datetime(2025, 1, 31, tzinfo=UTC),
        certificates_display_behavior="end",
        cert_html_view_enabled=True,
        has_any_active_web_certificate=True,
    )
    course(
        "course-v1:Northgate+TBA100+2027",
        "Ethics of <b>Artificial</b> & Natural Intelligence",
        start=datetime(2030, 1, 1, tzinfo=UTC),
    )
    course(
        "course-v1:Northgate+MATH201+2026",
        "Abstract Algebra",
        pre_requisite_courses_json=f'["{ALGEBRA}"]',
    )
    OverviewTombstone.objects.create(
        course_key=DELETED,
        display_name="Maps and Globes",
        display_org_with_default="Northgate",
        display_number_with_default="GEO001",
        course_image_url="",
        start=datetime(2019, 3, 1, tzinfo=UTC),
        deleted_at=now,
    )
    keys = [
        ALGEBRA,
        "course-v1:Northgate+ASTR220+2026",
        "course-v1:ÉcoleNord+FR101+2026",
        "course-v1:Northgate+PHYS310+2024",
        "course-v1:Northgate+TBA100+2027",
        "course-v1:Northgate+MATH201+2026",
        DELETED,
        UNBUILT,
    ]
    for days_ago, key in enumerate(keys, start=1):
        enrolled(user, key, days_ago=days_ago, mode="verified" if "PHYS" in key else "audit")
    GeneratedCertificate.objects.create(
        user=user,
        course_id="course-v1:Northgate+PHYS310+2024",
        status="downloadable",
        verify_uuid="0f" * 16,
    )
    requires("course-v1:Northgate+MATH201+2026", ALGEBRA)
    course(OPEN, "The World Since 1945", about="<p>A century in twelve weeks.</p>")
    course(CLOSED, "General Chemistry", enrollment_end=datetime(2020, 6, 1, tzinfo=UTC))
    course(HIDDEN, "Not for you", visible_to_staff_only=True)
    return user


def requires(key: str, required: str) -> None:
    """Let one course require that another one is passed."""
    milestone = Milestone.objects.create(namespace=required, name=f"{key} requires {required}")
    kind = MilestoneRelationshipType.objects.create(name="requires")
    CourseMilestone.objects.create(
        course_id=key, milestone=milestone, milestone_relationship_type=kind
    )


def many_courses(user: User, count: int) -> None:
    """Enrol a learner in so many courses."""
    for number in range(count):
        key = f"course-v1:Northgate+M{number:03}+2026"
        course(key, f"Course number {number:03}")
        enrolled(user, key, days_ago=number + 1)


def about_html_of(key: str) -> str | None:
    """Return the about page as it is stored."""
    return OverviewProjection.objects.get(course_key=key).overview_html
