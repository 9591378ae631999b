"""A person's word on a state that is not the one that the journal knows: how the sync goes on."""

from enum import StrEnum
from typing import Any

import duckdb

from reverse_etl_assets import ledger, provenance, versions
from reverse_etl_assets.destinations.base import BaseDestination
from reverse_etl_assets.errors import StateError
from reverse_etl_assets.fitness import can_read
from reverse_etl_assets.records import FieldType, Operation
from reverse_etl_assets.session import Environment
from reverse_etl_assets.spec import Sync, SyncMode
from reverse_etl_assets.sync import exclusive
from reverse_etl_assets.warehouses.duckdb import literal


class Way(StrEnum):
    KEEP = "keep"  # this state is right: go on with it
    ADOPT = "adopt"  # read back what is there, and send what differs
    RESEND = "resend"  # send every row once, over what was sent before
    RESTART = "restart"  # start from nothing


def recover_state(
    sync: Sync, environment: Environment, destination: type[BaseDestination[Any, Any]], way: Way, *, who: str, why: str
) -> str:
    """From now on state and journal belong together; the next run goes on in this way. Returns what was wrong.

    Sends nothing. Raises StateError if nothing is wrong, or if this way is none for the sync; SyncBusy.
    """
    journal, warehouse = environment.journal, environment.warehouse
    with exclusive(sync, warehouse), warehouse.open(sync.sync, write=True) as con:
        ledger.claim(con, sync)
        facts = ledger.read_facts(con)
        problem = provenance.mismatch(facts, journal, sync)
        if problem is None:
            raise StateError(f"state and journal of sync {sync.sync} belong together; there is nothing to recover.")
        if no := _why_not(sync, destination, way, has_run=provenance.knows_runs(facts), has_rows=_has_rows(con)):
            raise StateError(no)
        con.execute("begin")
        try:
            _apply(con, way)
            state_id = provenance.accept(con, facts, journal, sync)
            con.execute("commit")
        except BaseException:
            con.execute("rollback")
            raise
        journal.hand_over(sync.sync, state_id, who=who, why=f"{why} (--{way}: {problem})")
    return problem


def _why_not(
    sync: Sync, destination: type[BaseDestination[Any, Any]], way: Way, *, has_run: bool, has_rows: bool
) -> str | None:
    if way is Way.KEEP and not has_run:
        return (
            f"the state of sync {sync.sync} is empty, so there is nothing to keep: `--adopt`, `--resend`, `--restart`."
        )
    if way is Way.ADOPT and not can_read(sync, destination):
        return f"`{sync.destination}` cannot be read back, so there is nothing to adopt. Use `--resend` or `--restart`."
    if way is Way.RESEND and sync.sync_mode in (SyncMode.APPEND, SyncMode.INSERT_ONLY):
        return f"`{sync.sync_mode}` sends no row again: with `--restart` every row counts as added, with `--keep` none."
    if way is Way.RESEND and not has_rows and _only_by_id(sync, destination):
        return (
            f"`{sync.destination}` finds a record by its id alone, and the state has none, so nothing is sent over what"
            " was sent before: with `--restart` every row is sent as a new record, beside the one that is there."
        )
    return None


def _only_by_id(sync: Sync, destination: type[BaseDestination[Any, Any]]) -> bool:
    """Whether an upsert without a known id makes one more record, and nobody can tell which is which."""
    options = destination.Options.model_validate(sync.options)
    able = destination.capabilities_for(sync.target(dict.fromkeys(sync.columns, FieldType.TEXT)), options)
    return Operation.UPSERT in able.once_if_new


def _has_rows(con: duckdb.DuckDBPyConnection) -> bool:
    return _has_synced(con) and con.execute("select 1 from state.synced limit 1").fetchone() is not None


def _has_synced(con: duckdb.DuckDBPyConnection) -> bool:
    known = con.execute("select 1 from duckdb_tables() where database_name = 'state' and table_name = 'synced'")
    return known.fetchone() is not None


def _apply(con: duckdb.DuckDBPyConnection, way: Way) -> None:
    if way is Way.KEEP:
        return
    if _has_synced(con):
        if way is Way.RESEND:
            names = [name for name in ledger.columns_of_table(con, "state.synced") if not name.startswith("_retl_")]
            con.execute(f"update state.synced set _retl_untold = [{', '.join(map(literal, names))}]")
        else:
            con.execute("delete from state.synced")
    if way is not Way.RESEND:
        for table in ("pending", "kept", "refusals"):
            con.execute(f"delete from state.{table}")
    gone = ("outbox_run", "newest", "full_compared_at")
    adopts = way.value if way is Way.ADOPT else None
    ledger.write_facts(con, {**dict.fromkeys(gone), versions.RECOVERS_BY: adopts})
