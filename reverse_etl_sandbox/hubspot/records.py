"""Create, update and archive of one HubSpot record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from reverse_etl_sandbox.faults import Fault
from reverse_etl_sandbox.hubspot.schema import ObjectType, objects
from reverse_etl_sandbox.hubspot.values import Invalid, RowRefused, moves_back, not_valid, show_moment
from reverse_etl_sandbox.store import INTEGRATION, Entry, Table, fold
from reverse_etl_sandbox.wire import Call

FIRST_ID = 151_000_000_000
SYSTEM = ("hs_object_id", "createdate", "lastmodifieddate", "hs_createdate", "hs_lastmodifieddate")
"""Properties that are told with every record, though nobody has asked for them."""
OTHER_EMAILS = "hs_additional_emails"


class Records:
    """The records and the schema of all objects. ``clock`` gives seconds since 1970."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.tables: dict[str, Table] = {}
        self.objects: dict[str, ObjectType] = {}
        # A contact's additional addresses find it, too.
        self._other_emails: dict[str, str] = {}
        self._merged: dict[str, str] = {}
        self.barred: set[str] = set()
        """Addresses that were to be deleted for good when no contact had them: none may have them again."""
        self.reset()

    def reset(self) -> None:
        self.objects.update(objects())
        self._other_emails.clear()
        self._merged.clear()
        self.barred.clear()
        for place, kind in enumerate(self.objects.values()):
            table = self.tables.get(kind.name)
            if table is None:
                first = FIRST_ID + place * 1_000_000_000
                table = self.tables[kind.name] = Table(kind.name, lambda sequence, first=first: str(first + sequence))  # type: ignore[misc]
            table.keys = kind.key_properties()
            table.clear()

    def object(self, name: str) -> ObjectType | None:
        """By name, singular name, or object type id."""
        lowered = name.lower()
        for kind in self.objects.values():
            if lowered in (kind.name, kind.type_id) or lowered in kind.aliases:
                return kind
        return None

    def save(
        self, kind: ObjectType, entry: Entry | None, values: dict[str, str | None], who: str = INTEGRATION
    ) -> Entry:
        """Create a record (``entry`` None) or change one, to converted values.

        Raises:
            RowRefused: a property is missing, or a unique value is taken.
        """
        self.check(kind, entry, values)
        return self.write(kind, entry, values, who)

    def check(self, kind: ObjectType, entry: Entry | None, values: dict[str, str | None]) -> None:
        """Raises RowRefused if a new record lacks a property, or another record holds one of the unique values."""
        if entry is None:
            missing = [group[0] for group in kind.required if not any(values.get(name) for name in group)]
            if missing:
                raise not_valid(
                    [Invalid(name, "REQUIRED_FIELD", f'Property "{name}" is required').problem for name in missing]
                )
        table = self.tables[kind.name]
        if kind.name == "contacts" and fold(values.get("email")) in self.barred:
            raise RowRefused(
                "VALIDATION_ERROR", "The email address is on the blocklist of permanently deleted contacts"
            )
        for name in table.keys:
            value = values.get(name)
            if value is None or (entry is not None and entry.values.get(name) == value):
                continue
            other = next((found for found in table.find(name, value) if found is not entry), None)
            other = other or self._by_other_email(kind, name, value)
            if other is not None and other is not entry:
                raise taken(kind, name, other.id)

    def write(
        self, kind: ObjectType, entry: Entry | None, values: dict[str, str | None], who: str = INTEGRATION
    ) -> Entry:
        """Write checked values; a lifecycle stage does not move back."""
        table = self.tables[kind.name]
        if entry is None:
            entry = table.insert(dict(values), self.clock(), who)
            self._note_other_emails(entry)
            return entry
        stage = values.get("lifecyclestage")
        if stage and moves_back(entry.values.get("lifecyclestage"), stage):
            values = {name: value for name, value in values.items() if name != "lifecyclestage"}
        table.update(entry, _appended(kind, entry, values), self.clock(), who)
        self._note_other_emails(entry)
        return entry

    def find(self, kind: ObjectType, id_property: str, value: str) -> Entry | None:
        """The live record with this record id, or this value of a unique property."""
        table = self.tables[kind.name]
        if id_property in ("", "hs_object_id"):
            return table.get(self._merged.get(value, value))
        found = table.find(id_property, value)
        return found[0] if found else self._by_other_email(kind, id_property, value)

    def is_other_email(self, entry: Entry, name: str, value: str) -> bool:
        """Whether this is an additional address of the contact."""
        others = set(_other_emails(entry)) - {fold(entry.values.get("email"))}
        return name == "email" and fold(value) in others

    def _by_other_email(self, kind: ObjectType, name: str, value: str) -> Entry | None:
        if name != "email":
            return None
        entry = self.tables[kind.name].get(self._other_emails.get(fold(value), ""))
        return entry if entry is not None and fold(value) in _other_emails(entry) else None

    def _note_other_emails(self, entry: Entry) -> None:
        for address in _other_emails(entry):
            self._other_emails[address] = entry.id

    def merge(self, kind: ObjectType, primary: Entry, other: Entry) -> Entry:
        """Two records become a new one, to which both ids point from then on ("Updated merge functionality for contacts
        and companies", HubSpot's changelog, read 2026-11-30). What a write to one of them answers is not documented;
        here it is what a read does."""
        addresses = [each for entry in (primary, other) for each in (entry.values.get("email"), *_other_emails(entry))]
        values = {**other.values, **{name: value for name, value in primary.values.items() if value is not None}}
        if others := [each for each in addresses[1:] if each]:
            values[OTHER_EMAILS] = ";".join(others)
        for entry in (primary, other):
            self.archive(kind, entry)
        merged = self.write(kind, None, values)
        self._merged |= {old: merged.id for old, to in self._merged.items() if to in (primary.id, other.id)}
        self._merged |= {primary.id: merged.id, other.id: merged.id}
        return merged

    def archive(self, kind: ObjectType, entry: Entry) -> None:
        self.tables[kind.name].archive(entry, self.clock())


def shown(
    kind: ObjectType, entry: Entry, wanted: Iterable[str] | None = None, values: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A record as the API answers it, with the wanted properties (default: all that have a value)."""
    held = entry.values if values is None else values
    created, updated = show_moment(entry.created_at), show_moment(entry.updated_at)
    system = {"hs_object_id": entry.id, kind.created: created, kind.modified: updated}
    if wanted is None:
        properties = {name: value for name, value in held.items() if value is not None} | system
    else:
        properties = {name: held.get(name) for name in wanted if name in kind.properties} | system
    return {
        "id": entry.id,
        "properties": properties,
        "createdAt": created,
        "updatedAt": updated,
        "archived": entry.archived,
    }


def _other_emails(entry: Entry) -> list[str]:
    held = entry.values.get(OTHER_EMAILS)
    return fold(held).split(";") if held else []


def taken(kind: ObjectType, name: str, holder: str) -> RowRefused:
    """The refusal of a unique value that the record ``holder`` holds."""
    if name in kind.id_properties:
        text = f"{kind.label.capitalize()} already exists. Existing ID: {holder}"
        return RowRefused("CONFLICT", text, 409, context={"existingId": [holder]})
    text = f"{holder} already has that value for {name}."
    return not_valid([Invalid(name, "CONFLICTING_UNIQUE_VALUE", text).problem])


def refuse_by_fault(faults: Sequence[Fault], key: object) -> None:
    """Refuse this row if a row fault hits it.

    Raises:
        RowRefused: as for a value that is not an option.
    """
    for fault in faults:
        if fault.kind == "refuse_rows" and fault.hits_row(key):
            raise not_valid([Invalid("hs_sandbox", "INVALID_OPTION", "Refused by a rule of the sandbox").problem])


def refuse_by_rule(rule: str, call: Call, entry: Entry | None, values: Mapping[str, str | None]) -> None:
    """Refuse a row that lacks what a rule of the account asks for: ``lifecyclestage=customer:company``.

    Writes obey such rules from the version 2026-09 on (HubSpot's developer changelog, "CRM API Write Validation
    Enforcement", read 2026-11-30).

    Raises:
        RowRefused: if the write sets the first property to the value, and the record has none of the second.
    """
    name, _, rest = rule.partition("=")
    value, _, required = rest.partition(":")
    held = {**(entry.values if entry is not None else {}), **values}
    if rule and call.params.get("version", "") >= "2026-09" and values.get(name) == value and not held.get(required):
        text = f'Property "{required}" is required when "{name}" is "{value}"'
        raise not_valid([Invalid(required, "REQUIRED_FIELD", text).problem])


def _appended(kind: ObjectType, entry: Entry, values: dict[str, str | None]) -> dict[str, str | None]:
    """A checkbox value that starts with ``;`` is added to the chosen options."""
    if not any(value and value[0] == ";" for value in values.values()):
        return values
    told = dict(values)
    for name, value in values.items():
        if value and value[0] == ";" and kind.properties[name].field_type == "checkbox":
            old = (entry.values.get(name) or "").split(";")
            told[name] = ";".join(dict.fromkeys(option for option in [*old, *value.split(";")] if option))
    return told
