import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, strategies as st

from reverse_etl_assets.accounts.pacing import Pacer, backoff
from reverse_etl_assets.accounts.turns import next_turn
from reverse_etl_assets.accounts.waiting import Halted
from reverse_etl_assets.delivery.job_follower import JobFollower
from reverse_etl_assets.delivery.retries import Retries, RetryPolicy
from reverse_etl_assets.destinations.base import Part, RunsJobs
from reverse_etl_assets.errors import StateError
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal.schema import pace
from reverse_etl_assets.records import Batch, Capabilities, JobLimits, Operation
from tests.heavy import first

ACCOUNT = "crm"


class Time:
    """A clock that only sleeping moves. `on_sleep` may change the world at the start of a sleep."""

    def __init__(self) -> None:
        self.now = 1_750_000_000.0
        self.on_sleep: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.on_sleep()
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture
def fake() -> Time:
    return Time()


@pytest.fixture
def journal(tmp_path: Path, fake: Time) -> Iterator[Journal]:
    journal = Journal.open(f"sqlite:///{tmp_path}/journal.db", fake)
    yield journal
    journal.close()


@pytest.fixture
def pacer(journal: Journal, fake: Time) -> Callable[[float | None], Pacer]:
    return lambda rate: Pacer(journal, ACCOUNT, rate, clock=fake, sleep=fake.sleep)


async def slots(pacer: Pacer, fake: Time, count: int, callers: int = 1) -> list[float]:
    """The times at which `count` slots came, taken by so many callers at once."""
    times: list[float] = []
    left = iter(range(count))

    async def call() -> None:
        for _ in left:
            await pacer.slot()
            times.append(fake.now)

    await asyncio.gather(*(call() for _ in range(callers)))
    return times


def assert_rate_kept(times: list[float], rate: float) -> None:
    """Slots that keep their distance keep the rate in a window of any length."""
    assert all(b - a >= 1 / rate - 1e-6 for a, b in itertools.pairwise(times))


@pytest.mark.parametrize("callers", first([1, 10]))
@pytest.mark.parametrize("rate", first([19.0, 0.1, 3.0, 100.0, 1000.0], keep=2))
def test_all_of_the_rate_is_used_and_no_more(
    pacer: Callable[[float], Pacer], fake: Time, rate: float, callers: int
) -> None:
    start, count = fake.now, 120
    times = asyncio.run(slots(pacer(rate), fake, count, callers))
    assert times[0] == start, "the first does not wait"
    assert_rate_kept(times, rate)
    assert count / (times[-1] - start + 1 / rate) >= 0.95 * rate


def test_the_journal_is_not_asked_for_every_request(
    pacer: Callable[[float], Pacer], fake: Time, journal: Journal
) -> None:
    leases: list[int] = []
    reserve = journal.reserve

    def counted(account: str, interval: float, count: int) -> float:
        leases.append(count)
        return reserve(account, interval, count)

    journal.reserve = counted  # type: ignore[method-assign]
    asyncio.run(slots(pacer(100.0), fake, 500))
    assert max(leases) <= 0.25 * 100
    assert len(leases) <= 500 / 10


def test_the_next_lease_is_asked_for_before_the_slots_run_out(pacer: Callable[[float], Pacer], fake: Time) -> None:
    async def main() -> list[int]:
        paced, left = pacer(100.0), []
        for _ in range(100):
            await paced.slot()
            if paced._slots._renewing:
                left.append(len(paced._slots.shares))
                await paced._slots._renewing
        return left

    left = asyncio.run(main())
    assert min(left) >= 5, "the journal has the time of five slots to answer"


@pytest.mark.parametrize("idle", [0.001, 0.013, 0.1, 1.0, 60.0])
def test_slots_nobody_used_are_not_made_up_for(pacer: Callable[[float], Pacer], fake: Time, idle: float) -> None:
    async def bursts() -> list[float]:
        paced, times = pacer(100.0), []
        for _ in range(10):
            times += await slots(paced, fake, 17, callers=4)
            fake.now += idle
        return times

    assert_rate_kept(asyncio.run(bursts()), 100.0)


@pytest.mark.parametrize("latency", [0.004, 0.02, 0.3])
def test_a_slow_journal_makes_slots_late_but_not_bunched(
    pacer: Callable[[float], Pacer], fake: Time, journal: Journal, latency: float
) -> None:
    """Now the journal answers at once, now it takes its time, so that a slot has passed when we learn of it."""
    reserve, late = journal.reserve, itertools.cycle([latency, 0.0])

    def slow(account: str, interval: float, count: int) -> float:
        first = reserve(account, interval, count)
        fake.now += next(late)
        return first

    journal.reserve = slow  # type: ignore[method-assign]
    times = asyncio.run(slots(pacer(100.0), fake, 60, callers=3))
    assert_rate_kept(times[1:], 100.0)
    lateness = latency if latency < 0.01 else 0  # a first slot that is a little late is used, the second is on time
    assert times[1] - times[0] >= 0.01 - lateness - 1e-6


def test_a_process_with_little_to_do_takes_little(
    pacer: Callable[[float], Pacer], fake: Time, journal: Journal
) -> None:
    async def now_and_then() -> None:
        paced = pacer(100.0)
        for _ in range(20):
            await paced.slot()
            assert journal.reserve(ACCOUNT, 0.01, 1) == pytest.approx(fake.now + 0.01, abs=1e-6)
            fake.now += 1

    asyncio.run(now_and_then())


@pytest.mark.parametrize("rate", [None, 0.5, 10.0, 100.0])
class TestHold:
    def test_own_hold_applies_at_once(self, pacer: Callable[[float | None], Pacer], fake: Time, rate: float) -> None:
        async def main() -> tuple[float, list[float]]:
            paced = pacer(rate)
            await slots(paced, fake, 50)
            await paced.hold(30)
            return fake.now + 30, await slots(paced, fake, 20, callers=5)

        until, times = asyncio.run(main())
        assert times[0] == pytest.approx(until, abs=2.0 if rate == 0.5 else 0.01)
        assert times[0] >= until
        if rate:
            assert_rate_kept(times, rate)

    def test_hold_of_another_process_applies_by_the_next_lease(
        self, pacer: Callable[[float | None], Pacer], fake: Time, journal: Journal, rate: float
    ) -> None:
        async def main() -> tuple[float, list[float]]:
            paced = pacer(rate)
            await slots(paced, fake, 50)
            held_at = fake.now
            journal.hold(ACCOUNT, held_at + 30)
            times: list[float] = []
            while fake.now < held_at + 35:
                fake.now += 0.001
                times += await slots(paced, fake, 1)
            return held_at, times

        held_at, times = asyncio.run(main())
        assert not [t for t in times if held_at + 0.25 < t < held_at + 30]
        assert [t for t in times if t >= held_at + 30]

    def test_hold_made_while_a_caller_sleeps(
        self, pacer: Callable[[float | None], Pacer], fake: Time, journal: Journal, rate: float
    ) -> None:
        """A caller waits for the end of one hold; meanwhile another process makes it longer."""
        until = fake.now + 20

        def longer() -> None:
            fake.on_sleep = lambda: None
            journal.hold(ACCOUNT, until)

        async def main() -> None:
            paced = pacer(rate)
            await paced.hold(10)
            fake.on_sleep = longer
            await paced.slot()

        asyncio.run(main())
        assert until <= fake.now <= until + 2.01


def test_no_rate_costs_nothing(pacer: Callable[[None], Pacer], fake: Time, journal: Journal) -> None:
    asked: list[str] = []
    held_until = journal.held_until

    def counted(account: str) -> float:
        asked.append(account)
        return held_until(account)

    journal.held_until = counted  # type: ignore[method-assign]
    paced, start = pacer(None), fake.now
    assert asyncio.run(slots(paced, fake, 1000, callers=10)) == [start] * 1000
    assert len(asked) == 1
    assert paced.waited == 0


def test_waiting_is_counted_once_for_all_who_wait(pacer: Callable[[float], Pacer], fake: Time) -> None:
    paced, start = pacer(10.0), fake.now
    asyncio.run(slots(paced, fake, 31, callers=10))
    assert paced.waited == pytest.approx(fake.now - start)
    assert paced.waited == pytest.approx(3.0)


def test_a_cancelled_caller_does_not_block_the_others(pacer: Callable[[float], Pacer], fake: Time) -> None:
    async def main() -> list[float]:
        paced = pacer(100.0)
        for turns in range(20):
            task = asyncio.ensure_future(paced.slot())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return await slots(paced, fake, 30, callers=3)

    assert_rate_kept(asyncio.run(main()), 100.0)


def test_a_broken_journal_is_a_state_error(pacer: Callable[[float | None], Pacer], journal: Journal) -> None:
    with journal.database.writing() as connection:
        pace.drop(connection)

    def attempts(paced: Pacer) -> list[Coroutine[Any, Any, None]]:
        return [paced.slot(), paced.slot(), paced.hold(1)]

    async def main() -> None:
        for rate in (None, 10.0):
            for attempt in attempts(pacer(rate)):
                with pytest.raises(StateError):
                    await attempt

    asyncio.run(main())


@given(st.integers(0, 5000), st.floats(0, 1, exclude_max=True))
def test_backoff_grows_to_its_cap_with_full_jitter(attempt: int, luck: float) -> None:
    most = min(60.0, 0.5 * 2**attempt) if attempt < 10 else 60.0
    assert backoff(attempt, random=lambda: luck) == pytest.approx(luck * most)
    assert 0 <= backoff(attempt, base=0.1, cap=2.0) <= 2.0


@pytest.mark.parametrize(("attempt", "most"), [(0, 0.5), (1, 1.0), (3, 4.0), (6, 32.0), (7, 60.0), (5_000, 60.0)])
def test_the_longest_waits(attempt: int, most: float) -> None:
    assert (backoff(attempt, random=lambda: 1.0), backoff(attempt, random=lambda: 0.0)) == (most, 0.0)


def test_a_pacer_whose_clock_was_ahead_goes_on(pacer: Callable[[float], Pacer], fake: Time) -> None:
    async def main() -> None:
        paced = pacer(10.0)
        fake.now += 86_400
        await slots(paced, fake, 50)
        await paced.hold(60)
        fake.now -= 86_400
        start = fake.now
        await slots(paced, fake, 50)
        assert fake.now - start < 10

    asyncio.run(main())


def test_a_longer_wait_ends_with_the_run(pacer: Callable[[None], Pacer], fake: Time) -> None:
    async def main() -> None:
        paced = pacer(None)
        await paced.hold(600)
        fake.on_sleep = paced.waits.halted.set
        start = fake.now
        with pytest.raises(Halted):
            await paced.slot()
        assert fake.now - start <= 1

    asyncio.run(main())


def test_a_call_of_several_requests_comes_to_its_end_with_the_run(pacer: Callable[[None], Pacer], fake: Time) -> None:
    """What its first request wrote would be in doubt else; each further one still waits for its turn before that."""
    paced, sent = pacer(None), []

    async def call(last: bool) -> int:
        for number in range(3):
            await next_turn()
            sent.append(fake.now)
            if number == 0:
                await paced.hold(30)
                fake.on_sleep = paced.waits.halted.set
        return len(sent)

    async def main() -> None:
        retries = Retries(paced, RetryPolicy())
        assert await retries.call(call) == 3
        with pytest.raises(Halted):
            await retries.call(call)

    asyncio.run(main())
    assert len(sent) == 3
    assert sent[1] > sent[0]


class Vendor:
    """Takes a job in three requests: one that opens it, and two for its rows."""

    capabilities = Capabilities(frozenset(), idempotent=frozenset(), max_rows=1, max_bytes=1, jobs=JobLimits(1, 1))

    def __init__(self, clock: Time) -> None:
        self.clock, self.times = clock, list[float]()

    async def request(self) -> None:
        await next_turn()
        self.times.append(self.clock())

    async def upload(self, job: str, batch: Batch, part: Part) -> None:
        await self.request()
        await self.request()


def test_a_job_that_is_handed_over_takes_a_turn_for_each_request(pacer: Callable[[float], Pacer], fake: Time) -> None:
    paced, vendor = pacer(1.0), Vendor(fake)
    follower = JobFollower(cast(RunsJobs, vendor), paced, RetryPolicy())

    async def send(last: bool) -> None:
        await vendor.request()
        await follower.upload("j1", Batch(Operation.UPSERT, [], ""), Part())

    asyncio.run(Retries(paced, RetryPolicy()).call(send))
    assert [time - vendor.times[0] for time in vendor.times] == [0.0, 1.0, 2.0]
