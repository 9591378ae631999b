"""A trial: of a whole plan a few rows go out, and all others are left as they are, for the next run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb

from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.records import Operation
from reverse_etl_assets.spec.route import Route
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state.facts import changing_facts
from reverse_etl_assets.warehouses.columns import Columns, meant
from reverse_etl_assets.warehouses.duckdb import transaction


@dataclass(frozen=True)
class Trial:
    """Which rows of a change set are tried: those of these keys, or the first so many in the order of their keys."""

    only: Sequence[str] = ()
    first: int | None = None


def refuse_trial(route: Route) -> None:
    """Raises ConfigurationError if there is no part of a plan that could go out alone."""
    sync, name = route.sync, route.sync.sync
    if route.capabilities.replaces:
        raise ConfigurationError(
            f"{name}: what a run sends takes the place of all that `{sync.object}` of `{sync.destination}` holds, so a"
            " few rows alone would take all others out; there is no trial of it. `reverse-etl plan` shows what would go"
            " out."
        )
    if sync.mode.sends_all:
        raise ConfigurationError(
            f"{name}: `{sync.sync_mode}` sends every row in every run, so there is no rest that a trial could leave to"
            " the next one. `reverse-etl plan` shows what would go out."
        )


def tried(
    con: duckdb.DuckDBPyConnection, columns: Columns, relation: str, outbox: str, trial: Trial, *, all_compared: bool
) -> list[str]:
    """The keys of the rows of a plan that are tried, in their order. `all_compared`: every row of the model was.

    Raises ConfigurationError, with a line for each, if a key has no row that would go out.
    """
    if not trial.only:
        query = f"select key from {outbox} where operation is not null order by key limit {trial.first or 0:d}"
        return [key for (key,) in con.execute(query).fetchall()]
    found, problems = list[str](), list[str]()
    for key in dict.fromkeys(trial.only):
        row, why = _find(con, columns, relation, outbox, key, all_compared=all_compared)
        found += [row] if row is not None else []
        problems += [f"{columns.sync.sync}: {key} would not be sent: {why}."] if why else []
    if problems:
        raise ConfigurationError("\n".join([*problems, "Nothing was sent."]))
    return sorted(set(found))


def counted(con: duckdb.DuckDBPyConnection, outbox: str, keys: Sequence[str]) -> dict[Operation, int]:
    """How many of these rows are asked for what."""
    query = (
        f"select operation, count(*) from {outbox} where operation is not null and key in (select unnest($keys))"
        " group by operation"
    )
    return {Operation(operation): rows for operation, rows in con.execute(query, {"keys": list(keys)}).fetchall()}


def leave_others(con: duckdb.DuckDBPyConnection, keys: Sequence[str]) -> None:
    """Let the sealed outbox have these rows alone, and the fold know that it is a part of what differs."""
    with transaction(con):
        con.execute(
            "create or replace table state.outbox as select * from state.outbox"
            " where operation is not null and key in (select unnest($keys))",
            {"keys": list(keys)},
        )
        with changing_facts(con) as facts:
            facts.outbox_trial, facts.outbox_newest, facts.outbox_full = True, None, None


def _find(
    con: duckdb.DuckDBPyConnection, columns: Columns, relation: str, outbox: str, key: str, *, all_compared: bool
) -> tuple[str | None, str]:
    """The key of the row that goes out, or why there is none."""
    asked = {"key": key}
    query = (
        f"select key, external_id, operation is not null, message from {outbox}"
        " where lower(key) = lower($key) or lower(external_id) = lower($key)"
    )
    rows = con.execute(query, asked).fetchall()
    named = meant([name for row in rows for name in dict.fromkeys(row[:2]) if name], key, "rows of the change set")
    own = [row for row in rows if named in row[:2]]
    if going := [row for row in own if row[2]]:
        return going[0][0], ""
    if own:
        return None, next((str(row[3]) for row in own if row[3]), "it is kept back")
    return None, next(_why_not(con, columns, relation, asked, all_compared=all_compared))


def _why_not(
    con: duckdb.DuckDBPyConnection, columns: Columns, relation: str, asked: dict[str, str], *, all_compared: bool
) -> Iterator[str]:
    there = f"select 1 from {relation} where lower({columns.external_id}) = lower($key) limit 1"
    synced = "select 1 from state.synced where lower(_retl_key) = lower($key) limit 1"
    in_model, is_synced = bool(con.execute(there, asked).fetchall()), bool(con.execute(synced, asked).fetchall())
    if in_model and not all_compared:
        yield "it was modified too long ago to be looked at; the next full compare does"
    if in_model:
        yield "it has not changed since it was sent" + _once(columns.sync)
    if is_synced:
        yield f"it has left the model, and `{columns.sync.sync_mode}` deletes nothing"
    yield f"no row of the model {columns.sync.model} has this key"


def _once(sync: Sync) -> str:
    return f", or has, for `{sync.sync_mode}` sends a row once" if sync.mode.writes_once else ""
