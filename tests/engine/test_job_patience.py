"""How long a job is asked for: no longer than its patience, and not given up before."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from reverse_etl_assets.accounts.pacing import Pacer
from reverse_etl_assets.delivery import job_follower
from reverse_etl_assets.delivery.job_follower import JobFollower, JobLeft, JobUnfinished, JobUnreadable
from reverse_etl_assets.delivery.retries import RetryPolicy
from reverse_etl_assets.destinations.base import JobState, RunsJobs
from reverse_etl_assets.errors import DestinationError, GarbledAnswer, RequestRejected, RetryLater
from reverse_etl_assets.journal import LONGEST_HOLD, Journal
from reverse_etl_assets.records import Batch, Capabilities, JobLimits, Operation, Outcome

RUNNING, OPEN, DONE = JobState.RUNNING, JobState.OPEN, JobState.DONE
LATER, REFUSED, GARBLED = RetryLater("not now"), RequestRejected("no"), GarbledAnswer("what?")
ATTEMPTS = 3


class Vendor:
    """Says of a job, each time it is asked, the next of its answers; the last one again and again."""

    def __init__(
        self, says: Sequence[JobState | DestinationError], patience: float | None, *, has_jobs: bool = True
    ) -> None:
        able, jobs = frozenset(Operation), JobLimits(max_rows=1, max_bytes=1, timeout=patience) if has_jobs else None
        self.capabilities = Capabilities(able, idempotent=able, max_rows=1, max_bytes=1, jobs=jobs)
        self.says, self.asked = says, 0

    async def poll(self, job: str) -> JobState:
        said = self.says[min(self.asked, len(self.says) - 1)]
        self.asked += 1
        if isinstance(said, DestinationError):
            raise said
        return said

    async def collect(self, job: str, batch: Batch) -> Sequence[Outcome]:
        return []


def follow(
    folder: Path,
    vendor: Vendor,
    *,
    handed_over: bool = True,
    rate_limited: float = LONGEST_HOLD,
    halted: bool = False,
) -> list[float]:
    """Waits for a job of the vendor; returns for how long each time, in seconds that nobody really waits."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        await asyncio.sleep(0)

    journal = Journal.open(f"sqlite:///{folder}/journal.sqlite")
    retry_policy = RetryPolicy(attempts=ATTEMPTS, job_poll=0.5, rate_limited=rate_limited)
    pacer = Pacer(journal, "crm", None, sleep=sleep)
    if halted:
        pacer.waits.halted.set()
    follower = JobFollower(cast(RunsJobs, vendor), pacer, retry_policy)
    try:
        asyncio.run(follower.results("j1", Batch(Operation.UPSERT, [], ""), handed_over=handed_over))
    finally:
        journal.close()
    return waited


def test_a_job_is_asked_for_while_it_runs_and_less_often_as_time_goes_by(tmp_path: Path) -> None:
    vendor = Vendor([RUNNING] * 5 + [DONE], None)
    assert follow(tmp_path, vendor) == [0.25, 0.5, 0.5, 0.5, 0.5]
    assert vendor.asked == 6


@pytest.mark.parametrize("patience", [0.0, None])
def test_a_job_that_never_ends_is_left_once_patience_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: float | None
) -> None:
    """That of the destination, or a week."""
    assert job_follower.LONGEST == 7 * 24 * 3_600
    monkeypatch.setattr(job_follower, "LONGEST", 0.0)
    vendor = Vendor([RUNNING] * 50 + [DONE], patience)
    with pytest.raises(JobUnfinished, match="still running after 0 s"):
        follow(tmp_path, vendor)
    assert vendor.asked == 1


def test_a_job_of_earlier_options_is_not_waited_for(tmp_path: Path) -> None:
    """The destination has no jobs any more as the sync stands now, and so no time for them."""
    assert follow(tmp_path, Vendor([DONE], None, has_jobs=False)) == []
    vendor = Vendor([RUNNING] * 50 + [DONE], None, has_jobs=False)
    with pytest.raises(JobUnfinished, match="still running after 0 s"):
        follow(tmp_path, vendor)
    assert vendor.asked == 1


@pytest.mark.parametrize("trouble", [LATER, REFUSED, GARBLED], ids=lambda error: type(error).__name__)
def test_a_question_that_fails_is_asked_so_often(tmp_path: Path, trouble: DestinationError) -> None:
    follow(tmp_path, Vendor([trouble] * (ATTEMPTS - 1) + [DONE], None))
    vendor = Vendor([trouble] * ATTEMPTS + [DONE], None)
    with pytest.raises(JobUnreadable, match="could not be read"):
        follow(tmp_path, vendor)
    assert vendor.asked == ATTEMPTS


def test_a_question_that_is_refused_for_the_rate_alone_waits_as_sending_does(tmp_path: Path) -> None:
    """It is no attempt, and ends with the time that a run waits for the rate."""
    limited = RetryLater("slow down", 0.0, hold=True)
    vendor = Vendor([limited] * 2 * ATTEMPTS + [DONE], None)
    follow(tmp_path, vendor)
    assert vendor.asked == 2 * ATTEMPTS + 1
    vendor = Vendor([limited] * 2 * ATTEMPTS + [DONE], None)
    with pytest.raises(JobUnreadable, match="could not be read: slow down"):
        follow(tmp_path, vendor, rate_limited=0.0)
    assert vendor.asked == 2


def test_a_run_that_ends_still_hears_what_can_be_told_at_once(tmp_path: Path) -> None:
    follow(tmp_path, Vendor([DONE], None), halted=True)
    with pytest.raises(JobLeft, match="told to end"):
        follow(tmp_path, Vendor([LATER, DONE], None), halted=True)


def test_failures_count_for_each_question_alone(tmp_path: Path) -> None:
    says: list[JobState | DestinationError] = [LATER, LATER, RUNNING]
    follow(tmp_path, Vendor([*says * 3, DONE], None))


@pytest.mark.parametrize(("after", "asked"), [(LONGEST_HOLD, 2), (LONGEST_HOLD + 1, 1)])
def test_a_wait_that_is_asked_for_is_kept_up_to_a_quarter_of_an_hour(tmp_path: Path, after: float, asked: int) -> None:
    vendor = Vendor([RetryLater("not now", after), DONE], None)
    if asked == 1:
        with pytest.raises(JobUnreadable):
            follow(tmp_path, vendor)
    else:
        assert sum(follow(tmp_path, vendor)) == after
    assert vendor.asked == asked


def test_a_job_that_is_said_to_wait_for_its_rows_has_them(tmp_path: Path) -> None:
    """Where they were handed over, it may not have noticed yet; else they are handed over again, at once."""
    follow(tmp_path, Vendor([OPEN] * (ATTEMPTS - 1) + [DONE], None))
    vendor = Vendor([OPEN] * ATTEMPTS + [DONE], None)
    with pytest.raises(JobUnreadable, match="is said to wait for its rows"):
        follow(tmp_path, vendor)
    assert vendor.asked == ATTEMPTS
    with pytest.raises(RetryLater, match="was never handed over"):
        follow(tmp_path, Vendor([OPEN], None), handed_over=False)
