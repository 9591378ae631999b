"""A lease: shares of what all processes have together, taken from the journal a few at a time."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Grant(Generic[T]):
    """What the journal gave, and how long it should last, as times of the lease's clock."""

    shares: Sequence[T]
    brisk_until: float
    """Who needs the next ones by then uses them up quickly, and asks for twice as many."""
    idle_from: float
    """Who needs the next ones only then asks for few, and takes nothing from the others."""


class Lease(Generic[T]):
    """The shares of one process that are not used yet.

    `ask` is told how many are wanted, from `few` to `many`. However many wait for shares, it runs once at a time, and
    to its end even if all of them are cancelled.
    """

    def __init__(
        self, ask: Callable[[int], Awaitable[Grant[T]]], clock: Callable[[], float], *, few: int, many: int
    ) -> None:
        self.shares: deque[T] = deque()
        self._ask, self._clock = ask, clock
        self._few, self._many = few, many
        self._size = few  # of the last grant, as it was asked for
        self._brisk_until = self._idle_from = 0.0
        self._renewing: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """As many shares as can be were asked for last."""
        return self._size == self._many

    async def renew(self) -> None:
        """More shares. Raises what `ask` does."""
        await asyncio.shield(self.start())

    def start(self) -> "asyncio.Task[None]":
        """Asks for more shares, ahead of need; the same task as long as it is under way."""
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())
            # one that fails while nobody waits is asked for again, and fails before somebody's eyes
            self._renewing.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._renewing

    async def settle(self) -> list[T]:
        """Takes out what is left, also of shares that are being asked for."""
        if self._renewing:
            await asyncio.wait([self._renewing])
        return self.take_all()

    def take_all(self) -> list[T]:
        left = list(self.shares)
        self.shares.clear()
        return left

    def start_over(self) -> None:
        """What is left is of no use, and says nothing of how much is needed."""
        self.shares.clear()
        self._brisk_until = self._idle_from = 0.0

    async def _renew(self) -> None:
        try:
            size = self._next_size(self._clock())
            grant = await self._ask(size)
            self.shares.extend(grant.shares)
            self._size, self._brisk_until, self._idle_from = size, grant.brisk_until, grant.idle_from
        finally:
            self._renewing = None

    def _next_size(self, now: float) -> int:
        if now <= self._brisk_until:
            return min(self._size * 2, self._many)
        return self._size if now < self._idle_from else self._few
