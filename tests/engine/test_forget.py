"""What is known of a person is gone: from every table, from the journal, and from the bytes of their files."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from reverse_etl_assets.errors import StateError, SyncBusy
from reverse_etl_assets.journal import Intent
from reverse_etl_assets.journal.records import Note, RunStatus
from reverse_etl_assets.records import Operation
from reverse_etl_assets.runs.forget import Forgetting, Refused, Subject
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state.lock import exclusive
from reverse_etl_sandbox.server import Sandbox
from tests.engine.crms import Crm, a_crm
from tests.engine.forgetting import ADA, OTHERS, WHO, Zoe, forget, forgetting, synced
from tests.engine.shop import SINK, Shop, sink, sink_sync
from tests.heavy import heavy
from tests.journal_entries import begin


@pytest.fixture
def crm(sandbox: Sandbox) -> Crm:
    return a_crm("hubspot", sandbox)


def known(shop: Shop, sync: Sync) -> Mapping[str, Sequence[Any]]:
    return {
        table: shop.state(sync, f"select * from state.{table} order by all")
        for table in ("synced", "outcomes", "images", "conflicts", "kept", "refusals", "held", "pending", "versions")
    }


def test_every_table_of_a_state(shop: Shop, crm: Crm, zoe: Zoe) -> None:
    """A state that has everything: a table that is new has to be filled here, and has to be emptied."""
    ours = {crm.phone: {"column": "phone", "wins": "unless_edited"}}
    sync = synced(shop, crm, zoe, mapping=ours)
    crm.edit(zoe.email, **{crm.phone: "+41 44 1"})
    shop.build(zoe.with_others(phone="+41 44 2").replace(zoe.company, f"{zoe.company}2"))
    shop.run(sync, crm.account)
    sync = crm.sync(mapping=ours, version=2, cutover="restart")
    shop.build(zoe.with_others(phone="+41 44 3"))
    shop.run(sync, crm.account)
    filled = zoe.tables(shop, sync)
    with shop.warehouse.open(sync.sync, write=True) as con:
        con.execute("create table state.adopting as select ? as key, ? as external_id", [zoe.email, zoe.email])
        con.execute("create table state.current as select 0 as number, ? as held", [zoe.name])
        tables = {name for (name,) in con.execute("select table_name from duckdb_tables()").fetchall()}
        for table in tables - filled - {"adopting", "current", "facts", "versions"}:
            con.execute(f"insert into state.{table} (key) values (?)", [zoe.email])
    everything = zoe.tables(shop, sync)
    assert tables - everything == {"facts", "versions"}
    assert {"conflicts", "images", "kept_v1", "outbox", "outcomes", "synced", "synced_v1"} <= filled
    shop.build(OTHERS)
    rows = forget(shop, crm, zoe, sync).known.rows
    assert zoe.tables(shop, sync) == set()
    assert rows.keys() == everything - {"adopting", "current"}


def test_a_table_without_keys_is_not_passed_over(told: Shop, crm: Crm, zoe: Zoe) -> None:
    sync = crm.sync()
    with told.warehouse.open(sync.sync, write=True) as con:
        con.execute("create table state.notebook (said varchar)")
    with pytest.raises(StateError, match="table `notebook` of the state has no key"):
        forget(told, crm, zoe)
    assert "synced" in zoe.tables(told, sync)


def refusing_stage(zoe: Zoe) -> str:
    """Of her the vendor refuses a value, and quotes it."""
    return f"select *, case id when 'z' then '{zoe.values[0]}' end as stage from ({zoe.with_others()})"


def test_the_bytes_are_gone_and_the_others_stay(shop: Shop, crm: Crm, zoe: Zoe) -> None:
    sync = crm.sync(mapping={"lifecyclestage": "stage"})
    shop.build(refusing_stage(zoe))
    assert shop.run(sync, crm.account).counts["failed"] == 1
    shop.build(refusing_stage(zoe).replace(f"'{zoe.values[0]}' end", "null::varchar end"))
    assert shop.run(sync, crm.account).counts["created"] == 1
    assert {f"{sync.sync}.duckdb", "journal.sqlite"} <= zoe.files(shop.home)
    before, mode = known(shop, sync), shop.warehouse.state_file(sync.sync).stat().st_mode
    shop.build(f"select *, null::varchar as stage from ({OTHERS})")
    forgetting(shop, crm, zoe.email, sync).go(**WHO)
    assert zoe.files(shop.home) == set()
    assert shop.warehouse.state_file(sync.sync).stat().st_mode == mode
    assert known(shop, sync) == {table: [row for row in rows if zoe.email not in row] for table, rows in before.items()}
    assert len(shop.state(sync, "from state.synced")) == 3
    calls = crm.requests()
    assert shop.run(sync, crm.account).change_set == 0
    assert crm.requests() == calls


def test_only_runs_that_had_to_do_with_the_key_lose_their_batches(told: Shop, crm: Crm, zoe: Zoe) -> None:
    sync = crm.sync()
    for run_id in ("of others", "of a state that is gone", "not ended"):
        told.journal.start_run(run_id, sync.sync, crm.account.name)
        begin(told.journal, run_id, [Intent(1, Operation.UPSERT, [1])])
        if run_id != "not ended":
            told.journal.end_run(run_id, RunStatus.DONE, counts={})
    with told.warehouse.open(sync.sync, write=True) as con:
        con.execute("insert into state.outcomes (run_id, key) values ('of others', ?)", [ADA])
    assert len(told.journal.ended_with_batches(sync.sync)) == 3
    forget(told, crm, zoe)
    assert told.journal.ended_with_batches(sync.sync) == ["of others"]


def test_what_was_said_of_others_and_of_runs_does_not_name_the_key(told: Shop, crm: Crm, zoe: Zoe) -> None:
    sync = crm.sync()
    said = f"Contact exists already: {zoe.email.upper()}, see /contacts/{zoe.email.replace('@', '%40')}"
    with told.warehouse.open(sync.sync, write=True) as con:
        con.execute("update state.outcomes set message = ? where key = ?", [said, ADA])
    told.journal.start_run("r9", sync.sync, crm.account.name)
    told.journal.end_run("r9", RunStatus.STOPPED, counts={}, detail=said)
    forget(told, crm, zoe)
    left = "Contact exists already: ***, see /contacts/***"
    assert told.state(sync, f"select message from state.outcomes where key = '{ADA}'") == [(left,)]
    run = told.journal.run("r9")
    assert run is not None
    assert run.detail == left
    assert zoe.files(told.home) == set()


def test_a_number_stays_in_texts(told: Shop, crm: Crm) -> None:
    """Nobody could tell which numbers are the key."""
    sync = crm.sync()
    with told.warehouse.open(sync.sync, write=True) as con:
        con.execute("delete from state.outcomes")
        con.execute("insert into state.outcomes (key, message) values ('17', 'of 17 rows'), ('18', 'of 17 rows')")
    assert [forgotten.purged for forgotten in forgetting(told, crm, "17").go(**WHO)] == [True]
    assert told.state(sync, "select key, message from state.outcomes") == [("18", "of 17 rows")]


class TestRefused:
    @heavy
    def test_a_key_that_the_model_holds(self, told: Shop, crm: Crm, zoe: Zoe) -> None:
        sync = crm.sync()
        told.build(zoe.with_others())
        ours = forgetting(told, crm, zoe.email.upper())
        assert [found.in_model for found in ours.look()] == [True]
        with pytest.raises(Refused, match=f"the model of {sync.sync} still holds the key") as refused:
            ours.go(**WHO, at_destinations=True)
        assert zoe.email not in str(refused.value).lower()
        assert crm.requests() == 0
        assert "synced" in zoe.tables(told, sync)
        (forgotten,) = ours.go(**WHO, even_if_in_model=True)
        assert forgotten.purged
        assert zoe.files(told.home) == set()
        assert told.run(sync, crm.account).counts["added"] == 1, "as was said"

    def test_a_model_that_nobody_can_look_at(self, told: Shop, crm: Crm, zoe: Zoe) -> None:
        told.sql("drop table marts.people")
        with pytest.raises(Refused, match=r"nobody can say whether the model .* model people is not built yet"):
            forgetting(told, crm, zoe.email).go(**WHO)
        (forgotten,) = forgetting(told, crm, zoe.email).go(**WHO, even_if_in_model=True)
        assert forgotten.purged

    def test_a_sync_that_runs(self, told: Shop, crm: Crm, zoe: Zoe) -> None:
        sync = crm.sync()
        with exclusive(sync, told.warehouse):
            for act in (lambda: forgetting(told, crm, zoe.email).look(), lambda: forget(told, crm, zoe)):
                with pytest.raises(SyncBusy, match=f"sync {sync.sync} is being run"):
                    act()
        assert "synced" in zoe.tables(told, sync)

    @heavy
    def test_a_destination_that_cannot_delete(self, shop: Shop, sandbox: Sandbox, zoe: Zoe) -> None:
        options = {name: value for name, value in SINK.items() if name != "operations"}
        sync, account = sink_sync(options=options), sink(sandbox.url)
        shop.build(zoe.with_others())
        shop.run(sync, account)
        shop.build(OTHERS)
        ours = Forgetting("z", [Subject(sync.sync, sync, account)], shop.environment)
        with pytest.raises(Refused, match=f"sync {sync.sync}: `sink` cannot delete records as it is set up"):
            ours.go(**WHO, at_destinations=True)
        assert "synced" in zoe.tables(shop, sync)

    def test_records_at_another_place_than_the_file_says(self, told: Shop, crm: Crm, zoe: Zoe) -> None:
        with pytest.raises(Refused, match="wrote with `object: contacts`, and has `companies` now"):
            forget(told, crm, zoe, crm.sync(object="companies"), at_destinations=True)


def test_a_killed_run_is_brought_home_first(told: Shop, crm: Crm, zoe: Zoe) -> None:
    sync = crm.sync()
    told.journal.start_run("killed", sync.sync, crm.account.name)
    ((number,),) = told.state(sync, f"select rowid from state.outbox where lower(key) = lower('{zoe.email}')")
    read = Note(number, read=True, before=f'{{"phone": "{zoe.phone}"}}')
    begin(told.journal, "killed", [Intent(1, Operation.UPSERT, [number], [read])])
    with told.warehouse.open(sync.sync, write=True) as con:
        con.execute("update state.facts set value = 'killed' where name = 'outbox_run'")
    forget(told, crm, zoe)
    run = told.journal.run("killed")
    assert run is not None
    assert (run.status, run.counts["failed_ambiguous"], run.counts["skipped"]) == (RunStatus.STOPPED, 1, 3)
    assert zoe.files(told.home) == set()


def test_of_a_link_the_file_itself_is_written_anew(told: Shop, crm: Crm, zoe: Zoe) -> None:
    file, disk = told.warehouse.state_file(crm.sync().sync), told.home / "other_disk"
    disk.mkdir()
    file.rename(disk / file.name)
    file.symlink_to(disk / file.name)
    assert forget(told, crm, zoe).purged
    assert file.is_symlink()
    assert zoe.files(told.home) == set()


def test_an_error_on_the_way_leaves_the_state_as_it_was(told: Shop, crm: Crm, zoe: Zoe) -> None:
    sync = crm.sync()
    file = told.warehouse.state_file(sync.sync)
    before = file.read_bytes()
    with pytest.raises(StateError, match="InvalidInputException"), told.warehouse.rewriting(sync.sync) as con:
        con.execute("create table fresh.half as select 1; select error('the disk is full')")
    assert file.read_bytes() == before
    assert sorted(file.parent.glob("*.fresh*")) == []


def test_a_second_call_finds_what_a_first_did_not_get_to(told: Shop, crm: Crm, zoe: Zoe) -> None:
    """The journal comes first, and its log cannot be emptied while another process reads it."""
    with pytest.MonkeyPatch.context() as patch, told.journal.database.reading() as connection:
        patch.setattr("reverse_etl_assets.journal.schema.BUSY_TIMEOUT", 0.0)
        connection.exec_driver_sql("SELECT count(*) FROM reverse_etl_runs").all()
        with pytest.raises(StateError, match="is in use"):
            forget(told, crm, zoe)
    assert forget(told, crm, zoe).purged
    assert zoe.files(told.home) == set()


@heavy
def test_a_plan_that_lost_a_row_is_not_shown_for_a_decision(told: Shop, crm: Crm, zoe: Zoe) -> None:
    sync = crm.sync()
    report = told.run(crm.sync(approval="always"), crm.account)
    assert report.status is RunStatus.GUARDED
    assert told.state(sync, "select key from state.outbox") == [(zoe.email,)]
    forget(told, crm, zoe)
    assert told.state(sync, "select * from state.facts where name = 'outbox_run'") == []


def test_a_sync_that_was_removed_forgets_too(told: Shop, crm: Crm, zoe: Zoe) -> None:
    sync = crm.sync()
    ours = Forgetting(zoe.email, [Subject(sync.sync)], told.environment)
    with pytest.raises(Refused, match="was removed from the project, so its records cannot be deleted from here"):
        ours.go(**WHO, at_destinations=True)
    (forgotten,) = ours.go(**WHO)
    assert forgotten.purged
    assert zoe.files(told.home) == set()


def test_a_sync_that_does_not_know_the_key_is_left_alone(told: Shop, crm: Crm, zoe: Zoe) -> None:
    sync = crm.sync()
    before = told.warehouse.state_file(sync.sync).read_bytes()
    assert forgetting(told, crm, "nobody@shop.example").go(**WHO, at_destinations=True) == []
    assert told.warehouse.state_file(sync.sync).read_bytes() == before
    assert told.journal.control_log() == []


def test_a_sync_that_never_ran(shop: Shop, crm: Crm, zoe: Zoe) -> None:
    shop.build(OTHERS)
    assert forgetting(shop, crm, zoe.email).go(**WHO) == []
    assert not shop.warehouse.state_file(crm.sync().sync).exists()


@heavy
def test_what_an_earlier_version_left_elsewhere_is_named(shop: Shop, sandbox: Sandbox, zoe: Zoe) -> None:
    sync, account = sink_sync(), sink(sandbox.url)
    shop.build(zoe.with_others())
    shop.run(sync, account)
    second = sink_sync(object="persons", version=2, cutover="restart")
    shop.run(second, account)
    shop.build(OTHERS)
    ours = Forgetting("Z", [Subject(sync.sync, second, account)], shop.environment)
    (forgotten,) = ours.go(**WHO, at_destinations=True)
    assert forgotten.purged
    assert [(row.version, row.object) for row in forgotten.known.left] == [(1, "people")]
    tables = {name: len(sandbox.rest.tables[name].live()) for name in ("people", "persons")}
    assert tables == {"people": 4, "persons": 3}


def test_the_log_has_a_digest_and_not_the_key(told: Shop, crm: Crm, zoe: Zoe) -> None:
    sync = crm.sync()
    forget(told, crm, zoe)
    (entry,) = told.journal.control_log()
    assert (entry.action, entry.scope, entry.who) == ("forget", f"sync:{sync.sync}", "ann")
    digest = hashlib.sha256(zoe.email.encode()).hexdigest()
    assert entry.why == f"asked for it (SHA-256 of the key: {digest})"
