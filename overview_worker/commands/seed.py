"""``overview seed``: invented learners, enrolments, modes and certificates, at any size."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management.base import CommandError
from django.db import transaction
from django.utils import timezone
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from lms_integration.models import CourseOverview
from lms_integration.platform_tables.models import (
    CourseEnrollment,
    CourseMode,
    GeneratedCertificate,
    UserProfile,
)
from overview_worker.commands.base import EXIT_OK, EXIT_USAGE, Subcommand
from overview_worker.commands.seeding import SeedCourse, SeedLearner, seed_learners, seed_modes

DEFAULT_LEARNERS = 1000
DEFAULT_ENROLLMENTS = 20
DEFAULT_PREFIX = "seed_"
#: Rows of one INSERT.
_ROWS_AT_ONCE = 5000
#: Enrolments of one transaction: an interrupted run has lost at most those.
_ENROLLMENTS_AT_ONCE = 10_000

DESCRIPTION = """\
Fill the database with invented learners of the courses that have an overview: enrolments, course
modes and certificates, for demonstrations and load tests. The same numbers give the same learners;
asking twice adds nothing, asking for more adds the rest, and after Ctrl-C the next run goes on.

Nothing is invented for the overviews: build those first with `overview reindex --all`.
Not for a platform's own database.

examples:
  overview seed                                   1,000 learners with 20 courses each
  overview seed --learners 50000                  a million enrolments
  overview seed --learners 1 --password secret    somebody to sign in as: seed_000001
  overview seed --remove                          all of them go again, with what is theirs
"""


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--learners",
        type=_count,
        default=DEFAULT_LEARNERS,
        metavar="N",
        help="how many learners there shall be (default: %(default)s)",
    )
    parser.add_argument(
        "--enrollments",
        type=_count,
        default=DEFAULT_ENROLLMENTS,
        metavar="N",
        help="courses of each learner (default: %(default)s)",
    )
    parser.add_argument(
        "--password", help="let them sign in with it; without it nobody can sign in as one of them"
    )
    parser.add_argument(
        "--prefix",
        default=DEFAULT_PREFIX,
        help="what their usernames begin with (default: %(default)s)",
    )
    parser.add_argument("--remove", action="store_true", help="remove the learners of that prefix")


def _count(text: str) -> int:
    if not text.isdigit():
        raise ArgumentTypeError(f"{text!r} is not a number of learners or courses")
    return int(text)


def _run(arguments: Namespace, console: Console) -> int:
    if getattr(settings, "OVERVIEW_PLATFORM_TABLES_EXIST", False):
        raise CommandError(
            "this database is a platform's (OVERVIEW_PLATFORM_TABLES=existing): invented learners "
            "do not belong there",
            returncode=EXIT_USAGE,
        )
    if not arguments.prefix:
        raise CommandError("--prefix may not be empty", returncode=EXIT_USAGE)
    if arguments.remove:
        return _remove(arguments.prefix, console)
    courses = [
        SeedCourse(course_id=course_id, end=end)
        for course_id, end in CourseOverview.objects.order_by("id").values_list("id", "end")
    ]
    if not courses:
        raise CommandError("no course has an overview yet: overview reindex --all")
    _add_modes(courses)
    added = _add_learners(arguments, courses, console)
    console.print(
        f"{arguments.learners} learners in {len(courses)} courses: {added} enrolments added"
    )
    return EXIT_OK


def _add_modes(courses: Sequence[SeedCourse]) -> None:
    modes = [
        CourseMode(
            course_id=course.course_id,
            mode_slug=slug,
            mode_display_name=slug.capitalize(),
            min_price=price,
        )
        for course in courses
        for slug, price in seed_modes(course.course_id).items()
    ]
    CourseMode.objects.bulk_create(modes, batch_size=_ROWS_AT_ONCE, ignore_conflicts=True)


def _add_learners(arguments: Namespace, courses: Sequence[SeedCourse], console: Console) -> int:
    now = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    password = make_password(arguments.password)
    size = max(1, _ENROLLMENTS_AT_ONCE // max(1, arguments.enrollments))
    before = CourseEnrollment.objects.count()
    with _progress(console) as progress:
        task = progress.add_task("learners", total=arguments.learners)
        for start in range(1, arguments.learners + 1, size):
            numbers = range(start, min(start + size, arguments.learners + 1))
            learners = list(
                seed_learners(
                    courses,
                    numbers=numbers,
                    enrollment_count=arguments.enrollments,
                    prefix=arguments.prefix,
                    now=now,
                )
            )
            _write(learners, password=password)
            progress.advance(task, len(learners))
    return CourseEnrollment.objects.count() - before


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


@transaction.atomic
def _write(learners: Sequence[SeedLearner], *, password: str) -> None:
    User.objects.bulk_create(
        [
            User(
                username=learner.username,
                email=learner.email,
                password=password,
                date_joined=learner.joined,
            )
            for learner in learners
        ],
        ignore_conflicts=True,
    )
    ids = dict(
        User.objects.filter(username__in=[learner.username for learner in learners]).values_list(
            "username", "id"
        )
    )
    UserProfile.objects.bulk_create(
        [UserProfile(user_id=ids[learner.username], name=learner.name) for learner in learners],
        ignore_conflicts=True,
    )
    pairs = [
        (ids[learner.username], learner.name, enrollment)
        for learner in learners
        for enrollment in learner.enrollments
    ]
    CourseEnrollment.objects.bulk_create(
        [
            CourseEnrollment(
                user_id=user_id,
                course_id=enrollment.course_id,
                mode=enrollment.mode,
                is_active=enrollment.is_active,
                created=enrollment.created,
            )
            for user_id, _, enrollment in pairs
        ],
        batch_size=_ROWS_AT_ONCE,
        ignore_conflicts=True,
    )
    GeneratedCertificate.objects.bulk_create(
        [
            GeneratedCertificate(
                user_id=user_id,
                course_id=enrollment.course_id,
                verify_uuid=enrollment.verify_uuid,
                status="downloadable",
                mode=enrollment.mode,
                grade="0.9",
                name=name,
            )
            for user_id, name, enrollment in pairs
            if enrollment.has_certificate
        ],
        ignore_conflicts=True,
    )


def _remove(prefix: str, console: Console) -> int:
    learners = User.objects.filter(username__startswith=prefix)
    total = learners.count()
    with _progress(console) as progress:
        task = progress.add_task("learners", total=total)
        while ids := list(learners.values_list("id", flat=True)[:500]):
            with transaction.atomic():
                User.objects.filter(id__in=ids).delete()
            progress.advance(task, len(ids))
    console.print(f"{total} learners removed, with what was theirs")
    return EXIT_OK


COMMAND = Subcommand(
    name="seed",
    summary="invent learners and enrolments, for demonstrations and load tests",
    description=DESCRIPTION,
    add_arguments=_add_arguments,
    run=_run,
)
