"""Rows that wait for a row of another sync, which comes before (`after` with a `key`).

A row goes out once the parent's row that it names is at the destination. A row that names none does not wait, nor does
a deletion. The parent's state is attached beside the sync's own.
"""

from collections.abc import Mapping
from typing import Any

import duckdb

from reverse_etl_assets.records import FieldType, Reason
from reverse_etl_assets.spec.policies import After
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.sql import render
from reverse_etl_assets.state.facts import read_facts
from reverse_etl_assets.state.ledger import columns_of_table, settled
from reverse_etl_assets.warehouses import value_text
from reverse_etl_assets.warehouses.column_types import field_type
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.duckdb import literal, quote

_NUMBERS = (FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT)
NOT_THERE, NOT_SETTLED = "its row of {} has not arrived", "its row of {} did not arrive the last time"


def beside(sync: Sync) -> dict[str, str]:
    """The states that a plan of the sync has to have attached: the sync of each by the name that it gets."""
    return {_name(parent): parent for parent in dict.fromkeys(each.sync for each in sync.after if each.holds)}


def _name(parent: str) -> str:
    return f"_retl_parent_{parent}"


def keep_back(con: duckdb.DuckDBPyConnection, columns: Columns, relation: str, outbox: str) -> dict[str, int]:
    """Take the operation from rows whose parent's row is not at the destination, or did not arrive the last time.

    Returns how many those are, by kind. The table `waiting_rows` then has them, each with the key that it waits for.
    """
    waits = [parent for parent in columns.sync.after if parent.holds]
    if not waits:
        return {}
    con.execute("create or replace temp table waiting_rows (key varchar, parent varchar, parent_key varchar)")
    for parent in waits:
        _keep_back(con, columns, parent, relation, outbox)
    kinds = f"select kind, count(*) from {outbox} where reason = '{Reason.NO_PARENT}' group by kind"
    return dict(con.execute(kinds).fetchall())


def waiting_for(con: duckdb.DuckDBPyConnection, sync: Sync) -> dict[str, tuple[str, str]]:
    """By the key of each row that waits: the sync and the key of the row that it waits for. After `keep_back`."""
    if not any(parent.holds for parent in sync.after):
        return {}
    found = con.execute("select key, parent, parent_key from waiting_rows").fetchall()
    return {key: (parent, parent_key) for key, parent, parent_key in found}


def _keep_back(con: duckdb.DuckDBPyConnection, columns: Columns, parent: After, relation: str, outbox: str) -> None:
    state = quote(_name(parent.sync))
    names = {
        "outbox": outbox,
        "relation": relation,
        "keys": columns.keys,
        "has_key": columns.has_key,
        "columns": [quote(name) for name in parent.key],
        "parent_key": columns.joined(list(map(quote, parent.key)), [columns.types[c.lower()] for c in parent.key]),
        "state": state,
        "same_key": _same_key(con, columns, parent, state),
        "parent": literal(parent.sync),
        "not_there": literal(NOT_THERE.format(parent.sync)),
        "not_settled": literal(NOT_SETTLED.format(parent.sync)),
        "settled": settled("outcomes"),
    }
    con.execute(render("missing_parents", **names))
    con.execute("insert into waiting_rows select key, parent, parent_key from missing_parents")
    con.execute(
        f"update {outbox} as o set operation = null, reason = '{Reason.NO_PARENT}', message = missing.message"
        " from missing_parents as missing where o.rowid = missing.number"
    )


def _same_key(con: duckdb.DuckDBPyConnection, columns: Columns, parent: After, state: str) -> str | None:
    """SQL: whether the row `child` names the synced row `synced` of the parent. None if the parent never planned."""
    try:
        present: Mapping[str, Any] = columns_of_table(con, f"{state}.synced")
    except duckdb.CatalogException:
        return None
    facts = read_facts(con, state)
    folding = columns.folding(facts.outbox_fold_case, facts.outbox_fold_blanks and len(parent.key) == 1)
    same = []
    for number, name in enumerate(parent.key):
        own, theirs = columns.types[name.lower()], present[f"_retl_k{number}"]
        column, stored = f"child._retl_p{number}", f"synced._retl_k{number}"
        if folding.folds:
            same.append(f"{folding.folded(column, own)} = {stored}")
        elif field_type(own) in _NUMBERS and field_type(theirs) in _NUMBERS:
            same.append(f"{column} = {stored}")
        else:
            same.append(f"{value_text.text(column, own)} = {value_text.text(stored, theirs)}")
    return " and ".join(same)
