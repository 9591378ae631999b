"""Undo: what a run wrote is put back to the byte, but for what somebody has written since."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.journal.records import RunKind, RunStatus
from reverse_etl_assets.privacy.transforms import transform
from reverse_etl_assets.runs.undo import is_whole
from reverse_etl_assets.spec.mapped_field import Transform
from reverse_etl_sandbox.server import Sandbox
from tests.engine.crms import PEOPLE, Crm, a_crm
from tests.engine.shop import Shop
from tests.engine.undoing import (
    ANN,
    BOB,
    CEM,
    FAY,
    GUS,
    a_run,
    prepared,
    records,
    resume,
    same_as_synced,
    undo,
    written,
)
from tests.heavy import first, heavy, seeds

SEEDS = seeds("UNDO_SEEDS", 1)
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


@heavy
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


@heavy
def test_rows_that_the_answer_did_not_name_are_put_back(shop: Shop, sandbox: Sandbox) -> None:
    """They were written all the same; in doubt is also what nobody mentioned."""
    crm = a_crm("hubspot", sandbox)
    sync = crm.sync(sync_mode="incremental")
    before = prepared(shop, crm, sync)
    crm.sandbox.fault("omit_rows", vendor="hubspot", percent=100)
    run = shop.run(sync, crm.account)
    assert run.counts["failed_unanswered"] == 4
    assert records(crm) != before
    crm.sandbox.faults.clear()
    report = undo(shop, sync, crm.account, run)
    assert (records(crm), is_whole(report)) == (before, True)


@heavy
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


@heavy
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


@heavy
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


@heavy
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


@heavy
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


@heavy
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


@heavy
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
