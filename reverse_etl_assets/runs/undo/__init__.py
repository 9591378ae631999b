"""Undo: puts back what a run wrote, as a run of its own, through the same guards, batches, journal and fold."""

import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from reverse_etl_assets.delivery.session import Environment
from reverse_etl_assets.destinations.base import Account, BaseDestination
from reverse_etl_assets.errors import ReverseEtlError, StateError
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal.records import Run, RunKind, RunStatus
from reverse_etl_assets.plan.change_set import Plan
from reverse_etl_assets.reasons import IN_DOUBT
from reverse_etl_assets.runs.changes import ChangeSet
from reverse_etl_assets.runs.context import RunContext
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.runs.run import SyncRun, exclusive
from reverse_etl_assets.runs.undo.plan import plan_undo
from reverse_etl_assets.spec.route import Route
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state.facts import changing_facts
from reverse_etl_assets.state.outbox import seal_outbox
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.connection import Connection

_WRITTEN = {"updated": "set back", "deleted": "deleted", "created": "made again"}
_IN_DOUBT = tuple(f"{reason.meaning.status}_{reason}" for reason in IN_DOUBT)
_THERE = ("skipped_same", "skipped_already_gone")  # reasons of rows that need no write
_MANY = 10_000  # undos of one sync
_SHORTEST = 6  # characters of an id that say which is meant
_NAMED = 5


def undo_run(
    undone: str, sync: Sync, environment: Environment, account: Account, *, who: str, why: str, **options: Any
) -> Report:
    """Put back what a run of the sync wrote, and stop the sync, so that no run sends it again meanwhile.

    Options are those of `run_sync`. Raises StateError, before anything is sent, if the run is not to be undone.
    """
    undoable(environment.journal, undone, sync, account)
    with exclusive(sync, environment.warehouse):
        changes = UndoChanges(undone, who=who, why=why)
        run = SyncRun(sync, environment, account, changes, **options)
        try:
            return run.go()
        finally:
            changes.resume_if_idle(run.context)


class UndoChanges:
    """What a run wrote, to be put back where nobody has written since."""

    kind = RunKind.UNDO

    def __init__(self, undone: str, *, who: str, why: str) -> None:
        self.undoes: str | None = undone
        self._undone, self._who, self._why = undone, who, why
        self._stopped = False

    def plan(self, run: RunContext, con: Connection) -> ChangeSet:
        """Raises StateError if there is nothing to put back, or no way to do so."""
        undone = undoable(run.journal, self._undone, run.sync, run.account)
        columns, plan = planned(run.journal, con, run.sync, run.account, undone)
        seal_outbox(con, columns, run.run_id, newest=None, full_at=None)
        # Rows that were put back differ from the model, however long ago they were modified.
        with changing_facts(con) as facts:
            facts.full_compared_at = None
        return ChangeSet(columns, plan)

    def before_sending(self, run: RunContext) -> None:
        """A stop that is there already is somebody's own, and stays theirs."""
        if all(stop.scope != self._scope(run) for stop in run.journal.stops()):
            run.journal.stop(self._scope(run), self._who, f"run {self._undone} was undone: {self._why}")
            self._stopped = True

    def resume_if_idle(self, run: RunContext) -> None:
        """Nothing was put back, so there is nothing that a run of the sync could spoil."""
        if not self._stopped:
            return
        with contextlib.suppress(ReverseEtlError):  # then it stays stopped, which does no harm
            found = run.journal.run(run.run_id)
            if found is None or found.status is RunStatus.OPEN:
                return
            if not written(found) and not any(found.counts.get(reason) for reason in _IN_DOUBT):
                why = f"the undo of run {self._undone} put nothing back"
                run.journal.resume(self._scope(run), self._who, why)

    def _scope(self, run: RunContext) -> str:
        return f"sync:{run.sync.sync}"


def planned(journal: Journal, con: Connection, sync: Sync, account: Account, undone: Run) -> tuple[Columns, Plan]:
    """The change set of an undo, written to the outbox. Raises StateError if nothing is known of the run any more."""
    undos = [run.run_id for run in journal.history(sync.sync, _MANY, kind=RunKind.UNDO) if run.undoes == undone.run_id]
    columns, plan = plan_undo(con, sync, account, undone.run_id, undos=undos)
    known = written(undone) + plan.more["in_doubt"] + plan.more["has_arrived"]
    forgotten = known - plan.model_rows if undone.status is not RunStatus.OPEN else 0
    if not plan.model_rows:
        at = f"{datetime.fromtimestamp(undone.started_at, UTC):%Y-%m-%d}"
        raise StateError(
            f"the state of sync {sync.sync} knows no row that run {undone.run_id} of {at} wrote: outcomes are kept for"
            " 90 days, and go with the state's file."
        )
    return columns, replace(plan, more={**plan.more, **({"forgotten": forgotten} if forgotten > 0 else {})})


def undoable(journal: Journal, run_id: str, sync: Sync, account: Account) -> Run:
    """The run. Raises StateError if it is not to be undone; of a killed one that is known once it is recovered."""
    run = find_run(journal, run_id)
    if why := _why_not(run, sync, account) or _undone_already(journal, run):
        raise StateError(f"run {run_id} {why}")
    return run


def find_run(journal: Journal, run_id: str) -> Run:
    run = journal.run(run_id)
    if run is None:
        raise StateError(f"there is no run {run_id} in the journal; `reverse-etl runs` lists those that are.")
    return run


def run_meant(journal: Journal, beginning: str) -> Run:
    """By its id, or by as much of its beginning as no other id has. Raises StateError if there is none, or several."""
    found = journal.runs_beginning(beginning, _NAMED) if len(beginning) >= _SHORTEST else []
    exact = next((run for run in found if run.run_id == beginning), None)
    if exact or len(found) < 2:
        return exact or (found[0] if found else find_run(journal, beginning))
    named = ", ".join(run.run_id for run in found)
    raise StateError(f"more than one run begins with {beginning}: {named}. Give more of its id.")


def written(run: Run) -> int:
    """Rows."""
    return sum(run.counts.get(name, 0) for name in _WRITTEN)


def is_whole(report: Report) -> bool:
    """Whether every row that the undone run wrote is as it was before."""
    done = report.written + sum(report.counts.get(reason, 0) for reason in _THERE)
    return report.status is RunStatus.DONE and done >= report.counts.get("model_rows", 0)


def summary(journal: Journal, report: Report, account: type[BaseDestination[Any, Any]]) -> list[str]:
    """What came of an undo, in sentences."""
    counts, sync = report.counts, report.sync
    ways = ", ".join(f"{counts[name]:,} {word}" for name, word in _WRITTEN.items() if counts.get(name))
    how = f": {ways}" if ways else ""
    sentences = [f"{report.written:,} of {counts.get('model_rows', 0):,} rows were put back{how}."]
    if counts.get("from_destination") or counts.get("from_synced"):
        read, ours = counts.get("from_destination", 0), counts.get("from_synced", 0)
        sentences.append(
            f"Values put back: of {read:,} rows what the record held just before the run, of {ours:,} our last write."
        )
    if counts.get("in_doubt"):
        sentences.append(
            f"{counts['in_doubt']:,} of them were in doubt: the run had sent them, and their answers were lost."
        )
    if counts.get("has_arrived"):
        sentences.append(
            f"{counts['has_arrived']:,} of them had no answer, and somebody has said since that they did arrive."
        )
    if counts.get("forgotten"):
        sentences.append(
            f"{counts['forgotten']:,} more rows that the run wrote are no longer known; they stay as they are."
        )
    if not Route(sync, account).reads_back:
        sentences.append(f"{sync.destination} cannot be read, so what people edited there since is written over.")
    if stop := journal.stopped(sync.destination, sync.sync):
        again = "so that no run sends the same again" if report.written else "as before"
        lift = f"`reverse-etl resume --sync {sync.sync}`" if stop.scope.startswith("sync:") else "`reverse-etl resume`"
        sentences.append(f"The sync is stopped ({stop.scope}) by {stop.who}, {again}: {stop.why}. {lift} lets it run.")
    return sentences


def _why_not(run: Run, sync: Sync, account: Account) -> str | None:
    if run.kind is RunKind.UNDO:
        again = f"`reverse-etl resume --sync {run.sync}` lets the sync send the model again"
        return f"is an undo itself, of run {run.undoes}. An undo cannot be undone: {again}."
    if run.kind is not RunKind.SYNC:
        return f"is no run of the model (kind {run.kind}); what it did is not to be put back."
    if run.status is RunStatus.GUARDED:
        return f"was guarded and sent nothing, so there is nothing to put back: {run.detail}"
    in_doubt = any(run.counts.get(reason) for reason in _IN_DOUBT)
    if run.status is not RunStatus.OPEN and not written(run) and not in_doubt:
        return "wrote nothing, so there is nothing to put back."
    if (run.sync, run.destination) != (sync.sync, account.name):
        return f"is of sync {run.sync} to `{run.destination}`, not of {sync.sync} to `{account.name}`."
    if run.version != sync.version:
        now = f"which is at version {sync.version} now"
        return f"is of version {run.version} of sync {sync.sync}, {now}. An undo does not reach across a cutover."
    return None


def _undone_already(journal: Journal, run: Run) -> str | None:
    """An undo that broke off, or of which rows failed, may be repeated for the rest."""
    undo = journal.undone_by(run.run_id)
    if undo is None or undo.status is not RunStatus.DONE or not written(undo):
        return None
    if undo.counts.get("failed", 0) > undo.counts.get("failed_invalid", 0):
        return None
    at = f"{datetime.fromtimestamp(undo.started_at, UTC):%Y-%m-%d %H:%M} UTC"
    return f"was undone already, by run {undo.run_id} at {at}: {written(undo):,} rows were put back."
