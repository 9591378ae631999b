"""A sync's file changes: what only adds goes on, what gives another meaning to what was sent needs a version."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.preview import preview
from reverse_etl_assets.sandbox.server import RemoteSandbox, Sandbox
from reverse_etl_assets.spec import Sync
from tests.engine.crms import PEOPLE, Crm, a_crm
from tests.engine.launcher import Launcher
from tests.engine.shop import SINK, Shop, crm, crm_sync, sink, sink_sync
from tests.engine.test_kill import footprint, until
from tests.thorough import first, thorough

TEN = "select i::varchar as id, 'n' || i as name, 'o' || i as other, i::integer as number from range(10) r(i)"
EIGHT = f"{TEN} limit 8"


def people(**changes: Any) -> Sync:
    loose = {"guards": {"max_removed": {}, "row_count": {}}, "sync_mode": "mirror"}
    return sink_sync(**{**loose, **changes})


@pytest.fixture
def ran(shop: Shop, sandbox: Sandbox) -> Shop:
    """Ten people are in the sink."""
    shop.build(TEN)
    shop.run(people(), sink(sandbox.url))
    return shop


def names(sandbox: Sandbox, table: str = "people") -> dict[str, Any]:
    return {entry.id: entry.values.get("name") for entry in sandbox.rest.tables[table].live()}


def whole_state(shop: Shop) -> list[Any]:
    """Rows of every table of the state that a version owns."""
    tables = sorted(name for (name,) in shop.state(people(), "select table_name from duckdb_tables()"))
    owned = [table for table in tables if table.startswith(("synced", "held", "kept", "versions"))]
    return [(table, shop.state(people(), f"select * from state.{table} order by all")) for table in owned]


def refused(shop: Shop, sandbox: Sandbox, sync: Sync) -> str:
    """The words with which a run and a preview refuse; nothing is asked of the destination, and nothing changes."""
    calls, before = len(sandbox.log.lines()), whole_state(shop)
    with pytest.raises(StateError) as said:
        preview(sync, shop.environment, sink(sandbox.url))
    with pytest.raises(StateError) as again:
        shop.run(sync, sink(sandbox.url))
    assert str(said.value) == str(again.value)
    assert len(sandbox.log.lines()) == calls
    assert whole_state(shop) == before
    return str(said.value)


BREAKS: dict[str, tuple[dict[str, Any], str]] = {
    "object": ({"object": "others"}, "- object: people before, others now"),
    "key": ({"primary_key": "other"}, "- primary_key: id (VARCHAR) before, other (VARCHAR) now"),
    "type of the key": ({"primary_key": "number"}, "- primary_key: id (VARCHAR) before, number (INTEGER) now"),
    "case of the key": (
        {"options": {**SINK, "fold_case": True}},
        "- primary_key: id (VARCHAR) before, id (VARCHAR), in any case now",
    ),
    "external id": ({"external_id": "name"}, "- external_id: id before, name now"),
    "mode": ({"sync_mode": "append"}, "- sync_mode: mirror before, append now"),
    "field removed": ({"mapping": {"id": "id"}}, "- mapping.name: column name before, not mapped now"),
    "other column": (
        {"mapping": {"id": "id", "name": "other"}},
        "- mapping.name: column name before, column other now",
    ),
    "constant": (
        {"mapping": {"id": "id", "name": {"constant": "x"}}},
        '- mapping.name: column name before, constant "x" now',
    ),
    "transform": (
        {"mapping": {"id": "id", "name": {"column": "name", "transform": "sha256_name"}}},
        "- mapping.name: column name before, sha256_name of column name now",
    ),
}


@pytest.mark.parametrize("change", first(BREAKS, 3))
def test_a_change_that_breaks_is_refused_until_a_version_says_how(ran: Shop, sandbox: Sandbox, change: str) -> None:
    changes, says = BREAKS[change]
    said = refused(ran, sandbox, people(**changes))
    assert says in said.splitlines()
    assert "raise `version` to 2 and say what becomes of the records" in said
    for way in ("adopt", "resend", "restart"):
        assert f"- `cutover: {way}`: " in said
    asked = refused(ran, sandbox, people(**changes, version=2))
    assert says in asked.splitlines()
    assert "How does it begin? Say what becomes of the records of version 1:" in asked
    assert ran.run(people(), sink(sandbox.url)).change_set == 0


def test_every_change_is_named_at_once(ran: Shop, sandbox: Sandbox) -> None:
    said = refused(ran, sandbox, people(object="others", sync_mode="incremental", mapping={"id": "id"}))
    assert [line for line in said.splitlines() if line.startswith("- ") and "`" not in line] == [
        "- object: people before, others now",
        "- sync_mode: mirror before, incremental now",
        "- mapping.name: column name before, not mapped now",
    ]


@pytest.mark.parametrize(
    ("version", "says"), [(2, "- model_version: 1 before, 2 now"), ("beta", "- model_version: 1 before, beta now")]
)
def test_another_version_of_the_dbt_model(ran: Shop, sandbox: Sandbox, version: int | str, says: str) -> None:
    model = ran.models["people"]
    ran.models["people"] = replace(model, version=1)  # dbt calls a model that gets versions the first of them
    assert ran.run(people(), sink(sandbox.url)).change_set == 0
    ran.models["people"] = replace(model, version=version)
    assert says in refused(ran, sandbox, people())
    ran.run(people(version=2, cutover="resend"), sink(sandbox.url))


def test_another_model(ran: Shop, sandbox: Sandbox) -> None:
    ran.build(TEN, "customers")
    assert "- model: people before, customers now" in refused(ran, sandbox, people(model="customers"))


def test_another_destination(ran: Shop, sandbox: Sandbox) -> None:
    assert "- destination: sink before, crm now" in refused(ran, sandbox, people(destination="crm"))


@pytest.mark.parametrize(
    "changes",
    first(
        [
            {"guards": {"max_added": {"rows": 5}}},
            {"description": "Another", "owners": ["team:sales"], "tags": {"a": "b"}, "cost": {"per_call": 1}},
            {"schedule": "0 6 * * *", "max_failed": {"rows": 1}},
            {"mapping": {"id": "id", "name": {"column": "name", "null": "keep"}}},
            {"mapping": {"id": "id", "NAME": "Name"}},
            {"mapping": {"ID": "id", "name": "name"}},
            {"mapping": {"name": "name", "id": "id"}},
        ],
        3,
    ),
    ids=repr,
)
def test_what_changes_no_meaning_goes_through_and_sends_nothing(
    ran: Shop, sandbox: Sandbox, changes: dict[str, Any]
) -> None:
    assert ran.run(people(**changes), sink(sandbox.url)).change_set == 0


def test_a_field_whose_case_changes_is_still_owed(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(TEN)
    shop.run(people(), sink(sandbox.url))
    sandbox.fault("refuse_rows", percent=100)
    shop.run(people(mapping={"id": "id", "name": "name", "more": "other"}), sink(sandbox.url))
    sandbox.faults.clear()
    renamed = people(mapping={"id": "id", "name": "name", "More": "other"})
    assert shop.run(renamed, sink(sandbox.url)).counts["updated"] == 10
    assert {entry.values["More"] for entry in sandbox.rest.tables["people"].live()} == {f"o{i}" for i in range(10)}


# A new field goes out alone


def written(crm: Crm, before: dict[str, Any]) -> set[str]:
    """Fields that a request named since `before`, of any record."""
    return {
        field
        for key, entry in crm.records.items()
        for field, when in entry.written.items()
        if before[key].get(field) != when
    }


def noted(crm: Crm) -> dict[str, Any]:
    return {key: dict(entry.written) for key, entry in crm.records.items()}


@pytest.mark.parametrize("images", first(["destination", "synced"]))
@pytest.mark.parametrize("vendor", first(["salesforce", "hubspot"]))
def test_a_new_field_goes_out_alone(shop: Shop, sandbox: Sandbox, vendor: str, images: str) -> None:
    """Salesforce and, with a unique property, HubSpot leave fields alone that a row does not name."""
    crm = a_crm(vendor, sandbox)
    if vendor == "hubspot":
        crm = replace(crm, key="external_id")
    shop.build(PEOPLE.format(3))
    sync = crm.sync(before_images=images, primary_key="id")
    shop.run(without(sync, crm.phone), crm.account)
    before = noted(crm)
    assert shop.run(sync, crm.account).counts["updated"] == 3
    assert written(crm, before) - {crm.key} == {crm.phone}
    assert set(crm.values(crm.phone).values()) == {"+1 555 1000", "+1 555 1001", "+1 555 1002"}
    assert shop.run(sync, crm.account).change_set == 0


def test_hubspot_by_email_takes_all_fields(shop: Shop, sandbox: Sandbox) -> None:
    """Its guide: partial upserts are not supported for contacts that are matched by email."""
    shop.build(PEOPLE.format(3))
    hubspot = a_crm("hubspot", sandbox)
    shop.run(without(hubspot.sync(), hubspot.phone), hubspot.account)
    before = noted(hubspot)
    assert shop.run(hubspot.sync(), hubspot.account).counts["updated"] == 3
    assert written(hubspot, before) >= {hubspot.name, hubspot.phone, hubspot.company}


def without(sync: Sync, field: str) -> Sync:
    return sync.model_copy(update={"mapping": {name: each for name, each in sync.mapping.items() if name != field}})


# Which version


def test_a_version_that_was_sent_is_not_taken_back(ran: Shop, sandbox: Sandbox) -> None:
    ran.run(people(version=3, cutover="resend"), sink(sandbox.url))
    said = refused(ran, sandbox, people(version=2))
    assert "`version` is 2, and version 3 was sent since it was begun with `cutover: resend`" in said
    assert "write `version: 3`, or begin what the file says now as version 4, with a `cutover`" in said


def test_raised_without_a_change(ran: Shop, sandbox: Sandbox) -> None:
    """To send everything again."""
    assert "version 2 begins anew. How does it begin?" in refused(ran, sandbox, people(version=2))
    report = ran.run(people(version=2, cutover="resend"), sink(sandbox.url))
    assert (report.counts["changed"], report.counts["updated"]) == (10, 10)


def test_a_cutover_that_is_done_may_stay_in_the_file_or_go(ran: Shop, sandbox: Sandbox) -> None:
    ran.run(people(version=2, cutover="resend"), sink(sandbox.url))
    for sync in (people(version=2, cutover="resend"), people(version=2)):
        report = ran.run(sync, sink(sandbox.url))
        assert (report.change_set, report.begun) == (0, None)


@pytest.mark.parametrize("changes", first([{"cutover": "restart"}, {"version": 2, "cutover": "restart"}]), ids=repr)
def test_another_cutover_for_a_version_that_was_sent(ran: Shop, sandbox: Sandbox, changes: dict[str, Any]) -> None:
    if "version" in changes:
        ran.run(people(version=2, cutover="resend"), sink(sandbox.url))
    said = refused(ran, sandbox, people(**changes))
    assert "so `cutover: restart` begins nothing. Take it out, or raise `version` to " in said


@pytest.mark.parametrize("mode", ["insert_only", "append"])
def test_a_mode_that_sends_no_row_twice_cannot_resend(ran: Shop, sandbox: Sandbox, mode: str) -> None:
    said = refused(ran, sandbox, people(version=2, cutover="resend", sync_mode=mode))
    assert f"`cutover: resend` sends rows of version 1 again, and `{mode}` never does that." in said


def test_a_new_sync_may_begin_at_any_version(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(TEN)
    assert shop.run(people(version=7, cutover="resend"), sink(sandbox.url)).counts["created"] == 10
    assert shop.run(people(version=7), sink(sandbox.url)).change_set == 0


def test_before_the_first_row_was_sent_anything_may_change(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(TEN)
    guarded = people(guards={"max_added": {"rows": 0}})
    assert shop.run(guarded, sink(sandbox.url)).status is RunStatus.GUARDED
    other = people(primary_key="number", external_id="id", object="others", mapping={"name": "other"})
    assert shop.run(other, sink(sandbox.url)).counts["created"] == 10
    assert names(sandbox, "others")["3"] == "o3"


def test_a_field_that_was_added_and_never_sent_may_go_again(ran: Shop, sandbox: Sandbox) -> None:
    guarded = people(mapping={"id": "id", "name": "name", "more": "other"}, guards={"max_changed": {"rows": 0}})
    assert ran.run(guarded, sink(sandbox.url)).status is RunStatus.GUARDED
    assert ran.run(people(), sink(sandbox.url)).change_set == 0


def test_a_version_that_a_guard_stopped_can_be_taken_back(ran: Shop, sandbox: Sandbox) -> None:
    before = whole_state(ran)
    guards = {"max_changed": {"rows": 0}, "max_added": {"rows": 0}, "row_count": {}}
    for cutover in ("resend", "restart"):  # the other way is another beginning
        report = ran.run(people(version=2, cutover=cutover, guards=guards), sink(sandbox.url))
        assert report.status is RunStatus.GUARDED
        assert str(report.begun).startswith(f"version 2 begins with `cutover: {cutover}`")
    assert preview(people(), ran.environment, sink(sandbox.url)).plan.unchanged == 10
    assert ran.run(people(), sink(sandbox.url)).change_set == 0
    after = [(table, rows) for table, rows in whole_state(ran) if table != "versions"]
    assert after == [(table, rows) for table, rows in before if table != "versions"]


def test_a_version_that_a_guard_stopped_goes_on(ran: Shop, sandbox: Sandbox) -> None:
    """The plan that waited is planned again, under the same id, and says again what it begins."""
    spec: dict[str, Any] = {"version": 2, "cutover": "resend", "approval": "always"}
    first = ran.run(people(**spec), sink(sandbox.url))
    assert (first.status, len(names(sandbox))) == (RunStatus.GUARDED, 10)
    ran.journal.approve(str(first.plan_id), "Kim", "looked at it")
    second = ran.run(people(**spec), sink(sandbox.url))
    assert (second.plan_id, second.begun) == (first.plan_id, first.begun)
    assert second.counts["updated"] == 10


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


@pytest.mark.parametrize(("object_", "held"), [("people", 1), ("others", 0)])
def test_held_rows_are_held_for_their_record(shop: Shop, sandbox: Sandbox, object_: str, held: int) -> None:
    shop.build("select 'a' as id, 'n' as name")
    sandbox.fault("drop_after", vendor="rest", next=1)
    shop.run(people(sync_mode="append"), sink(sandbox.url))
    sync = people(sync_mode="append", version=2, cutover="restart", object=object_)
    assert preview(sync, shop.environment, sink(sandbox.url)).plan.held == held
    assert shop.run(sync, sink(sandbox.url)).counts["held"] == held


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


@thorough
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


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    with Launcher() as launcher:
        yield launcher


@pytest.fixture(scope="module")
def remote() -> Iterator[RemoteSandbox]:
    with Sandbox.spawn() as sandbox:
        yield sandbox


@pytest.mark.parametrize("looks", first(range(3)))
def test_killed_while_a_version_begins(shop: Shop, launcher: Launcher, remote: RemoteSandbox, looks: int) -> None:
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


def test_a_write_in_doubt_pins_the_version(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(TEN)
    sandbox.fault("drop_after")
    appended = people(sync_mode="append")
    assert shop.run(appended, sink(sandbox.url)).counts["failed_ambiguous"] == 10
    sandbox.reset()
    with pytest.raises(StateError, match="would mean something else"):
        shop.run(people(sync_mode="append", mapping={"id": "id", "name": "other"}), sink(sandbox.url))


def test_one_acknowledged_row_pins_the_version(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(TEN)
    sandbox.fault("refuse_rows", percent=50)
    assert shop.run(people(), sink(sandbox.url)).counts["created"] > 0
    sandbox.reset()
    with pytest.raises(StateError, match="would mean something else"):
        shop.run(people(mapping={"id": "id", "name": "other"}), sink(sandbox.url))
