"""What pace and budget share: shares are asked for once for all who wait, more at once while they go fast."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from reverse_etl_assets.accounts.lease import Grant, Lease
from reverse_etl_assets.errors import StateError

BRISK, IDLE = 1.0, 10.0


class Office:
    """Gives as many numbers as it is asked for, once it is open; a share is good for a while by its own clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.asked: list[int] = []
        self.open = asyncio.Event()
        self.open.set()
        self.fails = False
        self.lease: Lease[int] = Lease(self.give, lambda: self.now, few=2, many=10)

    async def give(self, count: int) -> Grant[int]:
        self.asked.append(count)
        await self.open.wait()
        if self.fails:
            raise StateError("the journal is out of reach")
        return Grant(range(count), brisk_until=self.now + BRISK, idle_from=self.now + IDLE)


def in_the_office(visit: Callable[[Office], Coroutine[Any, Any, None]]) -> Office:
    async def main() -> Office:
        office = Office()
        await visit(office)
        return office

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("pause", "asked"),
    [
        (0.0, [2, 4, 8, 10, 10]),
        (BRISK, [2, 4, 8, 10, 10]),
        (BRISK + 0.1, [2, 2, 2, 2, 2]),
        (IDLE, [2, 2, 2, 2, 2]),
    ],
)
def test_it_grows_while_shares_go_fast(pause: float, asked: list[int]) -> None:
    async def visit(office: Office) -> None:
        for _ in asked:
            await office.lease.renew()
            office.now += pause

    assert in_the_office(visit).asked == asked


@pytest.mark.parametrize(("pause", "next_one"), [(IDLE - 0.1, 10), (IDLE, 2)])
def test_it_keeps_its_size_until_it_is_idle(pause: float, next_one: int) -> None:
    async def visit(office: Office) -> None:
        for _ in range(4):
            await office.lease.renew()
        assert office.lease.full
        office.now += pause
        await office.lease.renew()

    assert in_the_office(visit).asked == [2, 4, 8, 10, next_one]


def test_however_many_wait_it_is_asked_for_once_and_to_the_end() -> None:
    async def visit(office: Office) -> None:
        office.open.clear()
        waiting = [asyncio.create_task(office.lease.renew()) for _ in range(5)]
        await asyncio.sleep(0)
        assert office.lease.start() is office.lease.start()
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        office.open.set()
        assert await office.lease.settle() == [0, 1]
        assert await office.lease.settle() == []

    assert in_the_office(visit).asked == [2]


def test_one_that_fails_is_asked_for_again() -> None:
    async def visit(office: Office) -> None:
        office.fails = True
        await asyncio.wait([office.lease.start()])  # nobody waits for this one
        with pytest.raises(StateError, match="out of reach"):
            await office.lease.renew()
        office.fails = False
        await office.lease.renew()
        assert list(office.lease.shares) == [0, 1]

    assert in_the_office(visit).asked == [2, 2, 2]


def test_who_starts_over_has_nothing_and_asks_for_few() -> None:
    async def visit(office: Office) -> None:
        for _ in range(3):
            await office.lease.renew()
        office.lease.start_over()
        assert not office.lease.shares
        await office.lease.renew()

    assert in_the_office(visit).asked == [2, 4, 8, 2]
