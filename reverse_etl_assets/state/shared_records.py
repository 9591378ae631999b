"""Several rows, one record: the vendor takes for one what has several keys in the model.

Two rows may carry one e-mail address, two addresses may be one person's, and people merge records in a CRM. A record is
deleted, or leaves a list, only when no row stands for it any more. The row that leaves is skipped as `shared`, and rows
that stay are sent again with all their fields: what the record holds may have been the other row's.

All functions take a connection on which the sync's state is attached as `state`.
"""

from collections.abc import Callable, Sequence, Set
from datetime import datetime

import duckdb

from reverse_etl_assets.records import Reason
from reverse_etl_assets.sql import render
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.duckdb import literal

STAYS = "another row stands for the same record, so that the record stays"
GOES = "its record is deleted with another row that leaves"


# In the plan


def spare(con: duckdb.DuckDBPyConnection, columns: Columns, outbox: str, *, once: bool = True) -> bool:
    """Take the operation from deletes whose record stays and, for `once`, from all but one of a record that goes.

    True if a record stays: `shared_rows` then names the rows that stay, by their keys.
    """
    if not con.execute(f"select 1 from {outbox} where operation = 'delete' and destination_id is not null").fetchone():
        return False
    separator, keys = columns.id_separator, ", ".join(key.name for key in columns.keys)
    con.execute(render("shared_rows", outbox=outbox, key_names=keys, separator=separator, ids=ids_in(separator)))
    taken = f"update {outbox} as o set operation = null, reason = '{Reason.SHARED}', message"
    con.execute(f"{taken} = {literal(STAYS)} where o.rowid in (select number from shared_rows)")
    if once:
        con.execute(
            f"{taken} = {literal(GOES)} where o.rowid in (select rowid from {outbox} where operation = 'delete'"
            " and destination_id is not null qualify row_number() over (partition by destination_id order by key) > 1)"
        )
    return con.execute("select 1 from shared_rows").fetchone() is not None


def inherit(con: duckdb.DuckDBPyConnection, columns: Columns, outbox: str) -> None:
    """Where an id is several identities of one record, those of a row that leaves go over to a row that stays."""
    if separator := columns.id_separator:
        con.execute(
            f"update {outbox} as o set destination_id = o.destination_id || {literal(separator)} || more.ids"
            f" from (select heir, string_agg(distinct destination_id, {literal(separator)}) as ids"
            " from shared_rows group by heir) as more where o.key = more.heir and o.operation is not null"
        )


# In the fold


def answer(con: duckdb.DuckDBPyConnection, now: datetime, *, met: bool) -> None:
    """What the plan has spared is settled, as if the destination had said so.

    What was spared as it met its record is not unless the heirs that were `met` are known: the next run meets them.
    """
    if not met:
        con.execute(f"delete from answers where reason = '{Reason.SHARED}'")
    con.execute(
        "insert into answers by name select rowid as number, 0 as priority, $now::timestamp as answered_at,"
        f" 'skipped' as status, reason, message, false as inferred from state.outbox where reason = '{Reason.SHARED}'",
        {"now": now},
    )


def send_heirs_again(con: duckdb.DuckDBPyConnection, columns: Columns, run_id: str, keys: Set[str]) -> None:
    """Rows that stay and were not written in this run are sent by the next one, with all fields.

    They are those of the same ids, and those of `keys`, in lower case.
    """
    if not keys and not con.execute(f"select 1 from answers where reason = '{Reason.SHARED}' limit 1").fetchone():
        return
    separator = literal(columns.id_separator) if columns.id_separator else ""
    names = {"all_fields": all_fields(columns), "ids": ids_in(columns.id_separator), "separator": separator}
    heirs = con.execute(render("mark_heirs", **names), {"run_id": run_id, "keys": sorted(keys)}).fetchall()
    con.execute("insert into state.pending select unnest($keys)", {"keys": [key for (key,) in heirs]})


def begin_anew(con: duckdb.DuckDBPyConnection) -> None:
    """Rows whose record was deleted all the same, for a person who was to be forgotten, are new in the next run."""
    deleted = (
        "select coalesce(answers.destination_id, outbox.destination_id) from answers"
        " join state.outbox as outbox on outbox.rowid = answers.number where answers.status = 'deleted'"
    )
    if con.execute("select 1 from answers where status = 'deleted' limit 1").fetchone() is None:
        return
    left = con.execute(f"delete from state.synced where _retl_id in ({deleted}) returning _retl_key").fetchall()
    con.execute("insert into state.pending select unnest($keys)", {"keys": [key for (key,) in left]})


def all_fields(columns: Columns) -> str:
    """SQL: the names of all mapped fields."""
    return f"[{', '.join(field.literal for field in columns.fields)}]::varchar[]"


def note(con: duckdb.DuckDBPyConnection, columns: Columns, *, settled: str | None) -> None:
    """Remember which rows share a record: those of this run's answers that are `settled` (SQL), or without, all."""
    if settled is None:
        con.execute("delete from state.shared")
    names = {"ids": ids_in(columns.id_separator), "run": settled is not None, "settled": settled}
    con.execute(render("note_shared", **names))


def count(con: duckdb.DuckDBPyConnection, columns: Columns) -> int:
    """How many rows share a record with another one now."""
    row = con.execute(f"select count(*) from ({sharing_now(columns)})").fetchone()
    return int(row[0]) if row else 0


def sharing_now(columns: Columns) -> str:
    """SQL of the keys of rows that share a record with another one now."""
    ids = ids_in(columns.id_separator)("synced._retl_id")
    return (
        "select distinct key from (select shared.key from state.shared join state.synced"
        f" on synced._retl_key = shared.key and list_contains({ids}, shared.id)"
        " qualify count(distinct shared.key) over (partition by shared.id) > 1)"
    )


def are_known(con: duckdb.DuckDBPyConnection) -> bool:
    """False if the state was last written by an earlier release, which did not look who shares a record."""
    known = "select 1 from duckdb_tables() where database_name = 'state' and table_name = 'shared'"
    return con.execute(known).fetchone() is not None


def sharing(con: duckdb.DuckDBPyConnection, key: str) -> list[str]:
    """The keys of rows that share a record with this one. Case does not matter."""
    if not are_known(con):
        return []
    query = (
        "select distinct other.key from state.shared as mine join state.shared as other using (id)"
        " where lower(mine.key) = lower($key) and lower(other.key) <> lower($key)"
        " and other.key in (select _retl_key from state.synced) order by all"
    )
    return [found for (found,) in con.execute(query, {"key": key}).fetchall()]


def ids_in(separator: str) -> Callable[[str], str]:
    """SQL: the identities in an id, as a list."""
    return lambda expression: f"string_split({expression}, {literal(separator)})" if separator else f"[{expression}]"


def parts_of(ids: str, separator: str) -> Sequence[str]:
    return ids.split(separator) if separator else (ids,)
