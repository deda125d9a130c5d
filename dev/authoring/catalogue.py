"""A sample catalogue of believable courses, the same at every call, and how to write it.

Dates are fixed, not relative to today: from 2024 to 2028, so that at any time near the middle some
courses have ended, some run, and some are still to come. Every value is one that Studio would save.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, TypeAlias

from dev.authoring.author import SplitAuthor
from dev.authoring.catalogue_data import GRADING_POLICIES, IMAGE_NAMES, UNIVERSITIES, University
from dev.authoring.new_course import DEFAULT_TABS, NewCourse

#: A course of the catalogue is nothing but a course to be created.
SampleCourse: TypeAlias = NewCourse

_SEED = 20260
_BATCH_COUNT = 60
_YEARS = (2024, 2025, 2025, 2026, 2026, 2026, 2026, 2027, 2027, 2028)
#: The month in which each term starts.
_TERMS = {"T1": 2, "T2": 6, "T3": 10}
_LARGEST_POSITION, _LARGEST_BLOCK_COUNT = 40, 1200
_VIDEO_ID_CHARACTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0123456789_-"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Offering:
    """One run of one subject, before its settings are drawn."""

    university: University
    number: str
    title: str
    run: str
    start: datetime
    is_self_paced: bool

    @property
    def course_key(self) -> str:
        return f"course-v1:{self.university.org}+{self.number}+{self.run}"


def sample_catalogue() -> tuple[SampleCourse, ...]:
    """Return more than 200 courses of invented universities; does no I/O."""
    random = Random(_SEED)  # noqa: S311 - repeatable on purpose, and no secret
    courses: list[SampleCourse] = []
    for university in UNIVERSITIES:
        courses.extend(_courses_of(random, university))
    largest = replace(courses[_LARGEST_POSITION], block_count=_LARGEST_BLOCK_COUNT)
    return (*courses[:_LARGEST_POSITION], largest, *courses[_LARGEST_POSITION + 1 :])


def write_catalogue(
    author: SplitAuthor,
    courses: Sequence[SampleCourse],
    *,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Create those courses that do not exist yet and return how many there were.

    ``progress`` is called after each batch with the number of courses done so far, those that
    existed already included.
    """
    existing = author.course_keys()
    missing = [course for course in courses if course.course_key not in existing]
    done = len(courses) - len(missing)
    for start in range(0, len(missing), _BATCH_COUNT):
        batch = missing[start : start + _BATCH_COUNT]
        author.create_courses(batch)
        done += len(batch)
        if progress is not None:
            progress(done)
    return len(missing)


def _courses_of(random: Random, university: University) -> list[SampleCourse]:
    courses: list[SampleCourse] = []
    for number, title in university.subjects:
        for offering in _offerings(random, university, number, title):
            courses.append(_course(random, offering, earlier=courses))
    return courses


def _offerings(random: Random, university: University, number: str, title: str) -> list[_Offering]:
    runs = {}
    for _ in range(random.choice((1, 2, 2, 3, 3))):
        year, term = random.choice(_YEARS), random.choice(list(_TERMS))
        is_self_paced = random.random() < 0.25
        start = datetime(
            year, _TERMS[term], random.randint(1, 21), random.choice((0, 8, 14)), tzinfo=UTC
        )
        run = f"{year}_SP" if is_self_paced else f"{year}_{term}"
        runs[run] = _Offering(
            university=university,
            number=number,
            title=title,
            run=run,
            start=start,
            is_self_paced=is_self_paced,
        )
    return sorted(runs.values(), key=lambda offering: offering.run)


def _course(
    random: Random, offering: _Offering, *, earlier: Sequence[SampleCourse]
) -> SampleCourse:
    settings = {
        "display_name": offering.title,
        **_schedule(random, offering),
        **_presentation(random, offering),
        **_access(random, earlier),
        **_certificates(random, offering),
        **_exams(random),
        **_tabs(random),
    }
    chapters = _chapters(random, offering)
    return SampleCourse(
        course_key=offering.course_key,
        settings=settings | _messaging(random, chapters),
        content=_content(random, offering, settings),
        about=_about(random, offering),
        chapters=chapters,
        block_count=_block_count(random),
    )


def _schedule(random: Random, offering: _Offering) -> dict[str, Any]:
    start = offering.start
    end = start + timedelta(weeks=random.choice((4, 6, 8, 12, 16)), hours=15)
    settings: dict[str, Any] = {"start": start, "self_paced": offering.is_self_paced}
    if random.random() < 0.05:
        del settings["start"]  # Studio's default, 2030-01-01: not scheduled yet
    if random.random() < 0.8:
        settings["end"] = end
    if random.random() < 0.5:
        settings["enrollment_start"] = start - timedelta(days=random.choice((30, 60, 120)))
    if random.random() < 0.35:
        settings["enrollment_end"] = start + timedelta(days=random.choice((0, 7, 21)))
    if random.random() < 0.2:
        settings["announcement"] = start - timedelta(days=180)
    if random.random() < 0.15:
        soon = offering.university.phrases.soon
        settings["advertised_start"] = random.choice((soon, f"{start:%m/%Y}"))
    if random.random() < 0.06:
        settings["days_early_for_beta"] = random.choice((3.0, 7.0, 14.5))
    return settings


def _presentation(random: Random, offering: _Offering) -> dict[str, Any]:
    number = offering.number.lower()
    settings: dict[str, Any] = {"mobile_available": random.random() < 0.6}
    if random.random() < 0.92:
        settings["language"] = offering.university.phrases.language
    if random.random() < 0.85:
        settings["course_image"] = random.choice(IMAGE_NAMES).format(number=number)
    if random.random() < 0.25:
        settings["banner_image"] = f"banner-{number}.jpg"
    if random.random() < 0.4:
        settings["display_organization"] = offering.university.name
    if random.random() < 0.08:
        settings["display_coursenumber"] = f"{offering.number}.{random.randint(1, 3)}"
    if random.random() < 0.1:
        settings["social_sharing_url"] = f"https://courses.example.org/{number}"
    if random.random() < 0.06:
        settings["end_of_course_survey_url"] = f"https://survey.example.org/{number}"
    return settings


def _access(random: Random, earlier: Sequence[SampleCourse]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if earlier and random.random() < 0.1:
        settings["pre_requisite_courses"] = [random.choice(earlier).course_key]
    if random.random() < 0.07:
        settings["invitation_only"] = True
    if random.random() < 0.04:
        settings["visible_to_staff_only"] = True
    if random.random() < 0.1:
        settings["max_student_enrollments_allowed"] = random.choice((20, 150, 1000))
    if random.random() < 0.1:
        settings["catalog_visibility"] = random.choice(("about", "none"))
    if random.random() < 0.02:
        settings["enrollment_domain"] = "staff.example.org"
    return settings


def _certificates(random: Random, offering: _Offering) -> dict[str, Any]:
    if random.random() < 0.3:
        return {"cert_html_view_enabled": False} if random.random() < 0.3 else {}
    settings: dict[str, Any] = {
        "certificates": {"certificates": [_certificate(random, offering)]},
        "certificates_display_behavior": random.choice(("end", "end", "early_no_info")),
    }
    if random.random() < 0.2:
        settings["cert_name_short"] = "Certificate"
        settings["cert_name_long"] = f"Certificate of Achievement: {offering.title}"
    if random.random() < 0.1:
        settings["certificates_show_before_end"] = True
    return settings


def _certificate(random: Random, offering: _Offering) -> dict[str, Any]:
    signatory = {
        "id": 1,
        "name": random.choice(("Ines Varga", "Tomas Okoro", "Noor Haddad", "Lea Brandt")),
        "title": "Course lead",
        "organization": offering.university.name,
        "signature_image_path": "",
    }
    return {
        "id": random.randint(1, 2**31 - 1),
        "name": "Certificate of completion",
        "description": "",
        "course_title": offering.title,
        "version": 1,
        "editing": False,
        "is_active": random.random() < 0.8,
        "signatories": [signatory],
    }


def _exams(random: Random) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if random.random() < 0.06:
        settings["enable_proctored_exams"] = True
        settings["allow_proctoring_opt_out"] = random.random() < 0.5
        settings["proctoring_escalation_email"] = "exams@example.org"
    if random.random() < 0.04:
        settings["entrance_exam_enabled"] = True
        settings["entrance_exam_id"] = "entrance_exam"
        settings["entrance_exam_minimum_score_pct"] = random.choice((0.5, 0.65, 0.8))
    if random.random() < 0.03:
        settings["force_on_flexible_peer_openassessments"] = True
    return settings


def _tabs(random: Random) -> dict[str, Any]:
    if random.random() < 0.7:
        return {}
    tabs: list[dict[str, Any]] = [dict(tab) for tab in DEFAULT_TABS]
    if random.random() < 0.6:
        tabs.append({"type": "static_tab", "name": "Syllabus", "url_slug": "syllabus"})
    if random.random() < 0.3:
        link = "https://library.example.org/"
        tabs.append({"type": "external_link", "name": "Library", "link": link})
    if random.random() < 0.4:
        tabs[3]["is_hidden"] = True
    return {"tabs": tabs}


def _messaging(random: Random, chapters: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    has_highlights = any(chapter.get("highlights") for chapter in chapters)
    if has_highlights and random.random() < 0.85:
        return {"highlights_enabled_for_messaging": True}
    return {}


def _content(random: Random, offering: _Offering, settings: Mapping[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if random.random() < 0.7:
        content["grading_policy"] = _grading_policy(random)
    if "certificates" in settings and "end" in settings and random.random() < 0.3:
        content["certificate_available_date"] = settings["end"] + timedelta(days=14)
    return content


def _grading_policy(random: Random) -> dict[str, Any]:
    graders, cutoffs = random.choice(GRADING_POLICIES)
    return {
        "GRADER": [
            {
                "type": name,
                "short_label": short_label,
                "min_count": min_count,
                "drop_count": drop_count,
                "weight": weight,
            }
            for name, short_label, min_count, drop_count, weight in graders
        ],
        "GRADE_CUTOFFS": dict(cutoffs),
    }


def _about(random: Random, offering: _Offering) -> dict[str, str]:
    phrases = offering.university.phrases
    low = random.randint(2, 6)
    summary = phrases.short_description.format(title=offering.title)
    about = {"overview": f'<section class="about">\n  <p>{summary}</p>\n</section>\n'}
    if random.random() < 0.9:
        about["short_description"] = summary
    if random.random() < 0.8:
        about["effort"] = phrases.effort.format(low=low, high=low + random.randint(1, 4))
    if random.random() < 0.6:
        about["video"] = _video_embed(random)
    return about


def _video_embed(random: Random) -> str:
    video_id = "".join(random.choices(_VIDEO_ID_CHARACTERS, k=11))
    return (
        f'<iframe title="YouTube Video" width="560" height="315"'
        f' src="//www.youtube.com/embed/{video_id}?rel=0" frameborder="0" allowfullscreen></iframe>'
    )


def _chapters(random: Random, offering: _Offering) -> list[dict[str, Any]]:
    phrases = offering.university.phrases
    has_highlights = random.random() < 0.4
    chapters: list[dict[str, Any]] = []
    for number in range(1, random.choice((1, 3, 4, 6, 8)) + 1):
        chapter: dict[str, Any] = {"display_name": phrases.week.format(number=number)}
        if has_highlights and random.random() < 0.7:
            chapter["highlights"] = random.sample(phrases.highlights, k=random.randint(1, 3))
        if random.random() < 0.04:
            chapter["hide_from_toc"] = True
        chapters.append(chapter)
    return chapters


def _block_count(random: Random) -> int:
    if random.random() < 0.03:
        return random.randint(200, 600)
    return random.randint(5, 60)
