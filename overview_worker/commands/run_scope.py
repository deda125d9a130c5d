"""Which courses a rebuild run is to have, and how thoroughly: from arguments to a ``RunRequest``."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence

from django.core.management.base import CommandError

from lms_integration.conf import MAX_BULK_LANES
from lms_integration.data import COURSE_OVERVIEW_VERSION
from lms_integration.models import CourseOverview, OverviewState, RunDepth, RunOrigin, RunScope
from lms_integration.rebuild_desk import MAX_NAMED_COURSES, RunRequest
from overview_worker.bootstrap import dependencies
from overview_worker.commands.base import EXIT_USAGE, account_name, parse_course_keys

#: Keys in one query.
_PAGE = 500


def add_scope_arguments(parser: ArgumentParser) -> None:
    """Add what says which courses: exactly one of them is to be given."""
    which = parser.add_argument_group("which courses (one of these)")
    which.add_argument(
        "courses",
        nargs="*",
        metavar="COURSE",
        help="these courses, such as course-v1:OpenedX+DemoX+DemoCourse, stale or not",
    )
    which.add_argument("--all", action="store_true", help="every course")
    which.add_argument(
        "--org", metavar="ORG", help="every course of one organisation, in any case of letters"
    )
    which.add_argument(
        "--stale",
        action="store_true",
        help="every course whose row is not what the course index says; the same as --all",
    )
    which.add_argument(
        "--version-below",
        type=_positive_whole,
        metavar="N",
        help="every course whose row was built for a schema older than N, at most "
        f"{COURSE_OVERVIEW_VERSION}, which this release writes",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="with --all or --org: read, build and write every one of them, stale or not",
    )


def scope_problem(arguments: Namespace) -> str | None:
    """Return what is wrong with the choice of courses, or None."""
    given = [name for name, value in _scopes(arguments) if value]
    if len(given) > 1:
        return f"{' and '.join(given)} exclude each other: give one of them"
    if not given:
        return "name some courses, or use --all, --org, --stale or --version-below"
    if arguments.force and (arguments.stale or arguments.version_below):
        return f"--force means every course, not those of {given[0]}: use --all --force"
    if (arguments.version_below or 0) > COURSE_OVERVIEW_VERSION:
        return (
            f"--version-below {arguments.version_below}: this release writes rows of schema "
            f"{COURSE_OVERVIEW_VERSION}, so every row would be rewritten, each time; "
            f"{COURSE_OVERVIEW_VERSION} is the most"
        )
    if len(arguments.courses) > MAX_NAMED_COURSES:
        return f"{len(arguments.courses)} courses are named, {MAX_NAMED_COURSES} is the most"
    return None


def is_scope_given(arguments: Namespace) -> bool:
    """Return whether any courses are chosen."""
    return any(value for _, value in _scopes(arguments))


def request_of(arguments: Namespace) -> RunRequest:
    """Return the run that the arguments ask for; named courses are looked up.

    Raises:
        CommandError: the choice makes no sense, or a named course is unknown.
        OverviewError: the course index did not answer.
    """
    problem = scope_problem(arguments)
    if problem is not None:
        raise CommandError(problem, returncode=EXIT_USAGE)
    keys = parse_course_keys(arguments.courses)
    refuse_unknown(keys)
    return RunRequest(
        scope=_scope(arguments),
        depth=_depth(arguments),
        org=arguments.org or "",
        course_keys=keys,
        version_below=arguments.version_below,
        rate=arguments.rate,
        lane_count=arguments.lanes,
        reason=arguments.reason,
        asked_by=account_name(),
        asked_from=RunOrigin.COMMAND,
    )


def plain_request(course_keys: Sequence[str], *, everything: bool, reason: str) -> RunRequest:
    """Return a run of the named courses, or of all if none is named: of stale ones, or ``everything``.

    Raises:
        CommandError: a key is wrong, or a named course is unknown.
        OverviewError: the course index did not answer.
    """
    keys = parse_course_keys(course_keys)
    refuse_unknown(keys)
    return RunRequest(
        scope=RunScope.COURSES if keys else RunScope.ALL,
        depth=RunDepth.REWRITE if everything else RunDepth.STALE,
        course_keys=keys,
        asked_by=account_name(),
        asked_from=RunOrigin.COMMAND,
        reason=reason,
    )


def refuse_unknown(course_keys: Sequence[str]) -> None:
    """Refuse courses that are neither in the course index nor have a row: a slip of the pen.

    Raises:
        CommandError: with one line a course, so that nothing is half done.
        OverviewError: the course index did not answer.
    """
    published = dependencies().modulestore.find_published(course_keys)
    missing = [key for key in course_keys if key not in published]
    stored = _with_overview(missing)
    unknown = [key for key in missing if key not in stored]
    if unknown:
        raise CommandError(
            "\n".join(f"{key}: no such course with a published branch" for key in unknown)
        )


def _scopes(arguments: Namespace) -> list[tuple[str, object]]:
    return [
        ("course keys", arguments.courses),
        ("--all", arguments.all),
        ("--org", arguments.org),
        ("--stale", arguments.stale),
        ("--version-below", arguments.version_below),
    ]


def _scope(arguments: Namespace) -> RunScope:
    if arguments.courses:
        return RunScope.COURSES
    return RunScope.ORG if arguments.org else RunScope.ALL


def _depth(arguments: Namespace) -> RunDepth:
    if arguments.version_below:
        return RunDepth.OLD
    return RunDepth.REWRITE if arguments.force or arguments.courses else RunDepth.STALE


def _with_overview(course_keys: Sequence[str]) -> set[str]:
    """Return those that have a row, or a state that says so; compared exactly, whatever the collation."""
    found: set[str] = set()
    for start in range(0, len(course_keys), _PAGE):
        page = course_keys[start : start + _PAGE]
        found |= set(CourseOverview.objects.filter(id__in=page).values_list("id", flat=True))
        found |= set(
            OverviewState.objects.filter(course_key__in=page, deleted=False)
            .exclude(source_version="")
            .values_list("course_key", flat=True)
        )
    return found


def _positive_whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:12]) < 2**31):
        raise ArgumentTypeError(f"{text!r} is no schema version: a whole number, at least 1")
    return int(text)


def lane_count(text: str) -> int:
    """Return a number of lanes.

    Raises:
        ArgumentTypeError: the text is none.
    """
    if not (text.isascii() and text.isdigit() and 0 < int(text[:12]) <= MAX_BULK_LANES):
        raise ArgumentTypeError(f"{text!r} is no number of lanes: 1 to {MAX_BULK_LANES}")
    return int(text)
