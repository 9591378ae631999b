"""A PostgreSQL table of a test's own, and a hand on the destination that writes to it."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from reverse_etl_assets.accounts.transport import Transport, Usage
from reverse_etl_assets.destinations.base import JobState, Part
from reverse_etl_assets.destinations.postgres import Postgres
from reverse_etl_assets.destinations.postgres.options import PostgresConnection
from reverse_etl_assets.records import FieldType, Operation, Outcome, Record, Target
from reverse_etl_assets.testing.builders import batch, target

KINDS = {
    "": FieldType.TEXT,
    "i": FieldType.INTEGER,
    "d": FieldType.DECIMAL,
    "f": FieldType.FLOAT,
    "b": FieldType.BOOLEAN,
    "t": FieldType.TIMESTAMP,
    "j": FieldType.JSON,
}
Said = tuple[str, str | None, str | None, str | None]
Changes = Iterable[tuple[Operation, list[Record]]]


class Server:
    """A server as its owner sees it, with a fresh schema `app` and one for rows to wait in."""

    def __init__(self, url: str) -> None:
        self.url = url

    def reset(self, *statements: str) -> None:
        self.run(
            "drop schema if exists app cascade", "drop schema if exists reverse_etl cascade",
            "create schema app", "create schema reverse_etl", *statements,
        )  # fmt: skip

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """Rows of the last statement."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def staged(self) -> list[str]:
        """The tables in which rows wait or outcomes lie."""
        return [row[0] for row in self.run("select relname from pg_class where relname ~ '^job_[0-9a-f]{32}(_done)?$'")]

    def as_role(self, role: str) -> str:
        return self.url.replace("postgres:@", f"{role}@", 1)

    def connection(self, url: str | None = None, **settings: Any) -> PostgresConnection:
        return PostgresConnection(base_url=url or self.url, **settings)

    @asynccontextmanager
    async def open(self, to: Target, url: str | None = None, **options: Any) -> AsyncIterator[Postgres]:
        parsed = Postgres.Options.model_validate(options)
        async with Postgres.open(self.connection(url), to, parsed, Transport(Usage(), concurrency=4)) as destination:
            yield destination

    async def write(self, to: Target, changes: Changes, *, atomic: bool = True, **options: Any) -> dict[str, Outcome]:
        """Write all of it as the engine would: as parts of one job, or batch by batch. Outcomes by key."""
        batches = [batch(operation, *rows) for operation, rows in changes]
        found: list[Outcome] = []
        async with self.open(to, atomic=atomic, **options) as destination:
            if not atomic:
                for each in batches:
                    found += await destination.send(each)
            else:
                job = await destination.open_job(batches[0])
                for number, each in enumerate(batches, 1):
                    await destination.upload(job, each, Part(number, number == len(batches)))
                assert await destination.poll(job) is JobState.DONE
                for each in batches:
                    found += await destination.collect(job, each)
        by_key = {outcome.key: outcome for outcome in found}
        assert len(by_key) == len(found)
        return by_key


def a_target(
    *fields: str, key: str = "id", table: str = "app.t", operations: Iterable[Operation] = Operation
) -> Target:
    """Fields are `name` or `name:kind`, with the kinds' letters above."""
    named = {field.partition(":")[0]: KINDS[field.partition(":")[2]] for field in fields}
    return target(table, key, *operations, **named)


def said(outcome: Outcome) -> Said:
    """Status, reason, code and field."""
    error = outcome.error
    return (
        outcome.status.value,
        outcome.reason.value if outcome.reason else None,
        error.code if error else None,
        error.field if error else None,
    )
