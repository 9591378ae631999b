"""Does a sync fit a HubSpot object? Read from its properties ("Properties" guide of HubSpot's documentation)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reverse_etl_assets.destinations.schema import CREATES, Field, field_problems, nearest
from reverse_etl_assets.records import FieldType, Operation, Target

RECORD_ID = "hs_object_id"
OBJECT_IDS = {"0-1": "contacts", "0-2": "companies", "0-3": "deals", "0-5": "tickets"}

_WORDS = frozenset({"string", "enumeration", "phone_number"})
_NUMBERS = _WORDS | {"number"}
ACCEPTS: Mapping[FieldType, frozenset[str]] = {
    FieldType.TEXT: _WORDS | {"json"},
    FieldType.INTEGER: _NUMBERS,
    FieldType.DECIMAL: _NUMBERS,
    FieldType.FLOAT: _NUMBERS,
    # A single checkbox is an enumeration of true and false.
    FieldType.BOOLEAN: frozenset({"bool", "enumeration", "string"}),
    FieldType.DATE: frozenset({"date", "datetime", "string"}),
    # Not into a date: which day a moment falls on depends on a time zone, and the model should say which.
    FieldType.TIMESTAMP: frozenset({"datetime", "string"}),
    FieldType.TIME: frozenset({"string"}),
    FieldType.JSON: frozenset({"string", "json"}),
}
# "Required properties" in the guides of the objects; one of each group has to be there.
REQUIRED: Mapping[str, Sequence[tuple[str, ...]]] = {
    "companies": [("name", "domain")],
    "deals": [("dealname",), ("dealstage",)],
    "tickets": [("subject",), ("hs_pipeline_stage",)],
}


def problems(properties: Sequence[Mapping[str, Any]], target: Target) -> Iterator[str]:
    """Everything about the object's properties that does not fit the sync, a sentence each."""
    raw = {each["name"]: each for each in properties}
    yield from _key_problems(raw, target)
    yield from field_problems(target, {name: _field(each) for name, each in raw.items()}, ACCEPTS)
    if target.operations & CREATES:
        for group in REQUIRED.get(object_name(target), ()):
            if not {target.external_id, *target.fields}.intersection(group):
                names = " or ".join(f"`{name}`" for name in group)
                yield f"{names} is required on create and not mapped: map it, or use `sync_mode: update_only`."


def object_name(target: Target) -> str:
    return OBJECT_IDS.get(target.object, target.object)


def _key_problems(raw: Mapping[str, Mapping[str, Any]], target: Target) -> Iterator[str]:
    name = target.external_id
    keys = [other for other, each in raw.items() if each.get("hasUniqueValue")]
    if object_name(target) == "contacts" and "email" not in keys:
        keys.append("email")
    right = ", ".join(f"`{key}`" for key in keys if key != RECORD_ID) or "none yet: make a property with unique values"
    if name not in raw:
        near = nearest(name, raw)
        yield f"`{target.object}` has no external id property `{name}`{near}. Properties to match by: {right}."
    elif name == RECORD_ID:
        if target.operations & CREATES:
            yield f"`{RECORD_ID}` cannot be set on create: match by another property. There are: {right}."
    elif name not in keys:
        yield f"Property `{name}` is not unique, so it cannot match records. Properties to match by: {right}."
    elif target.operations & {Operation.INSERT, Operation.UPSERT} and (why := _field(raw[name]).read_only_because):
        yield f"Property `{name}` is read-only ({why}), so no record can be created with it."


def _field(raw: Mapping[str, Any]) -> Field:
    why = ""
    if raw.get("calculated"):
        why = "it is calculated"
    elif (raw.get("modificationMetadata") or {}).get("readOnlyValue"):
        why = "HubSpot sets it"
    kind = "string" if raw["name"] == RECORD_ID else raw["type"]  # a number that everybody keeps as text
    return Field(raw["name"], kind, read_only_because=why)
