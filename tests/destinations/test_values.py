from decimal import Decimal

import pytest

from reverse_etl_assets.destinations.values import key_value, number_text, plain_text, utc_milliseconds
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
        ("2026-01-31T12:00:00+01:00", "2026-01-31T11:00:00.000Z"),
        ("2026-01-31T12:00:00.123999Z", "2026-01-31T12:00:00.123Z"),
        ("2026-01-31 12:00:00+00", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31T12:00:00", "2026-01-31T12:00:00.000Z"),
        ("infinity", "infinity"),
    ],
)
def test_times(text: str, shown: str) -> None:
    assert utc_milliseconds(text) == shown


def test_plain_text() -> None:
    values = ["a", True, False, 1, 1.5, Decimal("1.50"), {"a": None}, ["x"]]
    assert [plain_text(value) for value in values] == ["a", "true", "false", "1", "1.5", "1.50", '{"a":null}', '["x"]']


def test_keys_are_numbers_only_if_the_column_is_one() -> None:
    assert key_value(FieldType.TEXT, "007") == "007"
    assert key_value(FieldType.INTEGER, "7") == Decimal(7)
    assert key_value(FieldType.INTEGER, "7 OR 1") == "7 OR 1"
