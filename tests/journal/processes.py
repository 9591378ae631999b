"""Other processes for the journal's tests: `python processes.py <function> <arguments>`."""

import asyncio
import itertools
import sys
import time
from typing import TYPE_CHECKING

from reverse_etl_assets.accounts.pacing import Pacer
from reverse_etl_assets.errors import BudgetSpent
from reverse_etl_assets.journal import Answer, Journal, Stopped
from reverse_etl_assets.journal.writer import JournalWriter
from reverse_etl_assets.records import Operation, Status

if TYPE_CHECKING:
    from reverse_etl_assets.accounts.budget import Meter


def ready() -> None:
    """Says that imports are done, and waits for the word to start, so that all start at once."""
    print("ready", flush=True)
    sys.stdin.readline()


def reserve(url: str, interval: str, times: str) -> None:
    journal = Journal.open(url)
    ready()
    for i in range(int(times)):
        count = 1 + i % 3
        print(count, repr(journal.reserve("account", float(interval), count)), flush=True)


def pace(url: str, rate: str, turns: str) -> None:
    asyncio.run(_pace(url, float(rate), int(turns)))


async def _pace(url: str, rate: float, turns: int) -> None:
    pacer = Pacer(Journal.open(url), "account", rate)
    ready()
    for _ in range(turns):
        await pacer.slot()
        print(repr(time.time()), flush=True)


def write(url: str, run_id: str) -> None:
    asyncio.run(_write(url, run_id))


async def _write(url: str, run_id: str) -> None:
    """Ten callers begin and answer batches, and print what was acknowledged to them, until killed or stopped."""
    async with JournalWriter(Journal.open(url), run_id, "crm", "contacts") as writer:
        ready()
        await asyncio.gather(*(_send(writer) for _ in range(10)))


async def _send(writer: JournalWriter) -> None:
    while True:
        try:
            number = await writer.begin(Operation.UPSERT, range(50))
        except Stopped:
            return
        print("begun", number, flush=True)
        await writer.answer(number, [Answer(row, Status.UPDATED) for row in range(50)])
        print("answered", number, flush=True)


def spend(url: str, sync: str, calls: str) -> None:
    print(asyncio.run(_spend(_meter(url, sync, calls))), flush=True)


def _meter(url: str, sync: str, calls: str) -> "Meter":
    from reverse_etl_assets.accounts.budget import Meter  # it takes its time, and the other functions need none of it
    from reverse_etl_assets.accounts.daily import Budget

    return Meter(Journal.open(url), "crm", sync, Budget(calls=int(calls)))


async def _spend(meter: "Meter") -> int:
    """How many calls there were until none was left."""
    ready()
    for spent in itertools.count():
        try:
            await meter.take()
        except BudgetSpent:
            await meter.settle()
            return spent
    raise AssertionError


def spend_until_killed(url: str, sync: str, calls: str) -> None:
    asyncio.run(_spend_until_killed(_meter(url, sync, calls)))


async def _spend_until_killed(meter: "Meter") -> None:
    ready()
    for spent in itertools.count(1):
        await meter.take()
        print(spent, flush=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
