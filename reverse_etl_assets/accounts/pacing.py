"""When a request may go out: the account's allowed rate, shared by all processes, and the wait before a retry."""

import asyncio
import logging
import random as _random
import time
from collections.abc import Awaitable, Callable

from reverse_etl_assets.accounts.lease import Grant, Lease
from reverse_etl_assets.accounts.waiting import STEP, Waits
from reverse_etl_assets.journal import LONGEST_HOLD, SLOTS_AHEAD, Journal

_logger = logging.getLogger(__name__)

LEASE = 0.125  # seconds' worth of slots asked of the journal at once; at most one and a half leases are outstanding


class Pacer:
    """Spaces requests to an account at its allowed rate, shared by every process through the journal.

    Slots lie 1 / `requests_per_second` apart, so that no window of T seconds holds more than rate * T + 1 of them,
    whatever window the vendor counts in. A slot nobody was there to use is lost, never caught up on. Leases start
    with one slot and double while requests keep coming, so that an idle process takes nothing from the others.
    Without a rate nothing is spaced, but holds are kept, until somebody lifts them. A hold is LONGEST_HOLD at most; a
    time that is further away comes from a clock that was wrong: it is said in the log, and set right.
    Every method raises StateError if the journal fails, and what `Waits` raises if the run is not to go on.

    `waited` is the time in seconds during which at least one request of this pacer had to wait.
    """

    def __init__(
        self,
        journal: Journal,
        account: str,
        requests_per_second: float | None,
        *,
        look: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] | None = None,
        waits: Waits | None = None,
    ) -> None:
        """`waits`: those of another pacer, whose run is the same."""
        self.waited = 0.0
        self.waits = waits or Waits(look, sleep=sleep)
        self._journal = journal
        self._account = account
        self._interval = 1 / requests_per_second if requests_per_second else 0.0
        self._full_lease = max(1, int(LEASE * (requests_per_second or 0)))
        self._clock = clock
        self._turn = asyncio.Lock()
        self._slots = Lease(self._reserve, clock, few=1, many=self._full_lease)
        self._last = 0.0  # when the last request went out
        self._held_until = 0.0
        self._holds = self._holding = 0  # begins and ends of this pacer's own holds; how many are being written
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
        until = self._clock() + min(seconds, LONGEST_HOLD)
        self._held_until = max(self._held_until, until)
        self._holds += 1
        self._holding += 1
        try:
            await asyncio.to_thread(self._journal.hold, self._account, until)
        finally:
            self._holds += 1
            self._holding -= 1

    async def _reach_slot(self) -> bool:
        """Waits for a slot; false if it is none any more: the account is held at its time, or a hold was lifted."""
        at = await self._next_slot() if self._interval else self._held_until
        while (wait := at - self._clock()) > 0:
            if wait > LONGEST_HOLD + SLOTS_AHEAD * self._interval:
                self._set_right(wait)
                return False
            if wait <= STEP:
                await self.waits.rest(wait)
                continue
            await self.waits.step()
            if await self._ask_for_holds():
                return False
        if self._clock() - self._asked_at >= LEASE:
            await self._ask_for_holds()
        return at >= self._held_until

    async def _ask_for_holds(self) -> bool:
        """Whether a hold was lifted."""
        holds, before = self._holds, self._held_until
        self._learn_hold(await asyncio.to_thread(self._journal.held_until, self._account), holds)
        return self._held_until < before

    def _set_right(self, wait: float) -> None:
        _logger.warning("%s: the next request would go out in %.0f s; a clock was wrong", self._account, wait)
        self._slots.start_over()
        self._held_until = self._last = 0.0

    async def _next_slot(self) -> float:
        slots = self._slots.shares
        self._drop_passed(keep=0)
        if not slots:
            await self._slots.renew()
            self._drop_passed(keep=1)  # the journal took longer than the slots lasted
        at = slots.popleft()
        if self._slots.full and self._full_lease > 1 and len(slots) <= self._full_lease // 2:
            self._slots.start()  # requests keep coming: ask before the slots run out
        # late on arrival: it may follow the last request no closer than a slot does
        return at if at > self._clock() else max(at, self._last + self._interval)

    def _drop_passed(self, keep: int) -> None:
        slots, earliest = self._slots.shares, max(self._clock(), self._held_until)
        while len(slots) > keep and slots[0] < earliest:
            slots.popleft()

    async def _reserve(self, count: int) -> Grant[float]:
        holds = self._holds
        first, held_until = await asyncio.to_thread(self._ask, count)
        self._learn_hold(held_until, holds)
        end = first + count * self._interval
        return Grant([first + i * self._interval for i in range(count)], brisk_until=end, idle_from=end)

    def _ask(self, count: int) -> tuple[float, float]:
        first = self._journal.reserve(self._account, self._interval, count)
        return first, self._journal.held_until(self._account)

    def _learn_hold(self, until: float, holds: int) -> None:
        """The journal knows best, unless this pacer held the account while it was asked."""
        lifted = until < self._held_until and holds == self._holds and not self._holding
        if lifted:
            self._slots.shares.clear()  # they lie behind the hold
        self._held_until = until if lifted else max(self._held_until, until)
        self._asked_at = self._clock()


def backoff(
    attempt: int, *, base: float = 0.5, cap: float = 60.0, random: Callable[[], float] = _random.random
) -> float:
    """Seconds to wait before a retry: evenly spread from 0 to `base` * 2 ** `attempt`, at most `cap` (full jitter)."""
    most: float = min(cap, base * 2 ** min(attempt, 60))
    return random() * most
