# ruff: noqa: S101
"""What a destination's author says about it, and how the contract's tests run it."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar

import httpx
from pydantic import SecretStr

from reverse_etl_assets.destinations.base import (
    NOTHING_KNOWN,
    ConnectionSettings,
    FindsRecords,
    HttpDestination,
    JobState,
    Part,
    ReadsRecords,
    RunsJobs,
)
from reverse_etl_assets.errors import RequestRejected
from reverse_etl_assets.records import Batch, Current, Operation, Outcome, Reason, Record, RowError, Status, Target
from reverse_etl_assets.testing.builders import batch
from reverse_etl_assets.testing.interference import Interference

Stored = tuple[str, Mapping[str, Any]]
_POLLS = 100
GOOD = frozenset({Status.CREATED, Status.UPDATED, Status.DELETED})


@dataclass
class Session:
    """A destination, opened, and what stands between it and its server."""

    destination: HttpDestination[Any, Any]
    wire: Interference

    async def deliver(self, operation: Operation, *records: Record) -> dict[str, Outcome]:
        """Outcomes by key. As the engine does, looks records up where the operation needs their ids, cuts batches,
        sends many rows as a job, bisects a batch that is refused as a whole, and sends rows again that are to be."""
        most = self.destination.capabilities.max_rows
        rows = await self.addressed(operation, *records)
        outcomes: list[Outcome] = []
        for start in range(0, len(rows), most):
            outcomes += await self._settle_all(batch(operation, *rows[start : start + most]))
        by_key = {outcome.key: outcome for outcome in outcomes}
        assert len(by_key) == len(outcomes), "two outcomes for one row"
        return by_key

    async def _settle(self, sent: Batch) -> Sequence[Outcome]:
        try:
            return await self.send(sent)
        except RequestRejected as error:
            rows = sent.records
            if len(rows) == 1:
                return [Outcome.rejected(rows[0].key, RowError(str(error), error.code, error.field))]
            half = len(rows) // 2
            first = await self._settle(batch(sent.operation, *rows[:half]))
            return [*first, *await self._settle(batch(sent.operation, *rows[half:]))]

    async def send(self, sent: Batch) -> Sequence[Outcome]:
        """One batch as it is: by a request, or by a job if the destination takes so many rows as one."""
        runner = self.destination
        jobs = runner.capabilities.jobs
        if jobs and not jobs.spans_run and len(sent.records) >= jobs.from_rows:
            return await self.collected(await self.handed_over(sent), sent)
        return await self.destination.send(sent)

    async def handed_over(self, sent: Batch) -> str:
        """The id of a job that has the batch."""
        runner = self.destination
        assert isinstance(runner, RunsJobs)
        job = await runner.open_job(sent)
        if not (runner.capabilities.jobs and runner.capabilities.jobs.opens_loaded):
            assert await runner.poll(job) is JobState.OPEN
            await runner.upload(job, sent, Part())
        return job

    async def collected(self, job: str, sent: Batch) -> Sequence[Outcome]:
        """What the job's results say, once it is done."""
        runner = self.destination
        assert isinstance(runner, RunsJobs)
        for _ in range(_POLLS):
            if await runner.poll(job) is JobState.DONE:
                return await runner.collect(job, sent)
        raise AssertionError(f"the job was not done after {_POLLS} polls")

    async def addressed(self, operation: Operation, *records: Record) -> list[Record]:
        """The records with the ids of those that are there, if the operation needs ids. What is not there has none."""
        able = self.destination.capabilities
        if operation not in able.needs_id or not isinstance(self.destination, FindsRecords):
            return list(records)
        keys = [record.external_id for record in records if record.destination_id is None]
        found: dict[str, Sequence[str]] = {}
        for start in range(0, len(keys), self.destination.capabilities.find_limit):
            found |= await self.destination.find(keys[start : start + self.destination.capabilities.find_limit])
        several = {key: ids for key, ids in found.items() if len(ids) > 1}
        assert not several, f"several records carry a key, and the engine sends nothing to them: {several}"
        known = {key: ids[0] for key, ids in found.items() if ids}
        return [replace(r, destination_id=r.destination_id or known.get(r.external_id)) for r in records]

    async def _settle_all(self, sent: Batch, tries: int = 3) -> Sequence[Outcome]:
        rows = {record.key: record for record in sent.records}
        final: list[Outcome] = []
        again: list[Record] = []
        for outcome in await self._settle(sent):
            assert outcome.key in rows, "an outcome for a row that was not sent"
            if tries > 1 and (row := _sent_again(sent.operation, rows[outcome.key], outcome)):
                again.append(row)
            else:
                final.append(outcome)
        return [*final, *await self._settle_all(batch(sent.operation, *again), tries - 1)] if again else final

    async def with_ids(self, *records: Record) -> list[Record]:
        """The records with the destination's ids, as the engine looks them up for operations that need them."""
        if not isinstance(self.destination, FindsRecords):
            return list(records)
        found = await self.destination.find([record.external_id for record in records])
        return [replace(each, destination_id=found[each.external_id][0]) for each in records]

    async def read(self, *external_ids: str, known: Mapping[str, str] = NOTHING_KNOWN) -> dict[str, list[Current]]:
        """What the destination holds, by key; as the engine does, asks for no more at once than it takes."""
        assert isinstance(self.destination, ReadsRecords)
        most = self.destination.capabilities.read_limit
        found: dict[str, list[Current]] = {}
        for start in range(0, len(external_ids), most):
            asked = external_ids[start : start + most]
            answer = await self.destination.read_records(asked, known)
            assert list(answer) == list(asked)
            found |= {key: list(held) for key, held in answer.items()}
        return found


def _sent_again(operation: Operation, row: Record, outcome: Outcome) -> Record | None:
    """The row as it goes out once more: to the record that an answer named, or anew where its record is gone."""
    if outcome.retry:
        return replace(row, destination_id=outcome.destination_id or row.destination_id)
    gone = outcome.reason is Reason.NOT_FOUND and operation is Operation.UPSERT and row.destination_id
    return replace(row, destination_id=None) if gone else None


class Harness(ABC):
    """What the author of a destination says about it. Override the names without a value, and the methods."""

    destination: ClassVar[type[HttpDestination[Any, Any]]]
    target: ClassVar[Target]
    """An object of the server that every test starts without records of."""
    options: ClassVar[Mapping[str, Any]] = {}
    text_field: ClassVar[str]
    """A field of the target that takes any text."""
    decimal_field: ClassVar[str | None] = None
    """A field of numbers, if the vendor has any: tests of numbers ask for nothing without it."""
    timestamp_field: ClassVar[str | None] = None
    """A field of times, if the vendor has any; likewise."""
    finest_time: ClassVar[timedelta] = timedelta(milliseconds=1)
    """What the vendor tells apart in a time."""

    @abstractmethod
    def connection(self, server: Any) -> ConnectionSettings:
        """How to reach the server, as a user would set it up."""

    @abstractmethod
    def record(self, number: int) -> Record:
        """A record that the server takes: another for each number. Its external id has letters in it."""

    @abstractmethod
    def spoiled(self, record: Record) -> Record:
        """The same record with a value that the server refuses."""

    @abstractmethod
    def stored(self, server: Any) -> Sequence[Stored]:
        """What the server holds of the target's object: external id and fields of each record, also of two that carry
        the same external id."""

    @asynccontextmanager
    async def open(self, server: Any, target: Target | None = None) -> AsyncIterator[Session]:
        wire = Interference()
        async with httpx.AsyncClient(transport=wire, timeout=10) as client:
            options = self.destination.Options.model_validate(self.options)
            yield Session(self.destination(self.connection(server), target or self.target, options, client), wire)

    def records(self, count: int) -> list[Record]:
        return [self.record(number) for number in range(count)]

    def with_text(self, record: Record, text: Any) -> Record:
        return with_field(record, self.text_field, text)

    def secrets(self, server: Any) -> list[str]:
        """Every secret of the connection."""
        values = self.connection(server).model_dump().values()
        inner = [each for value in values if isinstance(value, dict) for each in value.values()]
        return [each.get_secret_value() for each in (*values, *inner) if isinstance(each, SecretStr)]

    def held(self, server: Any, record: Record, field: str) -> Any:
        """The value that the server holds in a field of a record."""
        stored = {key.lower(): values for key, values in self.stored(server)}
        return stored[record.external_id.lower()].get(field)


def with_field(record: Record, field: str, value: Any) -> Record:
    """The same record, but for one of its values."""
    return replace(record, fields={**record.fields, field: value})


def live(test: Callable[[Any, Any, Session], Coroutine[Any, Any, None]]) -> Callable[[Any, Any], None]:
    """A test of an open destination: written as a coroutine, run as a plain function of the fixture `server`."""

    def run(self: Any, server: Any) -> None:
        async def work() -> None:
            async with self.open(server) as session:
                await test(self, server, session)

        asyncio.run(work())

    run.__name__, run.__qualname__, run.__doc__ = test.__name__, test.__qualname__, test.__doc__
    return run


async def error_of(work: Awaitable[Any]) -> BaseException | None:
    """What the work raises, or None."""
    try:
        await work
    except Exception as error:
        return error
    return None
