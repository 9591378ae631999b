"""The meter: no request without a call that is counted before it, none beyond the day's budget."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from reverse_etl_assets.accounts.budget import Meter, spent
from reverse_etl_assets.accounts.daily import Budget
from reverse_etl_assets.accounts.transport import Transport, Usage
from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.destinations.salesforce import Salesforce
from reverse_etl_assets.errors import BudgetSpent, StateError
from reverse_etl_assets.journal import Journal, schema as journal_schema
from reverse_etl_assets.journal.usage import Allowance
from reverse_etl_assets.records import FieldType, Operation, Quota, Target
from reverse_etl_assets.spec.policies import Cost
from reverse_etl_sandbox.server import Sandbox
from tests.destinations.accounts import hubspot, salesforce

DAY = 86_400


class Clock:
    now = 1_750_000_000.0  # 2025-06-15, in the afternoon

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Iterator[Journal]:
    journal = Journal.open(f"sqlite:///{tmp_path}/journal.db", clock)
    yield journal
    journal.close()


@pytest.fixture
def meter(journal: Journal) -> Callable[..., Meter]:
    def make(calls: int | None = None, leave: float = 20) -> Meter:
        return Meter(journal, "crm", "contacts", Budget(calls=calls, leave=leave))

    return make


def counted(journal: Journal) -> int:
    return sum(used.calls for used in journal.usage())


async def take(meter: Meter, calls: int) -> None:
    for _ in range(calls):
        await meter.take()


async def take_all(meter: Meter) -> int:
    for taken in range(1_000_000):
        try:
            await meter.take()
        except BudgetSpent:
            return taken
    raise AssertionError


def test_callers_together_get_the_days_calls_and_no_more(meter: Callable[..., Meter], journal: Journal) -> None:
    async def main() -> list[int]:
        shared = meter(500)
        return await asyncio.gather(*(take_all(shared) for _ in range(20)))

    assert sum(asyncio.run(main())) == counted(journal) == 500
    said = "the day's budget of 500 requests to crm is used up; what is left goes out on the next UTC day"
    assert spent(journal, "crm", Budget(calls=500)) == said
    assert spent(journal, "crm", Budget(calls=501)) is None
    with pytest.raises(BudgetSpent) as refusal:
        asyncio.run(meter(500).take())
    assert str(refusal.value) == said


def test_what_was_not_used_is_given_back(meter: Callable[..., Meter], journal: Journal) -> None:
    async def main() -> None:
        shared = meter()
        await take(shared, 3)
        assert counted(journal) > 3, "a lease at once"
        await shared.settle()
        assert counted(journal) == 3
        await shared.settle()
        await take(shared, 2)
        await shared.settle()

    asyncio.run(main())
    assert counted(journal) == 5


def test_a_cancelled_caller_loses_no_call(meter: Callable[..., Meter], journal: Journal) -> None:
    async def main(turns: int) -> None:
        shared = meter()
        task = asyncio.ensure_future(shared.take())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await shared.settle()

    for turns in range(6):
        asyncio.run(main(turns))
    assert counted(journal) == 0


def test_the_next_day_goes_on_with_calls_of_its_own(
    meter: Callable[..., Meter], journal: Journal, clock: Clock
) -> None:
    async def main() -> None:
        shared = meter(300)
        await take(shared, 25)
        clock.now += DAY
        assert await take_all(shared) == 300
        clock.now += DAY
        await take(shared, 2)
        await shared.settle()

    asyncio.run(main())
    assert [used.calls for used in journal.usage()] == [2, 300, 25]


def test_the_journal_is_not_asked_for_every_call(meter: Callable[..., Meter], journal: Journal, clock: Clock) -> None:
    asked: list[int] = []
    take_calls = journal.take_calls

    def counting(destination: str, sync: str, wanted: int, *rest: Any) -> Any:
        asked.append(wanted)
        return take_calls(destination, sync, wanted, *rest)

    async def main() -> None:
        busy = meter(1_000_000)
        await take(busy, 10_000)
        assert len(asked) <= 15
        assert max(asked) <= 2_000, "what a killed process leaves counted"
        before = len(asked)
        clock.now += 60
        await take(busy, 2_001)
        assert asked[before] == 20, "who was idle takes little"

    journal.take_calls = counting  # type: ignore[method-assign, assignment]
    asyncio.run(main())


def test_a_slow_journal_does_not_block_the_loop(meter: Callable[..., Meter], journal: Journal) -> None:
    go_on = threading.Event()
    take_calls = journal.take_calls

    def slow(*arguments: Any) -> Any:
        assert go_on.wait(20)
        return take_calls(*arguments)

    async def main() -> None:
        waiting = asyncio.ensure_future(meter().take())
        for _ in range(100):
            await asyncio.sleep(0)
        assert not waiting.done()
        go_on.set()
        await waiting

    journal.take_calls = slow  # type: ignore[method-assign, assignment]
    asyncio.run(main())


def test_a_broken_journal_is_a_state_error_and_spoils_no_end(meter: Callable[..., Meter], journal: Journal) -> None:
    async def main() -> None:
        shared = meter()
        await shared.take()
        with journal.database.writing() as connection:
            journal_schema.usage.drop(connection)
        await shared.settle()
        for _ in range(2):
            with pytest.raises(StateError):
                await shared.take()

    asyncio.run(main())


class TestVendorsCounter:
    def test_stops_calls_that_were_taken_already(self, meter: Callable[..., Meter], journal: Journal) -> None:
        async def main() -> None:
            shared = meter(leave=20)
            await take(shared, 2)
            shared.learn(Quota(799, 1000))
            await take(shared, 2)
            shared.learn(Quota(800, 1000))
            with pytest.raises(BudgetSpent, match="crm counts 800 of 1,000 requests as used, and 20 % are left"):
                await shared.take()

        asyncio.run(main())
        assert counted(journal) == 4
        why = spent(journal, "crm", Budget(leave=20))
        assert why is not None
        assert why.endswith("a later run asks again")
        assert spent(journal, "crm", Budget(leave=10)) is None

    def test_other_processes_learn_it(self, meter: Callable[..., Meter]) -> None:
        async def main() -> None:
            one, other = meter(), meter()
            await one.take()
            one.learn(Quota(795, 1000))
            await one.settle()
            assert await take_all(other) == 5

        asyncio.run(main())

    def test_it_is_kept_though_no_call_is_left_over(self, meter: Callable[..., Meter], journal: Journal) -> None:
        async def main() -> int:
            shared = meter()
            await shared.take()
            leased = counted(journal)
            await take(shared, leased - 1)
            shared.learn(Quota(795, 1000))
            await shared.settle()
            return leased

        assert asyncio.run(main()) == counted(journal)
        vendor = journal.room("crm", Allowance()).vendor
        assert vendor is not None
        assert (vendor.used, vendor.since) == (795, 0)

    def test_asked_again_after_an_hour_it_may_have_room(self, meter: Callable[..., Meter], clock: Clock) -> None:
        async def main() -> None:
            shared = meter()
            await shared.take()
            shared.learn(Quota(1000, 1000))
            assert await take_all(shared) == 0
            clock.now += 3_600
            await shared.take()
            shared.learn(Quota(900, 1200))
            assert await take_all(shared) == 60 + 4, "four calls of the asking are left"

        asyncio.run(main())

    @pytest.mark.parametrize("quota", [Quota(5, 0), Quota(5, -1)])
    def test_nonsense_is_passed_over(self, meter: Callable[..., Meter], quota: Quota) -> None:
        async def main() -> None:
            shared = meter()
            shared.learn(quota)
            await shared.take()
            shared.learn(quota)
            await shared.take()

        asyncio.run(main())


def test_every_request_counts(journal: Journal, meter: Callable[..., Meter], sandbox: Sandbox) -> None:
    """Signing in, signing in anew after a token has expired, and the request that is sent again."""
    target = Target("Contact", "Email", {"Email": FieldType.TEXT}, frozenset({Operation.UPDATE}))
    usage = Usage()

    async def main() -> None:
        shared = meter()
        async with Transport(usage, concurrency=2, meter=shared, quota=Salesforce.quota).client() as client:
            account = Salesforce(salesforce(sandbox.url), target, Salesforce.Options(), client)
            await account.check()
            sandbox.fault("expire_token", vendor="salesforce", next=1)
            await account.check()
        await shared.settle()

    asyncio.run(main())
    assert counted(journal) == usage.calls == len(sandbox.log.lines()) == 2 + 1 + 2


def test_no_request_goes_out_beyond_the_budget(journal: Journal, meter: Callable[..., Meter], sandbox: Sandbox) -> None:
    target = Target("contacts", "email", {"email": FieldType.TEXT}, frozenset({Operation.UPSERT}))
    usage = Usage()

    async def main() -> None:
        shared = meter(3)
        async with Transport(usage, concurrency=2, meter=shared, quota=HubSpot.quota).client() as client:
            account = HubSpot(hubspot(sandbox.url), target, HubSpot.Options(), client)
            for _ in range(3):
                await account.check()
            for _ in range(3):
                with pytest.raises(BudgetSpent):
                    await account.check()

    asyncio.run(main())
    assert counted(journal) == usage.calls == len(sandbox.log.lines()) == 3
    vendor = journal.room("crm", Allowance()).vendor
    assert vendor is not None, "HubSpot says so in its answers"
    assert vendor.used == 3


def test_a_counter_that_cannot_be_read_spoils_no_answer(meter: Callable[..., Meter], sandbox: Sandbox) -> None:
    def quota(response: httpx.Response) -> Quota | None:
        return Quota(int(response.headers["no-such-header"]), 1)

    async def main() -> int:
        async with Transport(Usage(), concurrency=2, meter=meter(), quota=quota).client() as client:
            return (await client.get(f"{sandbox.url}/rest/people")).status_code

    assert asyncio.run(main()) < 500


def test_prices() -> None:
    cost = Cost(per_call=0.01, per_row=0.5, per_seat=90, seats=2)
    assert cost.price(calls=200, rows=3) == pytest.approx(3.5)
    assert cost.seats_a_day == pytest.approx(6)
    assert Cost().price(calls=200, rows=3) == Cost().seats_a_day == 0
