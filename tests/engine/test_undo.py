"""Undo: what a run wrote is put back to the byte, but for what somebody has written since."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reverse_etl_assets.dbt_models import Model
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.errors import StateError
from reverse_etl_assets.journal.records import RunKind, RunStatus
from reverse_etl_assets.report import Report
from reverse_etl_assets.sandbox.server import Sandbox
from reverse_etl_assets.spec import Sync, Transform
from reverse_etl_assets.transforms import transform
from reverse_etl_assets.undo import is_whole, undo_run
from tests.engine.crms import PEOPLE, Crm, a_crm
from tests.engine.shop import SINK, Shop, sink, sink_sync
from tests.thorough import first, seeds

SEEDS = seeds("UNDO_SEEDS", 1)
ANN, BOB, CEM, FAY, GUS = (f"{name}@shop.example" for name in ("p0", "p1", "p2", "fay", "gus"))
TYPED = {
    "salesforce": ("Lifetime_Value__c", "Orders__c", "Last_Order_Date__c", "Trial_Ends_At__c", "Marketing_Opt_In__c"),
    "hubspot": ("lifetime_value", "orders_count", "last_order_date", "trial_ends_at", "marketing_opt_in"),
}
COLUMNS = {"value": "decimal(16,2)", "orders": "bigint", "day": "date", "moment": "timestamp", "flag": "boolean"}


@pytest.fixture(params=first(["salesforce", "hubspot"]))
def crm(request: pytest.FixtureRequest, sandbox: Sandbox) -> Crm:
    return a_crm(request.param, sandbox)


@pytest.fixture
def salesforce(sandbox: Sandbox) -> Crm:
    return a_crm("salesforce", sandbox)


def undo(shop: Shop, sync: Sync, account: Account, run: Report | str) -> Report:
    run_id = run if isinstance(run, str) else run.run_id
    return undo_run(run_id, sync, shop.environment, account, who="ada", why="wrong names")


def resume(shop: Shop, sync: Sync) -> None:
    shop.journal.resume(f"sync:{sync.sync}", "ada", "right again")


def written(report: Report) -> tuple[int, int, int]:
    return report.counts["updated"], report.counts["created"], report.counts["deleted"]


def records(crm: Crm) -> bytes:
    """All of them, without their ids, which a record that is made again does not keep."""
    return crm.sandbox.snapshot(crm.vendor, crm.object, ids=False)


def a_run(shop: Shop, crm: Crm, sync: Sync) -> tuple[bytes, Report]:
    """The records before a run, and the run."""
    before, run = prepared(shop, crm, sync), shop.run(sync, crm.account)
    assert written(run) == (3, 1, 1)
    return before, run


def prepared(shop: Shop, crm: Crm, sync: Sync) -> bytes:
    """The records before a run: Ann and Cem are about to change, Bob to go, Fay to come, and Gus was there before."""
    crm.add(**{crm.key: GUS, crm.name: "Gus", crm.company: "G"})
    shop.build(PEOPLE.format(4))
    assert shop.run(sync, crm.account).counts["created"] == 4
    before = records(crm)
    shop.sql(
        f"update marts.people set name = 'New' where email = '{ANN}'",
        f"update marts.people set phone = null where email = '{CEM}'",
        f"delete from marts.people where email = '{BOB}'",
        *(f"insert into marts.people values ('', '{key}', 'N', '+1', 'C', '2026-01-01')" for key in (FAY, GUS)),
    )
    return before


def same_as_synced(shop: Shop, crm: Crm, sync: Sync) -> None:
    """Every synced row is what its record holds."""
    names = (crm.name, crm.phone, crm.company)
    rows = shop.state(sync, f"select _retl_key, _retl_id, _retl_untold, {', '.join(names)} from state.synced")
    assert rows
    for key, record_id, untold, *values in rows:
        entry = crm.records[key]
        assert (entry.id, None, [entry.values.get(name) for name in names]) == (record_id, untold, values)


# What is put back


def test_a_run_is_undone_to_the_byte_and_comes_again(shop: Shop, crm: Crm) -> None:
    sync = crm.sync()
    before, run = a_run(shop, crm, sync)
    after, ann = records(crm), crm.records[ANN].id
    crm.sandbox.log.clear()
    report = undo(shop, sync, crm.account, run)
    assert (report.status, report.kind, written(report)) == (RunStatus.DONE, RunKind.UNDO, (3, 1, 1))
    assert records(crm) == before
    assert crm.records[ANN].id == ann
    assert report.counts["from_destination"] == 4
    same_as_synced(shop, crm, sync)
    assert shop.state(sync, f"from state.synced where _retl_key = '{GUS}'") == []  # else a mirror could delete him
    undone_by = shop.journal.undone_by(run.run_id)
    assert undone_by is not None
    assert (undone_by.run_id, undone_by.kind) == (report.run_id, RunKind.UNDO)

    (stop,) = shop.journal.stops()
    assert (stop.scope, stop.who) == (f"sync:{sync.sync}", "ada")
    assert stop.why == f"run {run.run_id} was undone: wrong names"
    assert stop.at <= min(line.at for line in crm.sandbox.log.lines())  # before the first request
    assert shop.run(sync, crm.account).status is RunStatus.GUARDED
    resume(shop, sync)
    assert written(shop.run(sync, crm.account)) == (3, 1, 1)
    assert records(crm) == after
    assert shop.run(sync, crm.account).change_set == 0


@pytest.mark.parametrize("fault", first(["timeout_after", "drop_before"]))
def test_rows_whose_answers_were_lost_are_put_back_if_they_had_arrived(shop: Shop, salesforce: Crm, fault: str) -> None:
    crm, sync = salesforce, salesforce.sync()
    before, ids = prepared(shop, crm, sync), set(crm.records)
    for method in ("PATCH", "DELETE"):
        crm.sandbox.fault(fault, vendor="salesforce", method=method, hold_seconds=0)
    run = shop.run(sync, crm.account)
    assert (run.counts["failed_ambiguous"], run.written) == (5, 0)
    assert (records(crm) == before) is (fault == "drop_before")
    crm.sandbox.faults.clear()
    report = undo(shop, sync, crm.account, run)
    assert (records(crm), set(crm.records), is_whole(report)) == (before, ids, True)
    assert (report.counts["in_doubt"], report.counts["failed"]) == (5, 0)
    same_as_synced(shop, crm, sync)
    resume(shop, sync)
    assert written(shop.run(sync, crm.account)) == (3, 1, 1)


def test_by_bulk_jobs(shop: Shop, salesforce: Crm) -> None:
    sync = salesforce.sync(options={"bulk_threshold": 2})
    shop.build(PEOPLE.format(6))
    shop.run(sync, salesforce.account)
    before = records(salesforce)
    shop.sql(
        "delete from marts.people where id in ('0', '1')",
        "update marts.people set phone = null, name = name || '!' where id in ('2', '3')",
        "update marts.people set id = 'new' || id, email = 'new' || email where id in ('4', '5')",
    )
    run = shop.run(sync, salesforce.account)
    assert written(run) == (2, 2, 4)
    leads = salesforce.sandbox.salesforce.tables["Lead"]
    for entry in [each for each in leads.entries.values() if each.archived]:
        leads.purge(entry)  # else they came back from the Recycle Bin, without a job
    jobs = salesforce.requests("POST", "jobs/ingest")
    assert written(undo(shop, sync, salesforce.account, run)) == (2, 4, 2)
    assert salesforce.requests("POST", "jobs/ingest") == jobs + 3
    assert records(salesforce) == before


class People:
    """Random people, as the model has them and as somebody types them into the CRM."""

    def __init__(self, seed: int, crm: Crm) -> None:
        self.random, self.crm = random.Random(seed), crm

    def key(self, i: int) -> str:
        """Salesforce keeps the case of a key, and HubSpot none."""
        return f"{'P' if i % 2 and self.crm.vendor == 'salesforce' else 'p'}{i}@shop.example"

    def value(self, column: str) -> Any:
        r = self.random
        if column != "flag" and r.random() < 0.25:
            return None
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=r.randrange(10**7))
        return {
            "value": f"{r.randrange(10**8)}.{r.randrange(100):02}",
            "orders": str(r.randrange(1_000)),
            "day": f"{at:%Y-%m-%d}",
            "moment": f"{at:%Y-%m-%dT%H:%M:%SZ}",
            "flag": r.choice(["true", "false"]),
        }[column]

    def build(self, shop: Shop) -> None:
        rows = []
        for i in self.random.sample(range(14), 9):
            values = [self.value(column) for column in COLUMNS]
            texts = [f"'{self.random.choice('abc')}'", "'+1 555'", self.random.choice(["null", "'C'"])]
            literals = ["null" if v is None else f"'{v.removesuffix('Z')}'" for v in values]
            rows.append(f"('{i}', '{self.key(i)}', {', '.join([*texts, *literals])})")
        names = ["id", "email", "name", "phone", "company", *COLUMNS]
        casts = ", ".join(f"{name}::{COLUMNS.get(name, 'varchar')} as {name}" for name in names)
        shop.build(f"select {casts} from (values {', '.join(rows)}) as t({', '.join(names)})")

    def typed_in(self) -> dict[str, Any]:
        values = {name: self.value(column) for name, column in zip(TYPED[self.crm.vendor], COLUMNS, strict=True)}
        if self.crm.vendor == "salesforce":
            value, orders, day, moment, flag = values.values()
            numbers = [None if v is None else float(v) for v in (value, orders)]
            values = dict(zip(values, [*numbers, day, moment, flag == "true"], strict=True))
        return {self.crm.name: self.random.choice("xyz"), **values}

    def at_work(self) -> None:
        """They change records, and make some of keys that the model may come to have."""
        for key in self.random.sample(sorted(self.crm.records), k=4):
            self.crm.edit(key, **self.typed_in())
        for i in self.random.sample(range(14), 3):
            if (key := self.key(i)) not in self.crm.records:
                self.crm.add(**{self.crm.key: key, **self.typed_in()})


@pytest.mark.parametrize("seed", SEEDS)
def test_undo_is_the_inverse_of_any_run(shop: Shop, crm: Crm, seed: int) -> None:
    if crm.vendor == "salesforce":  # contacts have fields of every type in both
        crm = Crm("salesforce", "Contact", "External_Id__c", "LastName", "Phone", "Title", crm.sandbox)
    mapping = {crm.key: "email", **dict(zip(TYPED[crm.vendor], COLUMNS, strict=True))}
    people, sync = People(seed, crm), crm.sync(mapping=mapping)
    people.build(shop)
    shop.run(sync, crm.account)
    people.at_work()
    before = records(crm)
    people.build(shop)
    run = shop.run(sync, crm.account)
    after = records(crm)
    assert min(written(run)) > 0
    report = undo(shop, sync, crm.account, run)
    assert records(crm) == before
    assert (report.written, report.counts["skipped"], report.counts["failed"]) == (run.written, 0, 0)
    resume(shop, sync)
    again = shop.run(sync, crm.account)
    assert (records(crm), written(again)) == (after, written(run))
    assert undo(shop, sync, crm.account, again).written == run.written
    assert records(crm) == before


def test_our_last_write_is_put_back_where_the_run_did_not_read(shop: Shop, salesforce: Crm) -> None:
    crm, sync = salesforce, salesforce.sync(before_images="synced", mapping={"Title": "phone"})
    shop.build(PEOPLE.format(2))
    shop.run(sync, crm.account)
    crm.edit(ANN, **{crm.phone: "+41 44 1"})
    shop.sql("update marts.people set phone = '+1 555 9'")
    run = shop.run(sync, crm.account)
    crm.edit(BOB, **{crm.phone: "+41 44 2"})
    report = undo(shop, crm.sync(), crm.account, run)  # the run's mapping holds, whatever the file says now
    assert crm.values(crm.phone) == {ANN: "+1 555 1000", BOB: "+41 44 2"}
    assert crm.values("Title") == {ANN: "+1 555 1000", BOB: "+1 555 9"}
    assert (report.counts["from_synced"], report.counts["skipped_edited"]) == (2, 1)


@pytest.mark.parametrize("images", first(["destination", "synced"]))
def test_a_hash_is_put_back_as_it_was(shop: Shop, salesforce: Crm, images: str) -> None:
    crm = salesforce
    sync = crm.sync(mapping={crm.company: {"column": "email_too", "transform": "sha256_email"}}, before_images=images)
    shop.build(f"select *, 'a@x.example' as email_too from ({PEOPLE.format(1)})")
    shop.run(sync, crm.account)
    shop.sql("update marts.people set email_too = 'b@x.example'")
    run = shop.run(sync, crm.account)
    assert undo(shop, sync, crm.account, run).written == 1
    assert crm.values(crm.company)[ANN] == transform(Transform.SHA256_EMAIL, "a@x.example")
    resume(shop, sync)
    assert shop.run(sync, crm.account).written == 1
    assert crm.values(crm.company)[ANN] == transform(Transform.SHA256_EMAIL, "b@x.example")


# What is left alone


def test_what_somebody_changed_since_is_left_and_named(shop: Shop, salesforce: Crm) -> None:
    crm, sync = salesforce, salesforce.sync()
    _, run = a_run(shop, crm, sync)
    shop.models["people"] = Model("people", "model.shop.people", "marts", "people", {}, {}, {"name": "name"})
    crm.edit(ANN, **{crm.name: "Anna"})
    crm.edit(CEM, **{crm.company: "Another field is in nobody's way"})
    crm.edit(FAY, **{crm.company: "Mine"})
    crm.edit(GUS, **{crm.name: "Gustav", crm.phone: "+41 44 2"})
    crm.add(**{crm.key: BOB, crm.name: "Bobby", crm.company: "B"})
    here = crm.values(crm.name)
    report = undo(shop, sync, crm.account, run)
    assert (written(report), report.counts["skipped_edited"]) == ((1, 0, 0), 4)
    assert crm.values(crm.name) == here
    assert crm.values(crm.phone)[CEM] == "+1 555 1002"
    said = {key: outcome.message for key, outcome in shop.by_key(sync, report).items() if outcome.message}
    assert said == {
        ANN: f"somebody changed `{crm.name}` (now 'A***') since",
        BOB: "somebody made a record with this key since",
        FAY: f"somebody changed `{crm.company}` (now 'Mine') since",
        GUS: f"somebody changed `{crm.name}` (now 'G***'), `{crm.phone}` (now '+41 44 2') since",
    }


def test_a_record_that_has_gone_or_is_another_one(shop: Shop, salesforce: Crm) -> None:
    crm, sync = salesforce, salesforce.sync()
    _, run = a_run(shop, crm, sync)
    values = crm.records[FAY].values
    for key in (ANN, FAY):
        crm.remove(key)
    crm.add(**{name: values[name] for name in (crm.key, crm.name, crm.phone, crm.company)})
    report = undo(shop, sync, crm.account, run)
    assert (written(report), ANN in crm.records, FAY in crm.records) == ((2, 1, 0), False, True)
    outcomes = shop.by_key(sync, report)
    assert (outcomes[ANN].reason, outcomes[FAY].reason) == ("not_found", "edited")
    assert str(outcomes[FAY].message).startswith("another record")


def test_rows_that_a_later_run_wrote_are_left(shop: Shop, salesforce: Crm) -> None:
    crm, sync = salesforce, salesforce.sync()
    _, run = a_run(shop, crm, sync)
    shop.sql(
        f"update marts.people set name = 'Newer' where email = '{ANN}'",
        f"delete from marts.people where email = '{FAY}'",
        f"insert into marts.people values ('1', '{BOB}', 'Bob', '+1', 'C', '2026-01-01')",
    )
    later = shop.run(sync, crm.account)
    assert written(later) == (1, 1, 1)
    here = crm.values(crm.name)
    report = undo(shop, sync, crm.account, run)
    assert (written(report), crm.values(crm.name)) == ((2, 0, 0), {**here, GUS: "Gus"})
    left = [outcome for outcome in shop.outcomes(sync, report.run_id) if outcome.status == "skipped"]
    assert {(o.key, o.reason, o.message) for o in left} == {
        (key, "edited", f"run {later.run_id} has written it since") for key in (ANN, BOB, FAY)
    }


def test_a_field_that_people_kept_is_none_of_its_business(shop: Shop, salesforce: Crm) -> None:
    crm = salesforce
    sync = crm.sync(mapping={crm.phone: {"column": "phone", "wins": "unless_edited"}})
    shop.build(PEOPLE.format(1))
    shop.run(sync, crm.account)
    crm.edit(ANN, **{crm.phone: "+41 44 1"})
    shop.sql("update marts.people set phone = '+1 9', name = 'New'")
    run = shop.run(sync, crm.account)
    undo(shop, sync, crm.account, run)
    assert (crm.values(crm.name)[ANN], crm.values(crm.phone)[ANN]) == ("Name 0", "+41 44 1")
    assert shop.state(sync, "select field from state.kept") == [(crm.phone,)]


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
