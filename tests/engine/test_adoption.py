"""`cutover: adopt`: what the destination holds already is read, and only what differs is sent."""

from dataclasses import replace
from typing import Any

import pytest

from reverse_etl_assets.destinations.base import NOTHING_KNOWN
from reverse_etl_assets.errors import CheckFailed, RetryLater
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.previews.preview import preview
from reverse_etl_assets.spec.policies import Cutover
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.engine.crms import PEOPLE, Crm, a_crm
from tests.engine.shop import Shop, crm_sync
from tests.heavy import first, heavy
from tests.limited import limited

ANN, BEN, CAT = (f"p{i}@shop.example" for i in range(3))


@pytest.fixture(params=first(["salesforce", "hubspot"]))
def crm(request: pytest.FixtureRequest, sandbox: Sandbox) -> Crm:
    return a_crm(request.param, sandbox)


def there(crm: Crm, rows: int, **changes: Any) -> None:
    """A person has made records of the first people."""
    for i in range(rows):
        values = {crm.name: f"Name {i}", crm.phone: f"+1 555 {1000 + i}", crm.company: f"C{i}"}
        crm.add(**{crm.key: f"p{i}@shop.example", **values, **changes})


def reads(crm: Crm) -> int:
    return crm.requests("GET", "query") if crm.vendor == "salesforce" else crm.requests("POST", "batch/read")


def writes(crm: Crm) -> int:
    return crm.requests("PATCH") if crm.vendor == "salesforce" else crm.requests("POST", "batch/upsert")


def test_records_that_agree_cost_no_write(shop: Shop, crm: Crm) -> None:
    there(crm, 3)
    shop.build(PEOPLE.format(3))
    report = shop.run(crm.sync(cutover="adopt"), crm.account)
    assert (report.change_set, writes(crm)) == (0, 0)
    assert str(report.begun) == "version 1 begins with `cutover: adopt`; records that were there: 3"
    assert (report.counts["adopted"], report.counts["unchanged"]) == (3, 3)
    before = reads(crm)
    report = shop.run(crm.sync(cutover="adopt"), crm.account)  # it is done
    assert (report.change_set, report.begun, reads(crm)) == (0, None, before)
    synced = f"select _retl_id, _retl_run, \"{crm.phone}\" from state.synced where _retl_key = '{BEN}'"
    assert shop.state(crm.sync(), synced) == [(crm.records[BEN].id, None, "+1 555 1001")]


def test_what_differs_goes_out_alone_and_what_is_not_there_is_added(shop: Shop, crm: Crm) -> None:
    there(crm, 2)
    crm.edit(BEN, **{crm.phone: "+41 44 1"})
    shop.build(PEOPLE.format(3))
    report = shop.run(crm.sync(cutover="adopt"), crm.account)
    assert (report.counts["changed"], report.counts["added"], report.counts["unchanged"]) == (1, 1, 1)
    assert (report.counts["updated"], report.counts["created"]) == (1, 1)
    outcomes = shop.by_key(crm.sync(), report)
    assert (outcomes[BEN].changed_fields, outcomes[CAT].status) == ([crm.phone], "created")
    assert crm.values(crm.phone)[BEN] == "+1 555 1001"
    assert shop.run(crm.sync(), crm.account).change_set == 0


def test_a_sync_that_sent_elsewhere_takes_over_what_is_here(shop: Shop, crm: Crm) -> None:
    shop.build(PEOPLE.format(3))
    fields = {"name": "name"}
    elsewhere = crm_sync(object="companies", external_id="external_id", mapping=fields, verify={"sample": 0})
    elsewhere = elsewhere.model_copy(update={"sync": crm.sync().sync})
    shop.run(elsewhere, a_crm("hubspot", crm.sandbox).account)
    there(crm, 2)
    report = shop.run(crm.sync(version=2, cutover="adopt"), crm.account)
    assert (report.counts["unchanged"], report.counts["created"], report.counts["deleted"]) == (2, 1, 0)
    assert (report.counts["set_aside"], report.counts["adopted"]) == (3, 2)
    assert len(crm.sandbox.hubspot.tables["companies"].live()) == 3


@heavy
def test_the_same_place_again(shop: Shop, crm: Crm) -> None:
    """Rows that left the model are not followed, and not deleted; somebody's edits are overwritten."""
    shop.build(PEOPLE.format(4))
    shop.run(crm.sync(), crm.account)
    crm.edit(BEN, **{crm.company: "Edited"})
    crm.remove(CAT)
    shop.build(PEOPLE.format(3))
    sync = crm.sync(version=2, cutover="adopt")
    report = shop.run(sync, crm.account)
    assert (report.counts["adopted"], report.counts["set_aside"], report.counts["deleted"]) == (2, 2, 0)
    assert (report.counts["updated"], report.counts["created"]) == (1, 1)
    assert set(crm.values(crm.company)) == {ANN, BEN, CAT, "p3@shop.example"}
    shop.build(PEOPLE.format(2))
    assert shop.run(sync, crm.account).counts["deleted"] == 1  # now it is the sync's own


TYPES = (
    "select 'k1' as id, 'Ada' as name, 0.5::decimal(5,4) as risk, 7::bigint as orders, date '2026-01-31' as day,"
    " true as yes, timestamp '2026-01-31 12:30:00.5' as at, 12::integer as shown"
)


def contact(**changes: Any) -> Sync:
    mapping = {
        "External_Id__c": "id",
        "LastName": "name",
        "Churn_Risk__c": "risk",
        "Orders__c": "orders",
        "Last_Order_Date__c": "day",
        "Marketing_Opt_In__c": "yes",
        "Title": "shown",
        "Trial_Ends_At__c": "at",
        "LeadSource": {"constant": "Web"},
    }
    spec = {
        "destination": "salesforce",
        "object": "Contact",
        "mapping": mapping,
        "options": {},
        "verify": {"sample": 0},
    }
    return crm_sync(**{**spec, "primary_key": "id", "cutover": "adopt", **changes})


@heavy
def test_values_of_every_type_agree(shop: Shop, sandbox: Sandbox) -> None:
    lead = replace(a_crm("salesforce", sandbox), object="Contact")
    lead.add(
        External_Id__c="k1",
        LastName=" Ada ",
        Churn_Risk__c=0.5,
        Orders__c=7.0,
        Last_Order_Date__c="2026-01-31",
        Marketing_Opt_In__c=True,
        Title="12",
        Trial_Ends_At__c="2026-01-31T12:30:00.000+0000",
        LeadSource="Web",
    )
    shop.build(TYPES)
    assert shop.run(contact(), lead.account).change_set == 0


@heavy
def test_values_that_do_not_fit_the_columns_type_are_sent(shop: Shop, sandbox: Sandbox) -> None:
    """`Title` is a text there and a number here; a number too fine for the column is another number."""
    lead = replace(a_crm("salesforce", sandbox), object="Contact")
    lead.add(External_Id__c="k1", LastName="Ada", Title="Dr", Churn_Risk__c=0.50004, Orders__c=8)
    shop.build(TYPES)
    sync = contact(mapping={"LastName": "name", "Title": "shown", "Churn_Risk__c": "risk", "Orders__c": "orders"})
    sync = sync.model_copy(update={"external_id": "External_Id__c"})
    report = shop.run(sync, lead.account)
    (outcome,) = shop.outcomes(sync, report.run_id)
    assert outcome.changed_fields == ["Title", "Churn_Risk__c", "Orders__c"]
    (record,) = lead.records.values()
    assert [record.values[name] for name in outcome.changed_fields] == ["12", 0.5, 7]


@heavy
def test_hashes_agree(shop: Shop, sandbox: Sandbox) -> None:
    lead = a_crm("salesforce", sandbox)
    hashed = lead.sync(mapping={lead.company: {"column": "email", "transform": "sha256_email"}})
    shop.build(PEOPLE.format(2))
    shop.run(hashed, lead.account)
    shop.warehouse.state_file(hashed.sync).unlink()
    lead.edit(BEN, Company="somebody's")
    report = shop.run(hashed.model_copy(update={"cutover": Cutover.ADOPT}), lead.account)
    assert (report.counts["unchanged"], report.counts["updated"]) == (1, 1)


@heavy
def test_what_people_wrote_before_us_is_theirs(shop: Shop, crm: Crm) -> None:
    there(crm, 2)
    crm.edit(BEN, **{crm.phone: "+41 44 1"})
    shop.build(PEOPLE.format(2))
    owned = {crm.phone: {"column": "phone", "wins": "unless_edited"}}
    sync = crm.sync(cutover="adopt", mapping=owned)
    assert shop.run(sync, crm.account).counts["skipped_kept"] == 1
    shop.sql("update marts.people set phone = '+1 555 9'")
    shop.run(sync, crm.account)
    assert crm.values(crm.phone) == {ANN: "+1 555 9", BEN: "+41 44 1"}  # Ann's was what we would have sent


@heavy
def test_null_that_keeps_and_rows_that_cannot_be_told_apart(shop: Shop, crm: Crm) -> None:
    there(crm, 3)
    shop.build(PEOPLE.format(3))
    shop.sql(
        f"update marts.people set phone = null where email = '{ANN}'",
        f"insert into marts.people select * replace ('x' as phone) from marts.people where email = '{CAT}'",
        "insert into marts.people select * replace (null as email) from marts.people limit 1",
    )
    keeps = crm.sync(cutover="adopt", mapping={crm.phone: {"column": "phone", "null": "keep"}})
    report = shop.run(keeps, crm.account)
    assert (report.counts["failed_invalid"], report.change_set, report.counts["adopted"]) == (3, 3, 2)
    assert crm.values(crm.phone)[ANN] == "+1 555 1000"


@heavy
def test_two_records_of_one_key_are_not_adopted(shop: Shop, sandbox: Sandbox) -> None:
    """In HubSpot a key is unique."""
    lead = a_crm("salesforce", sandbox)
    there(lead, 2)
    sandbox.duplicate("salesforce", "Lead", lead.records[ANN].id)
    shop.build(PEOPLE.format(2))
    report = shop.run(lead.sync(cutover="adopt"), lead.account)
    assert (report.counts["adopted"], report.counts["failed"], report.counts["unchanged"]) == (1, 1, 1)


@heavy
def test_read_by_pages(shop: Shop, crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reverse_etl_assets.readback.adoption._ROWS", 300)
    there(crm, 650)
    shop.build(PEOPLE.format(700))
    report = shop.run(crm.sync(cutover="adopt", before_images="synced"), crm.account)
    assert (report.counts["adopted"], report.counts["created"], report.counts["updated"]) == (650, 50, 0)
    assert reads(crm) == {"salesforce": 5, "hubspot": 7}[crm.vendor]


# What holds before a request


@heavy
def test_the_kill_switch_holds_before_and_between_reads(shop: Shop, crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    there(crm, 3)
    shop.build(PEOPLE.format(3))
    sync = crm.sync(cutover="adopt")
    shop.journal.stop("all", "Kim", "audit")
    assert shop.run(sync, crm.account).status is RunStatus.GUARDED
    assert reads(crm) == 0
    shop.journal.resume("all", "Kim", "over")

    kind: Any = limited(crm.account.type, read_limit=1)

    class Stopping(kind):  # type: ignore[misc]
        """Somebody stops everything while the first page is read."""

        async def read_records(self, external_ids: Any, known: Any = NOTHING_KNOWN) -> Any:
            shop.journal.stop("all", "Kim", "audit")
            return await super().read_records(external_ids, known)

    account = replace(
        crm.account, type=Stopping, connection=crm.account.connection.model_copy(update={"concurrency": 1})
    )
    report = shop.run(sync, account)
    assert (report.status, reads(crm), writes(crm)) == (RunStatus.GUARDED, 1, 0)
    assert "kill_switch: stopped (all) by Kim" in str(report.detail)
    assert shop.state(sync, "select count(*) from state.versions") == [(0,)]
    shop.journal.resume("all", "Kim", "over")
    assert shop.run(sync, crm.account).counts["adopted"] == 3


@heavy
def test_a_budget_that_ends_while_records_are_read(shop: Shop, crm: Crm) -> None:
    there(crm, 450)
    shop.build(PEOPLE.format(450))
    sync = crm.sync(cutover="adopt")
    allowed = {"salesforce": 4, "hubspot": 3}[crm.vendor]  # signing in and looking at the fields are requests, too
    budget = crm.account.connection.budget.model_copy(update={"calls": allowed})
    account = replace(crm.account, connection=crm.account.connection.model_copy(update={"budget": budget}))
    report = shop.run(sync, account)
    assert (report.status, writes(crm)) == (RunStatus.GUARDED, 0)
    assert str(report.detail).startswith("budget: the day's budget")
    assert shop.run(sync, crm.account).counts["adopted"] == 450


@heavy
def test_a_guard_that_trips_afterwards_leaves_the_version_whole(shop: Shop, crm: Crm) -> None:
    """What was read stays; the next run does not ask again."""
    there(crm, 2)
    shop.build(PEOPLE.format(3))
    guards = {"max_added": {"rows": 0}, "row_count": {}}
    first = shop.run(crm.sync(cutover="adopt", guards=guards), crm.account)
    assert (first.status, first.counts["adopted"], writes(crm)) == (RunStatus.GUARDED, 2, 0)
    before = reads(crm)
    shop.journal.approve(str(first.plan_id), "Kim", "looked at it")
    sync = crm.sync(cutover="adopt", guards=guards, before_images="synced")
    second = shop.run(sync, crm.account)
    assert (second.counts["created"], second.counts["unchanged"], second.begun) == (1, 2, first.begun)
    assert reads(crm) == before


@heavy
def test_a_field_that_is_not_there_ends_it_before_it_reads(shop: Shop, crm: Crm) -> None:
    shop.build(PEOPLE.format(3))
    sync = crm.sync(cutover="adopt", mapping={"no_such_field": "name"})
    with pytest.raises(CheckFailed, match="no_such_field"):
        shop.run(sync, crm.account)
    assert reads(crm) == 0
    assert shop.run(crm.sync(cutover="adopt"), crm.account).counts["created"] == 3


@heavy
def test_a_read_that_fails_leaves_nothing_behind(shop: Shop, crm: Crm) -> None:
    there(crm, 3)
    shop.build(PEOPLE.format(3))
    sync = crm.sync(cutover="adopt")
    path = "query" if crm.vendor == "salesforce" else "batch/read"
    crm.sandbox.fault("server_error", vendor=crm.vendor, path=path, status=503)
    with pytest.raises(RetryLater, match=r"internal error|server is unavailable"):
        shop.run(sync, crm.account)
    assert shop.state(sync, "select count(*) from state.versions") == [(0,)]
    crm.sandbox.faults.clear()
    assert shop.run(crm.sync(), crm.account).counts["skipped_same"] == 3  # not asked to adopt, after all


@heavy
def test_a_preview_says_that_nothing_was_read(shop: Shop, crm: Crm) -> None:
    shop.build(PEOPLE.format(4))
    shop.run(crm.sync(), crm.account)
    shop.build(PEOPLE.format(3))
    before = reads(crm)
    found = preview(crm.sync(version=2, cutover="adopt"), shop.environment, crm.account)
    assert str(found.begun) == (
        "version 2 begins with `cutover: adopt`; rows of version 1 that it does not follow: 1;"
        " records that were there: not read yet"
    )
    assert (found.plan.added, reads(crm)) == (3, before)
