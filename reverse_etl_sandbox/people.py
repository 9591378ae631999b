"""A person at work in a vendor's own interface: what they do to records, and when."""

from __future__ import annotations

from typing import Any

from reverse_etl_sandbox.gate import Context, Vendor
from reverse_etl_sandbox.store import Table

Values = dict[str, Any]


class People:
    """By the vendor's rules for values, and past its limits and faults.

    Every method raises LookupError (no such vendor, object or record) or ValueError (a value is refused). ``at`` is
    when the person did it, in seconds since 1970; without it, now.
    """

    def __init__(self, context: Context, vendors: dict[str, Vendor]) -> None:
        self._context = context
        self._vendors = vendors

    def edit(self, vendor: str, name: str, record_id: str, values: Values, at: float | None = None) -> None:
        """Change a record; the fields that are not given stay."""
        table = self._with(vendor, name, record_id)
        self._vendors[vendor].edit(table, record_id, values)
        self._date(table, record_id, at)

    def add(self, vendor: str, name: str, values: Values, at: float | None = None) -> str:
        """Create a record and return its id."""
        table = self.table(vendor, name)
        record_id = self._vendors[vendor].add(table, values)
        self._date(table, record_id, at)
        return record_id

    def remove(self, vendor: str, name: str, record_id: str) -> None:
        self._vendors[vendor].remove(self._with(vendor, name, record_id), record_id)

    def duplicate(self, vendor: str, name: str, record_id: str, at: float | None = None) -> str:
        """Make a second record with the same values, its key too, and return its id."""
        table = self._with(vendor, name, record_id)
        if vendor == "rest":
            raise ValueError("a record of the REST sink is its key: there is no second one")
        made = table.duplicate(table.entries[record_id], self._context.clock())
        self._date(table, made.id, at)
        return made.id

    def table(self, vendor: str, name: str) -> Table:
        if vendor not in self._vendors:
            raise LookupError(f"there is no vendor {vendor!r}; vendors are {', '.join(self._vendors)}")
        tables = self._vendors[vendor].tables
        if name not in tables:
            raise LookupError(f"{vendor} has no object {name!r}; objects are {', '.join(tables)}")
        return tables[name]

    def _with(self, vendor: str, name: str, record_id: str) -> Table:
        table = self.table(vendor, name)
        if table.get(record_id) is None:
            raise LookupError(f"{name} has no record {record_id}")
        return table

    def _date(self, table: Table, record_id: str, at: float | None) -> None:
        if at is not None:
            entry = table.entries[record_id]
            entry.written = {
                field: (at, who) if when == entry.updated_at else (when, who)
                for field, (when, who) in entry.written.items()
            }
            entry.updated_at = float(at)
