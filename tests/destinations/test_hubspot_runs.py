"""Whole runs of the engine against HubSpot: members of a list, associations, and stages that move back."""

from typing import Any

import pytest

from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.records import Reason, Status
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.runs.undo import undo_run
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import Shop, crm, crm_sync
from tests.heavy import first, heavy

LOOSE: dict[str, Any] = {"guards": {"max_removed": {}, "row_count": {"percent": None, "deviations": None}}}
PEOPLE = "select 'p' || i || '@x.com' as email, 'acme' as account from range({}) r(i)"


def contacts(sandbox: Sandbox, count: int) -> list[str]:
    return [sandbox.add("hubspot", "contacts", {"email": f"P{number}@x.com"}) for number in range(count)]


def members_sync() -> Sync:
    return crm_sync(object="lists/1", mapping={"email": "email"}, sync_mode="mirror", **LOOSE)


def counted(report: Report) -> dict[str, int]:
    return {status: report.counts[status] for status in Status if report.counts[status]}


def members(sandbox: Sandbox) -> set[str]:
    return {entry.id for entry in sandbox.hubspot.tables["lists/1"].live()}


def test_a_segment_is_mirrored_into_a_list(shop: Shop, sandbox: Sandbox) -> None:
    people = contacts(sandbox, 4)
    sync, account = members_sync(), crm(sandbox.url, api_version="2026-09")
    sandbox.hubspot.lists.segments["1"].name = "Loyal"
    shop.build(PEOPLE.format(3) + " union all select 'nobody@x.com', ''")
    first = shop.run(sync, account)
    assert (counted(first), first.counts["skipped_not_found"]) == ({"created": 3, "skipped": 1}, 1)
    assert members(sandbox) == set(people[:3])
    shop.build(PEOPLE.format(4) + " where i > 0")
    sandbox.remove("hubspot", "contacts", people[1])
    second = shop.run(sync, account)
    assert counted(second) == {"created": 1, "deleted": 1}
    assert members(sandbox) - {people[1]} == {people[2], people[3]}
    undo_run(second.run_id, sync, shop.environment, account, who="ada", why="too early")
    assert members(sandbox) - {people[1]} == {people[0], people[2]}


@heavy
def test_a_member_that_was_there_before_stays_after_an_undo(shop: Shop, sandbox: Sandbox) -> None:
    one, two = contacts(sandbox, 2)
    sandbox.hubspot.lists.join("1", one)
    sync, account = members_sync(), crm(sandbox.url)
    shop.build(PEOPLE.format(2))
    run = shop.run(sync, account)
    assert counted(run) == {"created": 1, "updated": 1}
    assert shop.by_key(sync, run)["p0@x.com"].inferred
    undo_run(run.run_id, sync, shop.environment, account, who="ada", why="too early")
    assert members(sandbox) == {one}
    assert two not in members(sandbox)


@heavy
def test_a_list_that_is_deleted_between_two_runs_sends_nothing(shop: Shop, sandbox: Sandbox) -> None:
    contacts(sandbox, 2)
    sync, account = members_sync(), crm(sandbox.url)
    shop.build(PEOPLE.format(1))
    shop.run(sync, account)
    sandbox.hubspot.lists.segments["1"].deleted = True
    shop.build(PEOPLE.format(2))
    report = shop.run(sync, account)
    assert (report.status, counted(report)) == (RunStatus.FAILED, {"skipped": 1})
    assert "List `1` is not there any more: restore it in HubSpot" in (report.detail or "")


@heavy
def test_a_missing_scope_stops_the_run_and_is_named(shop: Shop, sandbox: Sandbox) -> None:
    contacts(sandbox, 1)
    sandbox.settings.change({"hubspot_missing_scope": "crm.lists.write"})
    shop.build(PEOPLE.format(1))
    report = shop.run(members_sync(), crm(sandbox.url))
    assert (report.status, counted(report)) == (RunStatus.FAILED, {"skipped": 1})
    assert "Scopes that are needed: crm.lists.write" in (report.detail or "")


@heavy
def test_contacts_are_associated_with_their_companies(shop: Shop, sandbox: Sandbox) -> None:
    one, two = contacts(sandbox, 2)
    acme = sandbox.add("hubspot", "companies", {"name": "Acme", "external_id": "acme"})
    other = sandbox.add("hubspot", "companies", {"name": "Other", "external_id": "a|b"})
    sync = crm_sync(
        object="associations/contacts/companies",
        primary_key=["email", "account"],
        mapping={"from.email": "email", "to.external_id": "account"},
        sync_mode="mirror",
        **LOOSE,
    )
    account = crm(sandbox.url)
    shop.build(PEOPLE.format(3))
    first = shop.run(sync, account)
    assert (counted(first), first.counts["skipped_not_found"]) == ({"created": 2, "skipped": 1}, 1)
    pairs = sandbox.hubspot.tables["associations/contacts/companies"]
    assert {entry.id for entry in pairs.live()} == {f"{one}:{acme}", f"{two}:{acme}"}
    shop.sql("update marts.people set account = 'a|b' where email = 'p0@x.com'")
    second = shop.run(sync, account)
    assert counted(second) == {"created": 1, "deleted": 1, "skipped": 1}
    assert {entry.id for entry in pairs.live()} == {f"{one}:{other}", f"{two}:{acme}"}
    undo_run(second.run_id, sync, shop.environment, account, who="ada", why="wrong account")
    assert {entry.id for entry in pairs.live()} == {f"{one}:{acme}", f"{two}:{acme}"}


@heavy
@pytest.mark.parametrize("version", first(["2026-09", "2026-03", "v3"]))
def test_associations_are_ended_in_every_version(shop: Shop, sandbox: Sandbox, version: str) -> None:
    contacts(sandbox, 5)
    sandbox.add("hubspot", "companies", {"name": "Acme", "external_id": "acme"})
    mapping = {"from.email": "email", "to.external_id": "account"}
    key = ["email", "account"]
    sync = crm_sync(
        object="associations/contacts/companies", primary_key=key, mapping=mapping, sync_mode="mirror", **LOOSE
    )
    account = crm(sandbox.url, api_version=version)
    shop.build(PEOPLE.format(5))
    assert counted(shop.run(sync, account)) == {"created": 5}
    shop.build(PEOPLE.format(1))
    if version != "v3":
        sandbox.fault(vendor="hubspot", kind="refuse_rows", path="batch/archive", percent=100.0, next=1)
        assert counted(shop.run(sync, account)) == {"failed": 4}
    assert counted(shop.run(sync, account)) == {"deleted": 4}
    assert len(sandbox.hubspot.tables["associations/contacts/companies"].live()) == 1


def stages(sandbox: Sandbox) -> dict[str, str | None]:
    return {each.values["email"]: each.values["lifecyclestage"] for each in sandbox.hubspot.tables["contacts"].live()}


@heavy
@pytest.mark.parametrize(("lifecycle", "moves"), [("keep", False), ("move_back", True)])
def test_a_stage_moves_back_if_it_is_told_to(shop: Shop, sandbox: Sandbox, lifecycle: str, moves: bool) -> None:
    sync = crm_sync(
        mapping={"lifecyclestage": "stage", "city": "city"},
        external_id="email",
        options={"lifecycle": lifecycle},
    )
    for number in range(3):
        held = {"email": f"p{number}@x.com", "lifecyclestage": "opportunity" if number else "lead", "city": "Bern"}
        sandbox.add("hubspot", "contacts", held)
    shop.build("select 'p' || i || '@x.com' as email, 'customer' as stage, 'Bern' as city from range(3) r(i)")
    assert counted(shop.run(sync, crm(sandbox.url))) == {"updated": 3}
    shop.sql("update marts.people set stage = 'lead', city = 'Basel' where email <> 'p1@x.com'")
    report = shop.run(sync, crm(sandbox.url))
    assert counted(report) == ({"updated": 2} if moves else {"failed": 2})
    back = "lead" if moves else "customer"
    assert stages(sandbox) == {"p0@x.com": back, "p1@x.com": "customer", "p2@x.com": back}
    if not moves:
        error = shop.by_key(sync, report)["p0@x.com"]
        assert (error.reason, error.code) == (Reason.REJECTED, "LIFECYCLE_STAGE_KEPT")


@heavy
def test_an_undo_moves_a_stage_back(shop: Shop, sandbox: Sandbox) -> None:
    sandbox.add("hubspot", "contacts", {"email": "p0@x.com", "lifecyclestage": "lead"})
    sync = crm_sync(
        mapping={"lifecyclestage": "stage"},
        external_id="email",
        options={"lifecycle": "move_back"},
        sync_mode="update_only",
    )
    shop.build("select 'p0@x.com' as email, 'customer' as stage")
    run = shop.run(sync, crm(sandbox.url))
    report = undo_run(run.run_id, sync, shop.environment, crm(sandbox.url), who="ada", why="wrong model")
    assert counted(report) == {"updated": 1}
    assert stages(sandbox) == {"p0@x.com": "lead"}


@heavy
def test_a_stage_that_is_cleared_when_the_run_breaks_off_is_set_by_the_next_one(shop: Shop, sandbox: Sandbox) -> None:
    """The request that would set it is refused for good; the next run needs to know nothing of it."""
    sandbox.add("hubspot", "contacts", {"email": "p0@x.com", "lifecyclestage": "customer"})
    sync = crm_sync(mapping={"lifecyclestage": "stage"}, external_id="email", options={"lifecycle": "move_back"})
    shop.build("select 'p0@x.com' as email, 'lead' as stage")
    sandbox.fault(vendor="hubspot", kind="rate_limit", daily=True, path="batch/upsert", skip=2, next=1)
    broken = shop.run(sync, crm(sandbox.url))
    assert (broken.status, stages(sandbox)) == (RunStatus.FAILED, {"p0@x.com": None})
    assert counted(shop.run(sync, crm(sandbox.url))) == {"updated": 1}
    assert stages(sandbox) == {"p0@x.com": "lead"}


OBJECTS: dict[str, dict[str, str]] = {
    "deals": {"dealname": "name", "dealstage": "stage", "amount": "amount", "closedate": "at"},
    "0-3": {"dealname": "name", "dealstage": "stage", "amount": "amount", "closedate": "at"},
    "tickets": {"subject": "name", "hs_pipeline_stage": "place", "account_value": "amount"},
    "product_usage": {"product": "name", "active_users": "amount"},
    "2-1001": {"product": "name", "active_users": "amount"},
}
RECORDS = (
    "select 'D' || i as id, 'No ' || i || '{0}' as name, 'contractsent' as stage, '1' as place, i as amount,"
    " timestamptz '2026-01-01 00:00:00+00' + to_days(i) as at from range(250) r(i)"
)


@heavy
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("version", ["v3", "2026-09"])
@pytest.mark.parametrize("name", first(list(OBJECTS)))
def test_records_of_a_unique_property_are_made_changed_and_deleted(
    shop: Shop, sandbox: Sandbox, name: str, version: str, sparse: bool
) -> None:
    sandbox.settings.change({"sparse": sparse})
    mapping = {"external_id": "id", **OBJECTS[name]}
    sync = crm_sync(object=name, primary_key="id", mapping=mapping, sync_mode="mirror", **LOOSE)
    account = crm(sandbox.url, api_version=version)
    table = {"0-3": "deals", "2-1001": "product_usage"}.get(name, name)
    for suffix, became in (("", "created"), (", changed", "updated")):
        shop.build(RECORDS.format(suffix))
        report = shop.run(sync, account)
        assert (report.status, counted(report)) == (RunStatus.DONE, {became: 250}), report.detail
        assert shop.run(sync, account).written == 0
    held = sandbox.hubspot.tables[table].live()
    assert len(held) == 250
    shop.build(RECORDS.format(", changed") + " where i < 240")
    assert counted(shop.run(sync, account)) == {"deleted": 10}
    undo_run(report.run_id, sync, shop.environment, account, who="ada", why="too early")
    assert len(sandbox.hubspot.tables[table].live()) == 240
