"""Every longer wait of a run: it ends when the run is told to end, and notices within a second if somebody stops it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

STEP = 1.0  # seconds


class Halted(Exception):
    """The run is ending; what was about to be sent is not."""

    doubt: Exception | None = None
    """What was answered to an earlier try of the same, which may have been carried out."""


class Waits:
    """`look` asks whether the run may go on, and raises Stopped if not; it may take its time."""

    def __init__(
        self,
        look: Callable[[], None] = lambda: None,
        *,
        sleep: Callable[[float], Awaitable[object]] | None = None,
    ) -> None:
        self.halted = asyncio.Event()
        self._look, self._sleep = look, sleep
        self._looked_at = 0.0

    async def wait(self, seconds: float) -> None:
        """Raises Halted if the run is told to end meanwhile, and what `look` raises; many short waits are one long."""
        self._looked_at = self._looked_at or asyncio.get_running_loop().time()
        left = seconds
        while left > STEP:
            await self.step()
            left -= STEP
        await self.rest(left)
        if asyncio.get_running_loop().time() - self._looked_at >= STEP:
            await self._look_now()

    async def step(self) -> None:
        """One STEP of a longer wait. Raises as `wait` does."""
        if self._sleep:
            await self._sleep(STEP)
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STEP):
                    await self.halted.wait()
        await self._look_now()

    async def _look_now(self) -> None:
        self._looked_at = asyncio.get_running_loop().time()
        if self.halted.is_set():
            raise Halted
        await asyncio.to_thread(self._look)

    async def rest(self, seconds: float) -> None:
        """The last part of a wait, which is never cut short: a pace depends on it."""
        if seconds > 0:
            await (self._sleep or asyncio.sleep)(seconds)
