"""Whole runs of the engine: an audience that follows its model."""

from collections import Counter
from typing import Any

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.destinations.google_ads import GoogleAds
from reverse_etl_assets.records import Reason, Status
from reverse_etl_assets.runs.undo import undo_run
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts
from tests.engine.shop import FAST, Shop, sink_sync
from tests.heavy import heavy

PEOPLE = "select i::varchar as id, 'p' || i || '@shop.example' as name from range({}, {}) r(i)"


def google_ads(sandbox: Sandbox, **settings: Any) -> Account:
    connection = accounts.google_ads(sandbox.url, requests_per_second=FAST, **settings)
    return Account("ads", GoogleAds, connection)


def audience(**changes: Any) -> Sync:
    """A sync of the model `people` to an audience, by its column `name`, which holds addresses."""
    given = {"terms_of_service": "accepted", "ad_user_data": "granted", "ad_personalization": "granted"}
    spec: dict[str, Any] = {
        "sync": "people_to_ads",
        "destination": "ads",
        "object": "1001",
        "primary_key": "id",
        "mapping": {"email": "name"},
        "sync_mode": "mirror",
        "options": {**given, **changes.pop("options", {})},
        "max_failed": {"percent": 100},
        "guards": {"max_removed": {}, "row_count": {"percent": None, "deviations": None}},
    }
    return sink_sync(**{**spec, **changes})


def statuses(shop: Shop, sync: Sync, run_id: str) -> Counter[tuple[str, str | None]]:
    return Counter((each.status, each.reason) for each in shop.outcomes(sync, run_id))


def held(sandbox: Sandbox) -> int:
    return len(sandbox.google_ads.tables["1001"].live())


def test_an_audience_follows_its_model(shop: Shop, sandbox: Sandbox) -> None:
    account, sync = google_ads(sandbox), audience()
    shop.build(f"{PEOPLE.format(0, 30)} union all select 'bad', '+@gmail.com'")
    first = shop.run(sync, account)
    made = {(Status.CREATED, None): 30, (Status.FAILED, Reason.INVALID): 1}
    assert statuses(shop, sync, first.run_id) == made
    assert all(each.inferred for each in shop.outcomes(sync, first.run_id) if each.status == Status.CREATED)
    shop.build(f"{PEOPLE.format(10, 32)} union all select '9', 'other@shop.example'")
    second = shop.run(sync, account)
    moved = {(Status.CREATED, None): 2, (Status.UPDATED, None): 1, (Status.DELETED, None): 9}
    assert statuses(shop, sync, second.run_id) == moved
    assert held(sandbox) == 22 + 2  # who has another address is there by the old one, too, until the row goes


@heavy
def test_rows_that_google_refuses_cost_one_more_request(shop: Shop, sandbox: Sandbox) -> None:
    sandbox.fault("refuse_rows", vendor="google_ads", percent=10)
    sync = audience()
    shop.build(PEOPLE.format(0, 100))
    found = statuses(shop, sync, shop.run(sync, google_ads(sandbox)).run_id)
    rejected = found[Status.FAILED, Reason.REJECTED]
    assert 0 < rejected < 100
    assert found[Status.CREATED, None] == held(sandbox) == 100 - rejected
    assert sandbox.counts()["google_ads"]["operations"]["upsert"] == 3  # the check, and two that wrote


@heavy
def test_a_field_that_google_leaves_out_is_told_beside_the_row_that_it_took(shop: Shop, sandbox: Sandbox) -> None:
    account, sync = google_ads(sandbox), audience()
    sandbox.settings.change({"google_ads_warned_members": 2})
    shop.build(PEOPLE.format(0, 5))
    first = shop.run(sync, account)
    told = [each for each in shop.outcomes(sync, first.run_id) if each.message]
    assert statuses(shop, sync, first.run_id) == {(Status.CREATED, None): 5}
    assert [each.field for each in told] == ["consent", "consent"]
    assert all("took the row and ignored a field: The field was ignored" in str(each.message) for each in told)


@heavy
def test_google_naming_one_row_at_a_time_loses_no_good_row(shop: Shop, sandbox: Sandbox) -> None:
    sandbox.settings.change({"google_ads_named_members": 1})
    sandbox.fault("refuse_rows", vendor="google_ads", percent=10)
    sync = audience()
    shop.build(PEOPLE.format(0, 24))
    found = statuses(shop, sync, shop.run(sync, google_ads(sandbox)).run_id)
    assert found[Status.CREATED, None] == held(sandbox) == 24 - found[Status.FAILED, Reason.REJECTED] < 24


@heavy
def test_a_run_leaves_what_google_still_processes_to_the_next_one(shop: Shop, sandbox: Sandbox) -> None:
    account, sync = google_ads(sandbox), audience(options={"wait": 0})
    shop.build(PEOPLE.format(0, 20))
    first = shop.run(sync, account)
    assert first.status == "open"
    assert shop.run(sync, account).recovered == (first.run_id,)
    assert statuses(shop, sync, first.run_id) == {(Status.CREATED, None): 20}
    table = sandbox.google_ads.tables["1001"]
    assert (table.counters.created, table.counters.updated) == (20, 0)


@heavy
def test_a_run_that_cannot_ask_leaves_the_results_to_the_next_one(shop: Shop, sandbox: Sandbox) -> None:
    account, sync = google_ads(sandbox), audience()
    sandbox.fault("drop_before", vendor="google_ads", method="GET")
    shop.build(PEOPLE.format(0, 20))
    first = shop.run(sync, account)
    sandbox.faults.clear()
    second = shop.run(sync, account)
    assert second.recovered == (first.run_id,)
    assert statuses(shop, sync, first.run_id) == {(Status.CREATED, None): 20}
    assert statuses(shop, sync, second.run_id) == {}
    assert sandbox.google_ads.tables["1001"].counters.created == 20


@heavy
def test_a_replacement_removes_everybody_else(shop: Shop, sandbox: Sandbox) -> None:
    table = sandbox.google_ads.tables["1001"]
    sandbox.add("google_ads", "1001", {"emailAddress": "f" * 64})
    table.live()[0].updated_at -= 60
    sync = audience(sync_mode="full_refresh", options={"replace": True})
    shop.build(PEOPLE.format(0, 20))
    first = shop.run(sync, google_ads(sandbox))
    assert statuses(shop, sync, first.run_id) == {(Status.CREATED, None): 20}
    assert held(sandbox) == 20


@heavy
def test_a_list_that_was_deleted_stops_the_run(shop: Shop, sandbox: Sandbox) -> None:
    sync = audience()
    account = google_ads(sandbox)
    shop.build(PEOPLE.format(0, 5))
    shop.run(sync, account)
    table = sandbox.google_ads.tables.pop("1001")
    try:
        shop.build(PEOPLE.format(0, 9))
        report = shop.run(sync, account)
    finally:
        sandbox.google_ads.tables["1001"] = table
    assert report.status == "failed"
    assert "no such audience in this account, or it was deleted" in str(report.detail)
    assert {each.reason for each in shop.outcomes(sync, report.run_id)} == {Reason.STOPPED}


@heavy
def test_an_undo_brings_people_back_and_takes_new_ones_out(shop: Shop, sandbox: Sandbox) -> None:
    account, sync = google_ads(sandbox), audience(before_images="synced")
    shop.build(PEOPLE.format(0, 10))
    shop.run(sync, account)
    before = identifiers(sandbox)
    shop.build(PEOPLE.format(5, 12))
    second = shop.run(sync, account)
    undone = undo_run(second.run_id, sync, shop.environment, account, who="ada", why="the wrong people")
    assert statuses(shop, sync, undone.run_id) == {(Status.CREATED, None): 5, (Status.DELETED, None): 2}
    assert identifiers(sandbox) == before


def identifiers(sandbox: Sandbox) -> set[str]:
    return {entry.values["emailAddress"] for entry in sandbox.google_ads.tables["1001"].live()}
