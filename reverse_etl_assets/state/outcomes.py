"""Reads what became of rows: of a run for its report, of a key for whoever asks why."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import duckdb

from reverse_etl_assets.destinations.base import encode_json
from reverse_etl_assets.privacy.masking import Mask
from reverse_etl_assets.state import shared_records
from reverse_etl_assets.state.cutover import LeftRow, destination_of, left_rows
from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse

_COLUMNS = (
    "run_id, answered_at, key, kind, operation, status, reason, code, message, field, destination_id, inferred,"
    " changed_fields, fields"
)


@dataclass(frozen=True)
class RowOutcome:
    """One row of the outcomes table. `fields` is the JSON that was (or would have been) sent, if it did not settle."""

    run_id: str
    answered_at: datetime
    key: str | None
    kind: str
    operation: str | None
    status: str
    reason: str | None
    code: str | None
    message: str | None
    field: str | None
    destination_id: str | None
    inferred: bool
    changed_fields: Sequence[str] | None
    fields: str | None

    @property
    def values(self) -> dict[str, Any]:
        """The fields. NaN and infinity, for which a row is refused, are words: JSON has none for them."""
        return _values(self.fields)

    def masked(self, mask: Mask) -> "RowOutcome":
        """As it may be shown."""
        if not mask.hides:
            return self
        values = self.values
        return replace(
            self,
            key=mask.key(self.key),
            message=mask.text(self.message or "", values, self.key) or None,
            destination_id=mask.text(self.destination_id or "", values, self.key) or None,
            fields=encode_json(mask.row(values)).decode() if self.fields else None,
        )


@dataclass(frozen=True)
class ErrorGroup:
    """Rows of a run that failed or were skipped for the same reason, with one of them as an example."""

    status: str
    reason: str | None
    code: str | None
    field: str | None
    rows: int
    message: str
    example: str | None
    fields: str | None
    """Of the row that the message is about, as JSON."""

    def masked(self, mask: Mask) -> "ErrorGroup":
        """As it may be shown; the message may be another row's than the example."""
        message = mask.text(self.message or "", _values(self.fields), self.example) or self.message
        return replace(self, message=message, example=mask.key(self.example))


def _values(fields: str | None) -> dict[str, Any]:
    return dict(json.loads(fields, parse_float=Decimal, parse_constant=str)) if fields else {}


def has_outcomes(con: duckdb.DuckDBPyConnection) -> bool:
    """False for a sync that never ran, and for a state that a run made and was then refused with, before it planned."""
    query = (
        "select count(*) from duckdb_tables() where database_name = 'state' and table_name in ('outcomes', 'synced')"
    )
    return con.execute(query).fetchall() == [(2,)]


def unsettled_rows(con: duckdb.DuckDBPyConnection, run_id: str, limit: int) -> list[RowOutcome]:
    """Failed rows first, then skipped ones."""
    return _read(
        con,
        "run_id = $run_id and status in ('failed', 'skipped') order by status, reason, key limit $limit",
        {"run_id": run_id, "limit": limit},
    )


def settled_rows(con: duckdb.DuckDBPyConnection, run_id: str, limit: int) -> list[RowOutcome]:
    """A sample of the rows that arrived."""
    return _read(
        con, "run_id = $run_id and status not in ('failed', 'skipped') limit $limit", {"run_id": run_id, "limit": limit}
    )


def error_groups(con: duckdb.DuckDBPyConnection, run_id: str, limit: int = 10) -> list[ErrorGroup]:
    """Why rows failed or were skipped, the most frequent reason first."""
    rows = con.execute(
        "select status, reason, code, field, count(*), min(message), min(key), arg_min(fields, message)"
        " from state.outcomes"
        " where run_id = $run_id and status in ('failed', 'skipped')"
        " group by status, reason, code, field,"
        " case when code is null and reason is distinct from 'quarantined' then message end"
        " order by count(*) desc, status, reason limit $limit",
        {"run_id": run_id, "limit": limit},
    ).fetchall()
    return [ErrorGroup(*row) for row in rows]


@dataclass(frozen=True)
class Why:
    """A sync's answer for one key: its outcomes, newest first, and the values the destination last acknowledged."""

    outcomes: Sequence[RowOutcome]
    synced: Mapping[str, Any] | None
    held: str | None
    """Why the row is kept back, if an earlier send of it is ambiguous."""
    destination: str | None = None
    """Where the latest outcome is of; an earlier version may have had another one than the sync has now."""
    left: Sequence[LeftRow] = ()
    shares: Sequence[str] = ()
    """The keys of other rows that are the same record at the destination."""


def why(con: duckdb.DuckDBPyConnection, key: str, limit: int = 10) -> Why:
    """What is known of a key. Case does not matter."""
    if not has_outcomes(con):
        return Why((), None, None)
    outcomes = _read(
        con,
        "lower(key) = lower($key) order by max(answered_at) over (partition by run_id) desc,"
        " reason is not distinct from 'superseded', answered_at desc limit $limit",
        {"key": key, "limit": limit},
    )
    result = con.execute("select * from state.synced where lower(_retl_key) = lower($key)", {"key": key})
    names = [column[0] for column in result.description or ()]
    row = result.fetchone()
    held = con.execute("select message from state.held where lower(key) = lower($key)", {"key": key}).fetchone()
    synced = dict(zip(names, row, strict=True)) if row else None
    destination = destination_of(con, outcomes[0].answered_at) if outcomes else None
    shares = shared_records.sharing(con, key)
    return Why(outcomes, synced, held[0] if held else None, destination, left_rows(con, key), shares)


def outcomes_query(warehouse: DuckDBWarehouse, sync: str, run_id: str) -> str:
    """The query that shows every outcome of a run, for a DuckDB shell opened on the sync's state file."""
    return (
        f"-- duckdb -readonly {warehouse.state_file(sync)}\n"
        "select key, status, reason, code, field, message, destination_id\n"
        f"from outcomes where run_id = '{run_id}'"
    )


def _read(con: duckdb.DuckDBPyConnection, condition: str, values: Mapping[str, Any]) -> list[RowOutcome]:
    rows = con.execute(f"select {_COLUMNS} from state.outcomes where {condition}", values).fetchall()
    return [RowOutcome(*row) for row in rows]
