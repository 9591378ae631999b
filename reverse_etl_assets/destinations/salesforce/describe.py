"""Does a sync fit a Salesforce object? Read from its describe ("sObject Describe", REST API Developer Guide)."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from reverse_etl_assets.destinations.salesforce.reading import RECORD_TYPE
from reverse_etl_assets.destinations.schema import CHANGES, CREATES, Field, Forms, field_problems, nearest
from reverse_etl_assets.records import FieldType, Operation, Target

_WORDS = frozenset({"string", "textarea", "picklist", "multipicklist", "combobox", "encryptedstring", "anyType"})
TEXTS = _WORDS | {"email", "phone", "url", "reference", "id"}
FORMS = Forms(as_text=TEXTS, of_many={"multipicklist"}, as_integers={"int"})
"""Salesforce refuses a number where text belongs and keeps no form, and `12.0` where whole numbers do."""
_NUMERIC = frozenset({"int", "double", "currency", "percent"})

ACCEPTS: Mapping[FieldType, frozenset[str]] = {
    FieldType.TEXT: TEXTS,
    FieldType.INTEGER: _NUMERIC | _WORDS | {"phone"},
    FieldType.DECIMAL: _NUMERIC | _WORDS | {"phone"},
    FieldType.FLOAT: _NUMERIC | _WORDS,
    FieldType.BOOLEAN: _WORDS | {"boolean"},
    FieldType.DATE: _WORDS | {"date"},
    # Not into a date: which day a moment falls on depends on a time zone, and the model should say which.
    FieldType.TIMESTAMP: _WORDS | {"datetime"},
    FieldType.TIME: _WORDS | {"time"},
    FieldType.JSON: frozenset({"string", "textarea", "multipicklist"}),
}
_FLAGS = {"createable": CREATES, "updateable": CHANGES, "deletable": frozenset({Operation.DELETE})}


def problems(describe: Mapping[str, Any], target: Target, *, case_sensitive_key: bool) -> Iterator[str]:
    """Everything about the object that does not fit the sync, a sentence each."""
    raw = {field["name"]: field for field in describe["fields"]}
    for flag, operations in _FLAGS.items():
        if target.operations & operations and describe.get(flag) is False:
            yield f"`{target.object}` is not {flag} for this user: ask for the permission, or change the sync mode."
    yield from _key_problems(raw, target, case_sensitive_key)
    # A parent that is not known has been named already.
    own = {name: sent for name, sent in target.fields.items() if name in raw or "." not in name}
    yield from field_problems(
        replace(target, fields=own), {name: field_of(each) for name, each in raw.items()}, ACCEPTS
    )
    if target.operations & CREATES:
        yield from _required_problems(raw, target)


def choices(describe: Mapping[str, Any], target: Target) -> dict[str, list[str]]:
    """The values of mapped fields that take no others: restricted picklists, and record types, each as `name=Id`."""
    known = {
        field["name"]: _only(field)
        for field in describe["fields"]
        if field["name"] in target.fields and field.get("restrictedPicklist")
    }
    if RECORD_TYPE in target.fields:
        types = [each for each in describe.get("recordTypeInfos") or () if each.get("available", True)]
        known[RECORD_TYPE] = [f"{each['developerName']}={each['recordTypeId']}" for each in types]
    return known


def _only(field: Mapping[str, Any]) -> list[str]:
    """The values of a restricted picklist."""
    listed = field.get("picklistValues") if field.get("restrictedPicklist") else None
    return [each["value"] for each in listed or () if each.get("active", True)]


def _key_problems(raw: Mapping[str, Mapping[str, Any]], target: Target, case_sensitive_key: bool) -> Iterator[str]:
    name = target.external_id
    keys = [other for other, field in raw.items() if field.get("externalId") or field.get("idLookup")]
    right = ", ".join(f"`{key}`" for key in keys if key != "Id") or "none yet: make one in Setup"
    field = raw.get(name)
    if field is None:
        yield f"`{target.object}` has no external id field `{name}`{nearest(name, keys)}. Fields to match by: {right}."
        return
    if name == "Id":
        if target.operations & CREATES:
            yield f"`Id` cannot be set on create: match by an external id field. Fields to match by: {right}."
        return
    if name not in keys:
        yield f"Field `{name}` is no external id: tick External ID in Setup, or match by another. There are: {right}."
        return
    if target.operations & CREATES and not field.get("createable", True):
        yield f"External id field `{name}` cannot be set by this user: give it edit permission."
    if Operation.INSERT in target.operations and not field.get("unique"):
        yield f"Field `{name}` is not unique, so an insert cannot tell what is there already: tick Unique in Setup."
    if field["type"] in TEXTS and bool(field.get("caseSensitive")) != case_sensitive_key:
        yield _case_problem(name, bool(field.get("caseSensitive")))


def _case_problem(name: str, sensitive: bool) -> str:
    does = "tells" if sensitive else "does not tell"
    setting = f"case_sensitive_key: {str(sensitive).lower()}"
    return f"Field `{name}` {does} upper from lower case: set `{setting}` in options."


def _required_problems(raw: Mapping[str, Mapping[str, Any]], target: Target) -> Iterator[str]:
    for name, field in raw.items():
        required = field.get("createable") and not field.get("nillable", True) and not field.get("defaultedOnCreate")
        if required and name not in target.fields and name != target.external_id:
            yield f"Field `{name}` is required on create and not mapped: map it, or use `sync_mode: update_only`."


def field_of(raw: Mapping[str, Any]) -> Field:
    creatable, updatable = bool(raw.get("createable")), bool(raw.get("updateable"))
    why = ""
    if raw.get("calculated"):
        why = "it is calculated"
    elif raw.get("autoNumber"):
        why = "it is an auto number"
    elif not creatable and not updatable:
        why = "not createable and not updateable for this user"
    return Field(raw["name"], raw["type"], creatable, updatable, why, _only(raw))
