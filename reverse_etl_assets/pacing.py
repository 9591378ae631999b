"""When a request may go out: the account's allowed rate, shared by all processes, and the wait before a retry."""

import asyncio
import random as _random
import time
from collections import deque
from collections.abc import Awaitable, Callable

from reverse_etl_assets.journal import Journal

LEASE = 0.125  # seconds' worth of slots asked of the journal at once; at most one and a half leases are outstanding


class Pacer:
    """Spaces requests to an account at its allowed rate, shared by every process through the journal.

    Slots lie 1 / `requests_per_second` apart, so that no window of T seconds holds more than rate * T + 1 of them,
    whatever window the vendor counts in. A slot nobody was there to use is lost, never caught up on. Leases start
    with one slot and double while requests keep coming, so that an idle process takes nothing from the others.
    Without a rate nothing is spaced, but holds are kept. Every method raises StateError if the journal fails.

    `waited` is the time in seconds during which at least one request of this pacer had to wait.
    """

    def __init__(
        self,
        journal: Journal,
        account: str,
        requests_per_second: float | None,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.waited = 0.0
        self._journal = journal
        self._account = account
        self._interval = 1 / requests_per_second if requests_per_second else 0.0
        self._full_lease = max(1, int(LEASE * (requests_per_second or 0)))
        self._clock = clock
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._slots: deque[float] = deque()
        self._leased = 1  # slots of the last lease
        self._leased_until = 0.0
        self._leasing: asyncio.Task[None] | None = None
        self._last = 0.0  # when the last request went out
        self._held_until = 0.0
        self._asked_at = 0.0  # when the journal was last asked about holds

    async def slot(self) -> None:
        """Returns when the next request may go out; callers are served in the order they came."""
        async with self._turn:
            began = self._clock()
            try:
                while not await self._reach_slot():
                    pass
                self._last = self._clock()
            finally:
                self.waited += max(0.0, self._clock() - began)

    async def hold(self, seconds: float) -> None:
        """The whole account waits, in every process: what a 429 asks for."""
        until = self._clock() + seconds
        self._held_until = max(self._held_until, until)
        await asyncio.to_thread(self._journal.hold, self._account, until)

    async def _reach_slot(self) -> bool:
        """Waits for a slot; false if the account is held at its time."""
        at = await self._next_slot() if self._interval else self._held_until
        while (wait := at - self._clock()) > 0:
            await self._sleep(wait)
        if self._clock() - self._asked_at >= LEASE:
            self._learn_hold(await asyncio.to_thread(self._journal.held_until, self._account))
        return at >= self._held_until

    async def _next_slot(self) -> float:
        self._drop_passed(keep=0)
        if not self._slots:
            await self._lease()
            self._drop_passed(keep=1)  # the journal took longer than the slots lasted
        at = self._slots.popleft()
        if self._leased == self._full_lease > 1 and len(self._slots) <= self._full_lease // 2:
            self._start_lease()  # requests keep coming: ask before the slots run out
        # late on arrival: it may follow the last request no closer than a slot does
        return at if at > self._clock() else max(at, self._last + self._interval)

    def _drop_passed(self, keep: int) -> None:
        earliest = max(self._clock(), self._held_until)
        while len(self._slots) > keep and self._slots[0] < earliest:
            self._slots.popleft()

    async def _lease(self) -> None:
        await asyncio.shield(self._start_lease())

    def _start_lease(self) -> "asyncio.Task[None]":
        if self._leasing is None:
            self._leasing = asyncio.create_task(self._reserve())
            # one that fails while nobody waits is asked for again, and fails before somebody's eyes
            self._leasing.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._leasing

    async def _reserve(self) -> None:
        try:
            waiting = self._clock() <= self._leased_until
            count = min(self._leased * 2, self._full_lease) if waiting else 1
            first, held_until = await asyncio.to_thread(self._ask, count)
            self._slots.extend(first + i * self._interval for i in range(count))
            self._leased, self._leased_until = count, first + count * self._interval
            self._learn_hold(held_until)
        finally:
            self._leasing = None

    def _ask(self, count: int) -> tuple[float, float]:
        first = self._journal.reserve(self._account, self._interval, count)
        return first, self._journal.held_until(self._account)

    def _learn_hold(self, until: float) -> None:
        self._held_until = max(self._held_until, until)
        self._asked_at = self._clock()


def backoff(
    attempt: int, *, base: float = 0.5, cap: float = 60.0, random: Callable[[], float] = _random.random
) -> float:
    """Seconds to wait before a retry: evenly spread from 0 to `base` * 2 ** `attempt`, at most `cap` (full jitter)."""
    most: float = min(cap, base * 2 ** min(attempt, 60))
    return random() * most
