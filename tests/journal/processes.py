"""Other processes for the journal's tests: `python processes.py <function> <arguments>`."""

import asyncio
import sys
import time

from reverse_etl_assets.journal import Answer, Journal, Stopped
from reverse_etl_assets.journal_writer import JournalWriter
from reverse_etl_assets.pacing import Pacer
from reverse_etl_assets.records import Operation, Status


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


def pace(url: str, rate: str, seconds: str) -> None:
    asyncio.run(_pace(url, float(rate), float(seconds)))


async def _pace(url: str, rate: float, seconds: float) -> None:
    pacer = Pacer(Journal.open(url), "account", rate)
    ready()
    end = time.time() + seconds
    while time.time() < end:
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


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
