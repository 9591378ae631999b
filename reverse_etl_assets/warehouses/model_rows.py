"""Rows that share a key, where the sync says which of them counts: the latest by a column."""

from collections.abc import Mapping
from typing import Any

import duckdb

from reverse_etl_assets.sql import render
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.duckdb import literal, quote


def latest_rows(con: duckdb.DuckDBPyConnection, relation: str, columns: Columns) -> tuple[str, int]:
    """The model without the rows that a later one of their key supersedes, and how many those are.

    Rows that share the greatest value of a key stay: nobody can say which of them is right.
    """
    latest_by = columns.sync.on_duplicate_key.latest_by
    if latest_by is None:
        return relation, 0
    names = {"relation": relation, "keys": columns.keys, "has_key": columns.has_key, "latest_by": quote(latest_by)}
    con.execute(render("latest_of_keys", **names))
    if not _number(con, "select count(*) from latest_of_keys"):
        return relation, 0
    con.execute(render("latest_rows", **names))
    rows = _number(con, f"select count(*) from {relation}") - _number(con, "select count(*) from latest_rows")
    return "latest_rows", rows


def name_superseded(con: duckdb.DuckDBPyConnection, relation: str, columns: Columns, names: Mapping[str, Any]) -> None:
    """Add the superseded rows of keys that are in the outbox to it. `relation` is the whole model."""
    latest_by = columns.sync.on_duplicate_key.latest_by
    assert latest_by is not None  # noqa: S101 - else no row is superseded
    message = literal(f"another row of this key has a greater `{latest_by}`, and that one counts")
    given = {**names, "relation": relation, "latest_by": quote(latest_by), "superseded_message": message}
    con.execute(render("superseded_rows", **given))


def _number(con: duckdb.DuckDBPyConnection, query: str) -> int:
    row = con.execute(query).fetchone()
    return int(row[0]) if row else 0
