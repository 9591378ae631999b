"""State and journal that do not belong together: nothing is sent before a person has said what is right."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from reverse_etl_assets.errors import StateError, StateMismatch
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal.records import Intent, RunStatus
from reverse_etl_assets.previews.preview import preview
from reverse_etl_assets.readback.verification import verify
from reverse_etl_assets.records import Operation
from reverse_etl_assets.runs.state_recovery import recover_state
from reverse_etl_assets.runs.undo import undo_run
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state.facts import changing_facts, read_facts
from reverse_etl_assets.state.provenance import Way
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import Shop, crm, crm_sync, sink, sink_sync
from tests.heavy import first, first_rows, heavy
from tests.journal_entries import begin

LOOSE: dict[str, Any] = {"guards": {"max_removed": {}, "row_count": {}}}
MIRROR = sink_sync(sync_mode="mirror", **LOOSE)
EVENTS = sink_sync(sync_mode="append", **LOOSE)
FIVE = "select i::varchar as id, 'n' || i as name from range(5) r(i)"


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[Callable[[str], Shop]]:
    """Homes that share a warehouse's contents and a journal."""
    made: list[Shop] = []

    def home(name: str) -> Shop:
        (tmp_path / name).mkdir()
        shop = Shop(tmp_path / name, journal_url=f"sqlite:///{tmp_path}/shared.sqlite")
        made.append(shop)
        shop.build(FIVE)
        return shop

    yield home
    for shop in made:
        shop.close()


def refused(shop: Shop, sync: Sync, sandbox: Sandbox, words: str) -> None:
    """By a run and a preview alike; not one request goes out."""
    calls, runs = len(sandbox.log.lines()), len(shop.journal.history(sync.sync))
    to = sink(sandbox.url)
    for attempt in (lambda: shop.run(sync, to), lambda: preview(sync, shop.environment, to)):
        with pytest.raises(StateMismatch, match=words) as said:
            attempt()
        assert f"`reverse-etl recover-state {sync.sync} --why ...`" in str(said.value)
    assert len(sandbox.log.lines()) == calls
    assert len(shop.journal.history(sync.sync)) == runs


def say(shop: Shop, sync: Sync, sandbox: Sandbox, way: Way) -> str:
    return recover_state(sync, shop.environment, sink(sandbox.url).type, way, who="ada", why="we know")


@pytest.mark.parametrize("sync", first([MIRROR, EVENTS]), ids=["mirror", "append"])
def test_two_homes_and_one_journal(homes: Callable[[str], Shop], sandbox: Sandbox, sync: Sync) -> None:
    a, b = homes("a"), homes("b")
    assert a.run(sync, sink(sandbox.url)).counts["created"] == 5
    refused(b, sync, sandbox, "is empty, though the journal knows that the sync wrote")
    assert a.run(sync, sink(sandbox.url)).status is RunStatus.DONE
    say(b, sync, sandbox, Way.RESTART)
    b.sql("insert into marts.people values ('6', 'n6')")
    assert b.run(sync, sink(sandbox.url)).change_set == 6
    refused(a, sync, sandbox, "is not the one that wrote last")


@heavy
def test_a_run_killed_in_one_home_is_not_ended_by_another(homes: Callable[[str], Shop], sandbox: Sandbox) -> None:
    a, b = homes("a"), homes("b")
    a.run(MIRROR, sink(sandbox.url), run_id="before")
    (state,) = a.state(MIRROR, "select value from state.facts where name = 'state_id'")
    a.journal.start_run("killed", MIRROR.sync, "sink", state=state[0])
    refused(b, MIRROR, sandbox, "run killed of sync people_to_sink is open, and has another state")
    found = a.journal.run("killed")
    assert found is not None
    assert found.status is RunStatus.OPEN


@pytest.mark.parametrize("sync", first([MIRROR, EVENTS]), ids=["mirror", "append"])
def test_a_state_that_was_deleted(shop: Shop, sandbox: Sandbox, sync: Sync) -> None:
    shop.build(FIVE)
    shop.run(sync, sink(sandbox.url))
    shop.warehouse.state_file(sync.sync).unlink()
    refused(shop, sync, sandbox, "is empty, though the journal knows that the sync wrote")
    refused(shop, sync, sandbox, "is empty")  # the first refusal has not made it one of its own
    say(shop, sync, sandbox, Way.RESTART)
    assert shop.run(sync, sink(sandbox.url)).change_set == 5


@heavy
def test_a_state_of_an_earlier_release_that_was_deleted(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(FIVE)
    shop.run(MIRROR, sink(sandbox.url))
    without_ids(shop)
    shop.warehouse.state_file(MIRROR.sync).unlink()
    refused(shop, MIRROR, sandbox, "is empty")


def without_ids(shop: Shop) -> None:
    """As an earlier release left state and journal."""
    with shop.journal.database.writing() as connection:
        connection.exec_driver_sql("update reverse_etl_runs set state = null")
    with shop.warehouse.open(MIRROR.sync, write=True) as con:
        con.execute("delete from state.facts where name in ('state_id', 'sent_run', 'began_to_send')")


@heavy
def test_what_an_earlier_release_left_is_taken_as_it_is(shop: Shop, sandbox: Sandbox) -> None:
    """Also if the last run that the state knows is not the last that wrote: without ids copies cannot be told apart."""
    shop.build(FIVE)
    shop.run(MIRROR, sink(sandbox.url), run_id="first")
    shop.sql("insert into marts.people values ('6', 'n6')")
    shop.run(MIRROR, sink(sandbox.url))
    without_ids(shop)
    with shop.warehouse.open(MIRROR.sync, write=True) as con:
        con.execute("update state.facts set value = 'first' where name = 'folded_run'")
    assert shop.run(MIRROR, sink(sandbox.url)).change_set == 0
    assert shop.state(MIRROR, "select count(*) from state.facts where name = 'state_id'") == [(1,)]


@pytest.mark.parametrize("empty", first(["deleted", "zero bytes"]))
def test_a_journal_that_is_gone(shop: Shop, sandbox: Sandbox, empty: str) -> None:
    shop.build(FIVE)
    shop.run(MIRROR, sink(sandbox.url), run_id="known")
    shop.journal.stop(f"sync:{MIRROR.sync}", "ada", "look")
    new_journal(shop, zero_bytes=empty == "zero bytes")
    refused(shop, MIRROR, sandbox, "knows run known, and the journal does not")
    problem = say(shop, MIRROR, sandbox, Way.KEEP)
    assert "stops and budgets" in problem
    assert shop.run(MIRROR, sink(sandbox.url)).change_set == 0
    (entry,) = shop.journal.control_log()
    assert (entry.action, entry.scope, entry.who) == ("recover-state", "sync:people_to_sink", "ada")


def new_journal(shop: Shop, *, zero_bytes: bool = False) -> None:
    shop.journal.close()
    for left in shop.home.glob("journal.sqlite*"):
        left.unlink()
    if zero_bytes:
        (shop.home / "journal.sqlite").touch()
    shop.journal = Journal.open(shop.journal_url, stop_folder=shop.home)


@heavy
def test_a_word_on_a_state_holds_for_all_its_runs(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(FIVE)
    shop.run(MIRROR, sink(sandbox.url))
    shop.run(MIRROR, sink(sandbox.url))  # of which nothing was sent
    new_journal(shop)
    say(shop, MIRROR, sandbox, Way.KEEP)
    for _ in range(2):
        assert shop.run(MIRROR, sink(sandbox.url)).change_set == 0


@heavy
@pytest.mark.parametrize("way", first([Way.KEEP, Way.RESTART]))
def test_a_copy_of_the_state_from_before(shop: Shop, sandbox: Sandbox, way: Way) -> None:
    shop.build(FIVE)
    shop.run(EVENTS, sink(sandbox.url))
    state = shop.warehouse.state_file(EVENTS.sync)
    backup = state.read_bytes()
    shop.sql("insert into marts.people values ('6', 'n6')")
    assert shop.run(EVENTS, sink(sandbox.url)).change_set == 1
    state.write_bytes(backup)
    refused(shop, EVENTS, sandbox, "is an older copy")
    say(shop, EVENTS, sandbox, way)
    assert shop.run(EVENTS, sink(sandbox.url)).change_set == (1 if way is Way.KEEP else 6)
    assert shop.run(EVENTS, sink(sandbox.url)).change_set == 0


@heavy
def test_state_and_journal_move_together(
    shop: Shop, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shop.build(FIVE)
    shop.run(MIRROR, sink(sandbox.url))
    shop.journal.close()
    moved = tmp_path_factory.mktemp("moved") / "home"
    shutil.copytree(shop.home, moved)
    there = Shop(moved)
    there.know()
    assert there.run(MIRROR, sink(sandbox.url)).change_set == 0
    there.close()
    shop.journal = Journal.open(shop.journal_url, stop_folder=shop.home)


@heavy
def test_runs_that_wrote_nothing_pin_no_state(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(FIVE)
    sandbox.fault("refuse_rows", percent=100)
    shop.run(MIRROR, sink(sandbox.url))
    sandbox.reset()
    shop.warehouse.state_file(MIRROR.sync).unlink()
    assert shop.run(MIRROR, sink(sandbox.url)).counts["created"] == 5


@heavy
def test_an_undo_and_a_look_for_drift_ask_too(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select 'a@shop.example' as email, 'Ann' as name")
    sync = crm_sync(**LOOSE)
    shop.run(sync, crm(sandbox.url), run_id="wrote")
    state = shop.warehouse.state_file(sync.sync)
    state.rename(state.with_suffix(".away"))
    calls = len(sandbox.log.lines())
    with pytest.raises(StateError, match="is empty"):
        undo_run("wrote", sync, shop.environment, crm(sandbox.url), who="ada", why="look")
    with pytest.raises(StateError, match="is empty"):
        verify(sync, shop.environment, crm(sandbox.url))
    assert len(sandbox.log.lines()) == calls


# The ways to go on


@heavy
@pytest.mark.parametrize("lost", first(["state", "journal"]))
def test_adopt_reads_what_is_there_and_sends_what_differs(shop: Shop, sandbox: Sandbox, lost: str) -> None:
    shop.build("select 'p' || i || '@shop.example' as email, 'Name ' || i as name from range(5) r(i)")
    sync, to = crm_sync(sync_mode="mirror", **LOOSE), crm(sandbox.url)
    shop.run(sync, to)
    if lost == "state":
        shop.warehouse.state_file(sync.sync).unlink()
    else:
        new_journal(shop)
    shop.sql("update marts.people set name = 'New' where email like 'p0@%'")
    recover_state(sync, shop.environment, to.type, Way.ADOPT, who="ada", why="we know")
    assert "adopt" in str(preview(sync, shop.environment, to).begun)
    report = shop.run(sync, to)
    assert (report.counts["updated"], report.change_set) == (1, 1)
    assert shop.run(sync, to).change_set == 0
    shop.sql("delete from marts.people where email like 'p1@%'")
    assert shop.run(sync, to).counts["deleted"] == 1


@heavy
def test_resend_sends_each_row_once(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(FIVE)
    shop.run(MIRROR, sink(sandbox.url))
    new_journal(shop)
    say(shop, MIRROR, sandbox, Way.RESEND)
    assert shop.run(MIRROR, sink(sandbox.url)).counts["updated"] == 5
    assert shop.run(MIRROR, sink(sandbox.url)).change_set == 0


@heavy
def test_ways_that_are_none(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(FIVE)
    shop.run(EVENTS, sink(sandbox.url))
    with pytest.raises(StateError, match="belong together; there is nothing to recover"):
        say(shop, EVENTS, sandbox, Way.RESTART)
    shop.warehouse.state_file(EVENTS.sync).unlink()
    for way, words in (
        (Way.KEEP, "there is nothing to keep"),
        (Way.ADOPT, "cannot be read back"),
        (Way.RESEND, r"`append` sends no row again. Use `--restart` \(every row counts as added\)\.$"),
    ):
        with pytest.raises(StateError, match=words):
            say(shop, EVENTS, sandbox, way)
    refused(shop, EVENTS, sandbox, "is empty")


@heavy
@pytest.mark.parametrize(
    ("sync", "state", "ways"),
    first_rows(
        [
            (EVENTS, "empty", ["restart"]),
            (EVENTS, "older", ["keep", "restart"]),
            (MIRROR, "empty", ["resend", "restart"]),
            (MIRROR, "older", ["keep", "resend", "restart"]),
            (
                crm_sync(mapping={"email": "id", "firstname": "name"}, primary_key="id", **LOOSE),
                "empty",
                ["adopt", "resend", "restart"],
            ),
        ],
        2,
    ),
)
def test_a_refusal_names_the_ways_that_the_sync_can_take(
    shop: Shop, sandbox: Sandbox, sync: Sync, state: str, ways: list[str]
) -> None:
    """And each of them lets it go on."""
    shop.build("select i || '@x.org' as id, 'n' as name from range(3) r(i)")
    to = crm(sandbox.url) if sync.destination == "crm" else sink(sandbox.url)
    shop.run(sync, to)
    file = shop.warehouse.state_file(sync.sync)
    before = file.read_bytes()
    shop.sql("insert into marts.people values ('4@x.org', 'n')")
    shop.run(sync, to)
    for way in ways:
        file.unlink(missing_ok=True)
        if state == "older":
            file.write_bytes(before)
        with pytest.raises(StateMismatch) as said:
            shop.run(sync, to)
        assert re.findall("`--([a-z]+)`", str(said.value)) == ways
        recover_state(sync, shop.environment, to.type, Way(way), who="ada", why="we know")


@heavy
def test_a_writer_far_back_is_found(shop: Shop) -> None:
    journal = shop.journal
    journal.start_run("wrote", "s", "sink", state="a")
    journal.end_run("wrote", RunStatus.DONE, counts={"created": 1})
    for number in range(150):
        journal.start_run(f"r{number}", "s", "sink", state="a")
        journal.end_run(f"r{number}", RunStatus.DONE, counts={"unchanged": 1})
    found = journal.last_writer("s")
    assert found is not None
    assert found.run_id == "wrote"
    assert journal.last_writer("s", known=lambda run: run.run_id in ("r3", "wrote")) is None
    journal.start_run("open", "t", "sink", state="a")
    assert journal.last_writer("t") is None
    begin(journal, "open", [Intent(1, Operation.INSERT, [1])])
    assert journal.last_writer("t") is not None


def test_what_a_state_knows_is_kept_whatever_becomes_of_a_write_of_it(shop: Shop, sandbox: Sandbox) -> None:
    """Half of a write, which a killed process leaves, would take its id from the state."""
    shop.build(FIVE)
    shop.run(MIRROR, sink(sandbox.url))
    with shop.warehouse.open(MIRROR.sync, write=True) as con:
        known = read_facts(con)
        with pytest.raises(duckdb.Error), changing_facts(con) as facts:
            facts.folded_run, facts.state_id = "other", "\ud800"  # no text that DuckDB takes
        assert read_facts(con) == known
        with changing_facts(con) as facts:
            facts.state_id, facts.sent_run = None, "other"
        assert read_facts(con) == replace(known, state_id=None, sent_run="other")
