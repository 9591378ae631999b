"""Folds in what earlier runs had been told: the first stage of every run, and all there is to a crash."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reverse_etl_assets.delivery.dispatcher import Dispatcher
from reverse_etl_assets.delivery.interrupts import run_interruptible
from reverse_etl_assets.delivery.job_follower import JobLeft, JobUnfinished, JobUnreadable
from reverse_etl_assets.delivery.outcome_writer import Dispatched
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.errors import StateError
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal.records import Run, RunStatus, SentBatch
from reverse_etl_assets.runs.context import RunContext
from reverse_etl_assets.state import provenance
from reverse_etl_assets.state.facts import read_facts
from reverse_etl_assets.state.outbox import outbox_columns, rows_by_number
from reverse_etl_assets.warehouses.columns import Columns


@dataclass(frozen=True)
class Recovered:
    """`lost` has the runs that had no end, and have one now, each with what could not be folded in of it."""

    state_id: str | None = None
    lost: Mapping[str, str] = field(default_factory=dict)


KILLED = "the process ended before the row's turn"
"""What is said of a killed run's rows that did not go out."""
GivesUp = Callable[[SentBatch], bool]


def recover(now: RunContext) -> Recovered:
    """Ends the runs that had no end, for a run that begins. Raises JobUnreadable if a job of one is still running or
    cannot be asked, unless it was asked often and long enough; StateMismatch if the state is not the one that wrote."""
    with now.warehouse.open(now.sync.sync, write=True) as con:
        state_id = provenance.settle(con, now.journal, now.sync, now.account.type)
    return Recovered(state_id, {run.run_id: _end(now, run) for run in now.journal.open_runs(now.sync.sync)})


def _end(now: RunContext, run: Run) -> str:
    columns = None
    with now.warehouse.open(now.sync.sync, write=True) as con:
        if read_facts(con).outbox_run == run.run_id:
            columns = outbox_columns(con)
    if columns is None:
        sent = sum(1 for _ in now.journal.batches(run.run_id))
        detail = "the process ended before anything was sent"
        if sent:
            detail = (
                f"its change set is not in the state any more: another run took it over. The answers to its {sent:,}"
                " batches stand in the journal, and cannot be told from rows"
            )
        now.journal.end_run(run.run_id, RunStatus.FAILED, counts=run.counts, detail=detail)
        return ""
    refuse_elsewhere(run, now.account)
    had_jobs = job_is_open(now.journal, run.run_id)
    lost = run_interruptible(_collect_jobs(now, run.run_id, columns)) if had_jobs else ""
    counts = now.fold(run.run_id, columns, Dispatched(stopped=KILLED))
    status, detail = RunStatus.STOPPED, "the process ended in the middle; its answers were folded in by the next run"
    if had_jobs and not counts.get("skipped_stopped"):
        status, detail = RunStatus.DONE, "the results of its jobs were folded in by the next run"
    if lost:
        status, detail = RunStatus.FAILED, lost
    now.journal.end_run(run.run_id, status, counts={**run.counts, **counts}, detail=detail)
    return lost


async def _collect_jobs(now: RunContext, run_id: str, columns: Columns) -> str:
    """What had to be given up of them; empty if all is folded."""
    looks, policy = now.journal.count_look(run_id), now.sync.jobs
    at, longest = now.environment.clock(), policy.give_up_after.total_seconds()

    def gives_up(batch: SentBatch) -> bool:  # also of a clock that was ahead
        return looks >= policy.give_up_runs and abs(at - batch.sent_at) >= longest

    async with now.session(columns) as session, session.writer(run_id) as writer:
        with now.warehouse.open(now.sync.sync) as con:
            session.destination.recall(read_facts(con).learned)
        lost = await collect(now, session.dispatcher(writer, mask=now.mask), run_id, columns, gives_up=gives_up)
    rows, jobs = sum(lost.values()), ", ".join(lost)
    return f"the results of {jobs} could not be read in {looks} runs: {rows:,} rows are in doubt" if lost else ""


async def collect(
    now: RunContext,
    dispatcher: Dispatcher,
    run_id: str,
    columns: Columns,
    *,
    gives_up: GivesUp = lambda batch: False,
) -> dict[str, int]:
    """Fetch the results of the jobs that a run has handed over; of each that can be told, also if another cannot.

    Returns the jobs that were given up, and how many rows with each. Raises JobUnreadable if one cannot be told now.
    """
    lost: dict[str, int] = {}
    problem: JobUnreadable | None = None
    for batch in now.journal.batches(run_id):
        if batch.job is None or batch.answered_at is not None:
            continue
        with now.warehouse.open(now.sync.sync) as con:
            rows = rows_by_number(con, columns, batch.rows)
        try:
            await dispatcher.collect(batch.number, batch.job, rows)
        except JobUnreadable as error:
            if gives_up(batch) and not isinstance(error, JobLeft):
                await dispatcher.give_up(batch.number, rows, error)
                lost[f"job {batch.job}"] = lost.get(f"job {batch.job}", 0) + len(rows)
            elif isinstance(error, JobUnfinished):
                raise  # and each wait for another one would be as long
            else:
                problem = problem or error
    if problem:
        raise problem
    return lost


def job_is_open(journal: Journal, run_id: str) -> bool:
    return any(batch.job and batch.answered_at is None for batch in journal.batches(run_id))


def refuse_elsewhere(run: Run, account: Account) -> None:
    """Raises StateError if a killed run was to another destination: what became of it can only be asked there."""
    if run.destination != account.name:
        raise StateError(
            f"run {run.run_id} of sync {run.sync} to `{run.destination}` was killed, and what became of it has to be"
            f" folded in first: run the sync once with `destination: {run.destination}`. Nothing was sent."
        )
