"""The contract, kept on a real server."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar

import psycopg
import pytest

from reverse_etl_assets.accounts.transport import Transport, Usage
from reverse_etl_assets.destinations.postgres import Postgres
from reverse_etl_assets.destinations.postgres.options import PostgresConnection
from reverse_etl_assets.records import FieldType, Record, Target
from reverse_etl_assets.testing.abilities import JobContract, SchemaContract
from reverse_etl_assets.testing.builders import record, target
from reverse_etl_assets.testing.contract import OutcomeContract
from reverse_etl_assets.testing.harness import Session, Stored
from reverse_etl_assets.testing.interference import Interference
from reverse_etl_assets.testing.reading import ReadBackContract

TABLE = """
create table app.people (
    id text primary key, note text, total numeric(30, 10), seen_at timestamptz, born date, code varchar(8),
    score integer, ratio double precision, small real, flag boolean, wakes time, token uuid, extra jsonb, mood app.mood,
    tags text[], local timestamp, raw jsonb, price numeric(10, 2),
    doubled integer generated always as (score * 2) stored
)
"""
FIELDS = {
    "note": FieldType.TEXT,
    "total": FieldType.DECIMAL,
    "seen_at": FieldType.TIMESTAMP,
    "born": FieldType.DATE,
    "code": FieldType.TEXT,
    "score": FieldType.INTEGER,
    "ratio": FieldType.FLOAT,
    "small": FieldType.FLOAT,
    "flag": FieldType.BOOLEAN,
    "wakes": FieldType.TIME,
    "token": FieldType.TEXT,
    "extra": FieldType.JSON,
    "mood": FieldType.TEXT,
    "tags": FieldType.JSON,
    "local": FieldType.TIMESTAMP,
    "raw": FieldType.TEXT,
    "price": FieldType.DECIMAL,
}


@pytest.fixture(scope="module")
def database(postgres_server: str) -> str:
    """The server with the application's table, and a schema for rows to wait in."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("drop schema if exists app cascade; drop schema if exists reverse_etl cascade")
        connection.execute("create schema app; create schema reverse_etl; create type app.mood as enum ('sad', 'glad')")
        connection.execute(TABLE)
    return postgres_server


@pytest.fixture
def people(database: str) -> str:
    """The same, with the table empty."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("truncate app.people")
    return database


class TestPostgres(OutcomeContract, SchemaContract, JobContract, ReadBackContract):
    destination: ClassVar[Any] = Postgres
    target = target("app.people", "id", **FIELDS)
    text_field = "note"
    decimal_field = "total"
    timestamp_field = "seen_at"
    read_only_field = "doubled"
    values: ClassVar[Mapping[str, tuple[Any, Any]]] = {
        "note": ("Zoë", "zoë"),
        "total": (Decimal("12345678901234567.89"), Decimal("-0.0000000010")),
        "seen_at": ("2026-03-29T01:30:00.123456Z", "2026-03-29T01:30:01.000000Z"),
        "born": ("2000-02-29", "1999-12-31"),
        "code": ("A1", "A2"),
        "score": (7, -7),
        "ratio": (0.1, 1e300),
        "small": (0.123456789, 2.5),
        "flag": (True, False),
        "wakes": ("06:30:00", "07:00:00.5"),
        "token": ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"),
        "extra": ({"b": [1, None, 2.50], "a": "x"}, ['"quoted"', {"deep": {}}]),
        "mood": ("sad", "glad"),
        "tags": (["a", "b,c", 'd"e'], []),
        "local": ("2026-03-29T01:30:00.123456Z", "2026-03-29T02:30:00Z"),
        "raw": ('"a text"', '{"a": null}'),
        "price": (Decimal("1.005"), Decimal("2.10")),
    }
    # A row is found by a column that is unique.
    test_a_record_is_read_by_its_id_where_its_key_finds_none: Any = None  # there is no id beside the key
    test_all_records_of_a_key_are_told: Any = None
    # An empty text is a value of its own: tests of this file.
    test_a_field_without_a_value_is_none: Any = None
    # There is no answer to spoil; what a broken connection means is tested below.
    test_an_answer_that_says_nothing_is_no_absence: Any = None

    @pytest.fixture
    def server(self, people: str) -> str:
        return people

    @asynccontextmanager
    async def open(self, server: Any, target: Target | None = None) -> AsyncIterator[Session]:
        options = Postgres.Options.model_validate(self.options)
        transport = Transport(Usage(), concurrency=4)
        async with Postgres.open(self.connection(server), target or self.target, options, transport) as destination:
            speaks_sql: Any = destination  # and no HTTP, as a Session's does
            yield Session(speaks_sql, Interference())

    def connection(self, server: str) -> PostgresConnection:
        return PostgresConnection(base_url=server)

    def record(self, number: int) -> Record:
        return record(
            f"person-{number}", note="-", total=Decimal("10.50"), **dict.fromkeys(set(FIELDS) - {"note", "total"})
        )

    def spoiled(self, record: Record) -> Record:
        return replace(record, fields={**record.fields, "score": 2**31})

    def stored(self, server: str) -> Sequence[Stored]:
        with psycopg.connect(server) as connection:
            connection.execute("set timezone = 'UTC'")
            rows = connection.execute("select to_jsonb(p)::text from app.people p").fetchall()
        found = [json.loads(text, parse_float=Decimal) for (text,) in rows]
        return [(each["id"], each) for each in found]
