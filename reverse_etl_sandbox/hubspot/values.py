"""How HubSpot checks and stores one property value. All values are stored and answered as text.

Sources: HubSpot CRM properties guide (formats of date, datetime, checkbox), HubSpot error handling guide.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

import msgspec

from reverse_etl_sandbox.hubspot.schema import LIFECYCLE, ObjectType, Property
from reverse_etl_sandbox.salesforce.values import EMAIL

PORTAL_ID = 4_242_424
# Text properties hold at most 65,536 characters (HubSpot knowledge base, property field types).
MOST_TEXT = 65_536
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_MILLISECONDS = re.compile(r"-?\d+")
_DAY_MS = 86_400_000

Problem = dict[str, Any]
Error = dict[str, Any]


class Invalid(Exception):
    """A value is refused; ``problem`` is its line in the vendor's list of validation results."""

    def __init__(self, name: str, code: str, message: str) -> None:
        super().__init__(code)
        self.problem: Problem = {
            "isValid": False,
            "message": message,
            "error": code,
            "name": name,
            "localizedErrorMessage": message,
            "portalId": PORTAL_ID,
        }


class RowRefused(Exception):
    """A row is refused with this category, message and details; ``status`` is that of a request with one row."""

    def __init__(
        self,
        category: str,
        message: str,
        status: int = 400,
        details: list[Problem] | None = None,
        context: dict[str, list[str]] | None = None,
    ) -> None:
        super().__init__(category)
        self.category = category
        self.message = message
        self.status = status
        self.details = details or []
        self.context = context or {}

    def error(self, trace: str | None = None) -> Error:
        """The entry in a 207's ``errors``, or (without its trace id) the body of a whole request's error."""
        told: Error = {"status": "error", "category": self.category, "message": self.message}
        context = dict(self.context)
        if trace is not None:
            context["objectWriteTraceId"] = [trace]
        if context:
            told["context"] = context
        if self.details:
            told["errors"] = [
                {"message": item["message"], "code": item["error"], "context": {"propertyName": [item["name"]]}}
                for item in self.details
            ]
        return told


def converted(kind: ObjectType, given: dict[str, Any]) -> dict[str, str | None]:
    """The values to store; None clears. A JSON null is left out: it changes nothing.

    Raises:
        RowRefused: with every property that is not valid.
    """
    values: dict[str, str | None] = {}
    problems: list[Problem] = []
    properties = kind.properties
    for name, value in given.items():
        if value is None:
            continue
        part = properties.get(name)
        try:
            if part is None:
                raise Invalid(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
            values[name] = _checked(part, value)
        except Invalid as invalid:
            problems.append(invalid.problem)
    if problems:
        raise not_valid(problems)
    return values


def not_valid(problems: list[Problem]) -> RowRefused:
    listed = msgspec.json.encode(problems).decode()
    return RowRefused("VALIDATION_ERROR", f"Property values were not valid: {listed}", details=problems)


def moves_back(old: str | None, new: str | None) -> bool:
    """Whether a lifecycle stage would move back, which HubSpot ignores. An empty stage may become any."""
    return bool(old and new and LIFECYCLE.index(new) < LIFECYCLE.index(old))


@lru_cache(maxsize=4_096)
def show_moment(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _checked(part: Property, value: Any) -> str | None:
    if part.read_only:
        raise Invalid(part.name, "READ_ONLY_VALUE", f'"{part.name}" is a read only property; its value cannot be set.')
    text = value if isinstance(value, str) else _as_text(part, value)
    if text == "":
        return None
    if part.type == "string":
        if part.format == "email":
            return _email(part, text)
        if part.format == "emails":
            return ";".join(_email(part, each) for each in text.split(";"))
        if len(text) > MOST_TEXT:
            raise Invalid(part.name, "PROPERTY_TOO_LARGE", f"{part.name} holds at most {MOST_TEXT} characters")
        return text
    if part.type == "number":
        if not _NUMBER.fullmatch(text):
            raise Invalid(part.name, "INVALID_LONG", f"{text} was not a valid long.")
        return text
    if part.type in ("enumeration", "bool"):
        return _option(part, text)
    if part.type == "date":
        return _date(part, text)
    if part.type == "datetime":
        return _moment(part, text)
    return text


def _as_text(part: Property, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    raise Invalid(part.name, "INVALID_JSON", f"{part.name} must be text, a number or true/false")


def _email(part: Property, text: str) -> str:
    if not EMAIL.fullmatch(text):
        raise Invalid(part.name, "INVALID_EMAIL", f"Email address {text} is invalid")
    return text.lower()


def _option(part: Property, text: str) -> str:
    chosen = [text]
    if part.field_type == "checkbox":
        chosen = [option for option in text.split(";") if option]
    for option in chosen:
        if option not in part.options:
            allowed = ", ".join(part.options)
            raise Invalid(part.name, "INVALID_OPTION", f"{option} was not one of the allowed options: [{allowed}]")
    return text


def _date(part: Property, text: str) -> str:
    if _MILLISECONDS.fullmatch(text):
        milliseconds = int(text)
        if milliseconds % _DAY_MS:
            raise Invalid(part.name, "INVALID_DATE", f"{text} is not midnight UTC")
        return datetime.fromtimestamp(milliseconds / 1_000, UTC).date().isoformat()
    try:
        return date.fromisoformat(text).isoformat() if len(text) == 10 else _refuse_date(part, text)
    except ValueError:
        return _refuse_date(part, text)


def _refuse_date(part: Property, text: str) -> str:
    raise Invalid(part.name, "INVALID_DATE", f"{text} was not a valid {part.type}.")


def _moment(part: Property, text: str) -> str:
    if _MILLISECONDS.fullmatch(text):
        return show_moment(int(text) / 1_000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return _refuse_date(part, text)
    # A date alone means midnight UTC; a time needs its zone.
    if moment.tzinfo is None:
        if len(text) != 10:
            return _refuse_date(part, text)
        moment = moment.replace(tzinfo=UTC)
    return show_moment(moment.timestamp())
