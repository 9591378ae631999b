"""When a column holds what was sent to it; and that an empty text is a value."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from reverse_etl_assets.destinations.postgres.staging import key_parts
from reverse_etl_assets.destinations.postgres.table import Column, quoted, split_name
from reverse_etl_assets.destinations.postgres.values import same_in_column
from reverse_etl_assets.records import FieldType, Operation
from reverse_etl_assets.testing.builders import record
from tests.destinations.postgres_tables import Server, a_target


def a_column(kind: str, *, scale: int | None = None, folds_case: bool = False) -> Column:
    flags = {"may_insert": True, "may_update": True, "may_select": True, "folds_case": folds_case}
    return Column("c", kind, kind, kind, None, scale, required=False, read_only_because="", **flags)


TEXT, DECIMAL, FLOAT, TIMESTAMP = FieldType.TEXT, FieldType.DECIMAL, FieldType.FLOAT, FieldType.TIMESTAMP


@pytest.mark.parametrize(
    ("column", "kind", "sent", "held", "same"),
    [
        (a_column("text"), TEXT, "a", "A", False),
        (a_column("text"), TEXT, "ada@x", "Ada@x", False),
        (a_column("text"), TEXT, "a", "a ", False),
        (a_column("text"), TEXT, "a;b", "b;a", False),
        (a_column("text"), TEXT, "", None, True),
        (a_column("text"), TEXT, " ", None, False),
        (a_column("citext", folds_case=True), TEXT, "a", "A", True),
        (a_column("character"), TEXT, "a", "a  ", True),
        (a_column("uuid"), TEXT, "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", True),
        (a_column("uuid"), TEXT, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12", False),
        (a_column("jsonb"), TEXT, '{"b":2,"a":1}', '{"a": 1, "b": 2}', True),
        (a_column("jsonb"), TEXT, '{"a": 1}', '{"a": 2}', False),
        (a_column("numeric", scale=2), DECIMAL, Decimal("1.005"), Decimal("1.01"), True),
        (a_column("numeric", scale=2), DECIMAL, Decimal("-1.005"), Decimal("-1.01"), True),
        (a_column("numeric", scale=2), DECIMAL, Decimal("1.004"), Decimal("1.01"), False),
        (a_column("numeric", scale=-2), DECIMAL, Decimal(1250), Decimal(1300), True),
        (a_column("numeric"), DECIMAL, Decimal("1.0050"), Decimal("1.005"), True),
        (a_column("numeric"), DECIMAL, Decimal("1.005"), Decimal("1.0051"), False),
        (a_column("real"), FLOAT, 0.123456789, Decimal("0.12345679"), True),
        (a_column("real"), FLOAT, 0.1, Decimal("0.2"), False),
        (a_column("double precision"), DECIMAL, Decimal("0.1000000000000000055"), Decimal("0.1"), True),
        (a_column("text"), DECIMAL, Decimal("1.50"), "1.5", True),
        (
            a_column("timestamp with time zone", scale=0), TIMESTAMP,
            "2026-01-31T12:00:00.400000Z", "2026-01-31T12:00:00+00:00", True,
        ),
        (
            a_column("timestamp with time zone", scale=0), TIMESTAMP,
            "2026-01-31T12:00:00.600000Z", "2026-01-31T12:00:00+00:00", False,
        ),
        (
            a_column("timestamp without time zone"), TIMESTAMP,
            "2026-01-31T12:00:00.000000Z", "2026-01-31T12:00:00", True,
        ),
    ],
)  # fmt: skip
def test_what_a_column_makes_of_a_value(column: Column, kind: FieldType, sent: Any, held: Any, same: bool) -> None:
    assert same_in_column(column, kind, sent, held) is same


def test_an_empty_text_is_not_null(postgres_server: str) -> None:
    server = Server(postgres_server)
    server.reset("create table app.t (id text primary key, name text)")
    to = a_target("name")
    asyncio.run(server.write(to, [(Operation.UPSERT, [record("empty", name=""), record("null", name=None)])]))
    assert server.run("select id, name from app.t order by id") == [("empty", ""), ("null", None)]

    async def read() -> Any:
        async with server.open(to) as destination:
            return await destination.read_records(["empty", "null"])

    found = asyncio.run(read())
    assert [found[key][0].fields["name"] for key in ("empty", "null")] == ["", None]


@pytest.mark.parametrize(
    ("key", "count", "parts"),
    [
        (r"a|b\c", 1, [r"a|b\c"]),
        ("a|b", 2, ["a", "b"]),
        (r"a\|b|c\\", 2, ["a|b", "c\\"]),
        ("|", 2, ["", ""]),
        (r"\\\||x", 2, ["\\|", "x"]),
    ],
)
def test_the_parts_of_a_key(key: str, count: int, parts: list[str]) -> None:
    assert key_parts(key, count) == parts


def test_names() -> None:
    assert split_name("people") == ("public", "people")
    assert split_name("My.App.people") == ("My.App", "people")
    assert [quoted(name) for name in ("plain", "Upper", 'odd"', "a b")] == ["plain", '"Upper"', '"odd"""', '"a b"']
