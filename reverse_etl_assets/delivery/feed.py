"""Cuts the outbox into batches that a destination takes, and takes back rows that have to be sent again."""

import asyncio
import sys
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from reverse_etl_assets.records import Operation
from reverse_etl_assets.state.outbox import OutboxRow

# What an envelope, the key and trace ids add to a row's fields, at most, in bytes.
ENVELOPE = 300
_NO_LIMIT = sys.maxsize  # of bytes: rows that are only looked up are not sent yet


@dataclass(frozen=True)
class WorkItem:
    """Rows for one batch, all of one operation. `attempt` counts how often they were sent before; `in_doubt` says that
    this may have been carried out, though nobody told."""

    operation: Operation
    rows: list[OutboxRow]
    attempt: int = 0
    in_doubt: bool = False


Limits = Callable[[Operation], tuple[int, int]]


class Feed:
    """The next batch for whoever asks. Safe for many tasks of one event loop."""

    def __init__(self, chunks: Iterator[list[OutboxRow]], limits: Limits, at_once: Callable[[Operation], int]) -> None:
        """`at_once`: rows that are looked up together, and come back one batch after the other."""
        self._chunks = chunks
        self._limits = limits
        self._at_once = at_once
        self._rows: deque[OutboxRow] = deque()
        self._again: dict[tuple[Operation, int], deque[OutboxRow]] = defaultdict(deque)
        self._exhausted = False
        self._in_flight: Counter[bool] = Counter()  # batches, by whether they delete
        self._changed = asyncio.Condition()

    async def next(self) -> WorkItem | None:
        """A batch, or None when every row has been taken and none will come back.

        Rows to be sent again go out once they fill a batch, or when there is nothing else left. Deletes wait until
        all writes are settled: a write tells which records must stay.
        """
        async with self._changed:
            while True:
                work = self._returned(full=True) or await self._fresh() or self._returned(full=False)
                if work:
                    self._in_flight[work.operation is Operation.DELETE] += 1
                    return work
                if not self._in_flight.total():
                    return None
                await self._changed.wait()

    async def done(self, work: WorkItem, again: WorkItem | None = None) -> None:
        """A batch that `next` gave is settled, but for the rows that come back."""
        async with self._changed:
            if again:
                self._again[again.operation, again.attempt].extend(again.rows)
            self._in_flight[work.operation is Operation.DELETE] -= 1
            self._changed.notify_all()

    def _returned(self, *, full: bool) -> WorkItem | None:
        for (operation, attempt), rows in self._again.items():
            if rows and (not full or len(rows) >= self._limits(operation)[0]):
                return WorkItem(operation, self._cut(rows, operation, *self._limits(operation)), attempt)
        return None

    async def _fresh(self) -> WorkItem | None:
        while not self._exhausted and (
            not self._rows or len(self._rows) < self._fresh_limits(self._rows[0].operation)[0]
        ):
            chunk = await asyncio.to_thread(next, self._chunks, None)
            self._exhausted = chunk is None
            self._rows.extend(chunk or ())
        if not self._rows:
            return None
        operation = self._rows[0].operation
        if operation is Operation.DELETE and self._writes:
            return None
        return WorkItem(operation, self._cut(self._rows, operation, *self._fresh_limits(operation)))

    @property
    def _writes(self) -> bool:
        """Whether any are under way or come back."""
        waiting = (rows and operation is not Operation.DELETE for (operation, _), rows in self._again.items())
        return self._in_flight[False] > 0 or any(waiting)

    def _fresh_limits(self, operation: Operation) -> tuple[int, int]:
        rows, size = self._limits(operation)
        return (rows, size) if rows >= self._at_once(operation) else (self._at_once(operation), _NO_LIMIT)

    def _cut(self, waiting: deque[OutboxRow], operation: Operation, most_rows: int, most_bytes: int) -> list[OutboxRow]:
        """As many rows as fit one batch; a row that is too big on its own goes alone."""
        rows: list[OutboxRow] = []
        size = 0
        while waiting and len(rows) < most_rows and waiting[0].operation is operation:
            size += waiting[0].size + ENVELOPE
            if rows and size > most_bytes:
                break
            rows.append(waiting.popleft())
        return rows
