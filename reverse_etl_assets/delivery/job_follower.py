"""Follows a job from its upload to its results, also one that an earlier run left."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import TypeVar

from reverse_etl_assets.accounts.pacing import Pacer
from reverse_etl_assets.accounts.waiting import Halted
from reverse_etl_assets.delivery.guarding import guarded
from reverse_etl_assets.delivery.retries import Retries, RetryPolicy
from reverse_etl_assets.destinations.base import JobState, Part, RunsJobs
from reverse_etl_assets.errors import (
    Ambiguous,
    ConfigurationError,
    DestinationError,
    GarbledAnswer,
    JobRefused,
    RequestRejected,
    RetryLater,
    Unsendable,
)
from reverse_etl_assets.journal import Stopped
from reverse_etl_assets.records import Batch, Outcome

T = TypeVar("T")

LONGEST = 7 * 86_400.0
"""Seconds that a run waits for a job at a destination that names no time of its own."""


class JobUnreadable(DestinationError):
    """The destination has the job and cannot be asked what became of it now; later it can."""

    perhaps_done = True


class JobUnfinished(JobUnreadable):
    """The job is still running after all the time that a run waits for it."""


class JobLeft(JobUnfinished):
    """The run was told to end while it waited: that says nothing of the job."""


class JobFollower:
    """Talks to one destination about its jobs."""

    def __init__(self, destination: RunsJobs, pacer: Pacer, retry_policy: RetryPolicy) -> None:
        self._destination = destination
        self._name = type(destination).__name__
        self._waits = pacer.waits
        self._longest_pause, self._attempts = retry_policy.job_poll, retry_policy.attempts
        self._questions = Retries(pacer, retry_policy, asks_on=True)
        self._done: set[str] = set()
        jobs = destination.capabilities.jobs
        # None where the options are others than those of the run that began the job: then nothing says how long it may
        # take, and it is left to the next run if it is not done.
        self._spans_run, self._timeout = (jobs.spans_run, jobs.timeout) if jobs else (False, 0.0)

    async def upload(self, job: str, batch: Batch, part: Part) -> None:
        """Hand the rows over. Raises RetryLater or RequestRejected if the job did not take them: then none was
        processed; JobUnreadable or Ambiguous if nobody can tell."""
        try:
            await self._questions.once(lambda: guarded(self._destination.upload(job, batch, part), self._name))
        except (Halted, Stopped) as error:
            raise RetryLater("the run is told to end") from error
        except (RetryLater, Ambiguous, GarbledAnswer) as error:
            state = await self._insist(lambda: self._destination.poll(job))
            if state is JobState.OPEN or (state is JobState.GONE and self._spans_run):
                raise RetryLater(str(error)) from error
            if state is JobState.GONE:
                raise Ambiguous(f"job {job} is not known to the destination any more: {error}") from error
        except RequestRejected as error:
            if not isinstance(error, Unsendable) and await self._runs_all_the_same(job):
                return
            raise

    async def _runs_all_the_same(self, job: str) -> bool:
        """Of several requests of an upload one was refused, perhaps after the job had begun. The parts of a job that
        spans the run show nothing before the last one: a refusal of one is what it says."""
        if self._spans_run:
            return False
        return await self._insist(lambda: self._destination.poll(job)) in (JobState.RUNNING, JobState.DONE)

    async def results(self, job: str, batch: Batch, *, handed_over: bool) -> Sequence[Outcome]:
        """Wait for the job's end and collect. Only the job's own state and results say what became of its rows.

        Raises Ambiguous if the destination does not know the job any more, JobRefused if it processed nothing of it for
        a target that has changed, JobUnfinished if it takes too long, JobUnreadable if it cannot be asked, and
        RetryLater if it was never handed over; never this with `handed_over`, by this process.
        """
        if job not in self._done:
            await self._wait_for(job, handed_over=handed_over)
            self._done.add(job)
        return await self._insist(lambda: self._destination.collect(job, batch))

    async def _wait_for(self, job: str, *, handed_over: bool) -> None:
        clock, timeout = asyncio.get_running_loop().time, self._timeout
        longest = LONGEST if timeout is None else timeout
        began, not_begun = clock(), 0
        for look in count():
            state = await self._insist(lambda: self._destination.poll(job))
            if state is JobState.DONE:
                return
            if state is JobState.GONE:
                raise Ambiguous(f"job {job} is not known to the destination any more")
            if state is JobState.OPEN:
                if not handed_over:
                    raise RetryLater(f"job {job} was never handed over")
                not_begun += 1
                if not_begun >= self._attempts:
                    raise JobUnreadable(f"job {job} was handed over, and is said to wait for its rows")
            if clock() - began >= longest:
                raise JobUnfinished(f"job {job} is still running after {longest:,.0f} s")
            await self._pause(look)

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Ask until there is an answer: the rows have been sent, giving up now would lose what became of them. A
        refusal of the question says nothing of the job."""
        try:
            answer = await self._questions.call(lambda last: self._ask(call))
        except (Halted, Stopped) as error:
            raise _left(error) from error
        except (DestinationError, ConfigurationError) as error:
            raise JobUnreadable(f"the job's state could not be read: {error}") from error
        if isinstance(answer, (Ambiguous, JobRefused)):
            raise answer
        return answer

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T | Ambiguous | JobRefused:
        try:
            return await guarded(call(), self._name)
        except (Ambiguous, JobRefused) as said:  # by the job itself: an answer
            return said
        except (RequestRejected, GarbledAnswer) as error:  # of the question alone: the next one may fare better
            raise RetryLater(str(error)) from error

    async def _pause(self, look: int) -> None:
        """If the run is told to end meanwhile, the next one asks for the job."""
        try:
            await self._waits.wait(min(self._longest_pause, 0.25 * 2.0 ** min(look, 10)))
        except (Halted, Stopped) as error:
            raise _left(error) from error


def _left(error: Exception) -> JobLeft:
    return JobLeft(f"the job was still running when the run was told to end: {error}")
