"""Sends a change set: batches, pacing, retries and bisecting; every row ends with one outcome in the journal."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from reverse_etl_assets.accounts.pacing import Pacer
from reverse_etl_assets.accounts.waiting import Halted
from reverse_etl_assets.delivery.asking import HOPELESS
from reverse_etl_assets.delivery.deletions import Deletions
from reverse_etl_assets.delivery.feed import Feed, WorkItem
from reverse_etl_assets.delivery.field_rules import FieldRules
from reverse_etl_assets.delivery.job_follower import JobFollower, JobUnreadable
from reverse_etl_assets.delivery.job_sending import JobSender
from reverse_etl_assets.delivery.lookups import Lookups
from reverse_etl_assets.delivery.outcome_writer import Dispatched, Settlement
from reverse_etl_assets.delivery.retries import Retries, RetryPolicy
from reverse_etl_assets.destinations.base import Destination, RunsJobs, encode_json
from reverse_etl_assets.errors import (
    STOPPING,
    Ambiguous,
    ConfigurationError,
    ContractViolation,
    DestinationError,
    GarbledAnswer,
    RequestRejected,
    RetryLater,
    Unavailable,
    Unsendable,
)
from reverse_etl_assets.journal.records import Stopped
from reverse_etl_assets.journal.writer import JournalWriter
from reverse_etl_assets.privacy.masking import Mask
from reverse_etl_assets.records import Batch, Operation, Reason
from reverse_etl_assets.spec.policies import InFlight
from reverse_etl_assets.state.outbox import OutboxRow

T = TypeVar("T")

READ_BEFORE_JOB = 10_000
"""Rows of one job where each record is read first: a job must not begin hours after its first record was read."""
_GARBLED = 25
"""Answers in a row that nobody can make sense of: then the fault is the destination's code."""


class Dispatcher:
    """One run's sending. Tasks share a feed; each takes a batch to its end."""

    def __init__(
        self,
        destination: Destination,
        writer: JournalWriter,
        pacer: Pacer,
        *,
        sync: str,
        reading: Pacer | None = None,
        job_operations: frozenset[Operation] = frozenset(),
        rules: FieldRules | None = None,
        in_flight: InFlight | None = None,
        mask: Mask | None = None,
        deletions: Deletions | None = None,
        retry_policy: RetryPolicy | None = None,
        on_progress: Callable[[Mapping[str, int]], None] = lambda statuses: None,
    ) -> None:
        self.destination = destination
        self.capabilities = destination.capabilities
        self.sync = sync
        self.retry_policy = retry_policy or RetryPolicy()
        self._job_operations, self._rules, self._deletions = job_operations, rules, deletions
        self._retries = Retries(pacer, self.retry_policy)
        self._settlement = Settlement(
            destination,
            writer,
            self._retries.halted,
            in_flight=in_flight,
            mask=mask or Mask(),
            deletions=deletions,
            on_progress=on_progress,
        )
        self.report = self._settlement.report
        reads = Retries(reading or pacer, self.retry_policy)
        self._lookups = Lookups(destination, rules, self._settlement, reading=reads, writing=self._retries)
        self._jobs: JobSender | None = None
        if isinstance(destination, RunsJobs):
            follower = JobFollower(destination, pacer, self.retry_policy)
            self._jobs = JobSender(destination, writer, follower, self._settlement)
        self._in_flight: set[asyncio.Task[Any]] = set()
        self._refused = self._garbled = 0
        self._alone = asyncio.Lock()

    @property
    def spans_run(self) -> bool:
        """One job takes all batches: `run` hands them over, and `collect` folds in what became of them."""
        return self.capabilities.jobs is not None and self.capabilities.jobs.spans_run

    async def run(self, chunks: Iterator[list[OutboxRow]]) -> Dispatched:
        """Send everything. Returns when every row is settled, or when the run is stopped.

        Cancelling it waits for the answers in flight, so that nothing acknowledged is lost.
        """
        feed = Feed(chunks, self._limits, self._lookups.at_once)
        try:
            async with asyncio.TaskGroup() as tasks:
                if self.spans_run:
                    tasks.create_task(self._hand_over(feed))
                else:
                    for _ in range(self.capabilities.concurrency):
                        tasks.create_task(self._work(feed))
        except BaseExceptionGroup as group:  # the journal failed, or our own code
            await self._last_answers(f"the run broke off: {type(group.exceptions[0]).__name__}")
            raise group.exceptions[0] from None
        except asyncio.CancelledError:
            await self._last_answers("the run was cancelled")
            raise
        return self.report

    async def collect(self, number: int, job: str, rows: list[OutboxRow]) -> None:
        """Fold in what became of a batch that was handed over as a job, by this run or a killed one.

        Raises JobUnreadable, and leaves the job for a later run, if the destination cannot tell now.
        """
        assert self._jobs is not None  # noqa: S101 - only then is there a job
        work = WorkItem(rows[0].operation, rows, attempt=self.retry_policy.attempts)
        await self._jobs.collect(work, self._batch(work), number, job)

    async def give_up(self, number: int, rows: list[OutboxRow], error: JobUnreadable) -> None:
        """Leave a batch in doubt whose job can be asked no more."""
        assert self._jobs is not None  # noqa: S101 - only then is there a job
        await self._jobs.give_up(WorkItem(rows[0].operation, rows), number, error)

    async def _last_answers(self, why: str) -> None:
        self._settlement.halt(why)
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=self.retry_policy.last_answers)

    def _limits(self, operation: Operation) -> tuple[int, int]:
        if operation in self._job_operations and (jobs := self.capabilities.jobs):
            return min(jobs.max_rows, READ_BEFORE_JOB) if self._rules else jobs.max_rows, jobs.max_bytes
        return self.capabilities.max_rows, self.capabilities.max_bytes

    async def _work(self, feed: Feed) -> None:
        while not self._retries.halted.is_set() and (work := await feed.next()):
            again: WorkItem | None = None
            try:
                again = await self._deliver(work)
            except Halted:
                pass
            except Stopped as stopped:
                self._settlement.halt(str(stopped))
            finally:
                await asyncio.shield(feed.done(work, again))

    async def _hand_over(self, feed: Feed) -> None:
        assert self._jobs is not None  # noqa: S101 - the contract of `spans_run`
        try:
            await self._jobs.send_parts(self._parts(feed), self._retries)
        except Halted:
            pass
        except Stopped as stopped:
            self._settlement.halt(str(stopped))

    async def _parts(self, feed: Feed) -> AsyncIterator[tuple[WorkItem, Batch]]:
        """All batches of the run. Raises Halted if they do not come to their end: a part less is not the last one."""
        while work := await feed.next():
            rows = await self._lookups.looked_up(work)
            await feed.done(work)
            work = replace(work, rows=rows)
            if work.rows:
                yield work, self._batch(work)
        if self._retries.halted.is_set():
            raise Halted

    async def _deliver(self, work: WorkItem) -> WorkItem | None:
        """Take a batch to its end. Returns the rows that the destination wants to see again."""
        rows = await self._spared(work.operation, await self._lookups.looked_up(work))
        if not rows:
            return None
        work = replace(work, rows=rows)
        if len(rows) > self._limits(work.operation)[0]:
            return work  # looked up together, they come back one batch after the other
        if work.attempt:
            await self._retries.pause(work.attempt)
            if self.capabilities.retry_serially:
                async with self._alone:
                    return await self._attempt(work)
        return await self._attempt(work)

    async def _spared(self, operation: Operation, rows: list[OutboxRow]) -> list[OutboxRow]:
        """Without the deletes whose record another row stands for; those get their outcome here."""
        if operation is not Operation.DELETE or self._deletions is None:
            return rows
        if not (spared := await self._deletions.spared(rows)):
            return rows
        number = await self._settlement.begin(WorkItem(operation, [row for row, _ in spared]), sends=False)
        await self._settlement.answer(number, spared)
        self.report.heirs = self._deletions.heirs
        stay = {row.number for row, _ in spared}
        return [row for row in rows if row.number not in stay]

    async def _attempt(self, work: WorkItem) -> WorkItem | None:
        send = self._send_job if work.operation in self._job_operations else self._send
        try:
            return await self._retries.call(lambda last: self._tracked(send(work, last)), work.attempt)
        except (RequestRejected, GarbledAnswer) as error:
            work = replace(work, in_doubt=work.in_doubt or error.perhaps_done)
            if len(work.rows) > 1:
                return await self._bisect(work)
            await self._settlement.settle_all(work, Reason.AMBIGUOUS if work.in_doubt else Reason.REJECTED, error)
            self._stop_if_all_refused(work, error)
        except (RetryLater, Ambiguous) as error:
            in_doubt = work.in_doubt or error.perhaps_done
            await self._settlement.settle_all(work, Reason.AMBIGUOUS if in_doubt else Reason.UNAVAILABLE, error)
        except Unavailable as error:
            in_doubt = work.in_doubt or error.perhaps_done
            await self._settlement.settle_all(work, Reason.AMBIGUOUS if in_doubt else Reason.UNAVAILABLE, error)
            self._settlement.halt_on(work, error)
        except STOPPING as error:
            self._settlement.halt_on(work, error)
        except Halted as end:  # between two tries
            if isinstance(end.doubt, DestinationError):
                await self._settlement.settle_all(work, Reason.AMBIGUOUS, end.doubt)
            raise
        return None

    def _stop_if_all_refused(self, work: WorkItem, error: DestinationError) -> None:
        """Stop bisecting when the destination refuses whatever it is sent, and spare the account the requests."""
        self._refused += 1
        halves = self.capabilities.max_rows > 1 or isinstance(error, Unsendable)
        if self._refused == HOPELESS and not self._settlement.accepted and halves:
            message = self._settlement.message(work, error)
            self._settlement.halt(f"every request was refused, down to {HOPELESS} single rows: {message}", failed=True)

    async def _bisect(self, work: WorkItem) -> WorkItem | None:
        """Find the bad row of a batch that was refused as a whole, by sending its halves."""
        half = len(work.rows) // 2
        again = [await self._attempt(replace(work, rows=part)) for part in (work.rows[:half], work.rows[half:])]
        rows = [row for part in again if part for row in part.rows]
        return WorkItem(work.operation, rows, work.attempt + 1) if rows else None

    async def _tracked(self, work: Awaitable[T]) -> T:
        """Run to the end even if the run is cancelled meanwhile: an intent without its answer is a doubt."""
        task = asyncio.ensure_future(work)
        self._in_flight.add(task)
        task.add_done_callback(self._landed)
        return await asyncio.shield(task)

    def _landed(self, task: asyncio.Task[Any]) -> None:
        """An error that comes once nobody waits any more is no news: its batch is in doubt already."""
        self._in_flight.discard(task)
        if not task.cancelled():
            task.exception()

    async def _send(self, work: WorkItem, last: bool) -> WorkItem | None:
        batch = self._batch(work)
        number = await self._settlement.begin(work)
        try:
            answered = await self._settlement.guarded(self.destination.send(batch))
            outcomes = self._settlement.checked(batch, answered)
        except GarbledAnswer as error:
            await self._at_a_loss(work, number, error)
            return None
        except ConfigurationError:
            await self._settlement.not_sent(number)
            raise
        except DestinationError as error:
            await self._settlement.unanswered(work, number, error, last)
            return None
        self._garbled = 0
        return await self._settlement.record(work, number, outcomes, last)

    async def _at_a_loss(self, work: WorkItem, number: int, error: GarbledAnswer) -> None:
        """Settle a batch whose answer is of no use. Raises the error if its halves can be sent: one row may be what
        spoils the answer; ContractViolation if no answer is of any use."""
        self._garbled += 1
        hopeless = self._garbled >= _GARBLED
        again = not error.perhaps_done or self._settlement.repeatable(work.operation, work.rows)
        if len(work.rows) > 1 and again and not hopeless:
            if not error.perhaps_done:
                await self._settlement.not_sent(number)
            raise error
        reason = Reason.AMBIGUOUS if error.perhaps_done else Reason.UNAVAILABLE
        await self._settlement.settle_all(work, reason, error, number)
        if hopeless:
            raise ContractViolation(f"{_GARBLED} answers in a row were of no use: {error}") from error

    async def _send_job(self, work: WorkItem, last: bool) -> WorkItem | None:
        assert self._jobs is not None  # noqa: S101 - only then are there job operations
        return await self._jobs.send(work, self._batch(work), last)

    def _batch(self, work: WorkItem) -> Batch:
        records = [row.record for row in work.rows]
        return Batch(work.operation, records, idempotency_key(self.sync, work.operation, records))


def idempotency_key(sync: str, operation: Operation, records: Sequence[Any]) -> str:
    """The same for the same rows with the same values, in every process and run."""
    digest = hashlib.sha256(f"{sync}\n{operation}\n".encode())
    for record in records:
        digest.update(encode_json([record.key, record.fields]))
    return digest.hexdigest()[:40]
