"""Writes the batches of one run from asyncio: what is queued while a commit runs goes into the next one."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.journal import Answer, Intent, Journal, Stopped, batches as journal_batches
from reverse_etl_assets.journal.records import Note, scopes_of
from reverse_etl_assets.records import Operation


@dataclass
class _Begin:
    operation: Operation
    rows: Sequence[int]
    notes: Sequence[Note]
    once: Sequence[int]
    anew: Sequence[int]


@dataclass
class _SetJob:
    number: int
    job: str


@dataclass
class _Answer:
    number: int
    answers: Sequence[Answer]


@dataclass
class _Withdraw:
    begun: "Future[Any]"


_Change = _Begin | _SetJob | _Answer | _Withdraw
_Queued = tuple[_Change, "Future[Any]"]


class JournalWriter:
    """Every method returns when its own change is on disk, and raises StateError if it did not get there.

    Cancelling `begin` takes the intent back; a queued `set_job` or `answer` is written even if its caller is cancelled.
    Without `obeys_sync_stop` a stop of this sync alone does not hold: an undo has to get through it.
    """

    def __init__(
        self, journal: Journal, run_id: str, destination: str, sync: str, *, obeys_sync_stop: bool = True
    ) -> None:
        self._journal = journal
        self._run_id = run_id
        self._scopes = scopes_of(destination, sync, obeys_sync_stop=obeys_sync_stop)
        self._last = 0
        self._queue: deque[_Queued] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")

    async def __aenter__(self) -> Self:
        """Raises StateError if the run was not started."""
        self._last = await asyncio.to_thread(journal_batches.last_number, self._journal.database, self._run_id)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._thread.shutdown)

    async def begin(
        self,
        operation: Operation,
        rows: Sequence[int],
        notes: Sequence[Note] = (),
        *,
        once: Sequence[int] = (),
        anew: Sequence[int] = (),
    ) -> int:
        """Writes the intent of a batch; returns its number. Raises Stopped, and writes none, if the switch is on."""
        future = self._put(_Begin(operation, rows, notes, once, anew))
        try:
            return int(await asyncio.shield(asyncio.wrap_future(future)))
        except asyncio.CancelledError:
            if not future.cancel():
                self._put(_Withdraw(future))
            raise

    async def set_job(self, number: int, job: str) -> None:
        await asyncio.shield(asyncio.wrap_future(self._put(_SetJob(number, job))))

    async def answer(self, number: int, answers: Sequence[Answer]) -> None:
        await asyncio.shield(asyncio.wrap_future(self._put(_Answer(number, answers))))

    def _put(self, change: _Change) -> "Future[Any]":
        future: Future[Any] = Future()
        self._queue.append((change, future))
        self._thread.submit(self._commit_queued)
        return future

    def _commit_queued(self) -> None:
        group = self._take_queued()
        if not group:
            return
        try:
            results = self._commit([change for change, _ in group])
        except Exception as error:
            for _, future in group:
                future.set_exception(StateError(str(error)) if isinstance(error, StateError) else error)
            return
        for (_, future), result in zip(group, results, strict=True):
            if isinstance(result, Stopped):
                future.set_exception(result)
            else:
                future.set_result(result)

    def _take_queued(self) -> list[_Queued]:
        taken: list[_Queued] = []
        with contextlib.suppress(IndexError):
            while True:
                change, future = self._queue.popleft()
                if future.set_running_or_notify_cancel():
                    taken.append((change, future))
        return taken

    def _commit(self, changes: Sequence[_Change]) -> list[int | Stopped | None]:
        begins = [c for c in changes if isinstance(c, _Begin)]
        jobs = {c.number: c.job for c in changes if isinstance(c, _SetJob)}
        answers = {c.number: c.answers for c in changes if isinstance(c, _Answer)}
        withdrawn = [c.begun.result() for c in changes if isinstance(c, _Withdraw) and not c.begun.exception()]
        now, database = self._journal.clock(), self._journal.database
        with database.writing() as connection:
            stop = None
            if begins:
                stop = journal_batches.stop_in_force(database, connection, self._journal.signals, self._scopes)
            going = [] if stop else enumerate(begins, self._last + 1)
            intents = [Intent(number, b.operation, b.rows, b.notes, b.once, b.anew) for number, b in going]
            journal_batches.write_intents(connection, self._run_id, intents, now)
            journal_batches.write_jobs(connection, self._run_id, jobs)
            journal_batches.write_answers(connection, self._run_id, answers, now)
            journal_batches.withdraw_intents(connection, self._run_id, withdrawn)
        self._last += len(intents)
        numbers = iter(intents)
        return [
            (Stopped(stop) if stop else next(numbers).number) if isinstance(change, _Begin) else None
            for change in changes
        ]
