"""Two releases side by side: whose rows stand, and who rebuilds for a version's sake."""

import pytest

from overview_worker.versions import (
    RowVersions,
    Target,
    is_to_be_raised,
    leaves_alone,
    rebuilds_other_versions,
)

OLD = RowVersions(builder=1, schema=19)
OWN = RowVersions(builder=2, schema=19)
NEW = RowVersions(builder=3, schema=19)


@pytest.mark.parametrize("target", [None, OLD, OWN, NEW])
def test_a_release_never_leaves_its_own_rows_alone(target):
    assert not leaves_alone(OWN, own=OWN, target=target)


@pytest.mark.parametrize("row", [OLD, OWN, NEW])
def test_the_target_release_writes_over_every_other(row):
    assert not leaves_alone(row, own=OWN, target=OWN)


def test_an_older_release_leaves_rows_of_the_target_alone():
    assert leaves_alone(NEW, own=OWN, target=NEW)


def test_a_newer_release_leaves_rows_alone_that_were_rolled_back():
    assert leaves_alone(OLD, own=OWN, target=OLD)


def test_a_release_writes_over_what_is_neither_its_own_nor_the_target_and_older():
    assert not leaves_alone(OLD, own=OWN, target=NEW)


def test_without_a_target_newer_rows_stand():
    assert leaves_alone(NEW, own=OWN, target=None)
    assert not leaves_alone(OLD, own=OWN, target=None)


def test_a_schema_is_newer_within_a_builder_and_a_builder_counts_first():
    assert RowVersions(builder=2, schema=20) > OWN
    assert RowVersions(builder=3, schema=18) > OWN


def test_only_the_target_release_rebuilds_for_the_versions_sake():
    assert rebuilds_other_versions(own=OWN, target=OWN)
    assert rebuilds_other_versions(own=OWN, target=None)
    assert not rebuilds_other_versions(own=OWN, target=NEW)
    assert not rebuilds_other_versions(own=OWN, target=OLD)


def test_a_newer_release_makes_itself_the_target_and_an_older_one_does_not():
    assert is_to_be_raised(None, own=OWN)
    assert is_to_be_raised(Target(versions=OLD), own=OWN)
    assert not is_to_be_raised(Target(versions=OWN), own=OWN)
    assert not is_to_be_raised(Target(versions=NEW), own=OWN)


def test_a_roll_back_is_not_undone_by_the_newer_release_that_still_runs():
    assert not is_to_be_raised(Target(versions=OLD, is_pinned=True), own=OWN)
