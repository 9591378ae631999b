"""A run is one transaction in PostgreSQL: all of it is seen or nothing, and the database tells which after a crash."""

import asyncio
from typing import Any

import psycopg
import pytest

from reverse_etl_assets.destinations.base import JobState, Part
from reverse_etl_assets.destinations.postgres import Postgres, jobs as postgres_jobs
from reverse_etl_assets.records import Operation, Status
from reverse_etl_assets.testing.builders import batch, record
from tests.destinations.postgres_tables import Server, a_target

UPSERT = Operation.UPSERT
TO = a_target("name")
ONE, TWO = batch(UPSERT, record("a", name="n"), record("b", name="n")), batch(UPSERT, record("c", name="n"))
FIRST, LAST, ONLY = Part(1, False), Part(2, True), Part(1, True)


@pytest.fixture(scope="module")
def made(postgres_server: str) -> Server:
    return Server(postgres_server)


@pytest.fixture
def server(made: Server) -> Server:
    made.reset("create table app.t (id text primary key, name text)")
    return made


def held(server: Server) -> list[Any]:
    return [key for (key,) in server.run("select id from app.t order by id")]


async def handed_over(destination: Postgres) -> str:
    job = await destination.open_job(ONE)
    await destination.upload(job, ONE, FIRST)
    await destination.upload(job, TWO, LAST)
    return job


def test_nobody_sees_half_of_a_run(server: Server) -> None:
    async def work() -> None:
        async with server.open(TO) as destination:
            job = await destination.open_job(ONE)
            assert await destination.poll(job) is JobState.OPEN
            await destination.upload(job, ONE, FIRST)
            assert await destination.poll(job) is JobState.OPEN
            assert held(server) == []
            await destination.upload(job, TWO, LAST)
            assert await destination.poll(job) is JobState.DONE
            assert held(server) == ["a", "b", "c"]
            assert {each.key for each in await destination.collect(job, TWO)} == {"c"}

    asyncio.run(work())


def test_a_run_that_died_before_its_commit_has_left_nothing(server: Server) -> None:
    async def dies() -> str:
        async with server.open(TO) as destination:
            job = await destination.open_job(ONE)
            await destination.upload(job, ONE, FIRST)
            return job

    async def comes_after(job: str) -> None:
        async with server.open(TO) as destination:
            assert await destination.poll(job) is JobState.OPEN  # never handed over: its rows are sent again
            assert held(server) == []
            new = await handed_over(destination)
            assert server.staged() == [f"job_{new}_done"]

    asyncio.run(comes_after(asyncio.run(dies())))
    assert held(server) == ["a", "b", "c"]


def test_a_run_that_died_after_its_commit_is_collected(server: Server) -> None:
    async def dies() -> str:
        async with server.open(TO) as destination:
            return await handed_over(destination)

    async def comes_after(job: str) -> None:
        async with server.open(TO) as destination:
            assert await destination.poll(job) is JobState.DONE
            assert [each.status for each in await destination.collect(job, ONE)] == [Status.CREATED] * 2
            await destination.open_job(ONE)  # what is collected is not kept
            assert await destination.poll(job) is JobState.GONE

    asyncio.run(comes_after(asyncio.run(dies())))


def test_a_transaction_that_is_still_at_work_is_running(server: Server) -> None:
    """A killed run's statement goes on in the server for a while: nobody may send its rows meanwhile."""
    server.run("insert into app.t values ('c', 'old')")

    async def work() -> None:
        async with server.open(TO) as destination, server.open(TO) as other:
            job = await destination.open_job(ONE)
            await destination.upload(job, ONE, FIRST)
            async with await psycopg.AsyncConnection.connect(server.url) as application:
                await application.execute("select from app.t for update")
                last = asyncio.create_task(destination.upload(job, TWO, LAST))
                while await other.poll(job) is JobState.OPEN:
                    assert not last.done()
                assert await other.poll(job) is JobState.RUNNING
            await last
            assert await other.poll(job) is JobState.DONE

    asyncio.run(work())


def test_only_dead_jobs_are_dropped(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another sync may write the same fields of the same table, and be at work."""

    async def jobs() -> tuple[str, str, str]:
        async with server.open(TO) as alive:
            live = await alive.open_job(ONE)
            async with server.open(TO) as dead:
                left = await dead.open_job(ONE)
            async with server.open(a_target()) as foreign:
                other = await foreign.open_job(ONE)
            server.run(f"create table reverse_etl.job_{'0' * 32} (mine text)")
            async with server.open(TO) as destination:
                await destination.open_job(ONE)
            assert f"job_{live}" in server.staged()
            assert f"job_{left}" not in server.staged()
            assert f"job_{other}" in server.staged()
            monkeypatch.setattr(postgres_jobs, "KEPT", -10.0)
            async with server.open(TO) as destination:
                await destination.open_job(ONE)
            assert f"job_{live}" in server.staged()
            assert f"job_{other}" not in server.staged()
            assert f"job_{'0' * 32}" in server.staged()
        return live, left, other

    assert len(set(asyncio.run(jobs()))) == 3
