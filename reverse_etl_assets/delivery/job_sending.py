"""Sends rows as asynchronous jobs, whose ids stand in the journal: a rerun collects, and does not send again."""

from collections.abc import AsyncIterator
from functools import partial

from reverse_etl_assets.delivery.feed import WorkItem
from reverse_etl_assets.delivery.job_follower import JobFollower, JobUnfinished, JobUnreadable
from reverse_etl_assets.delivery.outcome_writer import Settlement
from reverse_etl_assets.delivery.retries import Retries
from reverse_etl_assets.destinations.base import Part, RunsJobs
from reverse_etl_assets.errors import (
    STOPPING,
    Ambiguous,
    ConfigurationError,
    DestinationError,
    GarbledAnswer,
    JobRefused,
    RetryLater,
)
from reverse_etl_assets.journal.writer import JournalWriter
from reverse_etl_assets.records import Batch, Reason


class JobSender:
    """One run's jobs at a destination that takes them."""

    def __init__(
        self, destination: RunsJobs, writer: JournalWriter, follower: JobFollower, settlement: Settlement
    ) -> None:
        self._destination, self._writer = destination, writer
        self._opens_loaded = destination.capabilities.jobs is not None and destination.capabilities.jobs.opens_loaded
        self._follower, self._settlement = follower, settlement

    async def send(self, work: WorkItem, batch: Batch, last: bool) -> WorkItem | None:
        """One job for one batch, to its end. Returns the rows that the destination wants to see again."""
        number = await self._settlement.begin(work)
        try:
            job = await self._settlement.guarded(self._destination.open_job(batch))
        except ConfigurationError:
            await self._settlement.not_sent(number)
            raise
        except DestinationError as error:
            if self._opens_loaded:
                await self._settlement.unanswered(work, number, error, last)
                return None
            await self._settlement.not_sent(number)  # at worst there is an empty job
            if error.perhaps_done and not isinstance(error, STOPPING):
                raise RetryLater(str(error)) from error
            raise
        await self._writer.set_job(number, job)
        return await self._follow(work, batch, number, job, last)

    async def _follow(self, work: WorkItem, batch: Batch, number: int, job: str, last: bool) -> WorkItem | None:
        if not self._opens_loaded and not await self._uploaded(work, batch, number, job):
            return None
        try:
            answered = await self._follower.results(job, batch, handed_over=True)
            outcomes = self._settlement.checked(batch, answered)
        except JobUnfinished:  # its intent stays open: the next run collects the results
            return None
        except JobRefused:
            await self._settlement.not_sent(number)
            raise
        except JobUnreadable as error:
            self._settlement.halt_on(work, error)
            return None
        except (Ambiguous, GarbledAnswer) as error:
            await self._settlement.settle_all(work, Reason.AMBIGUOUS, error, number)
            return None
        return await self._settlement.record(work, number, outcomes, last)

    async def _uploaded(self, work: WorkItem, batch: Batch, number: int, job: str) -> bool:
        """Whether the job has the rows. Raises what says that it has none of them."""
        try:
            await self._follower.upload(job, batch, Part())
        except JobUnreadable as error:
            self._settlement.halt_on(work, error)
            return False
        except Ambiguous as error:
            await self._settlement.settle_all(work, Reason.AMBIGUOUS, error, number)
            return False
        except (DestinationError, ConfigurationError):
            await self._settlement.not_sent(number)
            raise
        return True

    async def collect(self, work: WorkItem, batch: Batch, number: int, job: str) -> None:
        """Fold in what became of rows that were handed over before, perhaps by a run that was killed.

        Raises JobUnreadable, and leaves the job for a later run, if the destination cannot tell now.
        """
        try:
            answered = await self._follower.results(job, batch, handed_over=False)
            outcomes = self._settlement.checked(batch, answered)
        except (RetryLater, JobRefused):  # never handed over, or refused, so never processed
            await self._settlement.not_sent(number)
            return
        except (Ambiguous, GarbledAnswer) as error:
            await self._settlement.settle_all(work, Reason.AMBIGUOUS, error, number)
            return
        await self._settlement.record(work, number, outcomes, last=True, collects=True)

    async def give_up(self, work: WorkItem, number: int, error: JobUnreadable) -> None:
        """Nobody will know what became of the rows of a job whose results stay unreadable."""
        await self._settlement.settle_all(work, Reason.AMBIGUOUS, error, number)

    async def send_parts(self, parts: AsyncIterator[tuple[WorkItem, Batch]], retries: Retries) -> None:
        """One job for all batches of the run. Its results are collected once all of it is handed over.

        Whatever ends this before the last part leaves the destination as it was, and every row unsent.
        """
        begun: list[int] = []
        handed_over = False
        part = await anext(parts, None)
        first = part
        try:
            job = ""
            while part:
                work, batch = part
                following = await anext(parts, None)
                begun.append(await self._settlement.begin(work))
                job = job or await retries.call(lambda last: self._open(first))
                await self._writer.set_job(begun[-1], job)
                place = Part(len(begun), following is None)
                handed_over = place.last  # from here on nobody knows without asking
                await retries.call(partial(self._upload, job, batch, place))
                part = following
        except JobUnreadable as error:
            self._settlement.halt_on(work, error)
        except (*STOPPING, DestinationError) as error:
            handed_over = handed_over and isinstance(error, DestinationError) and error.perhaps_done
            self._settlement.halt_on(work, error)
        finally:
            if not handed_over:
                for number in begun:
                    await self._settlement.not_sent(number)

    async def _open(self, part: tuple[WorkItem, Batch] | None) -> str:
        assert part is not None  # noqa: S101 - there is a first one
        try:
            return await self._settlement.guarded(self._destination.open_job(part[1]))
        except DestinationError as error:
            if not error.perhaps_done:
                raise
            raise RetryLater(str(error)) from error  # an empty job at worst

    async def _upload(self, job: str, batch: Batch, place: Part, last: bool) -> None:
        await self._follower.upload(job, batch, place)
