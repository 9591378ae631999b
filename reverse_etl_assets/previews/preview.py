"""What the next run of a sync would do, without doing it: no request, nothing written.

The plan is made by the code that a run uses, over a view of the synced rows that looks as the run would leave them:
fitted to the mapping, and with the answers of a killed run folded in.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.delivery.forecast import Forecast, forecast
from reverse_etl_assets.delivery.session import Environment
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.guards.approval import Identity, decide, identify
from reverse_etl_assets.guards.finding import Finding, tripped
from reverse_etl_assets.guards.judge import budget_finding, guard_findings, prefilter, room_of
from reverse_etl_assets.guards.parents import parents_finding
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal.records import Room, Stop, WaitingPlan
from reverse_etl_assets.plan import parents
from reverse_etl_assets.plan.change_set import Plan, make_plan
from reverse_etl_assets.plan.trial import Trial, counted, refuse_trial, tried
from reverse_etl_assets.previews.planned_rows import PlannedRow, rows_of
from reverse_etl_assets.privacy.masking import Mask
from reverse_etl_assets.records import Operation
from reverse_etl_assets.runs.recovery import KILLED, refuse_elsewhere
from reverse_etl_assets.runs.run import exclusive
from reverse_etl_assets.spec.route import Route
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.sql import render
from reverse_etl_assets.state import cutover, ledger, provenance, spelling, versions
from reverse_etl_assets.state.cutover import Begun
from reverse_etl_assets.state.facts import changing_facts, read_facts
from reverse_etl_assets.state.outbox import outbox_columns
from reverse_etl_assets.state.versions import Entry
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.connection import Connection
from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse

_OUTBOX = "memory.main.outbox"


@dataclass(frozen=True)
class Preview:
    """What a run would do. `rows` are those to send, `refused` those that a run would reject or hold back."""

    sync: Sync
    plan: Plan
    findings: Sequence[Finding]
    rows: Sequence[PlannedRow]
    refused: Sequence[PlannedRow]
    identity: Identity | None = None
    """None if it is not known: without credentials, or if records are to be read before the plan can be made."""
    forecast: Forecast | None = None
    """None without credentials."""
    room: Room | None = None
    """What of the account's calls is left today. None without credentials."""
    waiting: WaitingPlan | None = None
    """The sync's plan that waits or is approved, this one or another."""
    unfinished: Sequence[str] = ()
    """Runs that were killed; their answers are counted as if they were folded in already."""
    stop: Stop | None = None
    """The kill switch, if it is on: then a run does not even plan."""
    trial: Mapping[Operation, int] | None = None
    """What of it a trial would send; None if it is to be sent as a whole."""
    begun: Begun | None = None
    """How the sync's version begins, or began, as long as nothing of it was sent. A preview reads no records."""
    once_personal: frozenset[str] = frozenset()
    """Fields that held personal data in an earlier version; values of then may be among those that are shown."""

    @property
    def goes_out(self) -> bool:
        return not tripped(self.findings) and self.stop is None

    @property
    def plan_id(self) -> str | None:
        return self.identity.plan_id if self.identity else None

    @property
    def waits(self) -> bool:
        """Whether this very plan is in the journal, for a person to decide on."""
        return self.waiting is not None and self.waiting.plan_id == self.plan_id

    def masked(self, mask: Mask) -> "Preview":
        """As it may be shown, also where values of an earlier version stand."""
        mask = mask.also(self.once_personal)
        if not mask.hides:
            return self
        rows, refused = ([row.masked(mask) for row in part] for part in (self.rows, self.refused))
        return replace(self, rows=rows, refused=refused)


def preview(
    sync: Sync,
    environment: Environment,
    account: Account,
    *,
    limit: int | None = None,
    key: str | None = None,
    trial: Trial | None = None,
) -> Preview:
    """Plan a sync. `limit` cuts the rows that are listed; with a `key`, in any case, only its row is looked at; of a
    `trial` the rows that it would send are listed.

    Raises StateError if the model is not built or the state belongs to another sync, SyncBusy if a run is going on;
    ConfigurationError if there is no such trial.
    """
    if trial:
        refuse_trial(Route(sync, account.type))
    with recovered(sync, environment, account) as (warehouse, unfinished):
        model = environment.models[sync.model]
        with warehouse.open(sync.sync, models=True, state_as="stored", beside=parents.beside(sync)) as con:
            columns = Columns.on(Route(sync, account.type), warehouse.column_types(con, model))
            relation = warehouse.relation(model)
            if key is not None:
                relation = _only(con, relation, columns, key)
            begun = _show_state(con, columns, model, relation, key)
            now = environment.clock()
            recent = prefilter(sync, read_facts(con), now)
            plan = make_plan(con, relation, columns, outbox=_OUTBOX, prefilter=recent, now=now)
            which = "operation is not null"
            keys = _tried(con, columns, relation, plan, trial) if trial else None
            if keys is not None:
                which += " and key in (select key from tried)"
            found = Preview(
                sync,
                plan,
                [parents_finding(sync, environment.journal), *_findings(sync, environment, plan)],
                rows_of(con, columns, _OUTBOX, which, None if trial else limit),
                _with_parents(con, sync, rows_of(con, columns, _OUTBOX, "operation is null", limit)),
                unfinished=unfinished,
                stop=environment.journal.stopped(account.name, sync.sync),
                begun=begun,
                trial=None if keys is None else counted(con, _OUTBOX, keys),
                once_personal=versions.once_personal(versions.history(con)),
            )
            return found if key is not None else _judged(con, columns, found, environment.journal, account)


def _tried(con: Connection, columns: Columns, relation: str, plan: Plan, trial: Trial) -> list[str]:
    keys = tried(con, columns, relation, _OUTBOX, trial, all_compared=plan.removed_known)
    con.execute("create temp table tried as select unnest($keys::varchar[]) as key", {"keys": keys})
    return keys


def _findings(sync: Sync, environment: Environment, plan: Plan) -> list[Finding]:
    return guard_findings(sync, environment.journal, plan, environment.models[sync.model], environment.dbt)


def _with_parents(con: Connection, sync: Sync, rows: Sequence[PlannedRow]) -> list[PlannedRow]:
    waiting = parents.waiting_for(con, sync)
    return [replace(row, waits_for=waiting.get(row.key or "")) for row in rows]


def _judged(con: Connection, columns: Columns, found: Preview, journal: Journal, account: Account) -> Preview:
    """With all that is said of a whole plan: its id, what a run would decide, and what it would take."""
    sync, plan, identity = found.sync, found.plan, None
    findings, connected = found.findings, account.connection is not None
    if connected:
        findings = [budget_finding(journal, account), *findings]
    if connected and not (found.begun and found.begun.adopted is None):
        identity = identify(con, columns, account, plan, _OUTBOX)
    return replace(
        found,
        identity=identity,
        findings=decide(findings, identity, plan, journal.approval_of(sync.sync), sync.approval),
        forecast=forecast(con, columns, plan, account, _OUTBOX) if connected else None,
        room=room_of(journal, account) if connected else None,
        waiting=next(iter(journal.waiting_plans(sync.sync)), None),
    )


@contextmanager
def recovered(
    sync: Sync, environment: Environment, account: Account, *, to_write: bool = False
) -> Iterator[tuple[DuckDBWarehouse, tuple[str, ...]]]:
    """The state with the answers of killed runs folded in, as the next run begins; if there are any, or if it is to
    be written to, in a copy. Raises SyncBusy if that is needed and a run is going on."""
    warehouse, journal = environment.warehouse, environment.journal
    with warehouse.open(sync.sync) as con:
        provenance.refuse_mismatch(con, journal, sync, account.type)
    unfinished = journal.open_runs(sync.sync)
    runs = tuple(run.run_id for run in unfinished)
    state = warehouse.state_file(sync.sync)
    if not (runs or to_write) or not state.exists():
        yield warehouse, runs
        return
    with exclusive(sync, warehouse), tempfile.TemporaryDirectory() as folder:
        copy = replace(warehouse, state_folder=Path(folder), copy_of=warehouse.state_folder)
        for file in (state, state.with_name(f"{state.name}.wal")):
            if file.exists():
                shutil.copy2(file, copy.state_folder)
        with copy.open(sync.sync, write=True) as con:
            run_id = read_facts(con).outbox_run
            if run_id in runs:
                refuse_elsewhere(unfinished[runs.index(run_id)], account)
                columns = outbox_columns(con)
                able = Route(columns.sync, account.type).capabilities_for(columns.target)
                answers = journal.batches(run_id)
                ledger.fold(con, columns, run_id, answers, now=environment.clock(), stopped=KILLED, capabilities=able)
        yield copy, runs


def _show_state(con: Connection, columns: Columns, model: Model, relation: str, key: str | None) -> Begun | None:
    """`state`, in memory, with all that a plan reads of the stored one, which is attached read-only as `stored`."""
    con.execute("attach ':memory:' as state")
    con.execute(render("state"))
    found = con.execute("select table_name from duckdb_tables() where database_name = 'stored'").fetchall()
    tables = {name for (name,) in found}
    for part in tables.intersection(("facts", "pending", "refusals", "versions")):
        con.execute(f"insert into state.{part} by name select * from stored.{part}")
    ledger.claim(con, columns.sync)
    entry = versions.decide(columns, model, versions.history(con), read_facts(con))
    if entry.begins or entry.takes_back:
        with changing_facts(con) as facts:
            facts.full_compared_at = None
    if entry.same_place and (held := entry.kept_as("held")) in tables:
        con.execute(f"insert into state.held by name select * from stored.{held}")
    rows = f"stored.{named}" if (named := entry.kept_as("synced")) in tables else None
    if rows:
        _show_rows(con, columns, entry, rows, relation, key)
    else:
        ledger.fit(con, columns)
    if entry.same_place and not entry.takes_back:
        spelling.respell(con, columns, relation, as_field=False)
    if key is not None:  # what is held of other rows says nothing of this one
        own = f"lower(key) = lower($key) or key in (select {columns.external_id} from {relation})"
        con.execute(f"delete from state.held where not coalesce({own}, false)", {"key": key})
    return cutover.foreseen(con, columns, entry, rows, relation)


def _show_rows(con: Connection, columns: Columns, entry: Entry, rows: str, relation: str, key: str | None) -> None:
    if not entry.keeps_rows:
        ledger.fit(con, columns)
        return
    present = ledger.columns_of_table(con, rows)
    if not ledger.fits(columns, present):
        with changing_facts(con) as facts:
            facts.full_compared_at = None
    query = cutover.rows_to_follow(columns, entry, rows, present, relation)
    if key is None:
        con.execute(f"create view state.synced as {query}")
    else:
        only = f"create table state.synced as select * from ({query}) where lower(_retl_key) = lower($key)"
        con.execute(only, {"key": key})


def _only(con: Connection, relation: str, columns: Columns, key: str) -> str:
    """The model's rows of one key, as a relation."""
    query = (
        f"create table memory.main.subject as select * from {relation}"
        f" where lower({columns.external_id}) = lower($key) or lower({columns.old_key_text}) = lower($key)"
    )
    con.execute(query, {"key": key})
    return "memory.main.subject"
