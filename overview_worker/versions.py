"""Two releases of the workers side by side: whose row is left alone, and when all are rebuilt.

Rows are to be of one *target*: a builder and a schema version, kept in SQL. The release that is the
target rebuilds what is of another version; other releases keep publishes flowing and leave rows alone
that differ from what they would write by their version only. Does no I/O and knows no framework.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, order=True, slots=True)
class RowVersions:
    """By which builder, and for which schema, a row was built; the greater one is the newer."""

    builder: int
    schema: int

    def __str__(self) -> str:
        return f"builder {self.builder}, schema {self.schema}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What rows are to be of."""

    versions: RowVersions
    is_pinned: bool = False  #: a person has set it: no release raises it by itself


def leaves_alone(row: RowVersions, *, own: RowVersions, target: RowVersions | None) -> bool:
    """Whether a release leaves a row that is built from the published version to another release.

    ``target`` is None where nobody has set one: then the newer release's rows stand.
    """
    if row == own or own == target:
        return False
    return row == target or row > own


def rebuilds_other_versions(*, own: RowVersions, target: RowVersions | None) -> bool:
    """Whether a release is the one to rebuild rows for their version's sake."""
    return target is None or own == target


def is_to_be_raised(target: Target | None, *, own: RowVersions) -> bool:
    """Whether a release that has just been started makes itself the target."""
    return target is None or (not target.is_pinned and own > target.versions)
