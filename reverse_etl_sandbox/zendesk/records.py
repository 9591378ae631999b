"""Zendesk's users, organizations and tickets: their fields, and what becomes of values that are written to them.

Source: "Users", "User Identities", "Organizations", "Tickets", "User Fields" of Zendesk's API reference. Keys that
nobody defined are ignored without a word; so is a value that is no option of a dropdown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from reverse_etl_sandbox.store import INTEGRATION, Entry, Table, Undo

Values = dict[str, Any]
Written = tuple[Entry, str, Undo]
"""A record, what became of it in Zendesk's word, and how to take that back."""
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
LONGEST_NAME = 255
TIERS = ("free", "starter", "growth", "enterprise")
SEGMENTS = ("champion", "dormant", "high_value_at_risk", "new", "regular")


class RowRefused(Exception):
    """One record is refused: the code and the words of Zendesk, and the field if it names one."""

    def __init__(self, code: str, message: str, field: str = "base") -> None:
        super().__init__(message)
        self.code, self.message, self.field = code, message, field


@dataclass(frozen=True, slots=True)
class Custom:
    """A custom field. `key` is a number for tickets, which address their fields by id."""

    key: str
    kind: str
    options: tuple[str, ...] = ()

    def as_json(self, number: int) -> Values:
        told: Values = {"id": number, "key": self.key, "type": self.kind, "title": self.key, "active": True}
        if self.key.isdigit():
            told = {"id": int(self.key), "type": self.kind, "title": f"Field {self.key}", "active": True}
        if self.options:
            told["custom_field_options"] = [
                {"id": number * 100 + at, "name": value.title(), "value": value}
                for at, value in enumerate(self.options, 1)
            ]
        return told


@dataclass(slots=True)
class Kind:
    """One object. `writable` are the standard fields an API call may set; `group` is where its custom fields are."""

    name: str
    one: str
    group: str
    writable: tuple[str, ...]
    custom: dict[str, Custom]
    table: Table
    required: str = "name"
    lists: tuple[str, ...] = ("tags",)
    identities: dict[str, str] = field(default_factory=dict)
    """A user's further addresses, in lower case, and the user's id."""


def _customs(*more: Custom) -> dict[str, Custom]:
    common = (
        Custom("customer_tier", "dropdown", TIERS),
        Custom("segment", "dropdown", SEGMENTS),
        Custom("lifetime_value", "decimal"),
        Custom("orders_count", "integer"),
        Custom("churn_risk", "decimal"),
        Custom("last_order_date", "date"),
        Custom("trial_ends_at", "text"),
        Custom("favourite_product", "textarea"),
        Custom("interests", "multiselect", ("tea", "coffee", "cocoa")),
    )
    return {each.key: each for each in (*common, *more)}


def kinds() -> dict[str, Kind]:
    keys = {"external_id": False, "email": False}
    users = Kind(
        "users",
        "user",
        "user_fields",
        (
            "name",
            "email",
            "external_id",
            "phone",
            "alias",
            "details",
            "notes",
            "signature",
            "tags",
            "time_zone",
            "locale",
            "organization_id",
            "role",
            "suspended",
            "verified",
        ),
        _customs(Custom("marketing_opt_in", "checkbox")),
        Table("users", lambda number: str(900_000_000_000 + number), keys),
    )
    organizations = Kind(
        "organizations",
        "organization",
        "organization_fields",
        ("name", "external_id", "details", "notes", "tags", "domain_names", "group_id", "shared_tickets"),
        _customs(),
        Table("organizations", lambda number: str(360_000_000_000 + number), {"external_id": False, "name": False}),
        lists=("tags", "domain_names"),
    )
    tickets = Kind(
        "tickets",
        "ticket",
        "custom_fields",
        ("subject", "status", "priority", "type", "external_id", "tags", "assignee_id", "group_id"),
        {each.key: each for each in (Custom("36001", "tagger", TIERS), Custom("36002", "text"))},
        Table("tickets", str, {"external_id": False}),
        required="subject",
    )
    return {kind.name: kind for kind in (users, organizations, tickets)}


def matching(kind: Kind, given: Values) -> Entry | None:
    """The record that an upsert means: by id, by external id, or (users) by any address."""
    if given.get("id"):
        found = kind.table.get(str(given["id"]))
        if found is None:
            raise RowRefused("RecordNotFound", "Not found")
        return found
    by_key = kind.table.find("external_id", given["external_id"]) if given.get("external_id") else []
    return by_key[0] if by_key else owner(kind, given.get("email"))


def owner(kind: Kind, email: Any) -> Entry | None:
    """The user who has an address, as the primary one or a further one."""
    if not email or "email" not in kind.table.keys:
        return None
    primary = kind.table.find("email", email)
    return primary[0] if primary else kind.table.get(kind.identities.get(str(email).lower(), ""))


def save(kind: Kind, entry: Entry | None, given: Mapping[str, Any], now: float, who: str = INTEGRATION) -> Written:
    """Write a record. Raises RowRefused."""
    values = _flat(kind, given)
    _judge(kind, entry, values)
    if entry is None:
        made = kind.table.insert({"tags": [], **_unset(kind), **values}, now, who)
        return made, "Created", kind.table.undo_insert(made)
    if entry.values.get("status") == "closed":
        raise RowRefused("RecordInvalid", "Status: closed prevents ticket update", "status")
    undo = kind.table.undo_update(entry)
    email = values.pop("email", None)
    if email and not entry.values.get("email"):
        values["email"] = email
    elif email and email.lower() != entry.values["email"].lower():
        kind.identities[email.lower()] = entry.id  # an update adds an address, the primary one stays
    kind.table.update(entry, values, now, who)
    return entry, "Updated", undo


def _judge(kind: Kind, entry: Entry | None, values: Values) -> None:
    name = values.get(kind.required, entry.values.get(kind.required) if entry else None)
    if not name:
        raise RowRefused(
            "RecordInvalid", f"{kind.required.title()}: is too short (minimum is 1 characters)", kind.required
        )
    if len(name) > LONGEST_NAME:
        raise RowRefused("RecordInvalid", f"Name: is too long (maximum is {LONGEST_NAME} characters)", kind.required)
    email = values.get("email")
    if email and not _EMAIL.fullmatch(email):
        raise RowRefused("InvalidFormat", f"Email: {email} is not properly formatted", "email")
    holder = owner(kind, email)
    if holder is not None and holder is not entry:
        raise RowRefused("DuplicateValue", f"Email: {email} is already being used by another user", "email")
    for unique in ("external_id", "name"):
        if unique not in kind.table.keys or kind.name == "tickets" or not values.get(unique):
            continue
        if [other for other in kind.table.find(unique, values[unique]) if other is not entry]:
            raise RowRefused("DuplicateValue", f"{unique.title()}: has already been taken", unique)


def _flat(kind: Kind, given: Mapping[str, Any]) -> Values:
    """The fields of a request by one name each; what nobody may write or nobody defined falls away."""
    values: Values = {}
    for name in kind.writable:
        if name in given:
            values[name] = _standard(kind, name, given[name])
    custom = given.get(kind.group) or {}
    if isinstance(custom, list):  # tickets name a field by its id
        custom = {str(each.get("id")): each.get("value") for each in custom}
    for key, value in custom.items():
        if (defined := kind.custom.get(key)) and (kept := _custom(defined, value)) is not _IGNORED:
            values[f"{kind.group}.{key}"] = kept
    return values


def _standard(kind: Kind, name: str, value: Any) -> Any:
    if name in kind.lists:
        if not isinstance(value, list) and value is not None:
            raise RowRefused("InvalidAttribute", f"{kind.one}.{name} must be an array", name)
        return sorted({str(each).lower() for each in value or ()})
    if name.endswith("_id") and name != "external_id":
        return int(value) if value is not None else None
    if name in ("suspended", "verified", "shared_tickets"):
        return bool(value)
    return None if value in (None, "") else str(value)


_IGNORED = object()


def _custom(defined: Custom, value: Any) -> Any:
    if value is None or value == "":
        return False if defined.kind == "checkbox" else None
    try:
        take = _TAKE.get(defined.kind)
        return take(defined, value) if take else str(value)
    except (ValueError, TypeError):
        raise RowRefused("InvalidValue", f"{defined.key}: is not a valid {defined.kind}", defined.key) from None


def _choice(defined: Custom, value: Any) -> Any:
    return value if value in defined.options else _IGNORED


def _choices(defined: Custom, value: Any) -> Any:
    return sorted(value) if isinstance(value, list) and set(value) <= set(defined.options) else _IGNORED


_TAKE: Mapping[str, Callable[[Custom, Any], Any]] = {
    "dropdown": _choice,
    "tagger": _choice,
    "multiselect": _choices,
    "checkbox": lambda defined, value: value in (True, "true", 1),
    "integer": lambda defined, value: int(value),
    "decimal": lambda defined, value: float(value),
    "date": lambda defined, value: f"{date.fromisoformat(str(value)[:10])}T00:00:00Z",
}


def _unset(kind: Kind) -> Values:
    return {f"{kind.group}.{key}": False for key, each in kind.custom.items() if each.kind == "checkbox"}


def shown(kind: Kind, entry: Entry, base_url: str) -> Values:
    """A record as the API tells it."""
    fields = {name: entry.values.get(name) for name in kind.writable}
    custom = {key: entry.values.get(f"{kind.group}.{key}") for key in kind.custom}
    told: Any = custom
    if kind.name == "tickets":
        told = [{"id": int(key), "value": value} for key, value in custom.items()]
    return {
        "id": int(entry.id),
        "url": f"{base_url}/api/v2/{kind.name}/{entry.id}.json",
        **fields,
        kind.group: told,
        "active": not entry.archived,
        "created_at": moment(entry.created_at),
        "updated_at": moment(entry.updated_at),
    }


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
