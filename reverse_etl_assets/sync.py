"""READ THIS FIRST. One run of a sync: recover, plan, guard, dispatch, fold, report; nothing else.

Only the change set leaves the warehouse, every row of it gets one outcome, and killing the process at any line of
this file loses nothing: the next run starts by folding what this one had been told.
"""

import asyncio
import contextlib
import inspect
import time
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import filelock

from reverse_etl_assets import ledger
from reverse_etl_assets.columns import Columns
from reverse_etl_assets.dbt_models import Model
from reverse_etl_assets.decisions import columns_of, guard_findings, prefilter
from reverse_etl_assets.destinations.base import HttpDestination, RunsJobs
from reverse_etl_assets.dispatch import Dispatched, Dispatcher
from reverse_etl_assets.errors import ReverseEtlError, StateError, SyncBusy
from reverse_etl_assets.guard import Finding, beyond, tripped
from reverse_etl_assets.interrupts import run_interruptible
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal_records import Run, RunStatus
from reverse_etl_assets.journal_writer import JournalWriter
from reverse_etl_assets.pacing import Pacer
from reverse_etl_assets.plan import Plan, make_plan
from reverse_etl_assets.records import Operation, Target
from reverse_etl_assets.retries import Patience
from reverse_etl_assets.spec import Sync
from reverse_etl_assets.traffic import Traffic, open_client
from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse

_RECHECK = 86_400.0  # seconds after which a destination's fields are looked at again
_KEEP_BATCHES = 30 * 86_400.0  # seconds; the outcomes of folded batches stand in the state


@dataclass(frozen=True)
class Account:
    """A destination as the code location names it: its type, and where and how to sign in."""

    name: str
    type: type[HttpDestination[Any, Any]]
    connection: Any


@dataclass(frozen=True)
class Environment:
    """What all syncs of a project share."""

    journal: Journal
    warehouse: DuckDBWarehouse
    models: Mapping[str, Model]
    patience: Patience = field(default_factory=Patience)
    clock: Callable[[], float] = time.time


@dataclass(frozen=True)
class Report:
    """One run in figures. `counts` holds the plan's and the outcomes' numbers; the rows are in the state."""

    run_id: str
    sync: Sync
    status: RunStatus
    findings: tuple[Finding, ...]
    counts: Mapping[str, int]
    detail: str | None = None
    calls: int = 0
    bytes: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    recovered: tuple[str, ...] = ()

    @property
    def change_set(self) -> int:
        return sum(self.counts.get(name, 0) for name in ("created", "updated", "deleted", "skipped", "failed"))

    @property
    def too_many_failed(self) -> bool:
        """Rows that were never sent are a share of the model, refused ones of what was sent: bad rows that come
        back in every run must not redden it, nor unchanged rows hide that all that was sent was refused."""
        failed, rejected = self.counts.get("failed", 0), self.counts.get("failed_invalid", 0)
        sent = self.change_set - rejected - self.counts.get("skipped_stopped", 0) - self.counts.get("skipped_held", 0)
        percent = self.sync.max_failed.model_copy(update={"rows": None})
        return (
            beyond(self.sync.max_failed.model_copy(update={"percent": None}), failed, 0)
            or beyond(percent, rejected, self.counts.get("model_rows", 0))
            or beyond(percent, failed - rejected, sent)
        )

    @property
    def cost(self) -> float:
        written = sum(self.counts.get(name, 0) for name in ("created", "updated", "deleted"))
        return self.calls * self.sync.cost.per_call + written * self.sync.cost.per_row


Progress = Callable[[Plan, Mapping[str, int]], None]


def run_sync(
    sync: Sync,
    environment: Environment,
    account: Account,
    *,
    run_id: str | None = None,
    on_progress: Progress = lambda plan, statuses: None,
) -> Report:
    """Run a sync once. Raises SyncBusy if another process does, StateError and CheckFailed before anything is sent."""
    with exclusive(sync, environment.warehouse):
        run = _Run(sync, environment, account, run_id or uuid.uuid4().hex, on_progress)
        recovered = run.recover()
        return run.go(recovered)


def exclusive(sync: Sync, warehouse: DuckDBWarehouse) -> AbstractContextManager[Any]:
    """Only one process at a time runs a sync; the lock goes with the process, however it ends. Raises SyncBusy."""
    warehouse.state_folder.mkdir(parents=True, exist_ok=True)
    try:
        return filelock.FileLock(warehouse.lock_file(sync.sync), timeout=0).acquire()
    except filelock.Timeout:
        raise SyncBusy(f"sync {sync.sync} is being run by another process; wait for it or stop it.") from None


class _Run:
    def __init__(
        self, sync: Sync, environment: Environment, account: Account, run_id: str, on_progress: Progress
    ) -> None:
        self.sync, self.environment, self.account, self.run_id = sync, environment, account, run_id
        self.journal, self.warehouse = environment.journal, environment.warehouse
        self.on_progress = on_progress
        self.options = account.type.Options.model_validate(sync.options)
        self.traffic = Traffic()
        self.started = time.monotonic()
        self.waited = 0.0

    def recover(self) -> tuple[str, ...]:
        """Bring home what earlier, killed runs had been told."""
        runs = self.journal.open_runs(self.sync.sync)
        for run in runs:
            self._recover(run)
        return tuple(run.run_id for run in runs)

    def _recover(self, run: Run) -> None:
        columns = None
        with self.warehouse.open(self.sync.sync, write=True) as con:
            if ledger.read_facts(con).get("outbox_run") == run.run_id:
                columns = ledger.outbox_columns(con)
        if columns is None:
            detail = "the process ended before anything was sent, or its state file was moved away"
            self.journal.end_run(run.run_id, RunStatus.FAILED, counts=run.counts, detail=detail)
            return
        if any(batch.job and batch.answered_at is None for batch in self.journal.batches(run.run_id)):
            run_interruptible(self._collect_jobs(run.run_id, columns))
        counts = self._fold(run.run_id, columns, "the process ended before the row's turn")
        detail = "the process ended in the middle; its answers were brought home by the next run"
        self.journal.end_run(run.run_id, RunStatus.STOPPED, counts={**run.counts, **counts}, detail=detail)

    def go(self, recovered: tuple[str, ...]) -> Report:
        if stop := self.journal.stopped(self.account.name, self.sync.sync):
            message = f"stopped ({stop.scope}) by {stop.who}: {stop.why}"
            return self._guarded([Finding("kill_switch", False, message)], {}, recovered)
        columns, plan, learned = self._plan()
        findings = [Finding("kill_switch", True, "off"), *guard_findings(self.sync, self.journal, plan)]
        if tripped(findings):
            return self._guarded(findings, plan.counts, recovered)
        self.journal.start_run(
            self.run_id, self.sync.sync, self.account.name, model_rows=plan.model_rows, counts=plan.counts
        )
        dispatched = self._dispatch(columns, plan, learned)
        return self._finish(columns, plan, findings, dispatched, recovered)

    def _plan(self) -> tuple[Columns, Plan, ledger.Learned | None]:
        """Write the change set to the outbox; the model's file is open only for this."""
        model = self.environment.models[self.sync.model]
        now = self.environment.clock()
        with self.warehouse.open(self.sync.sync, write=True, models=True) as con:
            columns = columns_of(self.sync, self.account.type, self.warehouse.column_types(con, model))
            ledger.prepare(con, columns)
            recent = prefilter(self.sync, ledger.read_facts(con), now)
            ledger.write_facts(con, {"outbox_run": None})
            plan = make_plan(con, self.warehouse.relation(model), columns, prefilter=recent)
            ledger.seal_outbox(con, columns, self.run_id, newest=plan.newest, full_at=None if recent else now)
            return columns, plan, ledger.last_check(con, columns, self.sync.options, now - _RECHECK)

    def _guarded(self, findings: list[Finding], counts: Mapping[str, int], recovered: tuple[str, ...]) -> Report:
        detail = "; ".join(f"{finding.guard}: {finding.message}" for finding in tripped(findings))
        self.journal.start_run(
            self.run_id, self.sync.sync, self.account.name, model_rows=counts.get("model_rows"), counts=counts
        )
        self.journal.end_run(self.run_id, RunStatus.GUARDED, counts=counts, detail=detail)
        return self._report(RunStatus.GUARDED, findings, counts, detail, recovered)

    def _dispatch(self, columns: Columns, plan: Plan, learned: ledger.Learned | None) -> Dispatched:
        if not plan.to_send:
            return Dispatched()
        try:
            return run_interruptible(self._send(columns, plan, learned))
        except BaseException as error:  # also termination: what was acknowledged must not be lost
            why = str(error) if isinstance(error, ReverseEtlError) else type(error).__name__
            with contextlib.suppress(StateError):  # then the run stays open, and the next one brings it home
                self._finish(columns, plan, [], Dispatched(stopped=f"the run broke off: {why}", failed=True), ())
            raise

    async def _send(self, columns: Columns, plan: Plan, learned: ledger.Learned | None) -> Dispatched:
        async with self._destination(columns.target) as (destination, pacer):
            if learned is None:
                await self._check(destination, pacer, columns)
            else:
                destination.recall(learned)
            jobs = frozenset(
                operation
                for operation, rows in plan.to_send.items()
                if isinstance(destination, RunsJobs) and rows >= destination.job_threshold
            )
            with self.warehouse.open(self.sync.sync) as con:
                async with JournalWriter(self.journal, self.run_id, self.account.name, self.sync.sync) as writer:
                    dispatcher = Dispatcher(
                        destination,
                        writer,
                        pacer,
                        sync=self.sync.sync,
                        job_operations=jobs,
                        patience=self.environment.patience,
                        on_progress=lambda statuses: self.on_progress(plan, statuses),
                    )
                    rows = ledger.outbox_rows(con, columns)
                    try:
                        return await dispatcher.run(rows)
                    finally:
                        await _let_go(rows)

    async def _check(self, destination: HttpDestination[Any, Any], pacer: Pacer, columns: Columns) -> None:
        async with JournalWriter(self.journal, self.run_id, self.account.name, self.sync.sync) as writer:
            patience = self.environment.patience
            await Dispatcher(destination, writer, pacer, sync=self.sync.sync, patience=patience).check()
        self._remember_check(columns, destination.learned())

    @asynccontextmanager
    async def _destination(self, target: Target) -> AsyncIterator[tuple[HttpDestination[Any, Any], Pacer]]:
        capabilities = self.account.type.capabilities_for(target, self.options)
        concurrency = self.account.connection.concurrency or capabilities.concurrency
        async with open_client(self.traffic, concurrency=concurrency) as client:
            destination = self.account.type(self.account.connection, target, self.options, client)
            pacer = Pacer(self.journal, self.account.name, destination.capabilities.requests_per_second)
            try:
                yield destination, pacer
            finally:
                self.waited += pacer.waited

    def _remember_check(self, columns: Columns, learned: Mapping[str, list[str]]) -> None:
        with self.warehouse.open(self.sync.sync, write=True) as con:
            ledger.remember_check(con, columns, self.sync.options, learned, self.environment.clock())

    async def _collect_jobs(self, run_id: str, columns: Columns) -> None:
        """Fetch the results of jobs that a killed run had handed over."""
        async with self._destination(columns.target) as (destination, pacer):
            writer = JournalWriter(self.journal, run_id, self.account.name, self.sync.sync)
            async with writer:
                dispatcher = Dispatcher(
                    destination, writer, pacer, sync=self.sync.sync, patience=self.environment.patience
                )
                for batch in self.journal.batches(run_id):
                    if batch.job and batch.answered_at is None:
                        with self.warehouse.open(self.sync.sync) as con:
                            rows = ledger.rows_by_number(con, columns, batch.rows)
                        await dispatcher.resume_job(batch.number, batch.job, rows)

    def _fold(self, run_id: str, columns: Columns, stopped: str) -> dict[str, int]:
        capabilities = self.account.type.capabilities_for(columns.target, self.options)
        with self.warehouse.open(self.sync.sync, write=True) as con:
            ledger.fold(
                con,
                columns,
                run_id,
                self.journal.batches(run_id),
                now=self.environment.clock(),
                stopped=stopped,
                hold=frozenset(Operation) - capabilities.idempotent,
            )
            return ledger.counts(con, run_id)

    def _finish(
        self,
        columns: Columns,
        plan: Plan,
        findings: list[Finding],
        dispatched: Dispatched,
        recovered: tuple[str, ...],
    ) -> Report:
        if any(batch.job and batch.answered_at is None for batch in self.journal.batches(self.run_id)):
            detail = "a job is still running at the destination; the next run collects its results"
            return self._report(RunStatus.OPEN, findings, plan.counts, detail, recovered)
        counts = {**plan.counts, **self._fold(self.run_id, columns, dispatched.stopped or "")}
        status = RunStatus.DONE
        if dispatched.stopped:
            status = RunStatus.FAILED if dispatched.failed else RunStatus.STOPPED
        report = self._report(status, findings, counts, dispatched.stopped, recovered)
        self.journal.end_run(self.run_id, status, counts=self._journaled(report), detail=dispatched.stopped)
        self.journal.forget_batches(self.environment.clock() - _KEEP_BATCHES)
        sent = sum(plan.to_send.values())
        self.journal.add_usage(
            self.account.name, self.sync.sync, calls=self.traffic.calls, rows=sent, bytes=self.traffic.bytes
        )
        return report

    def _journaled(self, report: Report) -> dict[str, int]:
        return {
            **report.counts,
            "calls": report.calls,
            "bytes": report.bytes,
            "milliseconds": int(report.seconds * 1000),
        }

    def _report(
        self,
        status: RunStatus,
        findings: list[Finding],
        counts: Mapping[str, int],
        detail: str | None,
        recovered: tuple[str, ...],
    ) -> Report:
        return Report(
            run_id=self.run_id,
            sync=self.sync,
            status=status,
            findings=tuple(findings),
            counts=counts,
            detail=detail,
            calls=self.traffic.calls,
            bytes=self.traffic.bytes,
            seconds=time.monotonic() - self.started,
            waited=self.waited,
            recovered=recovered,
        )


async def _let_go(rows: Generator[Any, None, None]) -> None:
    """Rows that are half read would keep the state's file open, and the fold out of it."""
    while inspect.getgeneratorstate(rows) == inspect.GEN_RUNNING:  # noqa: ASYNC110 - it tells nobody when it is done
        await asyncio.sleep(0.01)
    rows.close()
