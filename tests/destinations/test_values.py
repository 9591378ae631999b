from decimal import Decimal
from typing import Any

import pytest

from reverse_etl_assets.destinations.values import (
    canonical,
    key_value,
    number_text,
    plain_text,
    same_value,
    utc_milliseconds,
)
from reverse_etl_assets.records import FieldType


@pytest.mark.parametrize("number", [0, -7, 10**40, 0.1, 1e-7, -1e22, 5e-324, 1.7976931348623157e308])
def test_a_number_as_text_is_the_same_number_without_an_exponent(number: float) -> None:
    assert "e" not in number_text(number).lower()
    assert type(number)(number_text(number)) == number


@pytest.mark.parametrize(
    ("digits", "text"),
    [("1.50", "1.50"), ("1E+3", "1000"), ("-1E-9", "-0.000000001"), ("12345678901234567.890", "12345678901234567.890")],
)
def test_a_decimal_keeps_its_digits(digits: str, text: str) -> None:
    assert number_text(Decimal(digits)) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-01-31T12:00:00.123999Z", "2026-01-31T12:00:00.123Z"),
        ("2026-01-31T12:00:00.123999+01:00", "2026-01-31T11:00:00.123Z"),
        ("2026-01-31T12:00:00.000000Z", "2026-01-31T12:00:00.000Z"),
    ],
)
def test_times_are_cut_to_milliseconds(text: str, shown: str) -> None:
    assert utc_milliseconds(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00+01:00",
        "2026-01-31T12:00:00.123Z",
        "2026-01-31 12:00:00+00",
        "2026-01-31T12:00:00",
        "1769860800000",
        "soon",
        "2026-99-31T12:00:00.123456Z",
        "",
    ],
)
def test_every_other_text_stays_as_it_is(text: str) -> None:
    assert utc_milliseconds(text) == text


def test_plain_text() -> None:
    values = ["a", True, False, 1, 1.5, Decimal("1.50"), {"a": None}, ["x"]]
    assert [plain_text(value) for value in values] == ["a", "true", "false", "1", "1.5", "1.50", '{"a":null}', '["x"]']


def test_keys_are_numbers_only_if_the_column_is_one() -> None:
    assert key_value(FieldType.TEXT, "007") == "007"
    assert key_value(FieldType.INTEGER, "7") == Decimal(7)
    assert key_value(FieldType.INTEGER, "7 OR 1") == "7 OR 1"


TEXT, NUMBER, FLOAT = FieldType.TEXT, FieldType.DECIMAL, FieldType.FLOAT
FLAG, DATE, MOMENT = FieldType.BOOLEAN, FieldType.DATE, FieldType.TIMESTAMP


@pytest.mark.parametrize(
    ("kind", "sent", "held"),
    [
        *((kind, empty, None) for kind in FieldType for empty in (None, "")),
        (TEXT, "  ", None),
        (TEXT, " a b ", "a b"),
        (TEXT, "a\r\nb\rc", "a\nb\nc"),
        (TEXT, "Ann@X.org", "ann@x.org"),
        (TEXT, "tea;coffee", "coffee;tea"),
        (TEXT, 5, "5"),
        (NUMBER, Decimal("10.50"), "10.5"),
        (NUMBER, Decimal("1E+3"), "1000"),
        (NUMBER, 7, Decimal("7.0")),
        (NUMBER, 0.1, Decimal("0.1")),
        (FieldType.INTEGER, 7, "7"),
        (FieldType.INTEGER, 7, 7.0),
        (FLOAT, 0.1 + 0.2, Decimal("0.3")),
        (FLOAT, 1e22, "10000000000000000000000"),
        (FLAG, True, "true"),
        (FLAG, False, "FALSE"),
        (DATE, "2026-01-31", "2026-01-31T00:00:00.000Z"),
        (DATE, "2026-01-31", "1769817600000"),
        (MOMENT, "2026-01-31T12:00:00.123456Z", "2026-01-31T12:00:00.123Z"),
        (MOMENT, "2026-01-31T12:00:00+01:00", "2026-01-31T11:00:00.000+0000"),
        (MOMENT, "2026-01-31T12:00:00", "2026-01-31T12:00:00Z"),
        (MOMENT, "2026-01-31T12:00:00Z", "1769860800000"),
        (FieldType.TIME, "10:30:00", "10:30:00.000Z"),
        (FieldType.TIME, "10:30:00.123456", "10:30:00.123Z"),
        (FieldType.JSON, {"b": 1, "a": [Decimal("1.50"), None]}, '{"a": [1.50, null], "b": 1}'),
        (FieldType.JSON, "plain words", "plain words"),
        (FieldType.JSON, [], "[]"),
    ],
)
def test_the_same_value(kind: FieldType, sent: Any, held: Any) -> None:
    assert same_value(kind, sent, held)
    assert same_value(kind, held, sent)
    assert same_value(kind, held, held)


@pytest.mark.parametrize(
    ("kind", "sent", "held"),
    [
        *((kind, "x", None) for kind in FieldType),
        (TEXT, "Ann", "ann"),
        (TEXT, "Ann ann@x.org", "ann ann@x.org"),
        (TEXT, "tea;coffee", "tea"),
        (TEXT, "1", "1.0"),
        (NUMBER, Decimal("0.3"), 0.1 + 0.2),
        (NUMBER, Decimal("10.50"), "10.51"),
        (NUMBER, 0, None),
        (NUMBER, Decimal("10.50"), "ten"),
        (NUMBER, 10, "NaN"),
        (FieldType.INTEGER, 10**17, 10**17 + 1),
        (FLOAT, 0.1234, 0.1235),
        (FLOAT, 123456789012345.0, 123456789012346.0),
        (FLAG, False, None),
        (FLAG, True, "yes"),
        (DATE, "2026-01-31", "2026-01-31T12:00:00.000Z"),
        (DATE, "2026-01-31", "2026-02-01"),
        (MOMENT, "2026-01-31T12:00:00.123Z", "2026-01-31T12:00:00.124Z"),
        (MOMENT, "2026-01-31T12:00:00Z", "2026-01-31T12:00:00+01:00"),
        (MOMENT, "2026-01-31T12:00:00Z", "soon"),
        (FieldType.TIME, "10:30:00", "10:31:00"),
        (FieldType.JSON, {"a": 1}, '{"a": "1"}'),
        (FieldType.JSON, {"a": Decimal("1.5")}, '{"a": "1.5"}'),
        (FieldType.JSON, {"a": [1, 2]}, '{"a": [2, 1]}'),
    ],
)
def test_another_value(kind: FieldType, sent: Any, held: Any) -> None:
    assert not same_value(kind, sent, held)
    assert not same_value(kind, held, sent)


def test_what_is_not_of_the_kind_is_its_own_text() -> None:
    assert {kind: canonical(kind, "soon ") for kind in FieldType} == dict.fromkeys(FieldType, "soon")
    assert same_value(NUMBER, "n/a", "n/a")
