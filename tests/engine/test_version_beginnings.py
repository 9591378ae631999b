"""A version begins: rows are sent again or count as added; it is killed or fails on the way; nothing was written."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.previews.preview import preview
from reverse_etl_sandbox.server import RemoteSandbox, Sandbox
from tests.engine.crms import PEOPLE, a_crm
from tests.engine.launcher import Launcher
from tests.engine.shop import SINK, Shop, crm, crm_sync, sink
from tests.engine.test_kill import footprint
from tests.engine.versioning import EIGHT, TEN, names, people, whole_state
from tests.heavy import first, heavy
from tests.until import until


@pytest.fixture
def ran(shop: Shop, sandbox: Sandbox) -> Shop:
    """Ten people are in the sink."""
    shop.build(TEN)
    shop.run(people(), sink(sandbox.url))
    return shop


# Resend and restart


def test_resend(ran: Shop, sandbox: Sandbox) -> None:
    """Rows of the model go out once, as changed; a mirror leaves those alone that only the old version wrote."""
    ran.build(EIGHT)
    sync = people(version=2, cutover="resend", mapping={"id": "id", "name": "other"})
    found = preview(sync, ran.environment, sink(sandbox.url))
    before = whole_state(ran)
    assert found.plan.changed == len(found.rows) == 8
    assert whole_state(ran) == before
    report = ran.run(sync, sink(sandbox.url))
    assert report.begun == found.begun
    assert str(report.begun) == "version 2 begins with `cutover: resend`; rows of version 1 that it does not follow: 2"
    assert (report.counts["updated"], report.counts["deleted"], report.counts["set_aside"]) == (8, 0, 2)
    assert names(sandbox) == {**{str(i): f"o{i}" for i in range(8)}, "8": "n8", "9": "n9"}
    run = ran.journal.run(report.run_id)
    assert run is not None
    assert (run.version, run.counts["set_aside"]) == (2, 2)
    assert ran.run(sync, sink(sandbox.url)).change_set == 0
    assert len(names(sandbox)) == 10
    left = "select _retl_key, name from state.synced_v1 anti join state.synced using (_retl_key) order by 1"
    assert ran.state(sync, left) == [("8", "n8"), ("9", "n9")]
    ran.build(f"{TEN} limit 7")
    assert ran.run(sync, sink(sandbox.url)).counts["deleted"] == 1  # which the new version had written


@heavy
def test_resend_sends_a_row_that_failed_again(ran: Shop, sandbox: Sandbox) -> None:
    sync = people(version=2, cutover="resend")
    sandbox.fault("refuse_rows", percent=100)
    assert ran.run(sync, sink(sandbox.url)).counts["failed"] == 10
    sandbox.faults.clear()
    assert ran.run(sync, sink(sandbox.url)).counts["updated"] == 10


def test_restart(ran: Shop, sandbox: Sandbox) -> None:
    ran.build(EIGHT)
    sync = people(version=2, cutover="restart")
    found = preview(sync, ran.environment, sink(sandbox.url))
    report = ran.run(sync, sink(sandbox.url))
    assert (found.plan.added, found.begun) == (8, report.begun)
    assert (report.counts["added"], report.counts["deleted"], report.counts["set_aside"]) == (8, 0, 10)
    assert len(names(sandbox)) == 10
    assert ran.run(sync, sink(sandbox.url)).change_set == 0
    assert ran.state(sync, "select count(*) from state.synced_v1") == [(10,)]


@heavy
@pytest.mark.parametrize("cutover", first(["resend", "restart"]))
def test_another_object_starts_from_nothing(ran: Shop, sandbox: Sandbox, cutover: str) -> None:
    sync = people(version=2, cutover=cutover, object="others")
    report = ran.run(sync, sink(sandbox.url))
    assert (report.counts["created"], report.counts["deleted"], report.counts["set_aside"]) == (10, 0, 10)
    assert len(names(sandbox)) == len(names(sandbox, "others")) == 10
    ran.run(people(version=3, cutover="restart"), sink(sandbox.url))
    assert [table for table, rows in whole_state(ran) if table.startswith("synced") and len(rows) == 10] == [
        "synced",
        "synced_v1",
        "synced_v2",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"object": "others"},
        {"external_id": "name"},
        {"primary_key": "twin", "external_id": "id"},
        {"destination": "branch"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_rows_of_another_place_are_not_followed(ran: Shop, sandbox: Sandbox, change: dict[str, Any]) -> None:
    """Where records are and what they are matched by: of another one nothing is known, whoever resends."""
    account = replace(sink(sandbox.url), name=change.get("destination", "sink"))
    ran.build(f"select *, id as twin from ({TEN})")
    report = ran.run(people(version=2, cutover="resend", **change), account)
    assert (report.counts["added"], report.counts["changed"], report.counts["set_aside"]) == (10, 0, 10)


@heavy
@pytest.mark.parametrize(("object_", "held"), [("people", 1), ("others", 0)])
def test_held_rows_are_held_for_their_record(shop: Shop, sandbox: Sandbox, object_: str, held: int) -> None:
    shop.build("select 'a' as id, 'n' as name")
    sandbox.fault("drop_after", vendor="rest", next=1)
    shop.run(people(sync_mode="append"), sink(sandbox.url))
    sync = people(sync_mode="append", version=2, cutover="restart", object=object_)
    assert preview(sync, shop.environment, sink(sandbox.url)).plan.held == held
    assert shop.run(sync, sink(sandbox.url)).counts["held"] == held


@heavy
def test_a_field_that_becomes_a_hash(shop: Shop, sandbox: Sandbox) -> None:
    """What was sent before is no value that could be hashed."""
    lead = a_crm("salesforce", sandbox)
    shop.build(PEOPLE.format(2))
    hashed = {"column": "email", "transform": "sha256_email"}
    first = lead.sync(mapping={lead.phone: "company"})
    shop.run(first, lead.account)
    second = lead.sync(version=2, cutover="resend", mapping={lead.phone: {**hashed, "wins": "unless_edited"}})
    report = shop.run(second, lead.account)
    assert report.counts["skipped_kept"] == 2  # nobody can say that nobody edited it
    third = lead.sync(version=3, cutover="resend", mapping={lead.phone: "company"})
    assert shop.run(third, lead.account).counts["failed"] == 0


@heavy
def test_a_remapped_field_that_nobody_edited(shop: Shop, sandbox: Sandbox) -> None:
    """What the old version wrote is our last write."""
    lead = a_crm("salesforce", sandbox)
    shop.build(PEOPLE.format(2))
    shop.run(lead.sync(), lead.account)
    lead.edit("p0@shop.example", Phone="+41 44 1")
    owned = {lead.phone: {"column": "company", "wins": "unless_edited"}}
    shop.run(lead.sync(version=2, cutover="resend", mapping=owned), lead.account)
    assert lead.values("Phone") == {"p0@shop.example": "+41 44 1", "p1@shop.example": "C1"}


# Killed, or failed, in between


def test_a_beginning_that_fails_leaves_the_old_version_whole(ran: Shop, sandbox: Sandbox) -> None:
    before = whole_state(ran)
    columns = "id, name, other, number"
    broken = f"select case when id = '5' then error('it broke') else id end as id, * exclude (id) from ({TEN})"
    ran.sql("drop table marts.people", f"create view marts.people as select {columns} from ({broken})")
    with pytest.raises(StateError, match="cannot be read"):
        ran.run(people(version=2, cutover="resend"), sink(sandbox.url))
    assert whole_state(ran) == before
    ran.sql("drop view marts.people")
    ran.build(TEN)
    assert ran.run(people(), sink(sandbox.url)).change_set == 0


@heavy
def test_a_run_that_was_killed_elsewhere_is_brought_home_first(
    shop: Shop, sandbox: Sandbox, launcher: Launcher
) -> None:
    shop.build(TEN)
    stuck = sandbox.fault("slow", vendor="rest", delay_ms=2_000)
    launcher.start(shop, people(), "sink", sandbox.url)
    until(lambda: stuck.hits > 0)
    launcher.kill()
    sandbox.faults.clear()
    fields = {"primary_key": "id", "external_id": "external_id", "mapping": {"firstname": "name"}}
    moved = crm_sync(sync="people_to_sink", version=2, cutover="restart", **fields)
    for look in (lambda: preview(moved, shop.environment, crm(sandbox.url)), lambda: shop.run(moved, crm(sandbox.url))):
        with pytest.raises(StateError, match="run the sync once with `destination: sink`"):
            look()
    assert shop.run(people(), sink(sandbox.url)).change_set == 10
    assert shop.run(moved, crm(sandbox.url)).counts["added"] == 10


@heavy
@pytest.mark.parametrize("looks", first(range(3)))
def test_killed_while_a_version_begins(
    shop: Shop, launcher: Launcher, other_process: RemoteSandbox, looks: int
) -> None:
    remote = other_process
    remote.reset()
    rows = "select 'e' || i as id, repeat('n', 20) as name from range({}) r(i)"
    shop.build(rows.format(6_000))
    fast = {**SINK, "batch_size": 3_000}
    shop.run(people(options=fast), sink(remote.url))
    shop.build(rows.format(5_500))
    sync = people(options=fast, version=2, cutover="resend")
    state = shop.warehouse.state_file(sync.sync)
    seen = {footprint(state)}
    launcher.start(shop, sync, "sink", remote.url)
    until(lambda: bool(seen.add(footprint(state))) or len(seen) > looks)
    launcher.kill()
    begun = shop.state(sync, "select max(version) from state.versions")[0][0]
    tables = {name for (name,) in shop.state(sync, "select table_name from duckdb_tables()")}
    assert ("synced_v1" in tables) == (begun == 2)
    assert shop.state(sync, f"select count(*) from state.synced{'_v1' if begun == 2 else ''}") == [(6_000,)]
    report = shop.run(sync, sink(remote.url))
    assert shop.state(sync, "select count(*) from state.synced_v1") == [(6_000,)]
    assert shop.state(sync, "select set_aside from state.versions where version = 2") == [(500,)]
    assert report.counts["deleted"] == 0
    assert shop.run(sync, sink(remote.url)).change_set == 0
    assert remote.counts()["rest"]["objects"]["people"]["records"] == 6_000


# Before anything was written


@pytest.mark.parametrize(
    "changes",
    first(
        [
            {"mapping": {"id": "id", "name": "other"}},
            {"object": "persons"},
            {"primary_key": "number", "mapping": {"id": "number", "name": "name"}},
            {"external_id": "name"},
            {"sync_mode": "incremental"},
        ],
        2,
    ),
    ids=repr,
)
@pytest.mark.parametrize("fault", first(["refuse_rows", "unauthorized"]))
def test_until_something_was_written_the_file_may_change(
    shop: Shop, sandbox: Sandbox, changes: dict[str, Any], fault: str
) -> None:
    """A first run whose rows were all refused, or that could not sign in."""
    shop.build(TEN)
    if fault == "refuse_rows":
        sandbox.fault("refuse_rows", percent=100)
        assert shop.run(people(), sink(sandbox.url)).counts["failed_rejected"] == 10
    else:
        sandbox.settings.change({"rest_token": "right"})
        assert shop.run(people(), sink(sandbox.url, token=SecretStr("wrong"))).status is RunStatus.FAILED
    sandbox.reset()
    report = shop.run(people(**changes), sink(sandbox.url))
    assert (report.status, report.counts["created"]) == (RunStatus.DONE, 10)


@pytest.mark.parametrize(
    ("fault", "mode", "reason"),
    [({"kind": "drop_after"}, "append", "ambiguous"), ({"kind": "omit_rows", "percent": 100}, "mirror", "unanswered")],
    ids=["ambiguous", "unanswered"],
)
def test_a_write_in_doubt_pins_the_version(
    shop: Shop, sandbox: Sandbox, fault: dict[str, Any], mode: str, reason: str
) -> None:
    shop.build(TEN)
    sandbox.fault(**fault)
    assert shop.run(people(sync_mode=mode), sink(sandbox.url)).counts[f"failed_{reason}"] == 10
    sandbox.reset()
    with pytest.raises(StateError, match="would mean something else"):
        shop.run(people(sync_mode=mode, mapping={"id": "id", "name": "other"}), sink(sandbox.url))


def test_one_acknowledged_row_pins_the_version(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(TEN)
    sandbox.fault("refuse_rows", percent=50)
    assert shop.run(people(), sink(sandbox.url)).counts["created"] > 0
    sandbox.reset()
    with pytest.raises(StateError, match="would mean something else"):
        shop.run(people(mapping={"id": "id", "name": "other"}), sink(sandbox.url))
