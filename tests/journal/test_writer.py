import asyncio
import signal
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import event

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.journal import Answer, Intent, Journal, Stopped, schema as journal_schema
from reverse_etl_assets.journal.writer import JournalWriter
from reverse_etl_assets.records import Operation, Status
from tests.heavy import heavy
from tests.journal_entries import begin


def writer(journal: Journal) -> JournalWriter:
    return JournalWriter(journal, "r1", "crm", "contacts")


def updated(rows: Sequence[int]) -> list[Answer]:
    return [Answer(row, Status.UPDATED) for row in rows]


class TestWriter:
    @pytest.fixture(autouse=True)
    def run(self, journal: Journal) -> None:
        journal.start_run("r1", "contacts", "crm")

    def test_concurrent_callers_share_commits(self, journal: Journal) -> None:
        commits: list[int] = []

        def count(_: Any) -> None:
            commits.append(1)

        async def send(journal_writer: JournalWriter, first: int) -> None:
            rows = range(first, first + 10)
            number = await journal_writer.begin(Operation.UPSERT, rows)
            await journal_writer.set_job(number, f"job-{first}")
            await journal_writer.answer(number, updated(rows))

        async def main() -> None:
            async with writer(journal) as journal_writer:
                await asyncio.gather(*(send(journal_writer, first) for first in range(0, 1000, 10)))

        event.listen(journal.database._engine, "commit", count)
        asyncio.run(main())
        batches = list(journal.batches("r1"))
        assert [b.number for b in batches] == list(range(1, 101))
        assert sorted(row for b in batches for row in b.rows) == list(range(1000))
        for batch in batches:
            assert batch.job == f"job-{batch.rows[0]}"
            assert batch.answers == updated(batch.rows)
            assert batch.answered_at is not None
        assert len(commits) < 100, "300 changes in far fewer commits"

    def test_numbers_go_on_where_an_earlier_process_ended(self, journal: Journal) -> None:
        begin(journal, "r1", [Intent(7, Operation.UPSERT, [1])])

        async def main() -> list[int]:
            async with writer(journal) as journal_writer:
                await journal_writer.answer(7, updated([1]))
                return [await journal_writer.begin(Operation.DELETE, [row]) for row in (2, 3)]

        assert asyncio.run(main()) == [8, 9]
        assert [b.answered_at is None for b in journal.batches("r1")] == [False, True, True]

    def test_a_stop_refuses_new_batches_and_takes_answers(
        self, journal: Journal, open_journal: Callable[[], Journal]
    ) -> None:
        other = open_journal()

        async def main() -> None:
            async with writer(journal) as journal_writer:
                number = await journal_writer.begin(Operation.UPSERT, [1])
                other.stop("sync:contacts", "ada", "wrong mapping")
                begins = [journal_writer.begin(Operation.UPSERT, [2]) for _ in range(3)]
                *refused, answered = await asyncio.gather(
                    *begins, journal_writer.answer(number, updated([1])), return_exceptions=True
                )
                assert answered is None
                for error in refused:
                    assert isinstance(error, Stopped)
                    assert error.stop == other.stopped("crm", "contacts")
                    assert "sync:contacts) by ada at 2025-06-15T15:06:40+00:00: wrong mapping" in str(error)
                other.resume("sync:contacts", "ada", "mended")
                assert await journal_writer.begin(Operation.UPSERT, [2]) == number + 1

        asyncio.run(main())
        assert [b.rows for b in journal.batches("r1")] == [[1], [2]]

    def test_failure_of_the_database_reaches_every_caller(self, journal: Journal) -> None:
        async def main() -> None:
            async with writer(journal) as journal_writer:
                number = await journal_writer.begin(Operation.UPSERT, [1])
                with journal.database.writing() as connection:
                    journal_schema.batches.drop(connection)
                changes = [journal_writer.begin(Operation.UPSERT, [2]), journal_writer.answer(number, updated([1]))]
                errors = await asyncio.gather(*changes, *[journal_writer.set_job(1, "j")], return_exceptions=True)
                assert [type(e) for e in errors] == [StateError] * 3
                assert len({id(e) for e in errors}) == 3, "each caller raises an error of its own"

        asyncio.run(main())

    def test_an_unknown_run_or_batch_is_an_error(self, journal: Journal) -> None:
        async def main() -> None:
            with pytest.raises(StateError, match="r2 is not in the journal"):
                await JournalWriter(journal, "r2", "crm", "contacts").__aenter__()
            async with writer(journal) as journal_writer:
                with pytest.raises(StateError, match=r"no batch of one of the numbers \[5\]"):
                    await journal_writer.answer(5, updated([1]))

        asyncio.run(main())

    def test_an_answer_outlives_its_caller(self, journal: Journal) -> None:
        """However its caller is cancelled, and though nobody waits any more, the answer is kept."""

        async def main() -> None:
            async with writer(journal) as journal_writer:
                numbers = [await journal_writer.begin(Operation.UPSERT, [row]) for row in (1, 2)]
                shielded = asyncio.ensure_future(journal_writer.answer(numbers[0], updated([1])))
                tasks = [
                    asyncio.ensure_future(asyncio.wait_for(asyncio.shield(shielded), 60)),
                    asyncio.ensure_future(journal_writer.answer(numbers[1], updated([2]))),
                ]
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                for task in tasks:
                    task.cancel()
                assert [type(e) for e in await asyncio.gather(*tasks, return_exceptions=True)] == [
                    asyncio.CancelledError,
                    asyncio.CancelledError,
                ]
                await shielded

        asyncio.run(main())
        assert [b.answers for b in journal.batches("r1")] == [updated([1]), updated([2])]

    @pytest.mark.parametrize("turns", range(0, 12, 2))
    def test_a_cancelled_begin_leaves_no_intent(self, journal: Journal, turns: int) -> None:
        """Its batch is never sent, and without an answer it would look as if nobody knew."""

        async def main() -> list[int | BaseException]:
            async with writer(journal) as journal_writer:
                tasks = [asyncio.ensure_future(journal_writer.begin(Operation.INSERT, [row])) for row in range(8)]
                for _ in range(turns):
                    await asyncio.sleep(0)
                for task in tasks[::2]:
                    task.cancel()
                return await asyncio.gather(*tasks, return_exceptions=True)

        begun = {result: row for row, result in enumerate(asyncio.run(main())) if isinstance(result, int)}
        assert len(begun) >= 4
        assert {b.number: b.rows for b in journal.batches("r1")} == {n: [row] for n, row in begun.items()}


class TestProcesses:
    @pytest.fixture(autouse=True)
    def run(self, journal: Journal) -> None:
        journal.start_run("r1", "contacts", "crm")

    def test_kill_9_loses_nothing_acknowledged(
        self, journal_url: str, journal: Journal, start: Callable[..., Any], go: Callable[[Sequence[Any]], None]
    ) -> None:
        process = start("write", journal_url, "r1")
        go([process])
        lines = [process.stdout.readline() for _ in range(200)]
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
        lines += [line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        acknowledged = {
            kind: {int(x.split()[1]) for x in lines if x.startswith(kind)} for kind in ("begun", "answered")
        }
        kept = {b.number: b for b in journal.batches("r1")}
        assert acknowledged["begun"] <= kept.keys()
        assert len(kept) <= len(acknowledged["begun"]) + 10, "only what was in flight is uncertain"
        for number in acknowledged["answered"]:
            assert kept[number].answers == updated(range(50))
        assert asyncio.run(_begin_one(journal)) > max(kept)

    @heavy
    def test_a_stop_reaches_a_writer_in_another_process(
        self, journal_url: str, journal: Journal, start: Callable[..., Any], go: Callable[[Sequence[Any]], None]
    ) -> None:
        process = start("write", journal_url, "r1")
        go([process])
        for _ in range(50):
            process.stdout.readline()
        journal.stop("destination:crm", "ada", "now")
        begun = len(list(journal.batches("r1")))
        process.stdout.read()
        assert process.wait(30) == 0
        batches = list(journal.batches("r1"))
        assert len(batches) == begun
        assert all(b.answered_at for b in batches)


async def _begin_one(journal: Journal) -> int:
    async with writer(journal) as journal_writer:
        return await journal_writer.begin(Operation.UPSERT, [1])
