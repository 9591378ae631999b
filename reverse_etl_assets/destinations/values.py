"""Values as text, exact and without surprises; and when two values of a field are the same."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from reverse_etl_assets.destinations.bodies import encode_json
from reverse_etl_assets.records import FieldType

NUMBERS = frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT})
_FINER = re.compile(r"T\d\d:\d\d:\d\d\.\d{4,}(?:Z|[+-]\d\d:?\d\d)$")
_FINER_THAN_MICROSECONDS = re.compile(r"\.\d{7,}")
_IN_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}Z", re.ASCII)
_FLAGS = {"true": True, "false": False}
# Some vendors tell dates and times in milliseconds since 1970, as text.
_EPOCH = re.compile(r"-?\d{9,15}")
_json = msgspec.json.Decoder(float_hook=Decimal)
_sorted = msgspec.json.Encoder(order="sorted", decimal_format="number")


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


def whole_number(value: Any) -> Any:
    """A number without a fraction as an integer; every other value as it is, for the destination to refuse."""
    if not isinstance(value, float | Decimal):
        return value
    try:
        whole = int(value)
    except (ValueError, OverflowError):
        return value
    return whole if whole == value else value


def utc_milliseconds(text: str) -> str:
    """An ISO 8601 time that is finer than milliseconds as UTC with milliseconds, `2026-01-31T12:00:00.000Z`.

    Every other text stays as it is: a value that was read back must not change on its way back, and what is no time
    is for the destination to refuse, row by row.
    """
    if not _FINER.search(text):
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def key_value(key_type: FieldType, key: str) -> str | Decimal:
    """A key as the destination's field holds it: a number if the model's column is one."""
    if key_type in NUMBERS:
        try:
            return Decimal(key)
        except InvalidOperation:
            pass  # for the destination to refuse
    return key


def key_form(key_type: FieldType, key: Any, *, fold_case: bool = False) -> str:
    """The one form of a key, however a destination spells it in its answer: `1e+16`, `10000000000000000.0`."""
    text = plain_text(key) if key is not None else ""
    if key_type in NUMBERS:
        try:
            number = Decimal(text)
        except InvalidOperation:
            return text
        return format(number.normalize(), "f") if number.is_finite() else text
    if key_type is FieldType.TIMESTAMP and not _FINER_THAN_MICROSECONDS.search(text):
        try:
            return _parsed(text.upper()).isoformat()
        except (ValueError, OverflowError):
            return text
    return text.lower() if fold_case else text


# Equality


def same_value(kind: FieldType, sent: Any, held: Any) -> bool:
    """Whether a field holds what was sent to it, by what is true of nearly every vendor.

    Forgiven are: empty or blank text for no value, blanks around a text, the kind of its line ends, the case of an
    address, the order of the choices of a multi-select; digits that change no number; the zone of a time and what is
    finer than milliseconds; the layout of JSON.
    """
    if sent == held:
        return True
    one, other = canonical(kind, sent), canonical(kind, held)
    if one == other:
        return True
    if kind is not FieldType.TEXT or one is None or other is None:
        return False
    return _same_address(one, other) or _same_choices(one, other)


def canonical(kind: FieldType, value: Any) -> Any:
    """The one form of all values of a field that mean the same; None for no value.

    What is not of the kind (a word where a number belongs) is its own text.
    """
    if value is None or value == "":
        return None
    return _CANONICAL[kind](value)


def _text(value: Any) -> str | None:
    text = value if isinstance(value, str) else plain_text(value)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.strip() or None


def _number(value: Any) -> Decimal | str | None:
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except (InvalidOperation, TypeError, ValueError):
        return _text(value)
    return number if number.is_finite() else _text(value)


def _float(value: Any) -> float | Decimal | str | None:
    """To 15 significant digits, which is what every double keeps of a decimal number."""
    number = _number(value)
    return float(f"{number:.14e}") if isinstance(number, Decimal) else number


def _flag(value: Any) -> bool | str:
    if isinstance(value, bool):
        return value
    text = _text(value) or ""
    return _FLAGS.get(text.lower(), text)


def _date(value: Any) -> str | None:
    text = _text(value)
    if text is None or len(text) == 10:
        return text
    moment = _moment(text) or text
    return moment.removesuffix("T00:00:00.000")


def _moment(value: Any) -> str | None:
    """A time in UTC with milliseconds, without its zone."""
    text = _text(value)
    if text is None:
        return None
    if _IN_UTC.fullmatch(text):  # as the engine and most vendors write it
        return text[:23]
    try:
        moment = datetime.fromtimestamp(int(text) / 1000, UTC) if _EPOCH.fullmatch(text) else _parsed(text)
    except (ValueError, OverflowError, OSError):
        return text
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds")


def _parsed(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _time(value: Any) -> str | None:
    text = _text(value)
    try:
        return time.fromisoformat((text or "").removesuffix("Z")).isoformat(timespec="milliseconds")
    except ValueError:
        return text


def _document(value: Any) -> Any:
    text = json_text(value)
    try:
        return _sorted.encode(_json.decode(text))
    except msgspec.DecodeError:
        return _text(text)


def _same_address(one: str, other: str) -> bool:
    return "@" in one and " " not in one and one.lower() == other.lower()


def _same_choices(one: str, other: str) -> bool:
    return ";" in one and sorted(one.split(";")) == sorted(other.split(";"))


_CANONICAL: Mapping[FieldType, Callable[[Any], Any]] = {
    FieldType.TEXT: _text,
    FieldType.INTEGER: _number,
    FieldType.DECIMAL: _number,
    FieldType.FLOAT: _float,
    FieldType.BOOLEAN: _flag,
    FieldType.DATE: _date,
    FieldType.TIMESTAMP: _moment,
    FieldType.TIME: _time,
    FieldType.JSON: _document,
}
