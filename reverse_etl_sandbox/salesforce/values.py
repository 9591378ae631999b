"""How Salesforce checks and stores one value: without blanks around a text, without parts of a second.

Sources: SOAP API Developer Guide (status codes, primitive types), Bulk API 2.0 Developer Guide (valid CSV values),
Change Data Capture Developer Guide (white space), Salesforce Help (order of multi-select picklist values).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from functools import lru_cache
from typing import Any

from reverse_etl_sandbox.salesforce.ids import normal_id
from reverse_etl_sandbox.salesforce.schema import Field

EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z0-9-]{2,}")
_BLANKS = "".join(map(chr, range(ord(" ") + 1)))  # full-width ones stay (forcedotcom/dataloader, pull request 1453)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})")
_DAYTIME = re.compile(r"\d{2}:\d{2}:\d{2}(\.\d{1,3})?Z?")
NUMBERS = frozenset({"double", "currency", "percent", "int"})
_XSD = {"boolean": "xsd:boolean", "date": "xsd:date", "datetime": "xsd:dateTime", "time": "xsd:time", "int": "xsd:int"}


class RowError(Exception):
    """Why a row is refused: status code, message, fields."""

    def __init__(self, code: str, message: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.fields = fields

    def as_row(self) -> dict[str, Any]:
        """The form inside a row's result."""
        return {"statusCode": self.code, "message": self.message, "fields": list(self.fields)}

    def as_request(self) -> dict[str, Any]:
        """The form of a whole request's error."""
        told: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        return told | {"fields": list(self.fields)} if self.fields else told


def from_json(part: Field, value: Any) -> Any:
    """The value to store for a JSON value; None clears. Types are not converted, as the API does not.

    Raises:
        RowError: the value is refused.
    """
    if value is None:
        if part.type == "boolean":
            raise RowError("INVALID_TYPE_ON_FIELD_IN_RECORD", f"{part.label}: value not of required type: null")
        return None
    if part.type == "boolean":
        if not isinstance(value, bool):
            raise _not_parsed(part, value)
        return value
    if part.type in NUMBERS:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole and (part.type == "int" or not isinstance(value, float)):
            raise _not_parsed(part, value)
        return _in_range(part, value)
    if not isinstance(value, str):
        raise _not_parsed(part, value)
    return _checked_text(part, value, _not_parsed)


def from_csv(part: Field, text: str) -> Any:
    """The value to store for a CSV cell that is not empty; ``#N/A`` clears.

    Raises:
        RowError: the value is refused.
    """
    if text == "#N/A":
        return from_json(part, None)
    if part.type == "boolean":
        if text.casefold() not in ("true", "false", "1", "0"):
            raise _not_deserialized(part, text)
        return text.casefold() in ("true", "1")
    if part.type in NUMBERS:
        try:
            value: float = int(text) if part.type == "int" else float(text)
        except ValueError:
            raise _not_deserialized(part, text) from None
        return _in_range(part, value)
    return _checked_text(part, text, _not_deserialized)


def _checked_text(part: Field, value: str, malformed: Callable[[Field, Any], RowError]) -> Any:
    if part.type == "date":
        return _date(part, value, malformed)
    if part.type == "datetime":
        return _moment(part, value, malformed)
    if part.type == "time":
        return _daytime(part, value, malformed)
    value = value.strip(_BLANKS)
    if value == "":
        return None
    if part.type == "reference":
        record_id = normal_id(value)
        if record_id is None:
            raise RowError("MALFORMED_ID", f"{part.label}: id value of incorrect type: {value}", (part.name,))
        return record_id
    if part.length and len(value) > part.length:
        shown = value[:255]
        raise RowError(
            "STRING_TOO_LONG",
            f"{part.label}: data value too large: {shown} (max length={part.length})",
            (part.name,),
        )
    if part.type == "email":
        if not EMAIL.fullmatch(value):
            raise RowError("INVALID_EMAIL_ADDRESS", f"{part.label}: invalid email address: {value}", (part.name,))
        return value.lower()
    chosen = [value]
    if part.type == "multipicklist":
        places = {option: place for place, option in enumerate(part.options)}
        chosen = sorted(set(value.split(";")), key=lambda each: places.get(each, -1))
    if part.restricted and not set(chosen) <= set(part.options):
        raise RowError(
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            f"{part.label}: bad value for restricted picklist field: {value}",
            (part.name,),
        )
    return ";".join(chosen)


def _in_range(part: Field, value: float) -> float:
    limit = 10 ** (part.precision - part.scale)
    if not math.isfinite(value) or abs(value) >= limit:
        raise RowError(
            "NUMBER_OUTSIDE_VALID_RANGE",
            f"{part.label}: value outside of valid range on numeric field: {value}",
            (part.name,),
        )
    return value if part.type == "int" else float(value)


def _date(part: Field, value: str, malformed: Callable[[Field, Any], RowError]) -> str:
    if not _DATE.fullmatch(value):
        raise malformed(part, value)
    try:
        date.fromisoformat(value)
    except ValueError:
        raise malformed(part, value) from None
    return value


def _moment(part: Field, value: str, malformed: Callable[[Field, Any], RowError]) -> str:
    if not _MOMENT.fullmatch(value):
        raise malformed(part, value)
    try:
        return show_moment(datetime.fromisoformat(value))
    except ValueError:
        raise malformed(part, value) from None


def _daytime(part: Field, value: str, malformed: Callable[[Field, Any], RowError]) -> str:
    if not _DAYTIME.fullmatch(value):
        raise malformed(part, value)
    try:
        return f"{time.fromisoformat(value.removesuffix('Z')).isoformat(timespec='milliseconds')}Z"
    except ValueError:
        raise malformed(part, value) from None


@lru_cache(maxsize=4_096)
def show_moment(moment: datetime) -> str:
    """The form in which the API reads a datetime back, always to the second: ``2026-01-01T00:00:00.000+0000``."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000+0000"


def _not_parsed(part: Field, value: Any) -> RowError:
    tokens = {"dict": "START_OBJECT", "list": "START_ARRAY", "str": "VALUE_STRING", "int": "VALUE_NUMBER_INT"}
    found = tokens.get(type(value).__name__, f"VALUE_{str(value).upper()}")
    if isinstance(value, float):
        found = "VALUE_NUMBER_FLOAT"
    shown = {"START_OBJECT": "{", "START_ARRAY": "["}.get(found, value)
    return RowError(
        "JSON_PARSER_ERROR",
        f"Cannot deserialize instance of {part.type} from {found} value {shown} "
        "or request may be missing a required field",
    )


def _not_deserialized(part: Field, text: str) -> RowError:
    return RowError(
        "INVALID_FIELD",
        f"Failed to deserialize field {part.name}. Due to, '{text}' is not a valid value for the type "
        f"{_XSD.get(part.type, 'xsd:double')}",
        (part.name,),
    )
