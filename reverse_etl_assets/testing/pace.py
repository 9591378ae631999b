# ruff: noqa: S101
"""The contract of the pace: the vendor's limit is used, and never met. A test to inherit beside the others.

Time is virtual: requests take none of it and waiting for a turn moves it on, so that the allowed rate alone decides how
long rows take, on any machine. The server has to count its windows by the `clock` it is given.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from reverse_etl_assets.accounts.pacing import Pacer
from reverse_etl_assets.delivery.dispatcher import Dispatcher
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal.writer import JournalWriter
from reverse_etl_assets.records import Capabilities, Operation, Status
from reverse_etl_assets.state.outbox import OutboxRow
from reverse_etl_assets.testing.harness import Harness

_SIZE = 200  # bytes of a row, at a guess
_LOOKS = 50_000
_USED = 0.95
_LATER = 60.0  # seconds between the check and the rows: its requests are in another window


class VirtualClock:
    """Stands still but when somebody waits for a turn, and every turn before it was used."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now
        self.unused: Callable[[], bool] = lambda: False

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        for _ in range(_LOOKS):  # a turn that no request followed must not stop the clock for good
            if not self.unused():
                break
            await asyncio.sleep(0)
        self.now += seconds


class _CountingPacer(Pacer):
    turns = 0

    async def slot(self) -> None:
        await super().slot()
        self.turns += 1


def _pacers(journal: Journal, clock: VirtualClock, able: Capabilities) -> tuple[_CountingPacer, _CountingPacer]:
    """Of all requests, and of reads, which are the same unless the vendor counts reads apart."""
    pacer = _CountingPacer(journal, "account", able.requests_per_second, clock=clock, sleep=clock.sleep)
    if able.reads_per_second is None:
        return pacer, pacer
    return pacer, _CountingPacer(
        journal, "account/reads", able.reads_per_second, clock=clock, sleep=clock.sleep, waits=pacer.waits
    )


@dataclass(frozen=True)
class Paced:
    """How rows were sent: requests, virtual seconds, the share of the allowed rate, and what became of them."""

    requests: int
    seconds: float
    used: float
    refused: int
    """Requests that the server refused for their rate."""
    statuses: Mapping[str, int]


class PaceContract(Harness):
    """For destinations that name a rate. `pace_operation` is the one that rows are sent with."""

    pace_rows: ClassVar[int] = 1_000
    """Enough for some seconds at the allowed rate."""
    pace_operation: ClassVar[Operation] = Operation.UPSERT
    pace_allowed: ClassVar[float]
    """Requests a second that the vendor allows, by its own documentation."""
    pace_window: ClassVar[float | None] = None
    """Seconds of the window that the vendor counts in, where fewer than twenty requests fit: one of them stays free, so
    less than 95 % can be used."""

    def paced_server(self, clock: VirtualClock) -> AbstractContextManager[Any]:
        """A server with the vendor's own limits, which counts by this clock; as the fixture `server` otherwise."""
        raise NotImplementedError("override `paced_server`")

    def refused_for_the_rate(self, server: Any) -> int:
        """How many requests the server has refused for their rate."""
        raise NotImplementedError("override `refused_for_the_rate`")

    def test_the_allowed_rate_is_used_and_never_exceeded(self, tmp_path: Path) -> None:
        paced = self.pace(self.pace_rows, tmp_path)
        assert paced.refused == 0
        assert set(paced.statuses) <= {Status.CREATED.value, Status.UPDATED.value}
        assert sum(paced.statuses.values()) == self.pace_rows
        assert paced.used >= self._to_use(), paced

    def _to_use(self) -> float:
        """The share of what is allowed that has to be used: nearly all but for one request of a window."""
        fit = self.pace_allowed * (self.pace_window or 0)
        return min(_USED, 0.98 * (fit - 1) / fit) if fit > 1 else _USED

    def pace(self, rows: int, folder: Path) -> Paced:
        """Send rows at the vendor's own limits."""
        clock = VirtualClock()
        with self.paced_server(clock) as server:
            requests, seconds, statuses = asyncio.run(self._send_all(server, clock, folder, rows))
            used = (requests - 1) / seconds / self.pace_allowed
            return Paced(requests, seconds, used, self.refused_for_the_rate(server), statuses)

    async def _send_all(
        self, server: Any, clock: VirtualClock, folder: Path, rows: int
    ) -> tuple[int, float, dict[str, int]]:
        """Requests, the time they took in seconds, and the rows by status."""
        journal = Journal.open(f"sqlite:///{folder / 'journal.db'}", clock)
        journal.start_run("run", "paced", "account", model_rows=rows, counts={})
        async with self.open(server) as session, JournalWriter(journal, "run", "account", "paced") as writer:
            destination = session.destination
            pacer, reading = _pacers(journal, clock, destination.capabilities)
            await destination.check()
            clock.now += _LATER
            before, answered = len(session.wire.sent), session.wire.answered
            clock.unused = lambda: session.wire.answered - answered < sum(each.turns for each in {pacer, reading})
            able = destination.capabilities.jobs
            jobs = able is not None and rows >= able.from_rows
            dispatcher = Dispatcher(
                destination,
                writer,
                pacer,
                sync="paced",
                reading=reading,
                job_operations=frozenset(Operation if jobs else ()),
            )
            began = clock()
            done = await dispatcher.run(self._rows(rows))
            assert done.stopped is None, done.stopped
            apart = 0 if reading is pacer else reading.turns
            return len(session.wire.sent) - before - apart, max(clock() - began, 1e-9), dict(done.statuses)

    def _rows(self, count: int) -> Iterator[list[OutboxRow]]:
        records = self.records(count)
        yield [OutboxRow(number, self.pace_operation, record, _SIZE) for number, record in enumerate(records, 1)]
