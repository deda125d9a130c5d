"""The lowest passing grade of a stored grading policy.

Follows ``CourseBlock.lowest_passing_grade`` and what Django's ``DecimalField`` and the SQL column
``decimal(5,2)`` make of it. Does no I/O.
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any

from overview_worker.builder.fields import BadValue, to_mapping

#: ``GRADE_CUTOFFS`` of the class default is ``{'Pass': 0.5}``.
DEFAULT_LOWEST_PASSING_GRADE = Decimal("0.50")

#: What ``DecimalField(max_digits=5)`` makes a decimal of a float with; texts and ints stay exact.
_FIVE_DIGITS = Context(prec=5)
#: Enough for four digits before the point and two after it.
_SEVEN_DIGITS = Context(prec=7)
_TWO_PLACES = Decimal("0.01")
_ZERO = Decimal("0.00")
#: The first absolute value that ``decimal(5,2)`` cannot hold.
_LIMIT = 1000


def to_lowest_passing_grade(policy: object) -> Decimal | None:
    """Return the smallest cutoff of a grading policy with two decimals, None when there is none.

    Raises ``BadValue`` for cutoffs that cannot be compared or do not fit ``decimal(5,2)``.
    """
    cutoffs = to_mapping(policy)
    if "GRADE_CUTOFFS" not in cutoffs:
        return DEFAULT_LOWEST_PASSING_GRADE
    lowest = _lowest(to_mapping(cutoffs["GRADE_CUTOFFS"]).values())
    return None if lowest is None else _in_column(_to_decimal(lowest))


def _lowest(cutoffs: Iterable[object]) -> int | float | str | None:
    values: list[Any] = list(cutoffs)
    if not all(value is None or isinstance(value, int | float | str) for value in values):
        raise BadValue("a cutoff that is not a number")
    try:
        lowest: int | float | str | None = min(values, default=None)
    except TypeError as error:
        raise BadValue("cutoffs of different types") from error
    return lowest


def _to_decimal(cutoff: int | float | str) -> Decimal:
    try:
        if isinstance(cutoff, float):
            number = _FIVE_DIGITS.create_decimal_from_float(cutoff)
        else:
            number = Decimal(cutoff)
    except (InvalidOperation, ValueError) as error:
        raise BadValue("a cutoff that is not a number") from error
    if not number.is_finite():
        raise BadValue("a cutoff that is not a finite number")
    return number


def _in_column(number: Decimal) -> Decimal:
    """Round half up, away from zero, as MySQL and MariaDB do on the way into the column."""
    if number and number.adjusted() > 3:
        raise BadValue("a cutoff of 1000 or more")
    rounded = number.quantize(_TWO_PLACES, rounding=ROUND_HALF_UP, context=_SEVEN_DIGITS)
    if abs(rounded) >= _LIMIT:
        raise BadValue("a cutoff of 1000 or more")
    return rounded or _ZERO
