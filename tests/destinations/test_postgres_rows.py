"""What becomes of rows in a PostgreSQL table: bad ones fail alone, with the column or the constraint named."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from reverse_etl_assets.destinations.base import Part
from reverse_etl_assets.records import Operation, Outcome, Reason, Record, Status
from reverse_etl_assets.testing.builders import batch, record
from tests.destinations.postgres_tables import Changes, Server, a_target, said

UPSERT, INSERT, UPDATE, DELETE = Operation.UPSERT, Operation.INSERT, Operation.UPDATE, Operation.DELETE
REJECTED = ("failed", "rejected")
MARK = "s3cret"  # stands in every bad value that is a text

TABLE = """
create domain app.plan as varchar(6) check (value <> 'gold');
create type app.mood as enum ('sad', 'glad');
create table app.parents (id integer primary key);
insert into app.parents values (1);
create table app.t (
    id text primary key, name varchar(8) not null, email text, score integer, price numeric(6, 2), mood app.mood,
    token uuid, day date, born timestamptz, plan app.plan, extra jsonb, tags integer[], wide char(3), small real,
    parent integer constraint has_parent references app.parents,
    boss text constraint has_boss references app.t deferrable initially deferred,
    level smallint constraint level_is_low check (level < 5),
    constraint one_email unique (email)
);
create function app.refuse() returns trigger language plpgsql as $$
begin
    if new.name = 'blocked' then raise exception 'this customer is blocked'; end if;
    if new.name = 'ignored' then return null; end if;
    return new;
end $$;
create trigger refuse before insert or update on app.t for each row execute function app.refuse();
"""
FIELDS = (
    "name", "email", "score:i", "price:d", "mood", "token", "day", "born:t", "plan", "extra:j", "tags:j", "wide",
    "small:f", "parent:i", "boss", "level:i",
)  # fmt: skip
TO = a_target(*FIELDS)
NAMES = tuple(TO.fields)


@pytest.fixture(scope="module")
def made(postgres_server: str) -> Server:
    server = Server(postgres_server)
    server.reset(TABLE)
    return server


@pytest.fixture
def server(made: Server) -> Server:
    made.run("truncate app.t")
    return made


def row(key: str, **fields: Any) -> Record:
    return record(key, **{**dict.fromkeys(NAMES), "name": "n", **fields})


def write(server: Server, *changes: tuple[Operation, list[Record]], atomic: bool = True) -> dict[str, Outcome]:
    return asyncio.run(server.write(TO, changes, atomic=atomic))


both = pytest.mark.parametrize("atomic", [True, False], ids=["a job", "batches"])


@both
@pytest.mark.parametrize(
    ("bad", "code", "field", "words"),
    [
        ({"name": None}, "23502", "name", "not-null"),
        ({"name": MARK * 2}, "22001", "name", "too long for type character varying(8)"),
        ({"score": 2**31}, "22003", "score", "out of range"),
        ({"score": Decimal("1.5")}, "22P02", "score", "invalid input syntax for type integer"),
        ({"price": Decimal("12345.6")}, "22003", "price", "numeric field overflow"),
        ({"mood": MARK}, "22P02", "mood", "enum"),
        ({"token": MARK}, "22P02", "token", "uuid"),
        ({"day": "2026-02-30"}, "22008", "day", "out of range"),
        ({"born": MARK}, "22007", "born", "timestamp with time zone"),
        ({"plan": MARK + "!"}, "22001", "plan", "too long"),
        ({"plan": "gold"}, "23514", "plan", "plan_check"),
        ({"extra": "\0"}, "22P05", "extra", "Unicode"),
        ({"tags": ["1", MARK]}, "22P02", "tags", "integer"),
        ({"tags": {"a": 1}}, "22023", "tags", "array"),
        ({"wide": MARK}, "22001", "wide", "character(3)"),
        ({"small": 1e300}, "22003", "small", "out of range"),
        ({"parent": 99}, "23503", None, "has_parent"),
        ({"boss": MARK}, "23503", None, "has_boss"),
        ({"email": "taken@shop.example"}, "23505", None, "one_email"),
        ({"level": 7}, "23514", None, "level_is_low"),
        ({"name": "blocked"}, "P0001", None, "this customer is blocked"),
        ({"name": "a\0b"}, None, "name", "NUL"),
    ],
)
def test_a_bad_row_fails_alone(
    server: Server, atomic: bool, bad: dict[str, Any], code: str | None, field: str | None, words: str
) -> None:
    write(server, (UPSERT, [row("a", email="taken@shop.example"), row("d")]))
    rows = [row("b"), row("bad", **bad), row("c"), row("d", name="new")]
    outcomes = write(server, (UPSERT, rows), (DELETE, [record("x")]), atomic=atomic)
    wrong = outcomes["bad"]
    assert said(wrong) == (*REJECTED, code, field)
    assert wrong.error is not None
    assert words in wrong.error.message
    assert MARK not in wrong.error.message
    assert [outcomes[key].status for key in "bcd"] == [Status.CREATED, Status.CREATED, Status.UPDATED]
    assert server.run("select id, name from app.t where id in ('b', 'bad', 'c', 'd') order by id") == [
        ("b", "n"),
        ("c", "n"),
        ("d", "new"),
    ]


@both
def test_many_bad_rows_among_many(server: Server, atomic: bool) -> None:
    bad = {3, 4, 5, 900, 1234, 1999}
    rows = [row(f"k{i}", mood=MARK if i in bad else "sad") for i in range(2000)]
    outcomes = write(server, (UPSERT, rows), atomic=atomic)
    assert {key for key, each in outcomes.items() if each.status is Status.FAILED} == {f"k{i}" for i in bad}
    assert server.run("select count(*) from app.t") == [(1994,)]


@both
@pytest.mark.parametrize(
    ("operation", "there", "status", "reason"),
    [
        (INSERT, False, Status.CREATED, None),
        (INSERT, True, Status.SKIPPED, Reason.ALREADY_EXISTS),
        (UPDATE, False, Status.SKIPPED, Reason.NOT_FOUND),
        (UPDATE, True, Status.UPDATED, None),
        (UPSERT, False, Status.CREATED, None),
        (UPSERT, True, Status.UPDATED, None),
        (DELETE, False, Status.SKIPPED, Reason.ALREADY_GONE),
        (DELETE, True, Status.DELETED, None),
    ],
)
def test_every_operation_tells_what_it_met(
    server: Server, atomic: bool, operation: Operation, there: bool, status: Status, reason: Reason | None
) -> None:
    server.run("insert into app.t (id, name) values ('other', 'o')")
    if there:
        server.run("insert into app.t (id, name) values ('k', 'old')")
    outcome = write(server, (operation, [row("k", name="new")]), atomic=atomic)["k"]
    assert (outcome.status, outcome.reason, outcome.inferred) == (status, reason, False)
    assert outcome.destination_id == ("k" if reason is None else None)
    held = server.run("select name from app.t where id = 'k'")
    assert held == {Status.CREATED: [("new",)], Status.UPDATED: [("new",)]}.get(
        status, [("old",)] if reason is Reason.ALREADY_EXISTS else []
    )
    assert server.run("select name from app.t where id = 'other'") == [("o",)]


def test_a_value_that_a_deleted_row_had_is_free_in_the_same_run(server: Server) -> None:
    write(server, (UPSERT, [row("old", email="x@shop.example")]))
    outcomes = write(server, (UPSERT, [row("new", email="x@shop.example")]), (DELETE, [record("old")]))
    assert {key: each.status for key, each in outcomes.items()} == {"new": Status.CREATED, "old": Status.DELETED}


def test_a_value_that_an_updated_row_lets_go_is_free_in_the_same_run(server: Server) -> None:
    write(server, (UPSERT, [row("a", email="1"), row("b", email="2")]))
    outcomes = write(server, (UPSERT, [row("a", email="2")]), (UPSERT, [row("b", email="3")]))
    assert {each.status for each in outcomes.values()} == {Status.UPDATED}
    assert server.run("select id, email from app.t order by id") == [("a", "2"), ("b", "3")]


def test_a_row_may_name_one_of_a_later_part(server: Server) -> None:
    outcomes = write(server, (UPSERT, [row("child", boss="boss")]), (UPSERT, [row("boss")]))
    assert {each.status for each in outcomes.values()} == {Status.CREATED}


def test_what_still_fails_at_the_second_try_is_said_once(server: Server) -> None:
    write(server, (UPSERT, [row("a", email="1"), row("b", email="2")]))
    outcomes = write(server, (UPSERT, [row("a", email="2"), row("b", email="1"), row("c", email="3")]))
    assert [said(outcomes[key])[:3] for key in "abc"] == [(*REJECTED, "23505")] * 2 + [("created", None, None)]


@both
def test_a_row_that_a_trigger_makes_away_with_has_no_outcome(server: Server, atomic: bool) -> None:
    server.run("insert into app.t (id, name) values ('there', 'x')")
    outcomes = write(
        server, (UPSERT, [row("new", name="ignored"), row("there", name="ignored"), row("ok")]), atomic=atomic
    )
    assert list(outcomes) == ["ok"]  # which the engine calls unanswered, and no success


def test_fields_that_are_not_sent_stay(server: Server) -> None:
    server.run("insert into app.t (id, name, score) values ('k', 'n', 7)")
    some = record("k", email="e")
    outcomes = write(server, (UPSERT, [some, record("gone", email="f")]), atomic=False)
    assert outcomes["k"].status is Status.UPDATED
    assert outcomes["gone"].reason is Reason.NOT_FOUND  # the engine sends it again with all fields
    assert server.run("select id, name, email, score from app.t") == [("k", "n", "e", 7)]


def test_a_part_that_came_twice_is_written_once(server: Server) -> None:
    async def work() -> None:
        one, two = batch(UPSERT, row("a"), row("b")), batch(UPSERT, row("c"))
        async with server.open(TO) as destination:
            job = await destination.open_job(one)
            for part in (Part(1, False), Part(1, False)):
                await destination.upload(job, one, part)
            await destination.upload(job, two, Part(2, True))
            assert len(await destination.collect(job, one)) == 2

    asyncio.run(work())
    assert server.run("select count(*) from app.t") == [(3,)]


# Names and keys


def test_names_are_quoted(server: Server) -> None:
    table = 'Odd "Table" %s'
    server.run(
        'create schema "Sch%ma"; create table "Sch%ma"."Odd ""Table"" %s"'
        ' ("Key" text primary key, "a%b" text, "select" integer, "x""y" text, "number" text, "key" text)'
    )
    fields = ("a%b", "select:i", 'x"y', "number", "key")
    to = a_target(*fields, key="Key", table=f"Sch%ma.{table}")
    values = {"a%b": "%s", "select": 1, 'x"y': "'", "number": "n", "key": "k"}
    for atomic, status in ((True, Status.CREATED), (False, Status.UPDATED)):
        changes: Changes = [(UPSERT, [Record("%(low)s", "%(low)s", values)])]
        outcomes = asyncio.run(server.write(to, changes, atomic=atomic, staging_schema="Sch%ma"))
        assert [each.status for each in outcomes.values()] == [status]

    async def read() -> Any:
        async with server.open(to) as destination:
            return await destination.read_records(["%(low)s", "'; drop table app.t --"])

    found = asyncio.run(read())
    assert [len(held) for held in found.values()] == [1, 0]
    assert found["%(low)s"][0].fields == values
    server.run('drop schema "Sch%ma" cascade')


def test_a_key_of_several_columns(server: Server) -> None:
    columns = "account text, day date, product integer, users integer, unique (product, day, account)"
    server.run(f"create table app.usage ({columns})")
    to = a_target("users:i", "account", key="account_day_product", table="app.usage")
    keys: dict[str, Any] = {"key_columns": ("account", "day", "product")}
    rows = [record(r"a\|b\\|2026-01-31|7", users=1, account="ignored"), record("|2026-01-31|8", users=2, account=None)]
    for status in (Status.CREATED, Status.UPDATED):
        outcomes = asyncio.run(server.write(to, [(UPSERT, rows)], **keys))
        assert {each.status for each in outcomes.values()} == {status}
    bad = asyncio.run(server.write(to, [(UPSERT, [record("only|two", users=1, account=None)])], **keys))
    assert said(bad["only|two"])[:2] == REJECTED
    assert server.run("select account, day::text, product from app.usage order by product") == [
        ("a|b\\", "2026-01-31", 7),
        ("", "2026-01-31", 8),
    ]

    async def read() -> Any:
        async with server.open(to, **keys) as destination:
            return await destination.read_records([rows[0].external_id, "x|y|z", "too|few"])

    assert [len(held) for held in asyncio.run(read()).values()] == [1, 0, 0]


@pytest.mark.parametrize(
    ("sql_type", "key", "other"),
    [
        ("integer", "7", "x"),
        ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "no uuid"),
        ("timestamptz", "2026-01-31 12:00:00", "never"),
        ("numeric(10,2)", "1.50", "one"),
    ],
)
def test_a_key_that_is_no_text(server: Server, sql_type: str, key: str, other: str) -> None:
    server.run(f"create table app.typed (id {sql_type} primary key, name text)")
    to = a_target("name", table="app.typed")
    rows = [record(key, name="n"), record(other, name="m")]
    outcomes = asyncio.run(server.write(to, [(UPSERT, rows), (DELETE, [record(other + "!")])]))
    assert outcomes[key].status is Status.CREATED
    assert said(outcomes[other])[3] == said(outcomes[other + "!"])[3] == "id"

    async def read() -> Any:
        async with server.open(to) as destination:
            return await destination.read_records([other, key])

    found = asyncio.run(read())
    assert [len(held) for held in found.values()] == [0, 1]
    server.run("drop table app.typed")


def test_two_texts_of_one_key_are_not_both_created(server: Server) -> None:
    server.run("create table app.typed (id uuid primary key, name text)")
    token = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    rows = [record(token, name="n"), record(token.upper(), name="m")]
    outcomes = asyncio.run(server.write(a_target("name", table="app.typed"), [(UPSERT, rows)]))
    assert sorted(each.status for each in outcomes.values()) == [Status.CREATED, Status.UPDATED]
    assert server.run("select count(*) from app.typed") == [(1,)]
    server.run("drop table app.typed")


def test_a_row_that_a_policy_hides_is_no_success(server: Server) -> None:
    server.run(
        "drop table if exists app.secured; drop role if exists limited",
        "create table app.secured (id text primary key, owner text); create role limited login",
        "alter table app.secured enable row level security",
        "create policy own on app.secured using (owner = 'us') with check (owner = 'us')",
        "grant usage on schema app to limited; grant select, insert, update, delete on app.secured to limited",
        "insert into app.secured values ('theirs', 'them')",
    )
    to = a_target("owner", table="app.secured")

    async def work() -> dict[str, Outcome]:
        rows = batch(UPSERT, record("theirs", owner="us"), record("new", owner="us"), record("bad", owner="them"))
        async with server.open(to, server.as_role("limited"), atomic=False) as destination:
            return {each.key: each for each in await destination.send(rows)}

    outcomes = asyncio.run(work())
    assert outcomes["new"].status is Status.CREATED
    assert said(outcomes["bad"])[:3] == (*REJECTED, "42501")
    assert "theirs" not in outcomes
    assert server.run("select owner from app.secured where id = 'theirs'") == [("them",)]
