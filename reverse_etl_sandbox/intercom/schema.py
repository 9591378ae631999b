"""Fields of Intercom's contacts and companies, data attributes, and the shape of refusals (OpenAPI description 2.15).

Standard fields are stored under their names, custom attributes under ``custom_attributes.<name>``.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any, Literal, overload

from reverse_etl_sandbox.gate import Context
from reverse_etl_sandbox.wire import Answer, Call, Refused

JSON_MEDIA = "application/json; charset=utf-8"
CUSTOM = "custom_attributes."
LONGEST_TEXT = 255
_NAME = re.compile(r"[\w\- $€£]+")
_PHONE = re.compile(r"\+?[\d ().-]{6,20}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_CREATED_AS = {"datetime": "date", "options": "string"}
_DATA_TYPES = ("string", "integer", "float", "boolean", "datetime", "date", "options")
Row = dict[str, Any]

# Field: (type, may be null). What is "not marked nullable" in the description is refused when it is null.
_STANDARD: dict[str, dict[str, tuple[str, bool]]] = {
    "contact": {
        "role": ("string", False),
        "external_id": ("string", False),
        "email": ("string", False),
        "phone": ("string", True),
        "name": ("string", True),
        "avatar": ("string", True),
        "signed_up_at": ("date", True),
        "last_seen_at": ("date", True),
        "owner_id": ("integer", True),
        "unsubscribed_from_emails": ("boolean", True),
    },
    "company": {
        "company_id": ("string", False),
        "name": ("string", True),
        "plan": ("string", True),
        "size": ("integer", True),
        "website": ("string", True),
        "industry": ("string", True),
        "monthly_spend": ("integer", True),
        "remote_created_at": ("date", True),
    },
}
_FILLED_IN = {"contact": ("last_email_opened_at", "browser_language"), "company": ("last_request_at",)}
_CUSTOM = {
    "contact": (
        ("note", "string", {}),
        ("lifetime_value", "float", {}),
        ("trial_ends_at", "date", {}),
        ("born_on", "date", {}),
        ("seats", "integer", {}),
        ("churn_risk", "float", {}),
        ("vip", "boolean", {}),
        ("grade", "string", {"options": ["hot", "warm", "cold"]}),
        ("score", "integer", {"api_writable": False}),
        ("old_score", "integer", {"archived": True}),
    ),
    "company": (("note", "string", {}), ("health", "float", {}), ("renews_at", "date", {})),
}


def hex_id(kind: int, number: int) -> str:
    return f"{kind:02x}{0x62F0DD1BB69F9F00000000 + number:022x}"


def whole(seconds: float) -> int:
    return int(seconds)


def failure(status: int, code: str, message: str) -> Answer:
    errors = [{"code": code, "message": message}]
    body = {"type": "error.list", "request_id": str(uuid.uuid4()), "errors": errors}
    return Answer(status, body, media=JSON_MEDIA)


@overload
def not_found(code: str, message: str) -> Answer: ...
@overload
def not_found(code: str, message: str, *, raised: Literal[True]) -> Refused: ...
def not_found(code: str, message: str, *, raised: bool = False) -> Answer | Refused:
    answer = failure(404, code, message)
    return Refused(answer) if raised else answer


def object_in(call: Call) -> Row:
    try:
        body = call.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refused(failure(400, "bad_request", "The body must be a JSON object"))
    return body


def refusal(context: Context, vendor: str, call: Call, key: object, problem: str | None) -> Answer | None:
    """The refusal of a row that is wrong, or that a fault chose."""
    if problem:
        return failure(400, "parameter_invalid", problem)
    for fault in context.faults.for_rows(vendor, call.method, call.path):
        if fault.kind == "refuse_rows" and fault.hits_row(key):
            return failure(400, "parameter_invalid", "Refused by a rule of the sandbox")
    return None


class Schema:
    """The workspace's data attributes, by model and name."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._attributes: dict[tuple[str, str], Row] = {}
        self.reset()

    def reset(self) -> None:
        self._attributes = {}
        for model, attributes in _CUSTOM.items():
            for name, kind, more in attributes:
                self._make(model, name, kind, **more)

    def _make(self, model: str, name: str, kind: str, **more: Any) -> Row:
        now = whole(self._clock())
        made: Row = {
            "type": "data_attribute",
            "id": len(self._attributes) + 1,
            "model": model,
            "name": name,
            "full_name": CUSTOM + name,
            "label": name,
            "data_type": _CREATED_AS.get(kind, kind),
            "api_writable": True,
            "ui_writable": False,
            "messenger_writable": False,
            "custom": True,
            "archived": False,
            "created_at": now,
            "updated_at": now,
            **more,
        }
        self._attributes[model, name] = made
        return made

    def list(self, call: Call) -> Answer:
        call.note("describe")
        asked = call.args()
        model = asked.get("model", "contact")
        plain = {"type": "data_attribute", "model": model, "custom": False, "archived": False}
        found: list[Row] = []
        for name, (kind, _) in _STANDARD[model].items():
            writable = name not in ("role", "company_id")
            found.append({**plain, "name": name, "full_name": name, "data_type": kind, "api_writable": writable})
        own_doing = {"data_type": "date", "api_writable": False}
        found += [{**plain, "name": name, "full_name": name, **own_doing} for name in _FILLED_IN[model]]
        own = [each for (of, _), each in self._attributes.items() if of == model]
        archived = asked.get("include_archived") == "true"
        return Answer(200, {"type": "list", "data": found + [each for each in own if archived or not each["archived"]]})

    def create(self, call: Call) -> Answer:
        call.note("create", "data_attributes", 1)
        body = object_in(call)
        model, name, kind = body.get("model"), str(body.get("name", "")), body.get("data_type")
        if model not in _STANDARD:
            return _invalid("The Data Attribute model field must be either contact or company")
        if not _NAME.fullmatch(name):
            said = (
                "Your name for this attribute must only contain alphanumeric characters, currency symbols, and hyphens"
            )
            return _invalid(said)
        if kind not in _DATA_TYPES:
            return _invalid("Data Type isn't an option")
        for of, known in self._attributes:
            if known.lower() == name.lower() and of == model:
                data = {"contact": "people", "company": "company"}
                said = f"You already have '{name}' in your {data[of]} data."
                return _invalid(f"{said} To save this as new {data[model]} data, use a different name.")
        return Answer(200, self._make(model, name, kind))

    def problem(self, model: str, body: Row) -> str | None:
        """What is wrong with the fields of a request, in Intercom's words."""
        for name, value in body.items():
            if name == "custom_attributes":
                continue
            if name not in _STANDARD[model]:
                return f"bad '{name}' parameter"
            kind, nullable = _STANDARD[model][name]
            if value is None and not nullable:
                return f"{name} is invalid"
            if value is not None and (wrong := _wrong(name, kind, value)):
                return wrong
        for name, value in (body.get("custom_attributes") or {}).items():
            attribute = self._attributes.get((model, name))
            if attribute is None or attribute["archived"]:
                return f"Custom attribute '{name}' does not exist"
            if not attribute["api_writable"]:
                return f"Custom attribute '{name}' is not writable"
            if value is None:
                continue
            if wrong := _wrong(name, attribute["data_type"], value):
                return wrong
            if "options" in attribute and value not in attribute["options"]:
                return f"Custom attribute '{name}' does not have the option given"
        return None

    def stored(self, model: str, body: Row) -> Row:
        """Values as Intercom keeps them: addresses in lower case, telephone numbers without blanks, texts cut."""
        values: Row = {}
        for name, value in body.items():
            if name == "custom_attributes":
                continue
            if name == "email" and value:
                value = value.lower()
            elif name == "phone" and value:
                value = re.sub(r"[ ().-]", "", value)
            elif name == "monthly_spend" and value is not None:
                value = int(value)
            values[name] = value
        for name, value in (body.get("custom_attributes") or {}).items():
            values[CUSTOM + name] = value[:LONGEST_TEXT] if isinstance(value, str) else value
        return values

    def custom(self, values: Row) -> Row:
        """The custom attributes of a record; those without a value are left out, as Intercom does."""
        own = {name.removeprefix(CUSTOM): value for name, value in values.items() if name.startswith(CUSTOM)}
        return {name: value for name, value in own.items() if value is not None}


def _wrong(name: str, kind: str, value: Any) -> str | None:
    if name == "email" and not _EMAIL.fullmatch(str(value)):
        return "email is invalid"
    if name == "phone" and not _PHONE.fullmatch(str(value)):
        return "phone is invalid"
    right = {
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, (int, float)) and not isinstance(value, bool),
        "date": isinstance(value, int) and not isinstance(value, bool),
    }
    return None if right[kind] else f"{name} is not a valid {kind}"


def _invalid(message: str) -> Answer:
    return failure(400, "parameter_invalid", message)
