"""What a change set does to each field: in how many rows its value changes, and in how many it is lost."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from reverse_etl_assets.records import FieldType
from reverse_etl_assets.spec.mapped_field import IfNull
from reverse_etl_assets.warehouses.column_types import field_type
from reverse_etl_assets.warehouses.columns import Column, Columns


@dataclass(frozen=True)
class FieldChange:
    """Of one field, rows of a change set: those in which its value changes, and those of them that lose it.

    `filled` is how many synced rows have a value; it is counted only if some row loses it.
    """

    field: str
    changed: int
    emptied: int = 0
    filled: int = 0


def count_field_changes(con: duckdb.DuckDBPyConnection, columns: Columns, outbox: str) -> tuple[FieldChange, ...]:
    """Every field whose value changes in a row of the outbox that would be sent.

    The synced rows are read only if a field is emptied, and then that field alone.
    """
    sent = f"(select * from {outbox} where kind = 'changed' and operation is not null)"
    query = f"select field, count(*) from (select unnest(changed_fields) as field from {sent}) group by field"
    changed = dict(con.execute(query).fetchall())
    pairs = zip(columns.sync.mapping, columns.fields, strict=True)
    fields = {name: column for name, column in pairs if name in changed}
    keep = {name for name in fields if columns.sync.mapping[name].null is IfNull.KEEP}
    emptied = _count(con, sent, {name: _loses(column, name in keep) for name, column in fields.items()})
    filled = _count(con, "state.synced", {n: _has(column, column.name) for n, column in fields.items() if emptied[n]})
    return tuple(FieldChange(name, changed[name], emptied[name], filled.get(name, 0)) for name in fields)


def _count(con: duckdb.DuckDBPyConnection, relation: str, tests: dict[str, str]) -> dict[str, int]:
    """The rows of which each test is true, in one scan."""
    if not tests:
        return {}
    counts = ", ".join(f"count(*) filter (where {test})" for test in tests.values())
    row: Sequence[int] = con.execute(f"select {counts} from {relation}").fetchone() or ()
    return dict(zip(tests, row, strict=True))


def _loses(column: Column, keeps_null: bool) -> str:
    """A field that NULL leaves alone is emptied by an empty text only."""
    after = f"after.{column.name}"
    lost = f"{_has(column, f'before.{column.name}')} and not ({_has(column, after)})"
    return f"{after} is not null and {lost}" if keeps_null else lost


def _has(column: Column, value: str) -> str:
    if field_type(column.sql_type) is FieldType.TEXT:
        return f"coalesce({value}::varchar, '') <> ''"
    return f"{value} is not null"
