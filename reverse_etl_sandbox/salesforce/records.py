"""Insert, update, upsert and delete of one Salesforce record; shared by REST and Bulk API 2.0."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from reverse_etl_sandbox.salesforce.describe import relationship
from reverse_etl_sandbox.salesforce.ids import id_maker, normal_id
from reverse_etl_sandbox.salesforce.schema import OBJECTS, Field, ObjectType
from reverse_etl_sandbox.salesforce.values import RowError, from_json, show_moment
from reverse_etl_sandbox.store import INTEGRATION, Entry, Table, Undo

Convert = Callable[[Field, Any], Any]


@dataclass(slots=True)
class Saved:
    """A written record; ``undo`` takes the write back."""

    entry: Entry
    created: bool
    undo: Undo


@dataclass(slots=True)
class Records:
    """The records of all objects. ``clock`` gives seconds since 1970."""

    clock: Callable[[], float]
    tables: dict[str, Table] = field(default_factory=dict)
    has_duplicate_rule: Callable[[], bool] = lambda: False
    saves_duplicates: bool = False
    """Of the call that is being answered: its header says so."""

    def __post_init__(self) -> None:
        for kind in OBJECTS.values():
            self.tables[kind.name] = Table(kind.name, id_maker(kind.prefix), kind.key_fields())

    def insert(
        self, kind: ObjectType, row: Mapping[str, Any], convert: Convert = from_json, who: str = INTEGRATION
    ) -> Saved:
        """Create a record.

        Raises:
            RowError: the row is refused; nothing is written.
        """
        values = self._converted(kind, row, convert)
        missing = [part.name for part in kind.fields if part.required and values.get(part.name) is None]
        if missing:
            raise _missing(missing)
        self._check_unique(kind, values, None)
        self._check_duplicate_rule(kind, values)
        defaults = {part.name: part.default for part in kind.fields if part.type == "boolean" and part.writable}
        table = self.tables[kind.name]
        entry = table.insert({**defaults, **values}, self.clock(), who)
        entry.written = {name: entry.written[name] for name in values}
        return Saved(entry, True, table.undo_insert(entry))

    def update(
        self,
        kind: ObjectType,
        entry: Entry,
        row: Mapping[str, Any],
        convert: Convert = from_json,
        who: str = INTEGRATION,
    ) -> Saved:
        """Change a record.

        Raises:
            RowError: the row is refused; nothing is written.
        """
        values = self._converted(kind, row, convert)
        missing = [name for name, value in values.items() if value is None and _field(kind, name).required]
        if missing:
            raise _missing(missing)
        self._check_unique(kind, values, entry)
        table = self.tables[kind.name]
        undo = table.undo_update(entry)
        table.update(entry, values, self.clock(), who)
        return Saved(entry, False, undo)

    def upsert(self, kind: ObjectType, key: Field, row: Mapping[str, Any], convert: Convert = from_json) -> Saved:
        """Update the record that ``row[key]`` names, or create it.

        Raises:
            RowError: no key, several records with this key, or the row is refused.
        """
        given = next((value for name, value in row.items() if name.casefold() == key.name.casefold()), None)
        if given is None or given == "":
            raise RowError("MISSING_ARGUMENT", f"{key.name} not specified")
        if key.name == "Id":
            rest = {name: value for name, value in row.items() if name.casefold() != "id"}
            return self.update(kind, self.by_id(kind, given), rest, convert)
        value = convert(key, given)
        if value is None:
            raise RowError("MISSING_ARGUMENT", f"{key.name} not specified")
        found = self.tables[kind.name].find(key.name, value)
        if len(found) > 1:
            ids = ", ".join(entry.id for entry in found)
            raise RowError(
                "DUPLICATE_EXTERNAL_ID", f"{key.name}: more than one record found for external id field: [{ids}]"
            )
        return self.update(kind, found[0], row, convert) if found else self.insert(kind, row, convert)

    def delete(self, kind: ObjectType, record_id: Any) -> Saved:
        """Move a record to the recycle bin.

        Raises:
            RowError: no such record, or it is deleted already.
        """
        entry = self.by_id(kind, record_id)
        table = self.tables[kind.name]
        table.archive(entry, self.clock())
        return Saved(entry, False, table.undo_archive(entry))

    def by_id(self, kind: ObjectType, record_id: Any) -> Entry:
        """The live record with this id.

        Raises:
            RowError: a malformed id, no such record, or a deleted one.
        """
        known = normal_id(record_id) if isinstance(record_id, str) else None
        if known is None:
            raise RowError("MALFORMED_ID", f"malformed id {record_id}", ("Id",))
        entry = self.tables[kind.name].entries.get(known)
        if entry is None:
            raise RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        if entry.archived:
            raise RowError("ENTITY_IS_DELETED", "entity is deleted")
        return entry

    def _converted(self, kind: ObjectType, row: Mapping[str, Any], convert: Convert) -> dict[str, Any]:
        values: dict[str, Any] = {}
        read_only: list[str] = []
        by_name = kind.by_name
        for name, given in row.items():
            if name == "attributes":
                continue
            part = by_name.get(name.casefold())
            if part is None:
                lookup, record_id = self._parent(kind, name, given)
                values[lookup.name] = record_id
            elif not part.writable:
                read_only.append(part.name)
            else:
                values[part.name] = convert(part, given)
                if part.name == "RecordTypeId" and values[part.name] not in (None, *kind.record_types.values()):
                    text = f"Record Type ID: this ID value isn't valid for the user: {given}"
                    raise RowError("INVALID_CROSS_REFERENCE_KEY", text, (part.name,))
                if part.refers_to and values[part.name] is not None:
                    self._check_reference(part, values[part.name])
        if read_only:
            raise RowError(
                "INVALID_FIELD_FOR_INSERT_UPDATE",
                f"Unable to create/update fields: {', '.join(read_only)}. Please check the security settings of "
                "this field and verify that it is read/write for your profile or permission set.",
                tuple(read_only),
            )
        return values

    def _parent(self, kind: ObjectType, name: str, given: Any) -> tuple[Field, str]:
        """Resolve ``{"Account": {"External_Id__c": "a1"}}`` to the field and the parent's id."""
        lookup = next((part for part in kind.fields if relationship(part).casefold() == name.casefold() != ""), None)
        if lookup is None or not isinstance(given, dict):
            raise RowError("INVALID_FIELD", f"No such column '{name}' on sobject of type {kind.name}")
        if lookup.beyond:
            raise RowError("INVALID_FIELD", f"{name}: no record of {', '.join(lookup.beyond)} has such an external id")
        parent = OBJECTS[lookup.refers_to]
        keys = {part: value for part, value in given.items() if part != "attributes"}
        key = parent.field(next(iter(keys), ""))
        if len(keys) != 1 or key is None or not key.external_id:
            raise RowError("INVALID_FIELD", f"{name}: give exactly one external id field of {parent.name}")
        value = keys[key.name] if key.name in keys else next(iter(keys.values()))
        found = self.tables[parent.name].find(key.name, value)
        if len(found) != 1:
            raise RowError(
                "INVALID_FIELD",
                f"Foreign key external ID: {value} not found for field {key.name} in entity {parent.name}",
            )
        return lookup, found[0].id

    def _check_reference(self, part: Field, record_id: str) -> None:
        if self.tables[part.refers_to].get(record_id) is None:
            raise RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", (part.name,))

    def _check_duplicate_rule(self, kind: ObjectType, values: dict[str, Any]) -> None:
        """The rule alerts when another record has the same address."""
        if not self.has_duplicate_rule() or self.saves_duplicates or "Email" not in self.tables[kind.name].keys:
            return
        if values.get("Email") and self.tables[kind.name].find("Email", values["Email"]):
            raise RowError("DUPLICATES_DETECTED", "Use one of these records?")

    def _check_unique(self, kind: ObjectType, values: dict[str, Any], entry: Entry | None) -> None:
        table = self.tables[kind.name]
        for name in table.keys:
            value = values.get(name)
            held = entry is not None and entry.values.get(name) == value
            if value is None or held or not _field(kind, name).unique:
                continue
            for other in table.find(name, value):
                if other is not entry:
                    raise RowError(
                        "DUPLICATE_VALUE",
                        f"duplicate value found: {name} duplicates value on record with id: {other.id[:15]}",
                    )


def shown(kind: ObjectType, entry: Entry, part: Field) -> Any:
    """The value of one field as the API reads it back."""
    system = {
        "Id": entry.id,
        "IsDeleted": entry.archived,
        "CreatedDate": entry.created_at,
        "LastModifiedDate": entry.updated_at,
        "SystemModstamp": entry.updated_at,
    }
    if part.name in system:
        value = system[part.name]
        return show_moment(datetime.fromtimestamp(value, UTC)) if isinstance(value, float) else value
    if part.calculated:
        return f"Hello {entry.values.get(str(part.default)) or 'there'}"
    if part.name == "Name" and not part.writable:
        return " ".join(filter(None, (entry.values.get("FirstName"), entry.values.get("LastName"))))
    return entry.values.get(part.name)


def _field(kind: ObjectType, name: str) -> Field:
    return kind.by_name[name.casefold()]


def _missing(names: list[str]) -> RowError:
    return RowError("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(names)}]", tuple(names))
