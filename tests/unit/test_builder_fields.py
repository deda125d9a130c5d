"""Texts, booleans, numbers and e-mail addresses, and what happens to bad ones."""

from typing import Any

import pytest
from bson.binary import Binary
from bson.code import Code
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from overview_worker.builder.emails import to_email
from overview_worker.builder.fields import BadValue, to_boolean, to_float, to_integer, to_text
from overview_worker.errors import MalformedCourse
from tests.builder_courses import build, column, degraded_fields

NOT_TEXTS = [5, 0, False, 1.5, [], {}, b"text", ObjectId("5" * 24), object()]

#: Text columns that any bad value leaves with this default.
TEXT_DEFAULTS = {
    "display_name": "Empty",
    "advertised_start": None,
    "social_sharing_url": None,
    "end_of_course_survey_url": None,
    "cert_name_short": "",
    "cert_name_long": "",
    "language": None,
    "entrance_exam_id": "",
}
BOOLEAN_DEFAULTS = {
    "certificates_show_before_end": False,
    "cert_html_view_enabled": True,
    "mobile_available": False,
    "visible_to_staff_only": False,
    "invitation_only": False,
    "self_paced": False,
    "enable_proctored_exams": False,
    "allow_proctoring_opt_out": False,
    "entrance_exam_enabled": False,
    "force_on_flexible_peer_openassessments": False,
}


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "",
        "  leading and trailing  ",
        "line\nbreak\ttab",
        "🚀 é 日本",
        "x" * 3_000_000,
    ],
)
def test_a_text_is_kept_as_it_is(stored: str | None) -> None:
    assert to_text(stored) == stored


def test_a_subclass_of_str_becomes_a_plain_str() -> None:
    assert type(to_text(Code("text"))) is str
    assert type(to_email(Code("a@example.com"))) is str


@pytest.mark.parametrize("stored", NOT_TEXTS)
def test_what_is_not_a_text_or_not_storable_is_refused(stored: object) -> None:
    with pytest.raises(BadValue):
        to_text(stored)


@pytest.mark.parametrize(("field", "default"), TEXT_DEFAULTS.items())
@pytest.mark.parametrize("stored", [5, ["x"]])
def test_a_bad_text_takes_the_default_of_its_column(
    field: str, default: str | None, stored: object
) -> None:
    built = build({field: stored})

    assert column(built, field) == column(build(), field) == default
    assert degraded_fields(built) == [field]


@pytest.mark.parametrize("field", ["enrollment_domain", "catalog_visibility"])
@pytest.mark.parametrize("stored", [5, []])
def test_a_bad_text_that_decides_access_refuses_the_course(field: str, stored: object) -> None:
    with pytest.raises(MalformedCourse) as refusal:
        build({field: stored})

    assert refusal.value.field == field


@pytest.mark.parametrize("field", ["enrollment_domain", "catalog_visibility", *TEXT_DEFAULTS])
def test_every_text_column_keeps_its_stored_text(field: str) -> None:
    built = build({field: " weird é "})

    assert column(built, field) == " weird é "
    assert built.degradations == ()


@pytest.mark.parametrize("field", ["enrollment_domain", "catalog_visibility", "display_name"])
def test_an_explicit_null_text_stays_null(field: str) -> None:
    built = build({field: None})

    assert column(built, field) is None
    assert built.degradations == ()


@pytest.mark.parametrize("field", ["cert_name_short", "cert_name_long"])
def test_a_null_certificate_name_is_degraded_because_its_column_is_not_null(field: str) -> None:
    built = build({field: None})

    assert column(built, field) == ""
    assert degraded_fields(built) == [field]


def test_an_entrance_exam_id_longer_than_its_column_is_degraded() -> None:
    fits, too_long = build({"entrance_exam_id": "x" * 255}), build({"entrance_exam_id": "x" * 256})

    assert column(fits, "entrance_exam_id") == "x" * 255
    assert column(too_long, "entrance_exam_id") == ""
    assert degraded_fields(too_long) == ["entrance_exam_id"]


def test_a_null_entrance_exam_id_is_empty() -> None:
    built = build({"entrance_exam_id": None})

    assert column(built, "entrance_exam_id") == ""
    assert built.degradations == ()


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (True, True),
        ("true", True),
        ("TrUe", True),
        ("yes", False),
        ("1", False),
        (" true", False),
        ("", False),
        (None, False),
        (1, True),
        (0, False),
        (Int64(1), True),
        (0.0, False),
        (-1, True),
        (float("nan"), True),
        ([], False),
        (["false"], True),
        ({}, False),
        (b"TRUE", True),
        (b"\xff", False),
        ("\ud800", False),
        (ObjectId("5" * 24), True),
    ],
)
def test_a_boolean_is_the_text_true_or_any_other_truthy_value(
    stored: object, expected: bool
) -> None:
    assert to_boolean(stored) is expected


@pytest.mark.parametrize(("field", "default"), BOOLEAN_DEFAULTS.items())
def test_every_boolean_column_has_its_default_and_no_bad_value(field: str, default: bool) -> None:
    assert column(build(), field) is default
    assert column(build({field: None}), field) is False
    assert column(build({field: "true"}), field) is True
    assert column(build({field: {"odd": 1}}), field) is True
    assert build({field: {"odd": 1}}).degradations == ()


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (None, None),
        ("", None),
        (100, 100),
        (Int64(100), 100),
        ("25", 25),
        (" 25 ", 25),
        (12.9, 12),
        (-12.9, -12),
        (True, 1),
        (2**31 - 1, 2**31 - 1),
        (-(2**31), -(2**31)),
    ],
)
def test_an_integer_is_what_int_makes_of_it(stored: object, expected: int | None) -> None:
    converted = to_integer(stored)

    assert converted == expected
    assert type(converted) in (int, type(None))


BAD_INTEGERS: list[Any] = [
    "abc",
    "12.9",
    "9" * 5000,
    99999999999,
    2**31,
    -(2**31) - 1,
    10**5000,
    float("nan"),
    float("inf"),
    1e300,
    [],
    {},
    Decimal128("5"),
    object(),
]


@pytest.mark.parametrize("stored", BAD_INTEGERS, ids=lambda value: type(value).__name__)
def test_a_bad_enrolment_limit_refuses_the_course(stored: object) -> None:
    with pytest.raises(MalformedCourse) as refusal:
        build({"max_student_enrollments_allowed": stored})

    assert refusal.value.field == "max_student_enrollments_allowed"
    assert len(refusal.value.value) < 200


@pytest.mark.parametrize(
    ("stored", "expected"),
    [(None, None), ("", None), (5.5, 5.5), (0, 0.0), ("3", 3.0), (True, 1.0), (Int64(3), 3.0)],
)
def test_a_float_is_what_float_makes_of_it(stored: object, expected: float | None) -> None:
    converted = to_float(stored)

    assert converted == expected
    assert type(converted) in (float, type(None))


@pytest.mark.parametrize(
    "stored", ["abc", "nan", "inf", float("-inf"), 10**400, [], Decimal128("5")]
)
def test_a_bad_number_of_days_is_degraded(stored: object) -> None:
    built = build({"days_early_for_beta": stored})

    assert column(built, "days_early_for_beta") is None
    assert degraded_fields(built) == ["days_early_for_beta"]


@pytest.mark.parametrize(("stored", "expected"), [(50, 50.0), (0.5, 0.5), (0, 0.0), ("70", 70.0)])
def test_a_stored_entrance_exam_score_is_never_divided(stored: object, expected: float) -> None:
    assert column(build({"entrance_exam_minimum_score_pct": stored}), SCORE) == expected


@pytest.mark.parametrize("stored", [None, "", "abc", float("nan")])
def test_an_entrance_exam_score_without_a_number_is_degraded(stored: object) -> None:
    built = build({"entrance_exam_minimum_score_pct": stored})

    assert column(built, SCORE) == column(build(), SCORE) == 0.65
    assert degraded_fields(built) == [SCORE]


SCORE = "entrance_exam_minimum_score_pct"


@pytest.mark.parametrize("stored", [None, "", 0, [], False])
def test_a_falsy_email_is_none(stored: object) -> None:
    built = build({"proctoring_escalation_email": stored})

    assert column(built, "proctoring_escalation_email") is None
    assert built.degradations == ()


@pytest.mark.parametrize(
    "stored",
    ["not-an-email", "a@b", "a b@example.com", " a@example.com", 5, ["@"], {"@": 1}, "\ud800@a.bc"],
)
def test_a_bad_email_is_degraded(stored: object) -> None:
    built = build({"proctoring_escalation_email": stored})

    assert column(built, "proctoring_escalation_email") is None
    assert degraded_fields(built) == ["proctoring_escalation_email"]


def _django_takes(address: str) -> bool:
    try:
        validate_email(address)
    except ValidationError:
        return False
    return True


@given(
    st.one_of(
        st.emails(),
        st.text(max_size=30),
        st.text(alphabet='ab.-_"\\ @[]:1é\n', max_size=20).map(lambda text: f"a@{text}"),
        st.text(alphabet='ab.-_"\\ @[]:1é\n', max_size=20).map(lambda text: f"{text}@b.cd"),
    ).filter(bool)
)
@example("a@localhost")
@example("a@[127.0.0.1]")
@example("a@[::1]")
@example("a@[1.2.3]")
@example('"quoted\\ part"@example.com')
@example("a@пример.рф")
@example("a@" + "b" * 64 + ".com")
@example("a" * 310 + "@example.com")
@example("a@b.c")
@example("a@b.cd\n")
@example("a\n@b.cd")
@example("a@-b.cd")
@example("a@b.cd-")
def test_addresses_are_accepted_exactly_where_django_accepts_them(address: str) -> None:
    try:
        accepted = to_email(address) == address
    except BadValue:
        accepted = False

    assert accepted == _django_takes(address)


def test_a_degradation_shows_a_long_value_cut_and_a_monster_by_its_type() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]

    built = build({"language": ["x" * 5000], "advertised_start": 10**5000, "display_name": nested})

    assert degraded_fields(built) == ["display_name", "advertised_start", "language"]
    assert all(len(degradation.value) < 200 for degradation in built.degradations)
    while nested:  # CPython frees a nest this deep only from the outside in
        nested = nested.pop()


def test_a_bad_explicit_value_falls_back_to_the_defaults_of_its_block() -> None:
    built = build({"language": 5}, defaults={"language": "fr"})

    assert column(built, "language") == "fr"
    assert degraded_fields(built) == ["language"]


def test_a_bad_value_among_the_defaults_of_a_block_is_degraded_once() -> None:
    built = build(defaults={"language": Binary(b"fr")})

    assert column(built, "language") is None
    assert degraded_fields(built) == ["language"]


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ("a\x00b\x08c\x0bd\x0ce\x1ff", "abcdef"),
        ("tab\tline\nreturn\r", "tab\tline\nreturn\r"),
        ("lone \ud800 surrogate", "lone  surrogate"),
        ("\ufffe\uffff", ""),
        ("emoji \U0001f600 stays", "emoji \U0001f600 stays"),
    ],
)
def test_characters_that_xml_forbids_are_left_out_of_texts_as_xblock_does(stored, read):
    assert to_text(stored) == read
    built = build({"display_name": stored})
    assert column(built, "display_name") == read
    assert degraded_fields(built) == []
