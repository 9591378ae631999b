"""How a new version of a sync begins, in one transaction: the rows of the old one are kept aside, and new ones made."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import duckdb

from reverse_etl_assets.spec.policies import Cutover
from reverse_etl_assets.sql import render
from reverse_etl_assets.state import adopted_rows, ledger
from reverse_etl_assets.state.answers import as_timestamp
from reverse_etl_assets.state.facts import changing_facts, read_facts
from reverse_etl_assets.state.versions import Entry, history, is_unsent
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.duckdb import transaction

_OF_A_VERSION = ("synced", "held", "kept")  # tables that a version leaves behind, as `synced_v1`


@dataclass(frozen=True)
class Begun:
    """What the first runs of a version say of its beginning. `adopted` is None if nothing was read yet."""

    version: int
    cutover: Cutover
    left: int | None
    """The version before, if there was one."""
    set_aside: int
    adopted: int | None = 0

    @property
    def counts(self) -> dict[str, int]:
        return {"set_aside": self.set_aside, "adopted": self.adopted or 0}

    def __str__(self) -> str:
        parts = [f"version {self.version} begins with `cutover: {self.cutover}`"]
        if self.left is not None:
            parts.append(f"rows of version {self.left} that it does not follow: {self.set_aside:,}")
        if self.cutover is Cutover.ADOPT:
            records = "not read yet" if self.adopted is None else f"{self.adopted:,}"
            parts.append(f"records that were there: {records}")
        return "; ".join(parts)


def begun(con: duckdb.DuckDBPyConnection) -> Begun | None:
    """The beginning of the version, as long as nothing of it was sent; None if nothing came before it."""
    known, facts = history(con), read_facts(con)
    if not known or facts.begun_told or not is_unsent(known[-1], facts):
        return None
    version, left = known[-1], known[-2].number if len(known) > 1 else None
    if version.cutover is None or (left is None and version.cutover is not Cutover.ADOPT):
        return None
    return Begun(version.number, version.cutover, left, version.set_aside, version.adopted)


def enter(
    con: duckdb.DuckDBPyConnection, columns: Columns, entry: Entry, relation: str, *, run_id: str, now: float
) -> Begun | None:
    """Begin the version if it is to begin, and fit the synced rows to the mapping: all of it, or nothing."""
    with transaction(con):
        if entry.takes_back:
            _take_back(con, entry)
        if entry.begins:
            _begin(con, columns, entry, relation, run_id, now)
        ledger.fit(con, columns)
        if entry.takes_back or entry.begins:  # it has other rows now
            with changing_facts(con) as facts:
                facts.shared_noted = False
    return begun(con)


def _take_back(con: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    """As if the version had never begun."""
    assert entry.takes_back  # noqa: S101 - the caller has asked
    for table in _OF_A_VERSION:
        con.execute(f"drop table if exists state.{table}")
        if aside := entry.kept_as(table):
            con.execute(f"alter table state.{aside} rename to {table}")
    con.execute(render("state"))
    con.execute("delete from state.versions where version = $version", {"version": entry.takes_back.number})
    with changing_facts(con) as facts:
        facts.full_compared_at = None


def _begin(
    con: duckdb.DuckDBPyConnection, columns: Columns, entry: Entry, relation: str, run_id: str, now: float
) -> None:
    if entry.leaves:
        _set_aside(con, columns, entry, relation)
    ledger.fit(con, columns)
    adopted = adopted_rows.take(con, columns, run_id, now) if entry.reads else 0
    with changing_facts(con) as facts:
        facts.full_compared_at, facts.begun_told, facts.recovers_by = None, False, None
    if entry.leaves is None and any(version.number == columns.sync.version for version in history(con)):
        return  # it was begun before, and a person has said how it goes on
    old = f"state.synced_v{entry.leaves.number}" if entry.leaves else None
    con.execute(
        "insert into state.versions values ($version, $now::timestamp, $run_id, $cutover, $sent, $definition,"
        " $set_aside, $adopted)",
        {
            "version": columns.sync.version,
            "now": as_timestamp(now),
            "run_id": run_id,
            "cutover": how.value if (how := columns.sync.cutover or entry.cutover) else None,
            "sent": read_facts(con).sent_run,
            "definition": entry.definition.as_text,
            "set_aside": _count_set_aside(con, columns, entry, old, "state.synced"),
            "adopted": adopted,
        },
    )


def _set_aside(con: duckdb.DuckDBPyConnection, columns: Columns, entry: Entry, relation: str) -> None:
    """Keep all rows of the version before in tables of its own, and make new ones."""
    assert entry.leaves  # noqa: S101 - the caller has asked
    number = entry.leaves.number
    for table in _OF_A_VERSION:
        con.execute(f"alter table state.{table} rename to {table}_v{number}")
    con.execute(render("state"))
    if entry.same_place:  # what is known of the records holds on
        for table in ("held", "kept"):
            con.execute(f"insert into state.{table} by name select * from state.{table}_v{number}")
    if entry.keeps_rows:
        present = ledger.columns_of_table(con, f"state.synced_v{number}")
        query = rows_to_follow(columns, entry, f"state.synced_v{number}", present, relation)
        con.execute(f"create table state.synced as {query}")


def rows_to_follow(columns: Columns, entry: Entry, table: str, present: Mapping[str, str], relation: str) -> str:
    """The synced rows that a run goes on with, from those of `table` with the columns `present`."""
    if not entry.begins or entry.leaves is None:
        return f"select {', '.join(ledger.fitted(columns, present))} from {table}"
    unlike = entry.leaves.definition.unlike(entry.definition)
    known = {name: sql_type for name, sql_type in present.items() if name.lower() not in unlike}
    names = ", ".join(key.name for key in columns.keys)
    keys = ", ".join(key.expression for key in columns.keys)
    return (
        f"select {', '.join(ledger.fitted(columns, known, nothing_told=True))} from {table}"
        f" where ({names}) in (select ({keys}) from {relation} where {columns.has_key})"
    )


def foreseen(
    con: duckdb.DuckDBPyConnection, columns: Columns, entry: Entry, rows: str | None, relation: str
) -> Begun | None:
    """What `enter` would return; `rows` are the synced rows of the version that it leaves, and nothing was read yet."""
    if not entry.begins:
        return None if entry.takes_back else begun(con)
    if entry.cutover is None or (entry.leaves is None and not entry.reads):
        return None
    keys = ", ".join(f"{key.expression} as {key.name}" for key in columns.keys)
    followed = f"(select {keys} from {relation} where {columns.has_key})" if entry.reads else "state.synced"
    set_aside = _count_set_aside(con, columns, entry, rows, followed)
    left = entry.leaves.number if entry.leaves else None
    return Begun(columns.sync.version, entry.cutover, left, set_aside, None if entry.reads else 0)


def _count_set_aside(
    con: duckdb.DuckDBPyConnection, columns: Columns, entry: Entry, rows: str | None, followed: str
) -> int:
    """Rows of the version before that are not followed; at another place none is."""
    if rows is None or entry.leaves is None:
        return 0
    same = " and ".join(f"followed.{key.name} = old.{key.name}" for key in columns.keys)
    gone = f"where not exists (select 1 from {followed} as followed where {same})" if entry.same_place else ""
    row = con.execute(f"select count(*) from {rows} as old {gone}").fetchone()
    return int(row[0]) if row else 0


# What earlier versions left


@dataclass(frozen=True)
class LeftRow:
    """A record that an earlier version wrote and that nothing follows any more; `run_id` wrote it last."""

    version: int
    destination: str
    object: str
    destination_id: str | None
    run_id: str | None


def left_rows(con: duckdb.DuckDBPyConnection, key: str) -> list[LeftRow]:
    """Where a key was left behind, the latest version first. Case does not matter."""
    found: list[LeftRow] = []
    known = history(con)
    places: list[list[str]] = []  # where a later version holds the key, or has deleted its record
    for version, later in zip(reversed(known), [None, *reversed(known)], strict=False):
        table = f"synced_v{version.number}" if later else "synced"
        query = f"select _retl_id, _retl_run from state.{table} where lower(_retl_key) = lower($key)"
        row, parts = con.execute(query, {"key": key}).fetchone(), version.definition.parts
        place = version.definition.place
        if row and later and place not in places and not _deleted_since(con, key, later.began_at):
            found.append(LeftRow(version.number, parts["destination"], parts["object"], *row))
        if row:
            places.append(place)
    return found


def _deleted_since(con: duckdb.DuckDBPyConnection, key: str, since: datetime) -> bool:
    query = "select 1 from state.outcomes where lower(key) = lower($key) and answered_at >= $at and status = 'deleted'"
    return con.execute(query, {"key": key, "at": since}).fetchone() is not None


def destination_of(con: duckdb.DuckDBPyConnection, at: datetime) -> str | None:
    """The destination of the version that an outcome of this time (UTC) belongs to; None if no version is known."""
    known = history(con)
    then = [version for version in known if version.began_at <= at] or known[:1]
    return then[-1].definition.parts["destination"] if then else None
