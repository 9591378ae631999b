"""Rows that are kept back: an earlier send is in doubt, and must not be repeated before a person has looked.

A row stays held until somebody releases it, whatever becomes of it in the model.
All functions take a connection on which the sync's state is attached as `state`.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import duckdb

from reverse_etl_assets.privacy.masking import Mask
from reverse_etl_assets.records import Operation, Reason
from reverse_etl_assets.sql import render
from reverse_etl_assets.state.images import image_fields, unpacked
from reverse_etl_assets.warehouses.columns import Columns, meant
from reverse_etl_assets.warehouses.duckdb import transaction


def keep_back(con: duckdb.DuckDBPyConnection, outbox: str) -> int:
    """Take the operation from held rows of the change set. Returns how many rows are held in all."""
    con.execute(
        f"update {outbox} as o set operation = null, reason = '{Reason.HELD}', message = held.message"
        " from state.held as held where o.key = held.key and o.operation is not null"
    )
    return count(con)


def name_others(con: duckdb.DuckDBPyConnection, outbox: str) -> None:
    """Held rows that are not in the change set, because they left the model or are as they were, get an outcome too."""
    con.execute(
        f"insert into {outbox} by name select 'held' as kind, key, key as external_id, '{Reason.HELD}' as reason,"
        f" any_value(message) as message from state.held where key not in"
        f" (select key from {outbox} where key is not null) group by key"
    )


def remember(con: duckdb.DuckDBPyConnection, columns: Columns, run_id: str, unnoted: Collection[Operation]) -> None:
    """Hold rows of a run whose answer was lost and that must not be sent twice, as was noted when they were sent.

    An earlier release did not note that: then rows of the operations `unnoted` are held.
    """
    con.execute(
        "insert into state.held by name select outbox.key, $run_id as run_id, answers.message,"
        f" case when outbox.after is not null then {columns.json('outbox.after')} end as fields"
        " from answers join state.outbox as outbox on outbox.rowid = answers.number"
        " where answers.reason = $ambiguous and coalesce(answers.once, list_contains($unnoted, outbox.operation))",
        {"run_id": run_id, "ambiguous": Reason.AMBIGUOUS.value, "unnoted": [each.value for each in unnoted]},
    )


@dataclass(frozen=True)
class HeldRow:
    """A row that is kept back, by the run whose send is in doubt, and why."""

    key: str
    run_id: str
    message: str | None

    def masked(self, mask: Mask) -> "HeldRow":
        """As it may be shown. What the destination said was kept without the row's personal data."""
        message = mask.text(self.message or "", {}, self.key) or self.message
        return replace(self, key=str(mask.key(self.key)), message=message)


def count(con: duckdb.DuckDBPyConnection) -> int:
    """How many rows are held; also of a sync that never ran."""
    known = "select 1 from duckdb_tables() where database_name = 'state' and table_name = 'held'"
    if con.execute(known).fetchone() is None:
        return 0
    row = con.execute("select count(distinct key) from state.held").fetchone()
    return int(row[0]) if row else 0


def held(con: duckdb.DuckDBPyConnection, limit: int | None = None) -> list[HeldRow]:
    """The rows that are held, by their keys."""
    most = "" if limit is None else f"limit {limit:d}"
    query = f"select key, any_value(run_id), any_value(message) from state.held group by key order by key {most}"
    return [HeldRow(*row) for row in con.execute(query).fetchall()] if count(con) else []


def release(con: duckdb.DuckDBPyConnection, key: str) -> bool:
    """Let a held row be sent again. False if it was not held. Raises StateError as `columns.meant` does."""
    held = _held_key(con, key)
    con.execute("delete from state.held where key = $key", {"key": held})
    return held is not None


def arrived(con: duckdb.DuckDBPyConnection, columns: Columns, key: str, destination_id: str | None) -> bool:
    """A held row did arrive, as the record of this id: it is synced with what was sent. False if it was not held.

    Fields whose value cannot be told from what was kept of it are sent again.
    Raises StateError as `columns.meant` does.
    """
    if (held := _held_key(con, key)) is None:
        return False
    row = {"key": held}
    names = {"keys": columns.keys, "key_values": columns.key_values("sent.key"), "unpacked": unpacked(columns, "image")}
    with transaction(con):
        own = "lower(_retl_key) = lower($key)" if columns.fold_case else "_retl_key = $key"
        con.execute(f"delete from state.synced where {own}", row)
        insert = render("arrived", **names, fields=list(image_fields(columns, "image")))
        con.execute(insert, {**row, "destination_id": destination_id})
        con.execute("delete from state.held where key = $key", row)
    return True


def _held_key(con: duckdb.DuckDBPyConnection, key: str) -> str | None:
    query = "select distinct key from state.held where lower(key) = lower($key) order by key"
    return meant([held for (held,) in con.execute(query, {"key": key}).fetchall()], key, "held rows")
