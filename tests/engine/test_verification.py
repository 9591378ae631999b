"""What was acknowledged is read back after a run, in the sandbox of both vendors: what is lost or edited is named."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.readback.differences import Kind
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.runs.undo import undo_run
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.engine.crms import PEOPLE, Crm, a_crm
from tests.engine.shop import Shop, sink, sink_sync
from tests.heavy import first, heavy

ANN, BOB = "p0@shop.example", "p1@shop.example"


@pytest.fixture(params=first(["salesforce", "hubspot"]))
def vendor(request: pytest.FixtureRequest, sandbox: Sandbox) -> Crm:
    return a_crm(request.param, sandbox)


def verified(at: Crm, sample: int | str = "all", **changes: Any) -> Sync:
    return at.sync(verify={"sample": sample}, **changes)


def synced(shop: Shop, at: Crm, sync: Sync, rows: int = 3) -> Report:
    shop.build(PEOPLE.format(rows))
    return shop.run(sync, at.account)


def named(report: Report) -> set[tuple[str, str, str | None, Any, Any]]:
    assert report.verified is not None
    return {(each.key, each.kind.value, each.field, each.wanted, each.held) for each in report.verified.examples}


# Green


def test_a_run_that_arrived_is_green(shop: Shop, vendor: Crm) -> None:
    """Created, updated and deleted rows; the figures stand in the report and in the journal."""
    sync = verified(vendor)
    first = synced(shop, vendor, sync, 3)
    assert first.verified is not None
    assert (first.verified.looked_at, first.verified.wrong, first.verified.not_judged) == (3, 0, "")
    shop.sql(f"update marts.people set phone = '+1 555 9' where email = '{ANN}'")
    shop.sql(f"delete from marts.people where email = '{BOB}'")
    second = shop.run(sync, vendor.account)
    assert (second.counts["updated"], second.counts["deleted"]) == (1, 1)
    assert second.verified is not None
    assert (second.verified.looked_at, second.verified.wrong) == (2, 0)
    journaled = shop.journal.run(second.run_id)
    assert journaled is not None
    assert (journaled.counts["verified"], journaled.counts["verified_differing"]) == (2, 0)


def test_a_run_that_wrote_nothing_asks_nothing(shop: Shop, hub: Crm) -> None:
    sync = verified(hub)
    synced(shop, hub, sync)
    calls = hub.requests()
    report = shop.run(sync, hub.account)
    assert report.verified is not None
    assert report.verified.not_asked == "the run wrote nothing"
    assert hub.requests() == calls
    assert "verified" not in report.counts


@heavy
def test_a_sample_is_as_large_as_asked_for_and_none_costs_nothing(shop: Shop, hub: Crm) -> None:
    report = synced(shop, hub, verified(hub, 4, before_images="synced"), 20)
    assert report.verified is not None
    assert report.verified.looked_at == 4
    calls = hub.requests()
    none = verified(hub, 0, before_images="synced")
    shop.sql("update marts.people set phone = '+1 555 9'")
    report = shop.run(none, hub.account)
    assert report.verified is not None
    assert report.verified.not_asked == "nothing is looked at (`verify.sample: 0`)"
    assert report.counts["updated"] == 20
    assert hub.requests() == calls + 1


@heavy
def test_a_destination_that_cannot_be_read_is_not_asked(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select '1' as id, 'Ann' as name")
    report = shop.run(sink_sync(), sink(sandbox.url))
    assert report.verified is not None
    assert report.verified.not_asked == "`sink` cannot be read back; nothing was looked at"


@heavy
def test_fields_that_the_destination_won_are_not_compared(shop: Shop, force: Crm) -> None:
    owned = {force.phone: {"column": "phone", "wins": "unless_edited"}}
    sync = verified(force, mapping=owned, sync_mode="full_refresh")
    synced(shop, force, sync)
    force.edit(ANN, **{force.phone: "+41 44 1"})
    shop.sql("update marts.people set phone = '+1 555 9', company = 'New'")
    report = shop.run(sync, force.account)
    assert report.counts["updated"] == 3
    assert force.values(force.phone)[ANN] == "+41 44 1"
    assert (report.verified and report.verified.looked_at, named(report)) == (3, set())


@heavy
def test_what_is_compared_is_what_went_out(shop: Shop, hub: Crm) -> None:
    """Hashes where the sync hashes, and nothing where NULL keeps what is there."""
    mapping = {
        hub.name: {"column": "email", "transform": "sha256_email"},
        hub.phone: {"column": "phone", "null": "keep"},
    }
    sync = verified(hub, mapping=mapping)
    shop.build(PEOPLE.format(3))
    shop.sql(f"update marts.people set phone = null where email = '{ANN}'")
    hub.add(**{hub.key: ANN, hub.name: "x", hub.phone: "+41 44 1", hub.company: "x"})
    report = shop.run(sync, hub.account)
    assert (report.verified and report.verified.looked_at, named(report)) == (3, set())
    assert hub.values(hub.phone)[ANN] == "+41 44 1"
    assert len(hub.values(hub.name)[BOB]) == 64


@heavy
def test_a_row_that_another_one_of_its_key_supersedes_is_not_what_is_compared(shop: Shop, hub: Crm) -> None:
    shop.build(PEOPLE.format(1))
    shop.sql(
        "insert into marts.people select id, email, 'Older', phone, company, timestamp '2020-01-01' from marts.people"
    )
    report = shop.run(verified(hub, on_duplicate_key="latest by changed_at"), hub.account)
    assert report.counts["superseded"] == 1
    assert (report.verified and report.verified.looked_at, named(report)) == (1, set())


@heavy
def test_an_undo_is_verified_too(shop: Shop, force: Crm) -> None:
    sync = verified(force)
    synced(shop, force, sync)
    shop.sql(f"update marts.people set phone = '+1 555 9' where email = '{ANN}'")
    run = shop.run(sync, force.account)
    report = undo_run(run.run_id, sync, shop.environment, force.account, who="ada", why="wrong numbers")
    assert force.values(force.phone)[ANN] == "+1 555 1000"
    assert report.verified is not None
    assert (report.verified.looked_at, report.verified.wrong, report.verified.not_judged) == (1, 0, "")


# Red


@heavy
def test_an_edit_between_write_and_look_names_row_field_and_values(shop: Shop, vendor: Crm) -> None:
    sync = verified(vendor)
    synced(shop, vendor, sync)
    shop.sql("update marts.people set phone = '+1 555 9'")

    def meanwhile(plan: Any, statuses: Mapping[str, int]) -> None:
        vendor.edit(ANN, **{vendor.phone: "+41 44 1", vendor.company: "Somebody's"})

    report = shop.run(sync, vendor.account, on_progress=meanwhile)
    phone = (ANN, "differs", vendor.phone, "+1 555 9", "+41 44 1")
    company = (ANN, "differs", vendor.company, "C0", "Somebody's")
    # Salesforce was sent the phone alone, and the company is none of this run's business.
    assert named(report) == {"salesforce": {phone}, "hubspot": {phone, company}}[vendor.vendor]
    assert report.status is RunStatus.DONE
    assert report.counts["updated"] == 3
    assert (report.counts["verified"], report.counts["verified_differing"]) == (3, 1)
    assert shop.run(sync, vendor.account).change_set == 0, "it is reported, and not sent again"


@heavy
def test_a_success_that_was_not_is_found(shop: Shop, force: Crm) -> None:
    """A job acknowledges records and keeps none; all are counted, and some are named."""
    rows = 2_100
    sync = verified(force, before_images="synced")
    force.sandbox.fault("lose_writes", vendor="salesforce", percent=100)
    report = synced(shop, force, sync, rows)
    assert force.requests("jobs/ingest")
    assert report.counts["created"] == rows
    assert report.verified is not None
    assert (report.verified.looked_at, report.verified.missing, report.verified.differing) == (rows, rows, 0)
    assert {each.kind for each in report.verified.examples} == {Kind.MISSING}
    assert len(report.verified.examples) == 20


@heavy
def test_lost_changes_and_deletes_are_found(shop: Shop, vendor: Crm) -> None:
    sync = verified(vendor)
    synced(shop, vendor, sync)
    vendor.sandbox.fault("lose_writes", vendor=vendor.vendor, percent=100)
    shop.sql(f"update marts.people set phone = '+1 555 9' where email = '{ANN}'")
    shop.sql(f"delete from marts.people where email = '{BOB}'")
    report = shop.run(sync, vendor.account)
    assert (report.counts["updated"], report.counts["deleted"]) == (1, 1)
    assert named(report) == {
        (ANN, "differs", vendor.phone, "+1 555 9", "+1 555 1000"),
        (BOB, "still there", None, None, None),
    }
    assert report.verified is not None
    assert (report.verified.differing, report.verified.missing) == (2, 0)


@heavy
def test_two_records_of_one_key_are_possible_duplicates(shop: Shop, sandbox: Sandbox) -> None:
    at = a_crm("salesforce", sandbox)
    made: list[str] = []

    def meanwhile(plan: Any, statuses: Mapping[str, int]) -> None:
        if not made:
            first = at.records[ANN].id
            made.extend([first, sandbox.duplicate("salesforce", at.object, first)])

    shop.build(PEOPLE.format(3))
    report = shop.run(verified(at), at.account, on_progress=meanwhile)
    assert report.verified is not None
    assert (report.verified.duplicates, report.verified.wrong) == (1, 0)
    (example,) = report.verified.examples
    assert (example.key, example.kind) == (ANN, Kind.SEVERAL)
    assert sorted(example.held.split(", ")) == sorted(made)


@heavy
def test_personal_data_is_not_shown(shop: Shop, force: Crm) -> None:
    sync = verified(force, before_images="synced")
    shop.build(PEOPLE.format(1))
    shop.models["people"] = replace(shop.models["people"], pii={"email": "email", "name": "name"})
    shop.run(sync, force.account)
    force.sandbox.fault("lose_writes", vendor=force.vendor, percent=100)
    shop.sql("update marts.people set name = 'Zoe-Maria', company = 'Acme'")
    report = shop.run(sync, force.account)
    assert named(report) == {
        ("p***@***", "differs", force.name, "Z***", "N***"),
        ("p***@***", "differs", force.company, "Acme", "C0"),
    }


# No false alarms


TYPES = {
    "salesforce": {
        "Title": "text",
        "Description": "prose",
        "Department": "document",
        "Email": "address",
        "Segment__c": "choice",
        "Interests__c": "several",
        "Lifetime_Value__c": "amount",
        "Churn_Risk__c": "share",
        "Orders__c": "whole",
        "Average_Order_Value__c": "ratio",
        "Last_Order_Date__c": "day",
        "Trial_Ends_At__c": "moment",
        "Marketing_Opt_In__c": "flag",
        "Call_Me_At__c": "hour",
    },
    "hubspot": {
        "jobtitle": "text",
        "company": "prose",
        "city": "document",
        "email": "address",
        "segment": "choice",
        "interests": "several",
        "lifetime_value": "amount",
        "churn_risk": "share",
        "orders_count": "whole",
        "average_order_value": "ratio",
        "last_order_date": "day",
        "trial_ends_at": "moment",
        "marketing_opt_in": "flag",
        "address": "hour",
    },
}
EVERY_TYPE = """
select
    'k' || i as id,
    'Name ' || i as name,
    case i % 4 when 0 then ' Zoë Müller ' when 1 then null when 2 then 'a;b|c"d' else '日本 🙂' end as text,
    case i % 3 when 0 then E'two\\r\\nlines' when 1 then E'two\\nlines' else '' end as prose,
    case i % 2 when 0 then {'b': i, 'a': [1.50, null]} end as document,
    case i % 2 when 0 then 'Mixed.Case' || i || '@Shop.Example' else 'p' || i || '@shop.example' end as address,
    ['champion', 'loyal', null][1 + i % 3] as choice,
    case i % 3 when 0 then 'tea;coffee' when 1 then 'coffee' end as several,
    (i * 1234.5)::decimal(14, 2) as amount,
    (i % 7 / 7.0)::decimal(5, 4) as share,
    i * 1000 as whole,
    case i % 3 when 0 then 0.1 + 0.2 when 1 then 1e3 end::double as ratio,
    case i % 4 when 3 then null else date '2024-02-29' + i::integer end as day,
    case i % 3 when 0 then timestamp '2026-01-31 23:59:59.123456' when 1 then timestamp '2026-07-01 00:00:00' end
        as moment,
    i % 2 = 0 as flag,
    time '09:30:00' + interval (i) minute as hour
from range(24) r(i)
"""


@pytest.mark.parametrize("name", first(["salesforce", "hubspot"]))
def test_every_type_of_value_is_green(shop: Shop, sandbox: Sandbox, name: str) -> None:
    """After making records, after changing them, and when looking for drift."""
    at = a_crm(name, sandbox)
    key, surname = {"salesforce": ("External_Id__c", "LastName"), "hubspot": ("external_id", "lastname")}[name]
    kind = {"salesforce": "Contact", "hubspot": "contacts"}[name]
    fields = {surname: "name", **TYPES[name]}
    sync = verified(at, object=kind, primary_key="id", external_id=key).model_copy(
        update={"mapping": sink_sync(mapping=fields).mapping}
    )
    shop.build(EVERY_TYPE)
    report = shop.run(sync, at.account)
    assert (report.counts["created"], report.counts["failed"]) == (24, 0), shop.outcomes(sync, report.run_id)
    assert (report.verified and report.verified.looked_at, named(report)) == (24, set())
    shop.build(EVERY_TYPE.replace("range(24) r(i)", "range(1, 25) r(j), lateral (select j * 5 % 24 as i)"))
    report = shop.run(sync, at.account)
    assert (report.verified and report.verified.wrong, named(report)) == (0, set())
