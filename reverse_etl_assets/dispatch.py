"""Sends a change set: batches, pacing, retries and bisecting; every row ends with one outcome in the journal."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from reverse_etl_assets.addressing import addressed, to_look_up
from reverse_etl_assets.destinations.base import Destination, FindsRecords, ReadsRecords, RunsJobs, encode_json
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    BudgetSpent,
    CheckFailed,
    ConfigurationError,
    ContractViolation,
    DestinationError,
    QuotaExhausted,
    RequestRejected,
    RetryLater,
    StateError,
)
from reverse_etl_assets.failure_window import FailureWindow
from reverse_etl_assets.feed import Feed, Work
from reverse_etl_assets.job_follower import JobFollower, JobUnreadable
from reverse_etl_assets.journal_records import Answer, Stopped
from reverse_etl_assets.journal_writer import JournalWriter
from reverse_etl_assets.ledger import OutboxRow
from reverse_etl_assets.masking import Mask
from reverse_etl_assets.ownership import FieldRules
from reverse_etl_assets.pacing import Pacer
from reverse_etl_assets.policies import InFlight
from reverse_etl_assets.records import Batch, Current, Operation, Outcome, Reason, RowError, Status
from reverse_etl_assets.retries import Halted, Patience, Retries

T = TypeVar("T")

STOPPING = (AuthenticationFailed, QuotaExhausted, ContractViolation, ConfigurationError)
"""Errors that no later batch would escape."""
READ_BEFORE_JOB = 10_000
"""Rows of one job where each record is read first: a job must not begin hours after its first record was read."""
_LONGEST = 2_000
"""Characters of what was said of a request. They are cut once values are taken out: half a value would stay."""
_HOPELESS = 25
"""Rows refused one by one, out of batches, with no request accepted yet: then the fault is not the rows'."""


@dataclass
class Dispatched:
    """What the dispatcher has to say at the end; the outcomes themselves stand in the journal."""

    statuses: Counter[str] = field(default_factory=Counter)
    stopped: str | None = None
    """Why rows were left unsent, if any were."""
    failed: bool = False
    """The run ended on an error (credentials, quota, a broken destination), not on a person's wish."""
    unsent: Reason = Reason.STOPPED
    """Why rows were left unsent, as their outcome says it."""
    window: FailureWindow | None = None
    """How many of the latest rows failed; if the run is guarded in flight."""


class Dispatcher:
    """One run's sending. Tasks share a feed; each takes a batch to its end."""

    def __init__(
        self,
        destination: Destination,
        writer: JournalWriter,
        pacer: Pacer,
        *,
        sync: str,
        job_operations: frozenset[Operation] = frozenset(),
        rules: FieldRules | None = None,
        in_flight: InFlight | None = None,
        mask: Mask | None = None,
        patience: Patience | None = None,
        on_progress: Callable[[Mapping[str, int]], None] = lambda statuses: None,
    ) -> None:
        self.destination = destination
        self.capabilities = destination.capabilities
        self.writer = writer
        self.pacer = pacer
        self.sync = sync
        self.patience = patience or Patience()
        self.report = Dispatched(window=FailureWindow(in_flight) if in_flight else None)
        self._job_operations = job_operations
        self._rules = rules
        self._mask = mask or Mask()
        self._on_progress = on_progress
        self._retries = Retries(pacer, self.patience)
        self._in_flight: set[asyncio.Task[Any]] = set()
        self._refused, self._accepted = 0, False

    async def run(self, chunks: Iterator[list[OutboxRow]]) -> Dispatched:
        """Send everything. Returns when every row is settled, or when the run is stopped.

        Cancelling it waits for the answers in flight, so that nothing acknowledged is lost.
        """
        feed = Feed(chunks, self._limits)
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(self.capabilities.concurrency):
                    tasks.create_task(self._work(feed))
        except BaseExceptionGroup as group:  # the journal failed, or our own code
            await self._last_answers(f"the run broke off: {type(group.exceptions[0]).__name__}")
            raise group.exceptions[0] from None
        except asyncio.CancelledError:
            await self._last_answers("the run was cancelled")
            raise
        return self.report

    async def check(self) -> None:
        """The destination's own check, asked again while it is busy. Raises CheckFailed or a DestinationError."""
        await self._retries.call(lambda last: self._guarded(self.destination.check()))

    async def _last_answers(self, why: str) -> None:
        self._halt(why)
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=self.patience.last_answers)

    def _limits(self, operation: Operation) -> tuple[int, int]:
        if operation in self._job_operations and isinstance(self.destination, RunsJobs):
            rows = self.destination.job_max_rows
            return min(rows, READ_BEFORE_JOB) if self._rules else rows, self.destination.job_max_bytes
        return self.capabilities.max_rows, self.capabilities.max_bytes

    def _halt(self, why: str, *, failed: bool = False) -> None:
        if not self._retries.halted.is_set():
            self.report.stopped, self.report.failed = why, failed
            self._retries.halted.set()

    def _halt_on(self, work: Work, error: DestinationError | ConfigurationError) -> None:
        """No later batch would escape the error; a spent budget is no failure, the next day goes on."""
        spent = isinstance(error, BudgetSpent)
        if spent and not self._retries.halted.is_set():
            self.report.unsent = Reason.BUDGET
        self._halt(self._said(work, error), failed=not spent)

    async def _work(self, feed: Feed) -> None:
        while not self._retries.halted.is_set() and (work := await feed.next()):
            again: Work | None = None
            try:
                again = await self._deliver(work)
            except Halted:
                pass
            except Stopped as stopped:
                self._halt(str(stopped))
            finally:
                await asyncio.shield(feed.done(again))

    async def _deliver(self, work: Work) -> Work | None:
        """Take a batch to its end. Returns the rows that the destination wants to see again."""
        rows = work.rows
        if self._rules and work.operation is not Operation.INSERT:
            rows = await self._look_first(work, self._rules)
        elif work.operation in self.capabilities.needs_id:
            rows = await self._locate(work)
        if not rows:
            return None
        work = replace(work, rows=rows)
        if work.attempt:
            await self._retries.pause(work.attempt)
        send = self._run_job if work.operation in self._job_operations else self._send
        try:
            return await self._retries.call(lambda last: self._tracked(send(work, last)), work.attempt)
        except RequestRejected as error:
            if len(rows) > 1:
                return await self._bisect(work)
            await self._settle_all(work, Reason.REJECTED, error)
            self._lose_hope(self._said(work, error))
        except RetryLater as error:
            await self._settle_all(work, Reason.UNAVAILABLE, error)
        except Ambiguous as error:
            await self._settle_all(work, Reason.AMBIGUOUS, error)
        except STOPPING as error:
            self._halt_on(work, error)
        return None

    def _lose_hope(self, error: str) -> None:
        """Stop bisecting when the destination refuses whatever it is sent, and spare the account the requests."""
        self._refused += 1
        if self._refused == _HOPELESS and not self._accepted and self.capabilities.max_rows > 1:
            self._halt(f"every request was refused, down to {_HOPELESS} single rows: {error}", failed=True)

    def _watch(self, outcomes: Sequence[tuple[OutboxRow, Outcome]]) -> None:
        """Stop when too many of the latest rows failed; what was skipped says nothing of the rows to come."""
        window = self.report.window
        if window is None:
            return
        for _, outcome in outcomes:
            if outcome.status is not Status.SKIPPED:
                window.add(outcome.status is Status.FAILED)
        if window.tripped:
            self._halt(f"guard in_flight: {window.finding.message}", failed=True)

    async def _bisect(self, work: Work) -> Work | None:
        """Find the bad row of a batch that was refused as a whole, by sending its halves."""
        half = len(work.rows) // 2
        again = [await self._deliver(replace(work, rows=part)) for part in (work.rows[:half], work.rows[half:])]
        rows = [row for part in again if part for row in part.rows]
        return Work(work.operation, rows, work.attempt + 1) if rows else None

    async def _tracked(self, work: Awaitable[T]) -> T:
        """Run to the end even if the run is cancelled meanwhile: an intent without its answer is a doubt."""
        task = asyncio.ensure_future(work)
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)
        return await asyncio.shield(task)

    async def _send(self, work: Work, last: bool) -> Work | None:
        batch = self._batch(work)
        number = await self._begin(work)
        try:
            outcomes = self._checked(batch, await self._guarded(self.destination.send(batch)))
        except Ambiguous as error:
            if work.operation in self.capabilities.idempotent and not last:
                raise  # the intent stays open: until it is sent again, nobody knows
            await self._settle_all(work, Reason.AMBIGUOUS, error, number)
            return None
        except ContractViolation as error:
            await self._settle_all(work, Reason.AMBIGUOUS, error, number)
            raise
        except (DestinationError, ConfigurationError):
            await self.writer.answer(number, [])
            raise
        return await self._record(work, number, outcomes, last)

    async def _run_job(self, work: Work, last: bool) -> Work | None:
        assert isinstance(self.destination, RunsJobs)  # noqa: S101 - only then are there job operations
        batch = self._batch(work)
        number = await self._begin(work)
        try:
            job = await self._guarded(self.destination.open_job(batch))
        except Ambiguous as error:  # an empty job at worst
            await self.writer.answer(number, [])
            raise RetryLater(str(error)) from error
        except (DestinationError, ConfigurationError):
            await self.writer.answer(number, [])
            raise
        await self.writer.set_job(number, job)
        try:
            await self.follower.upload(job, batch)
            outcomes = self._checked(batch, await self._guarded(self.follower.results(job, batch)))
        except JobUnreadable as error:  # its intent stays open: the next run collects the results
            self._halt(self._said(work, error), failed=True)
            return None
        except (Ambiguous, ContractViolation) as error:
            await self._settle_all(work, Reason.AMBIGUOUS, error, number)
            if isinstance(error, ContractViolation):
                raise
            return None
        except (DestinationError, ConfigurationError):
            await self.writer.answer(number, [])
            raise
        return await self._record(work, number, outcomes, last)

    async def resume_job(self, number: int, job: str, rows: list[OutboxRow]) -> None:
        """Collect the results of a job that an earlier, killed run had handed over.

        Raises JobUnreadable, and leaves the job for a later run, if the destination cannot be asked now.
        """
        work = Work(rows[0].operation, rows, attempt=self.patience.attempts)
        batch = self._batch(work)
        try:
            outcomes = self._checked(batch, await self._guarded(self.follower.results(job, batch)))
        except RetryLater:  # never handed over, so never processed
            await self.writer.answer(number, [])
            return
        except JobUnreadable:
            raise
        except Ambiguous as error:
            await self._settle_all(work, Reason.AMBIGUOUS, error, number)
            return
        await self._record(work, number, outcomes, last=True)

    @property
    def follower(self) -> JobFollower:
        assert isinstance(self.destination, RunsJobs)  # noqa: S101 - only then is there a job to follow
        return JobFollower(
            self.destination, self.pacer, longest_pause=self.patience.job_poll, attempts=self.patience.attempts
        )

    async def _locate(self, work: Work) -> list[OutboxRow]:
        """Rows with the destination's own ids; those without exactly one record get their outcome here."""
        assert isinstance(self.destination, FindsRecords)  # noqa: S101 - the contract of `needs_id`
        found: dict[str, Sequence[str]] = {}
        try:
            for ids in to_look_up(work, self.destination.find_limit):
                found.update(await self._retries.call(partial(self._find, ids)))
        except (RetryLater, RequestRejected, Ambiguous) as error:
            await self._settle_all(work, Reason.UNAVAILABLE, error)
            return []
        except STOPPING as error:
            self._halt_on(work, error)
            return []
        rows, outcomes = addressed(work, found)
        if outcomes:
            number = await self.writer.begin(work.operation, [row.number for row, _ in outcomes])
            await self._answer(number, outcomes)
        return rows

    async def _look_first(self, work: Work, rules: FieldRules) -> list[OutboxRow]:
        """Read the rows' records and apply the field rules; rows that need no write get their outcome here."""
        assert isinstance(self.destination, ReadsRecords)  # noqa: S101 - only then are there rules
        new = [row for row in work.rows if row.note is None]
        found: dict[str, Sequence[Current]] = {}
        try:
            for start in range(0, len(new), self.destination.read_limit):
                ids = [row.record.external_id for row in new[start : start + self.destination.read_limit]]
                found.update(await self._retries.call(partial(self._read, ids)))
        except (RetryLater, RequestRejected, Ambiguous) as error:
            await self._settle_all(replace(work, rows=new), Reason.UNAVAILABLE, error)
            return [row for row in work.rows if row.note]
        except STOPPING as error:
            self._halt_on(work, error)
            return []
        verdicts = [rules.judge(row, found.get(row.record.external_id, ())) for row in new]
        if settled := [(verdict.row, verdict.outcome) for verdict in verdicts if verdict.outcome]:
            number = await self._begin(replace(work, rows=[row for row, _ in settled]))
            await self._answer(number, settled)
        return [row for row in work.rows if row.note] + [verdict.row for verdict in verdicts if not verdict.outcome]

    async def _read(self, ids: Sequence[str], last: bool) -> Mapping[str, Sequence[Current]]:
        assert isinstance(self.destination, ReadsRecords)  # noqa: S101 - only then are there rules
        return await self._guarded(self.destination.read_records(ids))

    async def _begin(self, work: Work) -> int:
        notes = [row.note for row in work.rows if row.note]
        return await self.writer.begin(work.operation, [row.number for row in work.rows], notes)

    async def _find(self, ids: Sequence[str], last: bool) -> Mapping[str, Sequence[str]]:
        assert isinstance(self.destination, FindsRecords)  # noqa: S101 - the contract of `needs_id`
        return await self._guarded(self.destination.find(ids))

    def _batch(self, work: Work) -> Batch:
        records = [row.record for row in work.rows]
        return Batch(work.operation, records, idempotency_key(self.sync, work.operation, records))

    async def _guarded(self, call: Awaitable[T]) -> T:
        """An error that a destination must not raise is a broken contract, not the end of the process."""
        try:
            return await call
        except (DestinationError, CheckFailed, ConfigurationError, StateError, asyncio.CancelledError):
            raise  # a StateError: the journal did not count the call
        except Exception as error:
            name = type(self.destination).__name__
            raise ContractViolation(f"{name} failed with {type(error).__name__}") from error

    def _checked(self, batch: Batch, outcomes: Sequence[Outcome]) -> dict[str, Outcome]:
        """Outcomes by key. Raises ContractViolation for a key that was not sent or that has two outcomes."""
        keys = {record.key for record in batch.records}
        by_key = {outcome.key: outcome for outcome in outcomes}
        if len(by_key) != len(outcomes) or not by_key.keys() <= keys:
            name = type(self.destination).__name__
            raise ContractViolation(f"{name} gave outcomes for rows that were not sent, or two for one row")
        return by_key

    async def _record(self, work: Work, number: int, outcomes: Mapping[str, Outcome], last: bool) -> Work | None:
        """Journal what is final. Returns the rows that the destination asks for again."""
        self._accepted = True
        final: list[tuple[OutboxRow, Outcome]] = []
        again: list[OutboxRow] = []
        for row in work.rows:
            outcome = outcomes.get(row.record.key) or self._unanswered(row.record.key, work.operation)
            if row.full is not None and work.operation is not Operation.UPDATE and _met_no_record(outcome):
                again.append(replace(row, record=replace(row.record, fields=row.full), full=None))
            elif outcome.retry and not last:
                again.append(row)
            else:
                final.append((row, outcome.given_up()))
        await self._answer(number, final)
        return Work(work.operation, again, work.attempt + 1) if again else None

    def _unanswered(self, key: str, operation: Operation) -> Outcome:
        reason = Reason.UNANSWERED if operation in self.capabilities.idempotent else Reason.AMBIGUOUS
        return Outcome(key, Status.FAILED, reason, RowError("the destination's answer does not name this row"))

    async def _settle_all(self, work: Work, reason: Reason, error: DestinationError, number: int | None = None) -> None:
        """The same failure for every row of a batch."""
        if number is None:
            number = await self._begin(work)
        said = RowError(self._said(work, error), getattr(error, "code", None), getattr(error, "field", None))
        await self._answer(number, [(row, Outcome(row.record.key, Status.FAILED, reason, said)) for row in work.rows])

    def _said(self, work: Work, error: DestinationError | ConfigurationError) -> str:
        """A vendor's words about a whole request, without personal data of its rows."""
        return self._mask.said((row.record for row in work.rows), str(error))[:_LONGEST]

    async def _answer(self, number: int, outcomes: Sequence[tuple[OutboxRow, Outcome]]) -> None:
        answers = [
            Answer(r.number, o.status, o.reason, o.destination_id, self._mask.error(r.record, o.error), o.inferred)
            for r, o in outcomes
        ]
        await self.writer.answer(number, answers)
        self.report.statuses.update(outcome.status.value for _, outcome in outcomes)
        self._watch(outcomes)
        self._on_progress(self.report.statuses)


def _met_no_record(outcome: Outcome) -> bool:
    """Changed fields alone were sent for a record that somebody has deleted: it has to be made of all fields."""
    return outcome.status is Status.CREATED or outcome.reason in (Reason.REJECTED, Reason.NOT_FOUND)


def idempotency_key(sync: str, operation: Operation, records: Sequence[Any]) -> str:
    """The same for the same rows with the same values, in every process and run."""
    digest = hashlib.sha256(f"{sync}\n{operation}\n".encode())
    for record in records:
        digest.update(encode_json([record.key, record.fields]))
    return digest.hexdigest()[:40]
