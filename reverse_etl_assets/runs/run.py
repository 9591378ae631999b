"""READ THIS FIRST. One run of a sync: recover, plan, guard, dispatch, fold, verify, report; nothing else.

Only the change set leaves the warehouse, every row of it gets one outcome, and killing the process at any line of
this file loses nothing: the next run starts by folding what this one had been told.
"""

import contextlib
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from reverse_etl_assets.delivery.forecast import Forecast, forecast
from reverse_etl_assets.delivery.interrupts import ended_by, run_interruptible
from reverse_etl_assets.delivery.job_follower import JobUnfinished
from reverse_etl_assets.delivery.outcome_writer import Dispatched
from reverse_etl_assets.delivery.session import Environment
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.errors import BudgetSpent, ReverseEtlError, StateError
from reverse_etl_assets.guards import judge_plan, to_decide
from reverse_etl_assets.guards.approval import Identity, decide, identify
from reverse_etl_assets.guards.before import Evidence
from reverse_etl_assets.guards.finding import Finding, tripped
from reverse_etl_assets.guards.in_flight import FailureWindow
from reverse_etl_assets.guards.judge import budget_finding, guard_findings
from reverse_etl_assets.guards.parents import parents_finding
from reverse_etl_assets.journal.records import RunKind, RunStatus, Stopped, Tripped, WaitingPlan
from reverse_etl_assets.plan.change_set import Plan
from reverse_etl_assets.plan.parents import beside
from reverse_etl_assets.plan.trial import Trial, counted, leave_others, refuse_trial, tried
from reverse_etl_assets.readback.adoption import adopt
from reverse_etl_assets.readback.differences import Verified
from reverse_etl_assets.readback.verification import verify_run
from reverse_etl_assets.records import Reason, Status
from reverse_etl_assets.runs.changes import Changes, ModelChanges
from reverse_etl_assets.runs.context import RunContext
from reverse_etl_assets.runs.recovery import Recovered, job_is_open, recover
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.runs.sending import Progress, send
from reverse_etl_assets.spec.route import Route
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state import cutover, ledger
from reverse_etl_assets.state.facts import Learned, read_facts
from reverse_etl_assets.state.last_check import last_check
from reverse_etl_assets.state.lock import exclusive as exclusive
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.connection import Connection, EngineError

_KEEP_BATCHES = 30 * 86_400.0  # seconds; the outcomes of folded batches stand in the state

OnEnd = Callable[[Report], None]
"""Gets the report of a run that has sent, once all of it is folded; also of one that an error or interrupt ends, which
then goes on to the caller."""


def run_sync(
    sync: Sync,
    environment: Environment,
    account: Account,
    *,
    plan_id: str | None = None,
    run_id: str | None = None,
    trial: Trial | None = None,
    on_progress: Progress = lambda plan, statuses: None,
    on_end: OnEnd = lambda report: None,
) -> Report:
    """Run a sync once; with a `plan_id` nothing is sent but this approved plan, in a `trial` nothing but a few rows.

    Raises SyncBusy if another process runs it, StateError and CheckFailed before anything is sent; ConfigurationError
    if there is no such trial.
    """
    if trial:
        refuse_trial(Route(sync, account.type))
    with exclusive(sync, environment.warehouse):
        run = SyncRun(
            sync,
            environment,
            account,
            ModelChanges(),
            plan_id=plan_id,
            run_id=run_id,
            trial=trial,
            on_progress=on_progress,
            on_end=on_end,
        )
        return run.go()


@dataclass(frozen=True)
class _Planned:
    columns: Columns
    plan: Plan
    begun: cutover.Begun | None
    identity: Identity
    forecast: Forecast
    learned: Learned | None
    """What the destination's last check learned; None if a check is due."""
    counts: Mapping[str, int]
    tried: Sequence[str] | None = None
    """The keys of the rows that a trial sends; None if all of the plan is to go out."""


class SyncRun:
    """One run, of a sync that is locked for it."""

    def __init__(
        self,
        sync: Sync,
        environment: Environment,
        account: Account,
        changes: Changes,
        *,
        plan_id: str | None = None,
        run_id: str | None = None,
        trial: Trial | None = None,
        on_progress: Progress = lambda plan, statuses: None,
        on_end: OnEnd = lambda report: None,
    ) -> None:
        self.context = RunContext(sync, environment, account, changes.kind, run_id or uuid.uuid4().hex)
        self.sync, self.environment, self.account, self.changes = sync, environment, account, changes
        self.trial = trial
        self.plan_id, self.on_progress, self.on_end = plan_id, on_progress, on_end
        self.journal, self.warehouse = environment.journal, environment.warehouse
        self.started = time.monotonic()
        self.recovered = Recovered()

    def go(self) -> Report:
        try:
            self.recover()
        except JobUnfinished as error:
            detail = f"{error}; nothing is sent before its results are folded in"
            return replace(self._report(RunStatus.OPEN, [], {}, detail, None), pending=True)
        if stop := self.journal.stopped(
            self.account.name, self.sync.sync, obeys_sync_stop=self.context.obeys_sync_stop
        ):
            message = f"stopped ({stop.scope}) by {stop.who}: {stop.why}"
            return self._guarded([Finding("kill_switch", False, message)], None)
        runs_at_all = [Finding("kill_switch", True, "off"), budget_finding(self.journal, self.account)]
        if self.changes.kind is RunKind.SYNC:
            runs_at_all.append(parents_finding(self.sync, self.journal))
        runs_at_all += [] if tripped(runs_at_all) else self._adopt()
        if tripped(runs_at_all):
            return self._guarded(runs_at_all, None)
        planned = self._plan()
        findings = self._judge(planned, runs_at_all)
        if tripped(findings):
            return self._guarded(findings, planned)
        planned = self._cut(planned)
        self._start(planned)
        dispatched = self._dispatch(planned, findings)
        return self._finish(planned, findings, dispatched)

    def recover(self) -> None:
        """Fold in what earlier runs had been told."""
        self.recovered = recover(self.context)

    # plan and guard

    def _adopt(self) -> list[Finding]:
        """Read the records that a version takes over, if one begins so. Returns what ended that before its time."""
        if self.changes.kind is not RunKind.SYNC:
            return []
        try:
            adopt(self.sync, self.environment, self.account, self.context.usage)
        except Stopped as stopped:
            return [Finding("kill_switch", False, str(stopped))]
        except BudgetSpent as spent:
            return [Finding("budget", False, str(spent))]
        return []

    def _plan(self) -> _Planned:
        """Write the change set to the outbox; the model's file is open only for this."""
        of_model = self.changes.kind is RunKind.SYNC
        others = beside(self.sync) if of_model else {}
        with self.warehouse.open(self.sync.sync, write=True, models=of_model, beside=others) as con:
            made = self.changes.plan(self.context, con)
            columns, plan, begun = made.columns, made.plan, made.begun
            identity = identify(con, columns, self.account, plan)
            foreseen = forecast(con, columns, plan, self.account)
            learned = last_check(con, columns, self.sync.options, self.environment.clock())
            counts = {**plan.counts, **(begun.counts if begun else {})}
            keys = self._tried(con, columns, plan) if self.trial else None
            return _Planned(columns, plan, begun, identity, foreseen, learned, counts, keys)

    def _tried(self, con: Connection, columns: Columns, plan: Plan) -> list[str]:
        assert self.trial is not None  # noqa: S101 - the caller has asked
        relation = self.warehouse.relation(self.environment.models[self.sync.model])
        return tried(con, columns, relation, "state.outbox", self.trial, all_compared=plan.removed_known)

    def _cut(self, planned: _Planned) -> _Planned:
        """The guards have judged the whole plan; of a trial a few of its rows go out."""
        if planned.tried is None:
            return planned
        with self.warehouse.open(self.sync.sync, write=True) as con:
            ledger.refuse_taken_over(read_facts(con), self.context.run_id)
            leave_others(con, planned.tried)
            to_send = counted(con, "state.outbox", planned.tried)
        counts = {**planned.counts, "trial": len(planned.tried)}
        return replace(planned, plan=replace(planned.plan, to_send=to_send), counts=counts)

    def _judge(self, planned: _Planned, runs_at_all: list[Finding]) -> list[Finding]:
        findings = [*runs_at_all]
        if self.changes.kind is RunKind.FORGET:  # a person has asked for this one record
            return findings
        if self.changes.kind is RunKind.SYNC:
            model = self.environment.models[self.sync.model]
            findings += guard_findings(self.sync, self.journal, planned.plan, model, self.environment.dbt)
        elif self.changes.kind is RunKind.UNDO:
            findings += judge_plan(Evidence(planned.plan, self.sync.guards), undo=True)
        approval = self.journal.approval_of(self.sync.sync)
        return decide(findings, planned.identity, planned.plan, approval, self.sync.approval, asked=self.plan_id)

    def _guarded(self, findings: list[Finding], planned: _Planned | None) -> Report:
        """Nothing goes out; a plan that would send something waits under its id, if it can be approved."""
        counts = planned.counts if planned else {}
        bad = tripped(findings)
        detail = "; ".join(f"{finding.guard}: {finding.message}" for finding in bad)
        self._start(planned)
        waits = planned is not None and bool(planned.plan.to_send) and bool(to_decide(findings))
        if planned and waits:
            shown = [Tripped(f.guard, f.message, f.value, f.limit, f.field) for f in to_decide(findings)]
            now, identity = self.environment.clock(), planned.identity
            self.journal.keep_plan(
                WaitingPlan(identity.plan_id, self.sync.sync, self.context.run_id, now, counts, shown, identity.basis)
            )
        self.journal.end_run(self.context.run_id, RunStatus.GUARDED, counts=counts, detail=detail)
        return replace(self._report(RunStatus.GUARDED, findings, counts, detail, planned), waits=waits)

    def _start(self, planned: _Planned | None) -> None:
        self.journal.start_run(
            self.context.run_id,
            self.sync.sync,
            self.account.name,
            model_rows=planned.plan.model_rows if planned else None,
            counts=planned.counts if planned else {},
            kind=self.changes.kind,
            plan_id=planned.identity.plan_id if planned else None,
            version=self.sync.version,
            undoes=self.changes.undoes,
            state=self.recovered.state_id,
            trial=self._rows_of_trial(planned),
        )

    def _rows_of_trial(self, planned: _Planned | None) -> int | None:
        return (len(planned.tried or ()) if planned else 0) if self.trial else None

    # dispatch

    def _dispatch(self, planned: _Planned, findings: list[Finding]) -> Dispatched:
        self.journal.apply_plan(planned.identity.plan_id, self.context.run_id)
        if not planned.plan.to_send:
            return Dispatched()
        try:
            with self.warehouse.open(self.sync.sync, write=True) as con:
                ledger.begin_to_send(con, self.context.run_id)
            self.changes.before_sending(self.context)
            return run_interruptible(
                send(self.context, planned.columns, planned.plan, planned.learned, self.on_progress)
            )
        except BaseException as error:  # also termination: what was acknowledged must not be lost
            known = isinstance(error, ReverseEtlError)
            why = f"the run broke off: {self.context.mask.text(str(error))}" if known else ended_by(error)
            with contextlib.suppress(ReverseEtlError, EngineError):  # it stays open, and the next run folds it in
                self._finish(planned, findings, Dispatched(stopped=why, failed=True, broke_off=True))
            raise

    # fold, verify and report

    def _finish(self, planned: _Planned, findings: list[Finding], dispatched: Dispatched) -> Report:
        if not dispatched.broke_off:
            window = dispatched.window or FailureWindow(self.sync.guards.in_flight)  # nothing was sent
            findings = [*findings, window.finding]
        if job_is_open(self.journal, self.context.run_id):
            detail = "a job is still running at the destination; the next run collects its results"
            report = self._report(RunStatus.OPEN, findings, planned.counts, detail, planned)
            return replace(report, pending=not dispatched.stopped)
        counts = {**planned.counts, **self.context.fold(self.context.run_id, planned.columns, dispatched)}
        verified = Verified(not_judged="it was not looked to the end, for the run was told to end")
        try:
            verified = self._verify(planned.columns, counts, dispatched)
        except BaseException:  # all of the run is folded, however the look ends; and what ended it stays the error
            with contextlib.suppress(StateError):
                self._end(planned, findings, {**counts, **verified.counts}, dispatched, verified)
            raise
        return self._end(planned, findings, {**counts, **verified.counts}, dispatched, verified)

    def _verify(self, columns: Columns, counts: Mapping[str, int], dispatched: Dispatched) -> Verified:
        if dispatched.stopped:
            return Verified(not_judged="the run ended early")
        if not any(counts[status] for status in (Status.CREATED, Status.UPDATED, Status.DELETED)):
            return Verified(not_asked="the run wrote nothing")
        obeys = self.context.obeys_sync_stop
        found = verify_run(
            self.sync,
            columns,
            self.context.run_id,
            self.environment,
            self.account,
            self.context.usage,
            obeys_sync_stop=obeys,
        )
        return found.masked(self.context.mask)

    def _end(
        self,
        planned: _Planned,
        findings: list[Finding],
        counts: Mapping[str, int],
        dispatched: Dispatched,
        verified: Verified,
    ) -> Report:
        status = RunStatus.DONE
        if dispatched.stopped:
            status = RunStatus.FAILED if dispatched.failed else RunStatus.STOPPED
        detail = dispatched.stopped
        if dispatched.broke_off:
            detail = f"{detail}; {self._gone_out(planned.plan, counts)}"
        report = replace(self._report(status, findings, counts, detail, planned), verified=verified)
        self.journal.end_run(self.context.run_id, status, counts=report.journaled, detail=detail)
        self.journal.forget_batches(self.environment.clock() - _KEEP_BATCHES)
        self.journal.add_usage(self.account.name, self.sync.sync, rows=report.written, bytes=self.context.usage.bytes)
        self.on_end(report)
        return report

    def _gone_out(self, plan: Plan, counts: Mapping[str, int]) -> str:
        rows, unsent = sum(plan.to_send.values()), counts.get(f"{Status.SKIPPED}_{Reason.STOPPED}", 0)
        doubt = counts.get(f"{Status.FAILED}_{Reason.AMBIGUOUS}", 0)
        text = f"{rows - unsent:,} of {rows:,} rows had gone out"
        text += f", {doubt:,} of them without an answer" if doubt else ""
        what = "the next run sends the rest" if self.changes.kind is RunKind.SYNC else "the same again does the rest"
        return f"{text}; {what}" if unsent else text

    def _report(
        self,
        status: RunStatus,
        findings: list[Finding],
        counts: Mapping[str, int],
        detail: str | None,
        planned: _Planned | None,
    ) -> Report:
        return Report(
            run_id=self.context.run_id,
            sync=self.sync,
            status=status,
            findings=tuple(findings),
            counts=counts,
            detail=detail,
            plan_id=planned.identity.plan_id if planned else None,
            forecast=planned.forecast if planned else None,
            unusable_times=planned.plan.unusable_times if planned else {},
            kind=self.changes.kind,
            trial=self._rows_of_trial(planned),
            calls=self.context.usage.calls,
            bytes=self.context.usage.bytes,
            seconds=time.monotonic() - self.started,
            waited=self.context.usage.waited,
            recovered=tuple(self.recovered.lost),
            given_up="; ".join(f"run {run}: {lost}" for run, lost in self.recovered.lost.items() if lost),
            begun=planned.begun if planned else None,
        )
