"""Who owns a field: what goes out of a row, given what its record holds."""

import json
from datetime import UTC, datetime

import pytest

from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.engine.crms import PEOPLE, Crm, a_crm
from tests.engine.shop import Shop, sink, sink_sync
from tests.heavy import first, heavy

ANN = "p0@shop.example"


@pytest.fixture(params=first(["salesforce", "hubspot"]))
def crm(request: pytest.FixtureRequest, sandbox: Sandbox) -> Crm:
    return a_crm(request.param, sandbox)


def owned(crm: Crm, wins: str, **changes: object) -> Sync:
    """The phone follows a rule; the other fields are the warehouse's."""
    return crm.sync(mapping={crm.phone: {"column": "phone", "wins": wins, **changes}}, updated_at="changed_at")


def synced(shop: Shop, crm: Crm, sync: Sync, rows: int = 3) -> None:
    shop.build(PEOPLE.format(rows))
    assert shop.run(sync, crm.account).counts["created"] == rows


def called(shop: Shop, number: str, more: str = "") -> None:
    shop.sql(f"update marts.people set phone = '{number}'{more} where email = '{ANN}'")


def test_a_value_that_people_changed_stays_and_is_named(shop: Shop, crm: Crm) -> None:
    sync = owned(crm, "unless_edited")
    synced(shop, crm, sync)
    crm.edit(ANN, **{crm.phone: "+41 44 1"})
    called(shop, "+1 555 2000")
    report = shop.run(sync, crm.account)
    (outcome,) = shop.outcomes(sync, report.run_id)
    assert (outcome.status, outcome.reason) == ("skipped", "kept")
    assert crm.phone in str(outcome.message)
    assert "+41 44 1" in str(outcome.message)
    assert crm.values(crm.phone)[ANN] == "+41 44 1"
    conflicts = shop.state(sync, "select field, rule, base, ours, theirs, winner from state.conflicts")
    theirs = ["+1 555 1000", "+1 555 2000", "+41 44 1"]
    assert conflicts == [(crm.phone, "unless_edited", *(json.dumps(each) for each in theirs), "destination")]


def test_a_kept_value_is_quiet_until_the_model_changes_again_and_still_stays(shop: Shop, crm: Crm) -> None:
    sync = owned(crm, "unless_edited")
    synced(shop, crm, sync)
    crm.edit(ANN, **{crm.phone: "+41 44 1"})
    called(shop, "+1 555 2000")
    shop.run(sync, crm.account)
    calls = crm.requests()
    assert shop.run(sync, crm.account).change_set == 0
    assert crm.requests() == calls
    called(shop, "+1 555 3000")
    assert shop.run(sync, crm.account).counts["skipped_kept"] == 1
    assert crm.values(crm.phone)[ANN] == "+41 44 1"


@heavy
def test_a_value_that_people_put_back_is_ours_again(shop: Shop, crm: Crm) -> None:
    sync = owned(crm, "unless_edited")
    synced(shop, crm, sync)
    crm.edit(ANN, **{crm.phone: "+41 44 1"})
    called(shop, "+1 555 2000")
    shop.run(sync, crm.account)
    crm.edit(ANN, **{crm.phone: "+1 555 1000"})  # what we wrote last
    called(shop, "+1 555 3000")
    assert shop.run(sync, crm.account).counts["updated"] == 1
    assert crm.values(crm.phone)[ANN] == "+1 555 3000"
    assert shop.state(sync, "select count(*) from state.kept") == [(0,)]


@heavy
def test_the_other_fields_of_a_row_still_go_out(shop: Shop, crm: Crm) -> None:
    sync = owned(crm, "unless_edited")
    synced(shop, crm, sync)
    crm.edit(ANN, **{crm.phone: "+41 44 1"})
    called(shop, "+1 555 2000", ", company = 'New'")
    assert shop.run(sync, crm.account).counts["updated"] == 1
    assert crm.values(crm.phone)[ANN] == "+41 44 1"
    assert crm.values(crm.company)[ANN] == "New"


def test_destination_wins_fills_only_what_is_empty(shop: Shop, crm: Crm) -> None:
    crm.add(**{crm.key: ANN, crm.name: "Ann", crm.phone: "+41 44 1", crm.company: "C0"})
    crm.add(**{crm.key: "p1@shop.example", crm.name: "Bob", crm.company: "C1"})
    shop.build(PEOPLE.format(3))
    report = shop.run(owned(crm, "destination"), crm.account)
    assert report.counts["updated"] == 2
    assert report.counts["created"] == 1
    assert list(crm.values(crm.phone).values()) == ["+41 44 1", "+1 555 1001", "+1 555 1002"]
    assert list(crm.values(crm.name).values()) == ["Name 0", "Name 1", "Name 2"]


@heavy
@pytest.mark.parametrize(("edited", "winner"), [("2026-05-01", "destination"), ("2026-03-01", "warehouse")])
def test_the_latest_change_wins(shop: Shop, crm: Crm, edited: str, winner: str) -> None:
    sync = owned(crm, "latest")
    synced(shop, crm, sync)
    at = datetime.fromisoformat(edited).replace(tzinfo=UTC).timestamp()
    crm.edit(ANN, **{crm.phone: "+41 44 1"}, at=at)
    called(shop, "+1 555 2000", ", changed_at = timestamp '2026-04-01'")
    shop.run(sync, crm.account)
    assert crm.values(crm.phone)[ANN] == {"destination": "+41 44 1", "warehouse": "+1 555 2000"}[winner]
    assert shop.state(sync, "select winner, rule from state.conflicts") == [(winner, "latest")]


@heavy
def test_our_own_last_write_is_no_conflict(shop: Shop, crm: Crm) -> None:
    """The record's time is that of our write, which is later than a change that took long to arrive."""
    sync = owned(crm, "latest")
    synced(shop, crm, sync)
    called(shop, "+1 555 2000", ", changed_at = timestamp '2026-01-02'")
    assert shop.run(sync, crm.account).counts["updated"] == 1
    assert shop.state(sync, "select count(*) from state.conflicts") == [(0,)]


@heavy
def test_null_keeps_what_is_there(shop: Shop, crm: Crm) -> None:
    sync = crm.sync(mapping={crm.phone: {"column": "phone", "null": "keep"}})
    synced(shop, crm, sync)
    shop.sql(f"update marts.people set phone = null where email = '{ANN}'")
    assert shop.run(sync, crm.account).change_set == 0
    shop.sql(f"update marts.people set company = 'New' where email = '{ANN}'")
    assert shop.run(sync, crm.account).counts["updated"] == 1
    assert (crm.values(crm.phone)[ANN], crm.values(crm.company)[ANN]) == ("+1 555 1000", "New")
    called(shop, "+1 555 9")
    shop.run(sync, crm.account)
    assert crm.values(crm.phone)[ANN] == "+1 555 9"


def test_a_new_record_is_made_once_though_nulls_are_kept(shop: Shop, crm: Crm) -> None:
    sync = crm.sync(mapping={crm.phone: {"column": "phone", "null": "keep"}})
    shop.build(PEOPLE.format(3))
    shop.sql("update marts.people set phone = null")
    report = shop.run(sync, crm.account)
    assert (report.counts["created"], report.counts["updated"]) == (report.change_set, 0)


def test_only_changed_fields_are_written(shop: Shop, crm: Crm) -> None:
    """What somebody else keeps in the record's other fields is not touched, whoever reads or not."""
    sync = crm.sync(before_images="synced", sync_mode="update_only")
    shop.build(PEOPLE.format(3))
    for i in range(3):
        crm.add(**{crm.key: f"p{i}@shop.example", crm.name: "x", crm.company: "x"})
    assert shop.run(sync, crm.account).counts["updated"] == 3
    crm.edit(ANN, **{crm.company: "Edited"})
    called(shop, "+1 555 2000")
    assert shop.run(sync, crm.account).counts["updated"] == 1
    assert (crm.values(crm.phone)[ANN], crm.values(crm.company)[ANN]) == ("+1 555 2000", "Edited")


@heavy
def test_a_full_refresh_writes_every_field(shop: Shop, crm: Crm) -> None:
    """That is what it is for: what somebody else has written since is written over."""
    sync = crm.sync(before_images="synced", sync_mode="full_refresh")
    shop.build(PEOPLE.format(3))
    shop.run(sync, crm.account)
    before = crm.values(crm.company)[ANN]
    crm.edit(ANN, **{crm.company: "Edited"})
    called(shop, "+1 555 2000")
    assert shop.run(sync, crm.account).counts["updated"] == 3
    assert (crm.values(crm.phone)[ANN], crm.values(crm.company)[ANN]) == ("+1 555 2000", before)


@heavy
def test_a_record_that_somebody_deleted_is_made_again_of_all_fields(shop: Shop, crm: Crm) -> None:
    for images in ("destination", "synced"):
        sync = crm.sync(before_images=images, sync=f"people_{images}")
        shop.build(PEOPLE.format(3))
        shop.run(sync, crm.account)
        crm.remove(ANN)
        called(shop, f"+1 555 {images}")
        report = shop.run(sync, crm.account)
        assert report.counts["created"] == 1
        assert crm.values(crm.name)[ANN] == "Name 0"
        assert crm.values(crm.phone)[ANN] == f"+1 555 {images}"


@heavy
def test_a_record_that_is_made_again_of_some_fields_gets_the_others_too(shop: Shop, crm: Crm) -> None:
    """What changed is all that the vendor asks for, so it takes the row without the phone."""
    sync = crm.sync(before_images="synced")
    shop.build(PEOPLE.format(3))
    shop.run(sync, crm.account)
    crm.remove(ANN)
    shop.sql(f"update marts.people set name = 'New', company = 'New' where email = '{ANN}'")
    assert shop.run(sync, crm.account).counts["failed"] == 0
    assert (crm.values(crm.name)[ANN], crm.values(crm.phone)[ANN]) == ("New", "+1 555 1000")


@heavy
def test_rows_that_the_record_agrees_with_already_are_not_written(shop: Shop, crm: Crm) -> None:
    for i in range(3):
        values = {crm.name: f"Name {i}", crm.phone: f"+1 555 {1000 + i}", crm.company: f"C{i}"}
        crm.add(**{crm.key: f"p{i}@shop.example", **values})
    shop.build(PEOPLE.format(4))
    sync = crm.sync()
    report = shop.run(sync, crm.account)
    assert (report.counts["skipped_same"], report.counts["created"]) == (3, 1)
    assert shop.run(sync, crm.account).change_set == 0


@heavy
def test_two_records_of_one_key_are_reported_and_not_guessed(shop: Shop, sandbox: Sandbox) -> None:
    """In HubSpot a key is unique."""
    crm = a_crm("salesforce", sandbox)
    sync = crm.sync()
    synced(shop, crm, sync)
    crm.sandbox.duplicate(crm.vendor, crm.object, crm.records[ANN].id)
    called(shop, "+1 555 2000")
    report = shop.run(sync, crm.account)
    (outcome,) = shop.outcomes(sync, report.run_id)
    assert (outcome.status, outcome.reason, outcome.code) == ("failed", "rejected", "AMBIGUOUS_KEY")
    assert "2 records" in str(outcome.message)


@heavy
def test_records_are_read_in_batches_and_only_if_need_be(shop: Shop, crm: Crm) -> None:
    reads = "POST", "batch/read"
    if crm.vendor == "salesforce":
        reads = "GET", "query"
    synced(shop, crm, crm.sync(before_images="synced"), rows=250)
    assert crm.requests(*reads) == 0
    shop.sql("update marts.people set phone = '+1'")
    shop.run(crm.sync(before_images="synced"), crm.account)
    assert crm.requests(*reads) == 0
    shop.sql("update marts.people set phone = '+2'")
    shop.run(crm.sync(), crm.account)
    assert crm.requests(*reads) == {"salesforce": 2, "hubspot": 3}[crm.vendor]


@heavy
def test_before_images_are_what_the_record_held(shop: Shop, crm: Crm) -> None:
    sync = crm.sync()
    synced(shop, crm, sync)
    crm.edit(ANN, **{crm.phone: "+41 44 1"})
    called(shop, "+1 555 2000")
    run = shop.run(sync, crm.account).run_id
    (image,) = shop.state(sync, f"select fields, before, source, status from state.images where run_id = '{run}'")
    assert (image[0], image[2], image[3]) == ([crm.phone], "destination", "updated")
    assert json.loads(image[1]) == {crm.phone: "+41 44 1"}


@heavy
def test_before_images_of_a_destination_that_cannot_be_read(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select i::varchar id, 'n' as name from range(2) r(i)")
    sync, account = sink_sync(sync_mode="mirror", guards={"max_removed": {}}), sink(sandbox.url)
    shop.run(sync, account)
    shop.build("select '0' as id, 'm' as name")
    run = shop.run(sync, account).run_id
    images = shop.state(
        sync, f"select key, before, source, status from state.images where run_id = '{run}' order by key"
    )
    assert [(key, json.loads(before)["name"], *rest) for key, before, *rest in images] == [
        ("0", "n", "synced", "updated"),
        ("1", "n", "synced", "deleted"),
    ]
