"""Does a sync fit a HubSpot object? Read from its properties ("Properties" guide of HubSpot's documentation)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reverse_etl_assets.destinations.hubspot.api import RECORD_ID, object_name
from reverse_etl_assets.destinations.schema import CREATES, Field, field_problems, nearest
from reverse_etl_assets.records import FieldType, Operation, Target

MANY = "checkboxes"
_WORDS = frozenset({"string", "enumeration", MANY, "phone_number"})
_NUMBERS = _WORDS | {"number"}
_FORMS = {"email": "email", "hs_additional_emails": "email", "phone": "phone_number", "mobilephone": "phone_number"}
"""What HubSpot's own properties of texts hold."""
ACCEPTS: Mapping[FieldType, frozenset[str]] = {
    FieldType.TEXT: _WORDS | {"json", "email"},
    FieldType.INTEGER: _NUMBERS,
    FieldType.DECIMAL: _NUMBERS,
    FieldType.FLOAT: _NUMBERS - {"phone_number"},
    # A single checkbox is an enumeration of true and false.
    FieldType.BOOLEAN: frozenset({"bool", "enumeration", "string"}),
    FieldType.DATE: frozenset({"date", "datetime", "string"}),
    # Not into a date: which day a moment falls on depends on a time zone, and the model should say which.
    FieldType.TIMESTAMP: frozenset({"datetime", "string"}),
    FieldType.TIME: frozenset({"string"}),
    FieldType.JSON: frozenset({"string", "json", MANY}),
}
# "Create ..." in the guides of the objects, 2026-09; one of each group has to be there.
REQUIRED: Mapping[str, Sequence[tuple[str, ...]]] = {
    "companies": [("name", "domain")],
    "deals": [("dealname",), ("dealstage",)],
    "tickets": [("subject",), ("hs_pipeline_stage",)],
}


def problems(properties: Sequence[Mapping[str, Any]], target: Target) -> Iterator[str]:
    """Everything about the object's properties that does not fit the sync, a sentence each."""
    raw = {each["name"]: each for each in properties}
    yield from _record_key_problems(raw, target)
    yield from field_problems(target, {name: field_of(each) for name, each in raw.items()}, ACCEPTS)
    if target.operations & CREATES:
        for group in REQUIRED.get(object_name(target.object), ()):
            if not {target.external_id, *target.fields}.intersection(group):
                names = " or ".join(f"`{name}`" for name in group)
                yield f"{names} is required on create and not mapped: map it, or use `sync_mode: update_only`."


def key_problems(properties: Sequence[Mapping[str, Any]], name: str, key: str) -> Iterator[str]:
    """Whether records of an object, which are there already, can be found by a property."""
    raw = {each["name"]: each for each in properties}
    right = ", ".join(f"`{each}`" for each in _keys(raw, name)) or "none yet: make a property with unique values"
    if key not in raw:
        yield f"`{name}` has no external id property `{key}`{nearest(key, raw)}. Properties to match by: {right}."
    elif key != RECORD_ID and key not in _keys(raw, name) and raw[key].get("hasUniqueValue") is not None:
        yield f"Property `{key}` is not unique, so it cannot match records. Properties to match by: {right}."


def _record_key_problems(raw: Mapping[str, Mapping[str, Any]], target: Target) -> Iterator[str]:
    key = target.external_id
    found = list(key_problems(list(raw.values()), target.object, key))
    yield from found
    if found:
        return
    if key == RECORD_ID and target.operations & CREATES:
        right = ", ".join(f"`{each}`" for each in _keys(raw, target.object))
        yield f"`{RECORD_ID}` cannot be set on create: match by another property. There are: {right}."
    elif target.operations & {Operation.INSERT, Operation.UPSERT} and (why := field_of(raw[key]).read_only_because):
        yield f"Property `{key}` is read-only ({why}), so no record can be created with it."


def _keys(raw: Mapping[str, Mapping[str, Any]], name: str) -> list[str]:
    keys = [each for each, described in raw.items() if described.get("hasUniqueValue") and each != RECORD_ID]
    return keys if object_name(name) != "contacts" or "email" in keys else [*keys, "email"]


def field_of(raw: Mapping[str, Any]) -> Field:
    why = ""
    if raw.get("calculated"):
        why = "it is calculated"
    elif (raw.get("modificationMetadata") or {}).get("readOnlyValue"):
        why = "HubSpot sets it"
    kind = "string" if raw["name"] == RECORD_ID else raw["type"]  # a number that everybody keeps as text
    if kind == "enumeration" and raw.get("fieldType") == "checkbox":
        kind = MANY
    if kind == "string" and raw.get("hubspotDefined") is not False:
        kind = _FORMS.get(raw["name"], kind)
    has_choices = kind in ("enumeration", MANY) and not raw.get("externalOptions")
    options = [str(each.get("value")) for each in raw.get("options") or ()] if has_choices else []
    return Field(raw["name"], kind, read_only_because=why, choices=options)
