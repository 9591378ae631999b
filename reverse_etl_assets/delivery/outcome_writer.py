"""Every row ends with one outcome in the journal: what was answered, or why nothing was."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import TypeVar

from reverse_etl_assets.delivery.deletions import Deletions
from reverse_etl_assets.delivery.feed import WorkItem
from reverse_etl_assets.delivery.guarding import guarded
from reverse_etl_assets.destinations.base import Destination
from reverse_etl_assets.errors import (
    STOPPING,
    Ambiguous,
    BudgetSpent,
    ConfigurationError,
    DestinationError,
    GarbledAnswer,
    RequestRejected,
)
from reverse_etl_assets.guards.in_flight import FailureWindow
from reverse_etl_assets.journal.records import Answer
from reverse_etl_assets.journal.writer import JournalWriter
from reverse_etl_assets.privacy.masking import Mask
from reverse_etl_assets.records import Batch, Operation, Outcome, Reason, RowError, Status
from reverse_etl_assets.spec.policies import InFlight
from reverse_etl_assets.state.outbox import OutboxRow

T = TypeVar("T")

_LONGEST = 2_000
"""Characters of what was said of a request. They are cut once values are taken out: half a value would stay."""


@dataclass
class Dispatched:
    """What the dispatcher has to say at the end; the outcomes themselves stand in the journal."""

    statuses: Counter[str] = field(default_factory=Counter)
    stopped: str | None = None
    """Why rows were left unsent, if any were."""
    failed: bool = False
    """The run ended on an error (credentials, quota, a broken destination), not on a person's wish."""
    broke_off: bool = False
    """Neither the run's end nor a stop: an error, or whoever ended the process."""
    unsent: Reason = Reason.STOPPED
    """Why rows were left unsent, as their outcome says it."""
    heirs: Set[str] | None = None
    """Keys, in lower case, of rows whose record a row left that found it under another key; None if the process that
    met them ended."""
    window: FailureWindow | None = None
    """How many of the latest rows failed; if the run is guarded in flight."""


class Settlement:
    """The outcomes of one run, on their way into the journal. `halted` is set once nothing more may be sent."""

    def __init__(
        self,
        destination: Destination,
        writer: JournalWriter,
        halted: asyncio.Event,
        *,
        in_flight: InFlight | None,
        mask: Mask,
        deletions: Deletions | None,
        on_progress: Callable[[Mapping[str, int]], None],
    ) -> None:
        self.report = Dispatched(heirs=frozenset(), window=FailureWindow(in_flight) if in_flight else None)
        self.accepted = False
        """A request was accepted, whatever it said of its rows."""
        self._name, self._capabilities = type(destination).__name__, destination.capabilities
        self._writer, self._halted = writer, halted
        self._mask, self._deletions, self._on_progress = mask, deletions, on_progress

    # The run's end before its time

    def halt(self, why: str, *, failed: bool = False) -> None:
        if not self._halted.is_set():
            self.report.stopped, self.report.failed = why, failed
            self._halted.set()

    def halt_on(self, work: WorkItem, error: DestinationError | ConfigurationError) -> None:
        """No later batch would escape the error; a spent budget is no failure, the next day goes on."""
        spent = isinstance(error, BudgetSpent)
        if spent and not self._halted.is_set():
            self.report.unsent = Reason.BUDGET
        self.halt(self.message(work, error), failed=not spent)

    # What the destination did

    async def guarded(self, call: Awaitable[T]) -> T:
        """An error that a destination must not raise is not the end of the process."""
        return await guarded(call, self._name)

    def checked(self, batch: Batch, outcomes: Sequence[Outcome]) -> dict[str, Outcome]:
        """Outcomes by key. Raises GarbledAnswer for a key that was not sent or that has two outcomes."""
        keys = {record.key for record in batch.records}
        by_key = {outcome.key: outcome for outcome in outcomes}
        if len(by_key) != len(outcomes) or not by_key.keys() <= keys:
            raise GarbledAnswer(f"{self._name} gave outcomes for rows that were not sent, or two for one row")
        return by_key

    def repeatable(self, operation: Operation, rows: Sequence[OutboxRow]) -> bool:
        """Whether the rows may be sent twice without harm."""
        able = self._capabilities
        by_id = operation in able.idempotent_by_id and all(row.record.destination_id for row in rows)
        return operation in able.idempotent or by_id

    # Into the journal

    async def begin(self, work: WorkItem, *, sends: bool = True) -> int:
        """The intent of a batch, with what its answer, should it be lost, cannot tell any more. Without `sends` nothing
        goes out under it, so that nothing has to be held if the process ends here."""
        always = not sends or work.operation in self._capabilities.idempotent
        return await self._writer.begin(
            work.operation,
            [row.number for row in work.rows],
            [row.note for row in work.rows if row.note],
            once=[] if always else [row.number for row in work.rows if not self.repeatable(work.operation, [row])],
            anew=[row.number for row in work.rows if row.record.destination_id is None],
        )

    async def record(
        self, work: WorkItem, number: int, outcomes: Mapping[str, Outcome], last: bool, *, collects: bool = False
    ) -> WorkItem | None:
        """Journal what is final. Returns the rows that the destination asks for again.

        With `collects` nothing is sent again: a refused row is final, and a record that was made of some fields alone
        is left open, for the next plan to complete it.
        """
        self.accepted = True
        final: list[tuple[OutboxRow, Outcome]] = []
        again: list[OutboxRow] = []
        for row in work.rows:
            outcome = outcomes.get(row.record.key) or self._unanswered(row, work.operation)
            refused = collects and outcome.status is not Status.CREATED
            if not refused and (next_try := _again(row, work.operation, outcome, last)):
                again.append(next_try)
            else:
                final.append((row, outcome.given_up()))
        await self.answer(number, final)
        return WorkItem(work.operation, again, work.attempt + 1) if again else None

    def _unanswered(self, row: OutboxRow, operation: Operation) -> Outcome:
        reason = Reason.UNANSWERED if self.repeatable(operation, [row]) else Reason.AMBIGUOUS
        problem = RowError("the destination's answer does not name this row")
        return Outcome(row.record.key, Status.FAILED, reason, problem)

    async def settle_all(
        self, work: WorkItem, reason: Reason, error: DestinationError | ConfigurationError, number: int | None = None
    ) -> None:
        """The same failure for every row of a batch."""
        if number is None:
            number = await self.begin(work, sends=reason is Reason.AMBIGUOUS)
        problem = RowError(self.message(work, error), getattr(error, "code", None), getattr(error, "field", None))
        await self.answer(number, [(row, Outcome(row.record.key, Status.FAILED, reason, problem)) for row in work.rows])

    async def unanswered(self, work: WorkItem, number: int, error: DestinationError, last: bool) -> None:
        """Settle a batch that was perhaps carried out, if nothing more will be told of it. Raises the error if it was
        not carried out, is sent again (its intent stays open: until then nobody knows), or ends the run."""
        ends = isinstance(error, STOPPING)
        if isinstance(error, RequestRejected) and self._may_have_taken_some(work, error):
            message = f"{error} (of a batch of {len(work.rows)}: some of its rows may have been taken)"
            await self.settle_all(work, Reason.AMBIGUOUS, Ambiguous(message), number)
            return
        if not error.perhaps_done:
            await self.not_sent(number)
        elif ends or last or not self.repeatable(work.operation, work.rows):
            await self.settle_all(work, Reason.AMBIGUOUS, error, number)
            if not ends:
                return
        raise error

    def _may_have_taken_some(self, work: WorkItem, error: RequestRejected) -> bool:
        whole = len(work.rows) == 1 or error.whole or self._capabilities.refuses_whole
        return not whole and not self.repeatable(work.operation, work.rows)

    async def not_sent(self, number: int) -> None:
        """The batch's request was never carried out: its rows are as if it had not been begun."""
        await self._writer.answer(number, [])

    def message(self, work: WorkItem, error: DestinationError | ConfigurationError) -> str:
        """A vendor's words about a whole request, without personal data of its rows."""
        return self._mask.message((row.record for row in work.rows), str(error))[:_LONGEST]

    async def answer(self, number: int, outcomes: Sequence[tuple[OutboxRow, Outcome]]) -> None:
        answers = [
            Answer(r.number, o.status, o.reason, o.destination_id, self._mask.error(r.record, o.error), o.inferred)
            for r, o in outcomes
        ]
        await self._writer.answer(number, answers)
        if self._deletions:
            self._deletions.wrote(outcome for _, outcome in outcomes)
        self.report.statuses.update(outcome.status.value for _, outcome in outcomes)
        self._watch(outcomes)
        self._on_progress(self.report.statuses)

    def _watch(self, outcomes: Sequence[tuple[OutboxRow, Outcome]]) -> None:
        """Stop when too many of the latest rows failed; what was skipped says nothing of the rows to come."""
        window = self.report.window
        if window is None:
            return
        for _, outcome in outcomes:
            if outcome.status is not Status.SKIPPED:
                window.add(outcome.status is Status.FAILED)
        if window.tripped:
            self.halt(f"guard in_flight: {window.finding.message}", failed=True)


def _again(row: OutboxRow, operation: Operation, outcome: Outcome, last: bool) -> OutboxRow | None:
    """The row as it is to be sent once more, if it is."""
    record, met_none = row.record, outcome.reason is Reason.NOT_FOUND
    if operation is Operation.UPSERT and met_none and record.destination_id:
        record = replace(record, destination_id=None)  # its record is gone since, so it gets a new one
        return replace(row, record=replace(record, fields=row.full or record.fields), full=None)
    if row.full is not None and operation is not Operation.UPDATE and _made_of_a_part(outcome):
        return replace(row, record=replace(record, fields=row.full), full=None)
    if last or not outcome.retry:
        return None
    # a record that is named stands in the way of a new one
    return replace(row, record=replace(record, destination_id=outcome.destination_id or record.destination_id))


def _made_of_a_part(outcome: Outcome) -> bool:
    """Changed fields alone were sent for a record that somebody has deleted: it has to be made of all fields."""
    return outcome.status is Status.CREATED or outcome.reason in (Reason.REJECTED, Reason.NOT_FOUND)
