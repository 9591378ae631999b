"""Attio's attributes: which columns fit them, and their values there and here ("Attribute types", docs.attio.com, read
2026-11-22)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reverse_etl_assets.destinations import (
    NUMBERS,
    Accepts,
    Field,
    FieldType,
    Forms,
    Target,
    field_problems,
    nearest,
    plain_text,
    same_value,
)

_SEVERAL = frozenset({"select", "email-address", "domain", "phone-number"})
_PARTS: Mapping[str, tuple[str, ...]] = {
    "personal-name": ("first_name", "last_name", "full_name"),
    "record-reference": ("target_object", "target_record_id"),
    "location": (
        *("line_1", "line_2", "line_3", "line_4", "locality", "region", "postcode"),
        *("country_code", "latitude", "longitude"),
    ),
}
_NUMBER = frozenset({"number", "currency"})
_ACCEPTS: Accepts = {
    FieldType.TEXT: _SEVERAL | {"text", "status"},
    FieldType.INTEGER: _NUMBER | {"rating", "text"},
    FieldType.DECIMAL: _NUMBER | {"text"},
    FieldType.FLOAT: _NUMBER | {"text"},
    FieldType.BOOLEAN: frozenset({"checkbox", "text"}),
    FieldType.DATE: frozenset({"date", "text"}),
    FieldType.TIMESTAMP: frozenset({"timestamp", "text"}),
    FieldType.TIME: frozenset({"text"}),
    FieldType.JSON: _SEVERAL | _PARTS.keys(),
}
FORMS = Forms(as_text={"text"})
_VALUE = {
    "currency": "currency_value",
    "email-address": "email_address",
    "domain": "domain",
    "phone-number": "original_phone_number",
    "select": "option",
    "status": "status",
}
"""Where a value is, if it is not at `value`."""


def problems(target: Target, attributes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the sync does not fit, one sentence for each."""
    known = {str(each["api_slug"]): each for each in attributes}
    key = known.get(target.external_id)
    unique = ", ".join(f"`{name}`" for name, each in known.items() if each.get("is_unique")) or "none"
    if key is None:
        near = nearest(target.external_id, known)
        yield f"`{target.object}` has no attribute `{target.external_id}` to match by{near}; unique are: {unique}."
    elif not key.get("is_unique"):
        yield f"Attribute `{target.external_id}` is not unique, so nothing can be matched by it; unique are: {unique}."
    if target.key_type in NUMBERS - {FieldType.INTEGER}:
        yield f"The key is of type {target.key_type.value}, and Attio may not keep its digits: cast it to text."
    yield from field_problems(target, {name: field_of(each) for name, each in known.items()}, _ACCEPTS)


def field_of(attribute: Mapping[str, Any]) -> Field:
    because = "" if attribute.get("is_writable", True) else "Attio fills it itself"
    return Field(str(attribute["api_slug"]), str(attribute["type"]), read_only_because=because)


def written(value: Any) -> list[Any]:
    """A value as a request has it: a list for every type, an empty one for no value."""
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]


def read(values: Sequence[Mapping[str, Any]]) -> Any:
    """The values of one attribute as they can be sent back; None for none."""
    plain = [_plain(value) for value in values]
    return plain if len(plain) > 1 else plain[0] if plain else None


def _plain(value: Mapping[str, Any]) -> Any:
    kind = str(value.get("attribute_type"))
    if kind in _PARTS:
        return {name: value.get(name) for name in _PARTS[kind]}
    found = value.get(_VALUE.get(kind, "value"))
    return found.get("title") if isinstance(found, dict) else found


def key_texts(values: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a record can be matched by; an address also as it was typed in."""
    return [plain_text(text) for each in values for text in (_plain(each), each.get("original_email_address")) if text]


def same(target: Target, field: str, sent: Any, held: Any) -> bool:
    """Besides what all vendors do: several values in any order, and numbers as 64 bit floats, money to 4 places."""
    kind = target.fields.get(field, FieldType.TEXT)
    if sent == held or same_value(kind, sent, held):
        return True
    if kind in NUMBERS and sent is not None and held is not None:
        return float(sent) == float(held) or round(float(sent), 4) == float(held)
    one, other = written(sent), written(held)
    if field == target.external_id:  # an assert adds to the values that match; it takes none away
        return all(any(same_value(FieldType.TEXT, each, there) for there in other) for each in one)
    return len(one) == len(other) and all(any(same_value(kind, each, there) for there in other) for each in one)
