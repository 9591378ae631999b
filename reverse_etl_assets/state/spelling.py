"""Keys that an earlier release wrote in another way: what the state remembers by them meets their rows again.

A synced row keeps the key that its record was made by, unless the destination holds the mapped field instead.
"""

import duckdb

from reverse_etl_assets.state.facts import changing_facts, read_facts
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.duckdb import quote

_NOW = "of fields"
_REMEMBER = ("pending", "held", "shared", "refusals", "outcomes", "images", "conflicts", "kept")


def respell(con: duckdb.DuckDBPyConnection, columns: Columns, relation: str, *, as_field: bool) -> None:
    """Once for a state: rename the keys of rows that are not synced and, if records hold the field, of synced ones."""
    if read_facts(con).key_texts == _NOW:
        return
    keys = [f"{key.name} = {spelt}" for key, spelt in columns.respelled_keys if spelt != key.name]
    if keys and _is_made(con, "synced", "table"):
        con.execute(f"update state.synced set {', '.join(keys)}")
    if columns.is_respelled:
        _note(con, columns, relation, as_field=as_field)
        for table in _REMEMBER:
            _rename(con, table, "key")
        if as_field:
            _rename(con, "synced", "_retl_key")
        con.execute("drop table respelled")
    with changing_facts(con) as facts:
        facts.key_texts = _NOW


def _note(con: duckdb.DuckDBPyConnection, columns: Columns, relation: str, *, as_field: bool) -> None:
    """The old and the new text of each key that has two."""
    has_synced = _is_made(con, "synced", "%")
    is_synced = "old in (select _retl_key from state.synced)" if has_synced else "false"
    con.execute(
        f"create or replace temp table respelled as select old, any_value(new) as new from"
        f" (select {columns.old_key_text} as old, {columns.key_text()} as new from {relation} where {columns.has_key})"
        f" where old <> new and not {is_synced} group by old having count(distinct new) = 1"
    )
    if as_field and has_synced:
        con.execute(
            f"insert into respelled select _retl_key, {columns.key_text('s')} from state.synced as s"
            f" where {columns.is_old_spelling('s')}"
        )


def _rename(con: duckdb.DuckDBPyConnection, table: str, column: str) -> None:
    if not _is_made(con, table, "table"):
        return
    con.execute(
        f"update state.{quote(table)} as t set {quote(column)} = respelled.new from respelled"
        f" where t.{quote(column)} = respelled.old"
    )


def _is_made(con: duckdb.DuckDBPyConnection, name: str, kind: str) -> bool:
    known = (
        "select 1 from information_schema.tables"
        " where table_catalog = 'state' and table_name = $name and table_type ilike '%' || $kind"
    )
    return con.execute(known, {"name": name, "kind": kind}).fetchone() is not None
