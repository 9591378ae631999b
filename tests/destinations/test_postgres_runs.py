"""Whole runs of the engine against a real PostgreSQL server."""

from typing import Any

import pytest

from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.runs.undo import undo_run
from reverse_etl_assets.spec.sync import Sync
from tests.destinations.postgres_proxy import Cut, between
from tests.destinations.postgres_tables import Server
from tests.engine.launcher import Launcher, postgres
from tests.engine.shop import Shop, sink_sync
from tests.heavy import first, heavy

TABLE = "create table app.people (id text primary key, name text constraint short check (length(name) < 20), score int)"
PEOPLE = "select 'p' || i as id, 'n' || i as name, i::integer as score from range({}) r(i)"


@pytest.fixture(scope="module")
def made(postgres_server: str) -> Server:
    return Server(postgres_server)


@pytest.fixture
def server(made: Server) -> Server:
    made.reset(TABLE)
    return made


def a_sync(**changes: Any) -> Sync:
    spec: dict[str, Any] = {
        "sync": "people_to_product",
        "destination": "product_database",
        "object": "app.people",
        "mapping": {"id": "id", "name": "name", "score": "score"},
        "sync_mode": "mirror",
        "options": {},
        "guards": {"max_removed": {}, "row_count": {"percent": None, "deviations": None}},
        "max_failed": {"rows": 10},
    }
    return sink_sync(**{**spec, **changes})


@pytest.mark.parametrize("atomic", first([True, False]), ids=["one transaction", "batches"])
def test_a_mirror(shop: Shop, server: Server, atomic: bool) -> None:
    sync, account = a_sync(options={"atomic": atomic}), postgres(server.url)
    shop.build(PEOPLE.format(1_000))
    first = shop.run(sync, account)
    assert first.status == RunStatus.DONE
    assert (first.counts["created"], first.counts["failed"], first.counts["verified_differing"]) == (1_000, 0, 0)
    assert server.run("select count(*), sum(score) from app.people") == [(1_000, 499_500)]
    changed = "case i when 7 then 'far too long for the column' when 8 then 'new' else 'n' || i end as name"
    shop.build(f"select 'p' || i as id, {changed}, i::integer as score from range(7, 1001) r(i)")
    second = shop.run(sync, account)
    assert {name: second.counts[name] for name in ("created", "updated", "deleted", "failed")} == {
        "created": 1,
        "updated": 1,
        "deleted": 7,
        "failed": 1,
    }
    bad = shop.by_key(sync, second)["p7"]
    assert (bad.reason, bad.code) == ("rejected", "23514")
    assert bad.message is not None
    assert "short" in bad.message
    assert server.run("select name from app.people where id in ('p6', 'p7', 'p8') order by id") == [("n7",), ("new",)]
    again = shop.run(sync, account)
    assert (again.change_set, again.counts["failed"]) == (1, 1)  # only what was refused
    assert len(server.staged()) == (1 if atomic else 0)


@heavy
def test_a_run_of_many_parts_is_seen_at_once(shop: Shop, server: Server) -> None:
    """A trigger would tell of a second transaction."""
    server.run(
        "create table app.transactions (id xid8)",
        "create function app.note() returns trigger language plpgsql as"
        " $$ begin insert into app.transactions values (pg_current_xact_id()); return null; end $$",
        "create trigger note after insert or update on app.people for each statement execute function app.note()",
    )
    shop.build(PEOPLE.format(12_000))
    report = shop.run(a_sync(verify={"sample": 0}), postgres(server.url))
    assert report.counts["created"] == 12_000
    assert server.run("select count(distinct id) from app.transactions") == [(1,)]
    assert report.calls == 1 + 3 + 1 + 3 + 1 + 3  # check, values read for an undo, open, three parts, poll, results


@pytest.mark.parametrize("mode", first(["insert_only", "update_only", "append", "full_refresh", "incremental"], 2))
def test_other_modes(shop: Shop, server: Server, mode: str) -> None:
    server.run("insert into app.people values ('p1', 'there', 0), ('other', 'other', 0)")
    shop.build(PEOPLE.format(3))
    counts = shop.run(a_sync(sync_mode=mode), postgres(server.url)).counts
    found = {name: counts[name] for name in ("created", "updated", "skipped", "failed") if counts[name]}
    upserts = {"created": 2, "updated": 1}
    inserts = {"created": 2, "skipped": 1}
    right = {"insert_only": inserts, "append": inserts, "update_only": {"updated": 1, "skipped": 2}}
    assert found == right.get(mode, upserts)
    kept = mode in ("insert_only", "append")
    assert server.run("select name from app.people where id in ('p1', 'other') order by id") == [
        ("other",),
        ("there" if kept else "n1",),
    ]


@heavy
@pytest.mark.parametrize("atomic", [True, False], ids=["one transaction", "batches"])
def test_a_row_that_somebody_deleted_is_made_anew_with_all_its_values(shop: Shop, server: Server, atomic: bool) -> None:
    sync, account = a_sync(options={"atomic": atomic}, before_images="synced"), postgres(server.url)
    shop.build(PEOPLE.format(3))
    shop.run(sync, account)
    server.run("delete from app.people where id = 'p2'")
    shop.sql("update marts.people set name = 'new' where id = 'p2'")
    assert shop.run(sync, account).counts["created"] == 1
    assert server.run("select name, score from app.people where id = 'p2'") == [("new", 2)]


@heavy
@pytest.mark.parametrize("atomic", first([True, False]), ids=["one transaction", "batches"])
def test_a_persons_edit_stays_and_an_undo_puts_back(shop: Shop, server: Server, atomic: bool) -> None:
    fields = {"id": "id", "name": {"column": "name", "wins": "unless_edited"}, "score": "score"}
    sync, account = a_sync(mapping=fields, options={"atomic": atomic}), postgres(server.url)
    shop.build(PEOPLE.format(4))
    shop.run(sync, account)
    server.run("update app.people set name = 'by hand' where id = 'p2'")
    before = server.run("select * from app.people order by id")
    shop.build("select 'p' || i as id, 'm' || i as name, 10 + i::integer as score from range(1, 4) r(i)")
    run = shop.run(sync, account)
    assert server.run("select name, score from app.people order by id") == [("m1", 11), ("by hand", 12), ("m3", 13)]
    undo_run(run.run_id, sync, shop.environment, account, who="ada", why="wrong")
    assert server.run("select * from app.people order by id") == before


# kill -9


@heavy
def test_killed_before_the_commit_nothing_is_seen_and_all_is_sent_again(
    shop: Shop, server: Server, launcher: Launcher
) -> None:
    shop.build(PEOPLE.format(6_000))
    with between(server.url) as proxy:
        proxy.cut, proxy.due = Cut.FROZEN, lambda: bool(server.staged())  # with the first part
        launcher.start(shop, a_sync(), "postgres", proxy.url)
        assert proxy.reached.wait(30)
        launcher.kill()
    assert server.run("select count(*) from app.people") == [(0,)]
    report = shop.run(a_sync(), postgres(server.url))
    assert (len(report.recovered), report.counts["created"]) == (1, 6_000)
    assert len(server.staged()) == 1


@heavy
def test_killed_after_the_commit_its_outcomes_are_collected_and_nothing_is_sent_twice(
    shop: Shop, server: Server, launcher: Launcher
) -> None:
    shop.build(PEOPLE.format(6_000))

    seen: list[str] = []

    def two_parts_came() -> bool:
        seen.extend(server.staged())
        return len(seen) == 2

    with between(server.url) as proxy:
        proxy.cut, proxy.due = Cut.FROZEN, two_parts_came  # the second is the last
        launcher.start(shop, a_sync(), "postgres", proxy.url)
        assert proxy.reached.wait(30)
        launcher.kill()
    written = "select count(*), min(xmin::text), max(xmin::text) from app.people"
    before = server.run(written)
    assert before[0][0] == 6_000
    report = shop.run(a_sync(), postgres(server.url))
    [killed] = report.recovered
    run = shop.journal.run(killed)
    assert run is not None
    assert (run.counts["created"], run.counts["failed"]) == (6_000, 0)
    assert report.change_set == 0
    assert server.run(written) == before
