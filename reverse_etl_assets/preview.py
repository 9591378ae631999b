"""What the next run of a sync would do, without doing it: no request, nothing written.

The plan is made by the code that a run uses, over a view of the synced rows that looks as the run would leave them:
fitted to the mapping, and with the answers of a killed run brought home.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import httpx
import msgspec

from reverse_etl_assets import cutover, ledger, versions
from reverse_etl_assets.columns import Columns
from reverse_etl_assets.cutover import Begun
from reverse_etl_assets.decisions import columns_of, guard_findings, prefilter
from reverse_etl_assets.destinations.base import Account, FindsRecords, RunsJobs
from reverse_etl_assets.guard import Finding, tripped
from reverse_etl_assets.journal_records import Stop
from reverse_etl_assets.masking import Mask
from reverse_etl_assets.plan import Plan, make_plan
from reverse_etl_assets.records import Capabilities, Operation
from reverse_etl_assets.session import Environment
from reverse_etl_assets.spec import Sync
from reverse_etl_assets.sql import render
from reverse_etl_assets.sync import exclusive
from reverse_etl_assets.versions import Entry
from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse, quote

_OUTBOX = "memory.main.outbox"


@dataclass(frozen=True)
class PlannedRow:
    """One row of the change set. `fields` maps each field that differs to its value before and after.

    Without an operation the row is not sent, and `reason` and `message` say why.
    """

    key: str | None
    kind: str
    operation: str | None
    reason: str | None
    message: str | None
    fields: Mapping[str, tuple[Any, Any]]

    def masked(self, mask: Mask) -> "PlannedRow":
        """As it may be shown."""
        values = {name: (mask.value(name, old), mask.value(name, new)) for name, (old, new) in self.fields.items()}
        message = mask.text(self.message or "", {}, self.key) or self.message
        return replace(self, key=mask.key(self.key), message=message, fields=values)


@dataclass(frozen=True)
class Preview:
    """What a run would do. `rows` are those to send, `refused` those that a run would reject or hold back."""

    sync: Sync
    plan: Plan
    findings: Sequence[Finding]
    rows: Sequence[PlannedRow]
    refused: Sequence[PlannedRow]
    requests: int | None
    """Requests that the change set needs, by rows and bytes; retries, checks and sign-in come on top. None if the
    account has no connection."""
    unfinished: Sequence[str] = ()
    """Runs that were killed; their answers are counted as if they were home already."""
    stop: Stop | None = None
    """The kill switch, if it is on: then a run does not even plan."""
    begun: Begun | None = None
    """How the sync's version begins, or began, as long as nothing of it was sent. A preview reads no records."""

    @property
    def goes_out(self) -> bool:
        return not tripped(self.findings) and self.stop is None

    def masked(self, mask: Mask) -> "Preview":
        """As it may be shown."""
        if not mask.hides:
            return self
        rows, refused = ([row.masked(mask) for row in part] for part in (self.rows, self.refused))
        return replace(self, rows=rows, refused=refused)


def preview(
    sync: Sync, environment: Environment, account: Account, *, limit: int | None = None, key: str | None = None
) -> Preview:
    """Plan a sync. `limit` cuts the rows that are listed; with a `key`, in any case, only its row is looked at.

    Raises StateError if the model is not built or the state belongs to another sync, SyncBusy if a run is going on.
    """
    with recovered(sync, environment, account) as (warehouse, unfinished):
        model = environment.models[sync.model]
        with warehouse.open(sync.sync, models=True, state_as="stored") as con:
            columns = columns_of(sync, account.type, warehouse.column_types(con, model))
            relation = warehouse.relation(model)
            if key is not None:
                relation = _only(con, relation, columns, key)
            begun = _show_state(con, columns, model.version, relation, key)
            recent = prefilter(sync, ledger.read_facts(con), environment.clock())
            plan = make_plan(con, relation, columns, outbox=_OUTBOX, prefilter=recent)
            return Preview(
                sync,
                plan,
                guard_findings(sync, environment.journal, plan),
                _rows(con, columns, "operation is not null", limit),
                _rows(con, columns, "operation is null", limit),
                _requests(con, columns, plan, account),
                unfinished,
                environment.journal.stopped(account.name, sync.sync),
                begun,
            )


@contextmanager
def recovered(
    sync: Sync, environment: Environment, account: Account, *, to_write: bool = False
) -> Iterator[tuple[DuckDBWarehouse, tuple[str, ...]]]:
    """The state with the answers of killed runs brought home, as the next run begins; if there are any, or if it is to
    be written to, in a copy. Raises SyncBusy if that is needed and a run is going on."""
    warehouse, journal = environment.warehouse, environment.journal
    runs = tuple(run.run_id for run in journal.open_runs(sync.sync))
    state = warehouse.state_file(sync.sync)
    if not (runs or to_write) or not state.exists():
        yield warehouse, runs
        return
    with exclusive(sync, warehouse), tempfile.TemporaryDirectory() as folder:
        copy = replace(warehouse, state_folder=Path(folder))
        for file in (state, state.with_name(f"{state.name}.wal")):
            if file.exists():
                shutil.copy2(file, copy.state_folder)
        with copy.open(sync.sync, write=True) as con:
            run_id = ledger.read_facts(con).get("outbox_run")
            if run_id in runs:
                columns = ledger.outbox_columns(con)
                hold = frozenset(Operation) - _capabilities(columns, account).idempotent
                answers = journal.batches(run_id)
                ledger.fold(con, columns, run_id, answers, now=environment.clock(), stopped="", hold=hold)
        yield copy, runs


def _capabilities(columns: Columns, account: Account) -> Capabilities:
    options = account.type.Options.model_validate(columns.sync.options)
    return account.type.capabilities_for(columns.target, options)


def _show_state(
    con: duckdb.DuckDBPyConnection, columns: Columns, model_version: object, relation: str, key: str | None
) -> Begun | None:
    """`state`, in memory, with all that a plan reads of the stored one, which is attached read-only as `stored`."""
    con.execute("attach ':memory:' as state")
    con.execute(render("state"))
    found = con.execute("select table_name from duckdb_tables() where database_name = 'stored'").fetchall()
    tables = {name for (name,) in found}
    for part in tables.intersection(("facts", "pending", "versions")):
        con.execute(f"insert into state.{part} select * from stored.{part}")
    ledger.claim(con, columns.sync)
    entry = versions.decide(columns, model_version, versions.history(con), ledger.read_facts(con))
    if entry.begins or entry.takes_back:
        ledger.write_facts(con, {"full_compared_at": None})
    if entry.same_place and (held := entry.kept_as("held")) in tables:
        con.execute(f"insert into state.held select * from stored.{held}")
    rows = entry.kept_as("synced")
    if rows not in tables:
        ledger.fit(con, columns)
        return cutover.foreseen(con, columns, entry, None, relation)
    _show_rows(con, columns, entry, f"stored.{rows}", relation, key)
    return cutover.foreseen(con, columns, entry, f"stored.{rows}", relation)


def _show_rows(
    con: duckdb.DuckDBPyConnection, columns: Columns, entry: Entry, rows: str, relation: str, key: str | None
) -> None:
    if not entry.keeps_rows:
        ledger.fit(con, columns)
        return
    query = cutover.rows_to_follow(columns, entry, rows, ledger.columns_of_table(con, rows), relation)
    if key is None:
        con.execute(f"create view state.synced as {query}")
    else:
        only = f"create table state.synced as select * from ({query}) where lower(_retl_key) = lower($key)"
        con.execute(only, {"key": key})


def _only(con: duckdb.DuckDBPyConnection, relation: str, columns: Columns, key: str) -> str:
    """The model's rows of one key, as a relation."""
    text = columns.key_text([quote(name) for name in columns.sync.primary_key])
    query = f"create table memory.main.subject as select * from {relation} where lower({text}) = lower($key)"
    con.execute(query, {"key": key})
    return "memory.main.subject"


def _rows(con: duckdb.DuckDBPyConnection, columns: Columns, which: str, limit: int | None) -> list[PlannedRow]:
    """Rows of the outbox in order of kind and key. A rejected row's values may be none that JSON knows."""
    before, after = (
        f"case when {side} is not null and kind <> 'rejected' then {columns.json(side)} else '{{}}' end"
        for side in ("before", "after")
    )
    query = (
        f"select key, kind, operation, reason, message, changed_fields, {before}, {after} from {_OUTBOX} where {which}"
        f" order by kind, key{'' if limit is None else f' limit {limit:d}'}"
    )
    decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
    return [
        PlannedRow(key, kind, operation, reason, message, _difference(changed, decode(old), decode(new)))
        for key, kind, operation, reason, message, changed, old, new in con.execute(query).fetchall()
    ]


def _difference(
    changed: Sequence[str] | None, before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """The changed fields, or all of them if the row was added or removed."""
    names = dict.fromkeys((*after, *before)) if changed is None else changed
    return {name: (before.get(name), after.get(name)) for name in names}


def _requests(con: duckdb.DuckDBPyConnection, columns: Columns, plan: Plan, account: Account) -> int | None:
    if account.connection is None:
        return None
    options = account.type.Options.model_validate(columns.sync.options)
    destination = account.type(account.connection, columns.target, options, httpx.AsyncClient())
    limits = destination.capabilities
    measured = con.execute(
        f"select operation, count(*) filter (where operation = 'update' or destination_id is null),"
        f" sum(coalesce(strlen(case when after is not null then ({columns.json('after')})::varchar end), 0))"
        f" from {_OUTBOX} where operation is not null group by operation"
    ).fetchall()
    total = 0
    for name, to_find, size in measured:
        operation = Operation(name)
        rows = plan.to_send[operation]
        if isinstance(destination, RunsJobs) and rows >= destination.job_threshold:
            total += 5 * _divide_up(rows, destination.job_max_rows)  # create, upload, close, poll, collect
        else:
            total += max(_divide_up(rows, limits.max_rows), _divide_up(int(size), limits.max_bytes))
        if operation in limits.needs_id and isinstance(destination, FindsRecords):
            total += _divide_up(to_find, destination.find_limit)
    return total


def _divide_up(rows: int, size: int) -> int:
    return -(-rows // size)
