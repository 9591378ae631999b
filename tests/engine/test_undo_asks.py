"""What an undo cannot read, what holds it back, what it refuses, and what comes after it."""

from typing import Any

import pytest

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.journal.records import RunKind, RunStatus
from reverse_etl_assets.runs.report import Report
from reverse_etl_sandbox.server import Sandbox
from tests.engine.crms import PEOPLE, Crm, a_crm
from tests.engine.shop import SINK, Shop, sink, sink_sync
from tests.engine.undoing import ANN, CEM, a_run, records, resume, same_as_synced, undo, written
from tests.heavy import heavy


@pytest.fixture
def salesforce(sandbox: Sandbox) -> Crm:
    return a_crm("salesforce", sandbox)


# A destination that cannot be read

BY_PARTS: dict[str, Any] = {
    "sync_mode": "mirror",
    "guards": {"max_removed": {}},
    "primary_key": ["id", "part"],
    "external_id": "key",
    "mapping": {"name": "name", "part": "part", "worth": "worth"},
    "options": {
        **SINK,
        "path": "/{{ object }}?key=key",
        "results": {**SINK["results"], "key": "key"},
        "operations": {"delete": {"path": "/{{ object }}/delete?key=key"}},
    },
}
PARTS = (
    "select * from (values ('a|b', 1, 'n', 1.50), ('a\\', 2, 'n', null), ('c', 3, 'n', 123456789012345678.90))"
    " t(id, part, name, worth)"
)


def test_synced_rows_are_put_back_where_nothing_can_be_read(shop: Shop, sandbox: Sandbox) -> None:
    sync, account = sink_sync(**BY_PARTS), sink(sandbox.url)
    shop.build(PARTS)
    shop.run(sync, account)
    before = sandbox.snapshot("rest", "people")
    synced = "select * exclude (_retl_run, worth) from state.synced order by all"
    had = shop.state(sync, synced)
    shop.sql(
        "delete from marts.people where part < 3",
        "update marts.people set worth = 2, name = 'm' where part = 3",
        "insert into marts.people values ('d', 4, 'n', 4)",
    )
    run = shop.run(sync, account)
    assert written(run) == (1, 1, 2)
    report = undo(shop, sync, account, run)
    assert (written(report), report.counts["from_synced"]) == ((1, 2, 1), 3)
    assert sandbox.snapshot("rest", "people") == before
    doubtful = (*had[-1][:2], ["worth"], *had[-1][3:])  # more digits than a number in JSON is sure to keep
    assert shop.state(sync, synced) == [*had[:-1], doubtful]


@heavy
def test_rows_that_nobody_knows_the_past_of_are_accounted_for(shop: Shop, sandbox: Sandbox) -> None:
    sync, account = sink_sync(sync_mode="mirror", guards={"max_removed": {}}), sink(sandbox.url)
    shop.build("select '0' as id, 'old' as name")
    shop.run(sink_sync(sync="another"), account)
    shop.build("select i::varchar id, 'n' as name from range(3) r(i)")
    run = shop.run(sync, account)
    assert written(run) == (1, 2, 0)
    report = undo(shop, sync, account, run)
    assert (written(report), report.counts["failed_invalid"]) == ((0, 0, 2), 1)
    assert "not known" in str(shop.by_key(sync, report)["0"].message)
    with pytest.raises(StateError, match="was undone already"):  # trying again would not help
        undo(shop, sync, account, run)


@heavy
def test_a_record_that_may_have_been_somebodys_is_not_deleted(shop: Shop, sandbox: Sandbox) -> None:
    """The answer was lost, nothing was read before, and a record of this key was there: the run has not made it."""
    sync, account = sink_sync(sync_mode="mirror", guards={"max_removed": {}}), sink(sandbox.url)
    shop.build("select '0' as id, 'theirs' as name")
    shop.run(sink_sync(sync="another"), account)
    shop.build("select '0' as id, 'ours' as name")
    sandbox.fault("drop_after", vendor="rest")
    run = shop.run(sync, account)
    assert run.counts["failed_ambiguous"] == 1
    sandbox.faults.clear()
    report = undo(shop, sync, account, run)
    assert (written(report), report.counts["failed_invalid"]) == ((0, 0, 0), 1)
    assert [entry.values["name"] for entry in sandbox.rest.tables["people"].live()] == ["ours"]


@heavy
def test_values_that_were_there_already_are_not_written_again(shop: Shop, sandbox: Sandbox) -> None:
    sync, account = sink_sync(sync_mode="full_refresh"), sink(sandbox.url)
    shop.build("select i::varchar id, 'n' as name from range(3) r(i)")
    shop.run(sync, account)
    shop.sql("update marts.people set name = 'm' where id = '1'")
    run = shop.run(sync, account)
    assert run.counts["updated"] == 3
    with shop.warehouse.open(sync.sync, write=True) as con:  # as if the mapping had had a field more
        con.execute('update state.images set before = \'{"id": "2", "gone": 1}\' where key = \'2\'')
    report = undo(shop, sync, account, run)
    assert (report.counts["updated"], report.counts["skipped_same"], report.counts["failed_invalid"]) == (1, 1, 1)
    assert shop.by_key(sync, report)["2"].message == "no longer mapped, so not to be put back: gone"


@heavy
def test_what_the_destination_cannot_do_is_said_before_anything_is_sent(shop: Shop, sandbox: Sandbox) -> None:
    options = {name: option for name, option in SINK.items() if name != "operations"}
    sync, account = sink_sync(options=options), sink(sandbox.url)
    shop.build("select 'a' as id, 'n' as name")
    run = shop.run(sync, account)
    calls = len(sandbox.log.lines())
    with pytest.raises(StateError, match=r"takes delete \(1 rows\), which `sink` cannot do"):
        undo(shop, sync, account, run)
    assert (len(sandbox.log.lines()), shop.journal.stops()) == (calls, [])
    assert shop.run(sync, account).change_set == 0


# Stops, guards, approval


@heavy
def test_wider_stops_hold_and_somebodys_own_stop_of_the_sync_stays_theirs(shop: Shop, salesforce: Crm) -> None:
    sync = salesforce.sync()
    before, run = a_run(shop, salesforce, sync)
    here = salesforce.snapshot()
    for scope in ("all", f"destination:{sync.destination}"):
        shop.journal.stop(scope, "bob", "migration")
        report = undo(shop, sync, salesforce.account, run)
        stopped = f"kill_switch: stopped ({scope}) by bob: migration"
        assert (report.status, report.detail, salesforce.snapshot()) == (RunStatus.GUARDED, stopped, here)
        shop.journal.resume(scope, "bob", "")
    shop.journal.stop(f"sync:{sync.sync}", "bob", "look at this")
    undo(shop, sync, salesforce.account, run)
    assert records(salesforce) == before
    assert [stop.who for stop in shop.journal.stops()] == ["bob"]


@heavy
def test_an_undo_that_deletes_too_much_waits_for_approval(shop: Shop, salesforce: Crm) -> None:
    shop.build(PEOPLE.format(5))
    run = shop.run(salesforce.sync(), salesforce.account)
    guards = {"max_removed": {"rows": 2}, "row_count": {"percent": 1}, "max_changed": {"rows": 0}}
    sync, calls = salesforce.sync(guards=guards, approval="always"), salesforce.requests()
    report = undo(shop, sync, salesforce.account, run)
    assert report.status is RunStatus.GUARDED
    assert [finding.guard for finding in report.findings if not finding.passed] == ["max_removed", "approval"]
    assert (salesforce.requests(), shop.journal.stops()) == (calls, [])
    assert report.plan_id is not None
    shop.journal.approve(report.plan_id, "bob", "all of them are wrong")
    assert undo(shop, sync, salesforce.account, run).counts["deleted"] == 5
    assert salesforce.records == {}


@heavy
def test_a_sync_is_stopped_only_if_something_was_put_back_or_may_be(shop: Shop, salesforce: Crm) -> None:
    crm, sync = salesforce, salesforce.sync(sync_mode="incremental")
    shop.build(PEOPLE.format(1))
    run = shop.run(sync, crm.account)
    crm.edit(ANN, Phone="+41 44 1")
    assert undo(shop, sync, crm.account, run).counts["skipped_edited"] == 1
    assert crm.requests("describe") == 2  # whether records can be deleted is no question of an ordinary run
    assert shop.journal.stops() == []
    assert [entry.action for entry in shop.journal.control_log()] == ["resume", "stop"]
    crm.edit(ANN, Phone="+1 555 1000")
    crm.sandbox.fault("timeout_after", vendor="salesforce", method="DELETE", hold_seconds=0)
    assert undo(shop, sync, crm.account, run).counts["failed_ambiguous"] == 1
    assert [stop.who for stop in shop.journal.stops()] == ["ada"]


# What is refused


def refused(shop: Shop, crm: Crm, run: Report | str, **changes: Any) -> str:
    here, calls = crm.snapshot(), crm.requests()
    with pytest.raises(StateError) as caught:
        undo(shop, crm.sync(**changes), crm.account, run)
    assert (crm.snapshot(), crm.requests()) == (here, calls)
    return str(caught.value)


@heavy
def test_runs_that_are_not_to_be_undone(shop: Shop, salesforce: Crm) -> None:
    crm, sync = salesforce, salesforce.sync()
    assert "there is no run nonsense" in refused(shop, crm, "nonsense")
    _, run = a_run(shop, crm, sync)
    assert "wrote nothing" in refused(shop, crm, shop.run(sync, crm.account))
    shop.journal.stop("all", "bob", "lunch")
    assert "was guarded and sent nothing" in refused(shop, crm, shop.run(sync, crm.account))
    shop.journal.resume("all", "bob", "")
    assert f"is of sync {sync.sync}" in refused(shop, crm, run, sync="another")
    assert "does not reach across a cutover" in refused(shop, crm, run, version=2, cutover="adopt")
    assert "wrote with `object: Lead`" in refused(shop, crm, run, object="Contact")
    assert "wrote with `primary_key" in refused(shop, crm, run, primary_key="id")
    state = shop.warehouse.state_file(sync.sync)
    away = state.rename(state.with_suffix(".away"))
    assert "is empty, though the journal knows that the sync wrote" in refused(shop, crm, run)
    away.rename(state)

    shop.journal.start_run("forgotten", sync.sync, sync.destination, kind=RunKind.FORGET)
    shop.journal.end_run("forgotten", RunStatus.DONE, counts={"deleted": 1})
    assert "is no run of the model (kind forget)" in refused(shop, crm, "forgotten")

    report = undo(shop, sync, crm.account, run)
    assert f"was undone already, by run {report.run_id}" in refused(shop, crm, run)
    said = refused(shop, crm, report)
    assert "An undo cannot be undone" in said
    assert f"reverse-etl resume --sync {sync.sync}" in said


@heavy
def test_rows_that_are_no_longer_known(shop: Shop, salesforce: Crm) -> None:
    """Outcomes are kept for 90 days, or taken out by hand."""
    sync = salesforce.sync()
    _, run = a_run(shop, salesforce, sync)
    with shop.warehouse.open(sync.sync, write=True) as con:
        con.execute("create table state.kept_aside as from state.outcomes")
        con.execute("delete from state.outcomes")
    assert "outcomes are kept for 90 days" in refused(shop, salesforce, run)
    with shop.warehouse.open(sync.sync, write=True) as con:
        con.execute("insert into state.outcomes from state.kept_aside where key <> $key", {"key": ANN})
    report = undo(shop, sync, salesforce.account, run)
    assert (report.counts["forgotten"], report.written) == (1, 4)


# Afterwards


@heavy
def test_rows_modified_long_ago_come_again_after_an_undo(shop: Shop, salesforce: Crm) -> None:
    sync = salesforce.sync(sync_mode="incremental", change_detection={"last_modified_at": "changed_at"})
    shop.build(PEOPLE.format(3))
    shop.run(sync, salesforce.account)
    changed = "changed_at = timestamp '2026-02-01'"
    shop.sql(f"update marts.people set phone = '+1 9', {changed} where email = '{ANN}'")
    run = shop.run(sync, salesforce.account)
    shop.sql(f"update marts.people set changed_at = timestamp '2026-06-01' where email = '{CEM}'")
    shop.run(sync, salesforce.account)
    undo(shop, sync, salesforce.account, run)
    resume(shop, sync)
    assert shop.run(sync, salesforce.account).counts["updated"] == 1
    assert salesforce.values("Phone")[ANN] == "+1 9"


@heavy
def test_an_undo_that_broke_off_is_repeated_for_the_rest(shop: Shop, sandbox: Sandbox) -> None:
    """What is to be put back may be there already, for an answer was lost: then nobody changed it."""
    crm = a_crm("hubspot", sandbox)
    sync = crm.sync()
    before, run = a_run(shop, crm, sync)
    sandbox.fault("timeout_after", vendor="hubspot", path="batch/update", hold_seconds=0)
    report = undo(shop, sync, crm.account, run)
    assert (written(report), report.counts["failed_ambiguous"]) == ((0, 1, 1), 3)
    assert [stop.who for stop in shop.journal.stops()] == ["ada"]
    crm.sandbox.faults.clear()
    again = undo(shop, sync, crm.account, run)
    assert (written(again), again.counts["skipped"], again.counts["skipped_same"]) == ((0, 0, 0), 5, 5)
    said = [outcome.message for outcome in shop.outcomes(sync, again.run_id)]
    assert said.count(f"it was put back already, by run {report.run_id}") == 2
    assert said.count("the record holds these values already") == 3
    assert records(crm) == before
    same_as_synced(shop, crm, sync)
