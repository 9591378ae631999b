"""What is looked up at the destination before rows are written: their records' ids, or the records themselves."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from reverse_etl_assets.delivery.addressing import addressed, known_ids, to_look_up
from reverse_etl_assets.delivery.asking import Asking, Call
from reverse_etl_assets.delivery.feed import WorkItem
from reverse_etl_assets.delivery.field_rules import FieldRules
from reverse_etl_assets.delivery.outcome_writer import Settlement
from reverse_etl_assets.delivery.retries import Retries
from reverse_etl_assets.destinations.base import (
    BaseDestination,
    Destination,
    FindsRecords,
    ReadsRecords,
    RestoresRecords,
)
from reverse_etl_assets.errors import STOPPING, Ambiguous, RequestRejected, RetryLater
from reverse_etl_assets.records import Current, Operation, Outcome, Reason
from reverse_etl_assets.state.outbox import OutboxRow

T = TypeVar("T")


class Lookups:
    """One run's. Rows that need no write, or whose record nobody can tell, get their outcome here."""

    def __init__(
        self,
        destination: Destination,
        rules: FieldRules | None,
        settlement: Settlement,
        *,
        reading: Retries,
        writing: Retries,
    ) -> None:
        self._destination, self._rules = destination, rules
        self._settlement = settlement
        self._asking = Asking(reading, type(destination).__name__)
        self._restoring = Asking(writing, type(destination).__name__)

    def at_once(self, operation: Operation) -> int:
        """Rows that are looked up in one request; 1 if those of the operation are not."""
        if self._reads(operation) and isinstance(self._destination, ReadsRecords):
            return self._destination.capabilities.read_limit
        if operation in self._destination.capabilities.needs_id and isinstance(self._destination, FindsRecords):
            return self._destination.capabilities.find_limit
        return 1

    def _reads(self, operation: Operation) -> bool:
        return self._rules is not None and operation is not Operation.INSERT

    async def looked_up(self, work: WorkItem) -> list[OutboxRow]:
        """The rows that go out, each with what is known of its record. What was looked up once is not again."""
        reads, finds = self._reads(work.operation), work.operation in self._destination.capabilities.needs_id
        new = replace(work, rows=[row for row in work.rows if not row.looked_up])
        if not new.rows or not (reads or finds):
            return work.rows
        rows = await self._judged(new, self._rules) if reads and self._rules else await self._located(new)
        known = [row for row in work.rows if row.looked_up]
        return known + [replace(row, looked_up=True) for row in rows]

    async def _located(self, work: WorkItem) -> list[OutboxRow]:
        """Rows with the destination's own ids; those without exactly one record get their outcome here."""
        if work.operation is Operation.DELETE and self._reads_back:
            work, found = await self._seen(work)
        else:
            assert isinstance(self._destination, FindsRecords)  # noqa: S101 - the contract of `needs_id`
            keys = to_look_up(work)
            work, found = await self._ask(work, keys, self._destination.capabilities.find_limit, self._destination.find)
        rows, outcomes = addressed(work, found)
        await self._settle(work, outcomes)
        return rows

    @property
    def _reads_back(self) -> bool:
        """Whether the target's records can be read, and not only found."""
        destination = self._destination
        return isinstance(destination, BaseDestination) and destination.reads_back(
            destination.target, destination.options
        )

    @property
    def _reaches_deleted(self) -> bool:
        destination = self._destination
        for_good = isinstance(destination, BaseDestination) and destination.target.for_good
        return for_good and bool(destination.capabilities.reaches_deleted)

    async def _seen(self, work: WorkItem) -> tuple[WorkItem, dict[str, Sequence[str]]]:
        """Rows to delete with what is known of their records now; by their ids alone where the key finds none. A record
        that is not there keeps its id where a delete for good reaches what was deleted before."""
        work, found = await self._records(work)
        rows = []
        for row in work.rows:
            names = [name for each in found.get(row.record.external_id, ()) for name in each.external_ids]
            known = row.record.destination_id if self._reaches_deleted else None
            rows.append(replace(row, record=replace(row.record, destination_id=known), external_ids=names))
        ids: dict[str, Sequence[str]] = {
            key: [each.destination_id for each in records] for key, records in found.items()
        }
        return replace(work, rows=rows), ids

    async def _judged(self, work: WorkItem, rules: FieldRules) -> list[OutboxRow]:
        """Rows to which the field rules were applied, each against its record; some need no write."""
        work, back = await self._brought_back(work, rules)
        work, found = await self._records(work)
        verdicts = [
            rules.judge(row, found.get(row.record.external_id, ()), is_back=row.number in back) for row in work.rows
        ]
        await self._settle(work, [(verdict.row, verdict.outcome) for verdict in verdicts if verdict.outcome])
        return [verdict.row for verdict in verdicts if not verdict.outcome]

    async def _brought_back(self, work: WorkItem, rules: FieldRules) -> tuple[WorkItem, set[int]]:
        """Bring deleted records back that an undo would make anew. Returns the rows that go on, and which have theirs.

        The intent is in the journal while the destination is asked: what a killed process brought back is in doubt.
        """
        gone = {row.record.external_id: wanted for row in work.rows if (wanted := rules.asks_for(row))}
        if not gone or not isinstance(self._destination, RestoresRecords):
            return work, set()
        asked = replace(work, rows=[row for row in work.rows if row.record.external_id in gone])
        restore = self._destination.restore

        async def by_key(keys: Sequence[str]) -> dict[str, bool]:
            done = await restore([gone[key] for key in keys])
            return {key: done.get(gone[key], False) for key in keys}

        number = await self._settlement.begin(asked)
        asked, done = await self._ask(
            asked, list(gone), self._destination.capabilities.restore_limit, by_key, self._restoring
        )
        await self._settlement.not_sent(number)
        stay = [row if done[row.record.external_id] else _without_id(row) for row in asked.rows]
        back = {row.number for row in stay if row.record.destination_id}
        return replace(work, rows=[row for row in work.rows if row.record.external_id not in gone] + stay), back

    async def _records(self, work: WorkItem) -> tuple[WorkItem, dict[str, Sequence[Current]]]:
        assert isinstance(self._destination, ReadsRecords)  # noqa: S101 - the callers have asked
        keys = [row.record.external_id for row in work.rows]
        known = known_ids(work.rows, self._destination.capabilities)
        read = partial(self._destination.read_records, known=known)
        return await self._ask(work, keys, self._destination.capabilities.read_limit, read)

    async def _settle(self, work: WorkItem, outcomes: Sequence[tuple[OutboxRow, Outcome]]) -> None:
        if outcomes:
            number = await self._settlement.begin(replace(work, rows=[row for row, _ in outcomes]), sends=False)
            await self._settlement.answer(number, outcomes)

    async def _ask(
        self, work: WorkItem, keys: Sequence[str], limit: int, call: Call[T], asking: Asking | None = None
    ) -> tuple[WorkItem, dict[str, T]]:
        """The rows of which something is known now, and what. Those of which nothing is get their outcome here."""
        nothing = replace(work, rows=[])
        try:
            answers = await (asking or self._asking).ask(keys, limit, call)
        except (RetryLater, Ambiguous) as error:
            await self._settlement.settle_all(work, Reason.UNAVAILABLE, error)
            return nothing, {}
        except STOPPING as error:
            self._settlement.halt_on(work, error)
            return nothing, {}
        for key, refusal in answers.refused.items():
            refused = replace(work, rows=[row for row in work.rows if row.record.external_id == key])
            reason = Reason.REJECTED if isinstance(refusal, RequestRejected) else Reason.UNAVAILABLE
            await self._settlement.settle_all(refused, reason, refusal)
        rows = [row for row in work.rows if row.record.external_id not in answers.refused]
        return replace(work, rows=rows), answers.found


def _without_id(row: OutboxRow) -> OutboxRow:
    return replace(row, record=replace(row.record, destination_id=None))
