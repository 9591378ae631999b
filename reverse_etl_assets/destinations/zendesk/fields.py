"""The fields of Zendesk's objects: those of every account, and the account's own. Does a sync fit them?"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from reverse_etl_assets.destinations.schema import CREATES, Field, Forms, field_problems, nearest
from reverse_etl_assets.destinations.values import NUMBERS
from reverse_etl_assets.records import FieldType, Operation, Target

ONE = {"users": "user", "organizations": "organization", "tickets": "ticket"}
"""The objects, and what one of them is called in requests and answers."""
GROUP = {"users": "user_fields", "organizations": "organization_fields", "tickets": "custom_fields"}
"""Where each keeps the account's own fields: `user_fields.customer_tier` in a mapping."""

_TEXTS = frozenset({"text", "textarea", "regexp"})
_CHOSEN = frozenset({"dropdown", "tagger"})
_ACCEPTS: Mapping[FieldType, frozenset[str]] = {
    FieldType.TEXT: _TEXTS | _CHOSEN | {"email", "phone", "key", "lookup", "word"},
    FieldType.INTEGER: _TEXTS | _CHOSEN | {"integer", "decimal", "phone", "id", "key", "lookup"},
    FieldType.DECIMAL: _TEXTS | {"decimal"},
    FieldType.FLOAT: _TEXTS | {"decimal"},
    FieldType.BOOLEAN: _TEXTS | {"checkbox"},
    FieldType.DATE: _TEXTS | {"date"},
    # Not into a date: which day a moment falls on depends on a time zone, and the model should say which.
    FieldType.TIMESTAMP: _TEXTS,
    FieldType.TIME: _TEXTS,
    FieldType.JSON: frozenset({"tags", "multiselect"}),
}
FORMS = Forms(as_text=_TEXTS | _CHOSEN | {"phone"})
_OWN_TYPES = frozenset().union(*_ACCEPTS.values()) - {"email", "phone", "key", "id", "tags", "word"}

_STANDARD: Mapping[str, Mapping[str, str]] = {
    "users": {
        **dict.fromkeys(
            ("name", "alias", "details", "notes", "signature"),
            "text",
        ),
        **dict.fromkeys(("time_zone", "locale"), "word"),
        **{"email": "email", "phone": "phone", "external_id": "key", "organization_id": "id", "tags": "tags"},
        **dict.fromkeys(("suspended", "verified"), "checkbox"),
    },
    "organizations": {
        **dict.fromkeys(("name", "details", "notes"), "text"),
        **{"external_id": "key", "group_id": "id", "tags": "tags", "domain_names": "tags"},
        "shared_tickets": "checkbox",
    },
    "tickets": {
        **{"subject": "text", **dict.fromkeys(("status", "priority", "type"), "word")},
        **{"external_id": "key", "assignee_id": "id", "group_id": "id", "tags": "tags"},
    },
}
"""Fields that the API takes ("Users", "Organizations", "Tickets" of Zendesk's API reference, read in November 2026)."""
_WORDS = {
    "status": ("new", "open", "pending", "hold", "solved", "closed"),
    "priority": ("urgent", "high", "normal", "low"),
    "type": ("problem", "incident", "question", "task"),
}
"""What these fields of a ticket take ("Tickets" of Zendesk's API reference, read in November 2026)."""
_READ_ONLY = {
    **dict.fromkeys(("id", "url", "active", "created_at", "updated_at"), "Zendesk keeps it"),
    "role": "roles and their seats are given by a person in Zendesk",
}
_CHOICES = _CHOSEN | {"multiselect"}


def problems(target: Target, listed: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Everything that does not fit, a sentence each; `listed` are the account's own fields of the object."""
    yield from _key_problems(target)
    if target.operations & CREATES and "name" not in target.fields:
        yield "Field `name` is required on create and not mapped: map it, or use `sync_mode: update_only`."
    yield from field_problems(target, known(target, listed), _ACCEPTS)


def known(target: Target, listed: Iterable[Mapping[str, Any]]) -> dict[str, Field]:
    """The fields of the object by name."""
    fields = {name: Field(name, kind, choices=_WORDS.get(name, ())) for name, kind in _STANDARD[target.object].items()}
    fields |= {name: Field(name, "key", read_only_because=why) for name, why in _READ_ONLY.items()}
    return fields | {name: _field(name, each) for name, each in _named(target, listed)}


def unknown_object(name: str) -> str:
    return f"There is no object `{name}`{nearest(name, ONE)}. Known are {', '.join(f'`{each}`' for each in ONE)}."


def choices(target: Target, listed: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The values that each mapped dropdown has."""
    return {
        name: [str(option["value"]) for option in each.get("custom_field_options") or ()]
        for name, each in _named(target, listed)
        if name in target.fields and each["type"] in _CHOICES
    }


def flat(target: Target, held: Mapping[str, Any]) -> dict[str, Any]:
    """The target's fields of a record that Zendesk tells; None where it has no value."""
    own = held.get(GROUP[target.object]) or {}
    if isinstance(own, list):  # a ticket tells its fields as a list of ids and values
        own = {str(each["id"]): each["value"] for each in own}
    values = {**held, **{f"{GROUP[target.object]}.{key}": value for key, value in own.items()}}
    return {name: _as_sent(kind, values.get(name)) for name, kind in target.fields.items()}


def nested(target: Target, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A record's fields as a request carries them."""
    group = f"{GROUP[target.object]}."
    body = {name: value for name, value in fields.items() if not name.startswith(group)}
    own = {name.removeprefix(group): value for name, value in fields.items() if name.startswith(group)}
    if own and target.object == "tickets":
        body["custom_fields"] = [{"id": int(key), "value": value} for key, value in own.items()]
    elif own:
        body[GROUP[target.object]] = own
    return body


def _as_sent(kind: FieldType, value: Any) -> Any:
    if value is None or value == "":
        return None
    if kind is FieldType.DATE and isinstance(value, str):
        return value[:10]  # told as a time, `2012-07-23T00:00:00Z`
    if kind in NUMBERS and isinstance(value, str):
        return _number(value)
    return value


def _number(text: str) -> Any:
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _key_problems(target: Target) -> Iterator[str]:
    key, object_name = target.external_id, target.object
    if object_name == "tickets":
        if key != "id":
            yield f"`tickets` are matched by `id`, their number in Zendesk, not by `{key}`."
    elif key == "email":
        yield (
            "Users are not matched by `email`: Zendesk finds addresses by its search alone, which lags behind."
            " Match by `external_id` and map `email` too: an upsert then finds the user by either."
        )
    elif key == "id" and target.operations & CREATES:
        yield "`id` cannot be set on create: match by `external_id`, or use `sync_mode: update_only`."
    elif key not in ("external_id", "id"):
        yield f"`{object_name}` are matched by `external_id` or `id`, not by `{key}`."


def _named(target: Target, listed: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The account's own fields by the names that a mapping gives them; a ticket's are named by their number."""
    for each in listed:
        if each.get("type") in _OWN_TYPES:
            yield f"{GROUP[target.object]}.{each.get('key') or each['id']}", each


def _field(name: str, listed: Mapping[str, Any]) -> Field:
    why = "" if listed.get("active", True) else "it is deactivated in Zendesk"
    options = [str(each["value"]) for each in listed.get("custom_field_options") or ()]
    return Field(name, listed["type"], read_only_because=why, choices=options if listed["type"] in _CHOICES else ())


def writes(object_name: str) -> frozenset[Operation]:
    """A ticket is made by a customer and closed by an agent: a sync only changes it."""
    if object_name == "tickets":
        return frozenset({Operation.UPDATE})
    return frozenset({Operation.UPSERT, Operation.UPDATE, Operation.DELETE})
