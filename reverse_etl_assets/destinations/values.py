"""Values as text, exact and without surprises, for destinations that take text."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from reverse_etl_assets.destinations.base import encode_json
from reverse_etl_assets.records import FieldType

NUMBERS = frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT})


def number_text(value: int | float | Decimal) -> str:
    """A number in plain decimal notation: every digit, never an exponent."""
    if isinstance(value, int):
        return str(value)
    return format(value if isinstance(value, Decimal) else Decimal(repr(value)), "f")


def json_text(value: Any) -> str:
    """A JSON value for a field that holds text."""
    return value if isinstance(value, str) else encode_json(value).decode()


def plain_text(value: Any) -> str:
    """Any value but None as text: `true`, `12.50`, `2026-01-31`, `{"a":1}`."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float() | Decimal():
            return number_text(value)
    return json_text(value)


def utc_milliseconds(text: str) -> str:
    """An ISO 8601 time as UTC with milliseconds, `2026-01-31T12:00:00.000Z`; what is not such a time stays as it is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text  # for the destination to refuse, row by row
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def key_value(key_type: FieldType, key: str) -> str | Decimal:
    """A key as the destination's field holds it: a number if the model's column is one."""
    if key_type in NUMBERS:
        try:
            return Decimal(key)
        except InvalidOperation:
            pass  # for the destination to refuse
    return key
