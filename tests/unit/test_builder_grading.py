"""The lowest passing grade, with the rounding of its column."""

from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64

from tests.builder_courses import build, column, degraded_fields


def _grade(policy: object) -> Decimal | None:
    built = build(definition={"grading_policy": policy})
    assert built.degradations == ()
    grade: Decimal | None = column(built, "lowest_passing_grade")
    return grade


@pytest.mark.parametrize("policy", [{}, {"GRADER": []}, {"GRADER": None}])
def test_a_policy_without_cutoffs_passes_at_one_half(policy: object) -> None:
    assert str(_grade(policy)) == "0.50"
    assert str(column(build(), "lowest_passing_grade")) == "0.50"


@pytest.mark.parametrize("cutoffs", [{}, {"Pass": None}])
def test_no_cutoff_or_a_single_null_gives_null(cutoffs: object) -> None:
    assert _grade({"GRADE_CUTOFFS": cutoffs}) is None


@pytest.mark.parametrize(
    ("cutoffs", "expected"),
    [
        ({"A": 0.9, "B": 0.8, "D": 0.6}, "0.60"),
        ({"Pass": 0}, "0.00"),
        ({"Pass": -0.001}, "0.00"),
        ({"Pass": 1}, "1.00"),
        ({"Pass": Int64(1)}, "1.00"),
        ({"Pass": True}, "1.00"),
        ({"Pass": -0.5}, "-0.50"),
        ({"Pass": 0.335}, "0.34"),
        ({"Pass": 0.325}, "0.33"),
        ({"Pass": -0.325}, "-0.33"),
        ({"Pass": 0.005}, "0.01"),
        ({"Pass": 1.005}, "1.01"),
        ({"Pass": 0.6666666666}, "0.67"),
        ({"A": 0.9, "Pass": 0.30000000000000004}, "0.30"),
        ({"Pass": 0.3249999}, "0.33"),
        ({"Pass": 0.32499}, "0.32"),
        ({"Pass": "0.3249999"}, "0.32"),
        ({"Pass": "0.325"}, "0.33"),
        ({"Pass": " 0.5 "}, "0.50"),
        ({"Pass": "5E-1"}, "0.50"),
        ({"A": "0.9", "B": "0.10"}, "0.10"),
        ({"A": "abc", "B": "0.5"}, "0.50"),
        ({"Pass": 999.99}, "999.99"),
        ({"Pass": -999.994}, "-999.99"),
        ({"A": 0.5, "B": float("nan")}, "0.50"),
    ],
)
def test_the_lowest_cutoff_is_rounded_as_its_column_does(cutoffs: object, expected: str) -> None:
    assert str(_grade({"GRADE_CUTOFFS": cutoffs})) == expected


BAD_POLICIES: list[Any] = [
    None,
    [],
    "policy",
    {"GRADE_CUTOFFS": None},
    {"GRADE_CUTOFFS": []},
    {"GRADE_CUTOFFS": [0.5]},
    {"GRADE_CUTOFFS": {"A": "0.9", "B": 0.5}},
    {"GRADE_CUTOFFS": {"A": None, "B": 0.5}},
    {"GRADE_CUTOFFS": {"A": None, "B": None}},
    {"GRADE_CUTOFFS": {"Pass": "abc"}},
    {"GRADE_CUTOFFS": {"Pass": ""}},
    {"GRADE_CUTOFFS": {"Pass": "\ud800"}},
    {"GRADE_CUTOFFS": {"Pass": "NaN"}},
    {"GRADE_CUTOFFS": {"Pass": float("nan")}},
    {"GRADE_CUTOFFS": {"Pass": float("-inf")}},
    {"GRADE_CUTOFFS": {"Pass": 1000}},
    {"GRADE_CUTOFFS": {"Pass": 999.995}},
    {"GRADE_CUTOFFS": {"Pass": "999.995"}},
    {"GRADE_CUTOFFS": {"Pass": -1000.5}},
    {"GRADE_CUTOFFS": {"Pass": 10**5000}},
    {"GRADE_CUTOFFS": {"Pass": "1E+999999"}},
    {"GRADE_CUTOFFS": {"Pass": [0, [5], -1]}},
    {"GRADE_CUTOFFS": {"Pass": {}}},
    {"GRADE_CUTOFFS": {"Pass": datetime(2020, 1, 1, tzinfo=UTC)}},
    {"GRADE_CUTOFFS": {"Pass": Decimal128("0.5")}},
]


@pytest.mark.parametrize("policy", BAD_POLICIES, ids=range(len(BAD_POLICIES)))
def test_a_bad_policy_is_degraded_to_one_half(policy: object) -> None:
    built = build(definition={"grading_policy": policy})

    assert str(column(built, "lowest_passing_grade")) == "0.50"
    assert degraded_fields(built) == ["grading_policy"]


def test_the_decimal_context_of_the_caller_does_not_matter() -> None:
    with localcontext() as context:
        context.prec = 1
        context.traps = dict.fromkeys(context.traps, False)
        grade = _grade({"GRADE_CUTOFFS": {"Pass": 0.335}})

    assert str(grade) == "0.34"
