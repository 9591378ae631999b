"""Follows a destination's asynchronous job from its upload to its results, also one that an earlier run left."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import TypeVar

from reverse_etl_assets.destinations.base import JobState, Part, RunsJobs
from reverse_etl_assets.errors import Ambiguous, AuthenticationFailed, QuotaExhausted, RetryLater
from reverse_etl_assets.journal import LONGEST_HOLD, Stopped
from reverse_etl_assets.pacing import Pacer
from reverse_etl_assets.records import Batch, Outcome
from reverse_etl_assets.waiting import Halted

T = TypeVar("T")


class JobUnreadable(Ambiguous):
    """The destination has the job and cannot be asked what became of it now; later it can."""


class JobUnfinished(JobUnreadable):
    """The job is still running after all the time that a run waits for it."""


class JobFollower:
    """Talks to one destination about its jobs. `longest_pause` is in seconds."""

    def __init__(self, destination: RunsJobs, pacer: Pacer, *, longest_pause: float, attempts: int) -> None:
        self._destination = destination
        self._pacer = pacer
        self._longest_pause = longest_pause
        self._attempts = attempts
        self._done: set[str] = set()

    async def upload(self, job: str, batch: Batch, part: Part) -> None:
        """Hand the rows over. Raises RetryLater if the job did not take them: then none was processed."""
        try:
            await self._pacer.slot()
        except (Halted, Stopped) as error:
            raise RetryLater("the run is told to end") from error
        try:
            await self._destination.upload(job, batch, part)
        except (RetryLater, Ambiguous) as error:
            if await self._insist(lambda: self._destination.poll(job)) in (JobState.OPEN, JobState.GONE):
                raise RetryLater(str(error)) from error

    async def results(self, job: str, batch: Batch) -> Sequence[Outcome]:
        """Wait for the job's end and collect. Raises Ambiguous if the destination does not know the job any more,
        RetryLater if it was never handed over, JobUnfinished if it takes too long."""
        if job not in self._done:
            await self._wait_for(job)
            self._done.add(job)
        return await self._insist(lambda: self._destination.collect(job, batch))

    async def _wait_for(self, job: str) -> None:
        clock, patience = asyncio.get_running_loop().time, self._destination.job_patience
        began = clock()
        for look in count():
            state = await self._insist(lambda: self._destination.poll(job))
            if state is JobState.DONE:
                return
            if state is JobState.GONE:
                raise Ambiguous(f"job {job} is not known to the destination any more")
            if state is JobState.OPEN:
                raise RetryLater(f"job {job} was never handed over")
            if patience is not None and clock() - began >= patience:
                raise JobUnfinished(f"job {job} is still running after {patience:,.0f} s")
            await self._rest(self._pacer.waits.wait(self._pause(look)))

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Ask until there is an answer: the rows have been sent, giving up now would lose what became of them."""
        for attempt in count(1):
            await self._rest(self._pacer.slot())
            try:
                return await call()
            except RetryLater as error:
                seconds = error.after if error.after is not None else self._pause(attempt)
                if error.hold:
                    await self._pacer.hold(seconds)
                if attempt >= self._attempts or seconds > LONGEST_HOLD:
                    raise JobUnreadable(f"the job's state could not be read: {error}") from error
                if not error.hold:
                    await self._rest(self._pacer.waits.wait(seconds))
            except (AuthenticationFailed, QuotaExhausted) as error:
                raise JobUnreadable(f"the job's state could not be read: {error}") from error
        raise AssertionError("unreachable")

    async def _rest(self, wait: Awaitable[None]) -> None:
        """The rows are handed over: if the run is told to end meanwhile, the next one asks for them."""
        try:
            await wait
        except (Halted, Stopped) as error:
            raise JobUnfinished(f"the job was still running when the run was told to end: {error}") from error

    def _pause(self, look: int) -> float:
        return min(self._longest_pause, 0.25 * 2.0 ** min(look, 10))
