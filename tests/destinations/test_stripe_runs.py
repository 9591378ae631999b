"""Whole runs into Stripe: customers that are created, updated, deleted and refused; usage, one by one and streamed."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.destinations.stripe import Stripe
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts
from tests.engine.shop import FAST, Shop, sink_sync
from tests.heavy import heavy

PEOPLE = "select 'c' || i as id, 'c' || i || '@shop.example' as email, '{}' as plan from range({}) r(i)"
BROAD = {"max_removed": {}, "max_changed": {}, "row_count": {"percent": None, "deviations": None}}


class Ahead:
    """The sandbox's time: now, and a while ahead once somebody says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return time.time() + self.seconds


@pytest.fixture(scope="module")
def clock() -> Ahead:
    return Ahead()


@pytest.fixture(scope="module")
def server(clock: Ahead) -> Iterator[Sandbox]:
    with Sandbox(clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def stripe(server: Sandbox) -> Sandbox:
    server.reset()
    server.settings.change({"stripe_test_requests": 10_000, "stripe_endpoint_requests": 10_000})
    return server


def account(stripe: Sandbox) -> Account:
    return Account("stripe", Stripe, accounts.stripe(stripe.url, requests_per_second=FAST))


def customers(**changes: Any) -> Sync:
    spec: dict[str, Any] = {
        "sync": "customers_to_stripe",
        "destination": "stripe",
        "object": "customers",
        "mapping": {"metadata.customer_id": "id", "email": "email", "metadata.plan": "plan"},
        "sync_mode": "mirror",
        "guards": BROAD,
        "options": {"delete": True},
    }
    return sink_sync(**{**spec, **changes})


def usage(**changes: Any) -> Sync:
    spec: dict[str, Any] = {
        "sync": "usage_to_stripe",
        "destination": "stripe",
        "object": "meter_events",
        "primary_key": "id",
        "external_id": "identifier",
        "mapping": {"payload.stripe_customer_id": "customer", "payload.value": "used"},
        "sync_mode": "append",
        "guards": BROAD,
        "options": {"meter": "product_events"},
    }
    return sink_sync(**{**spec, **changes})


def statuses(report: Report) -> dict[str, int]:
    return {name: report.counts[name] for name in ("created", "updated", "deleted", "skipped", "failed")}


def held(stripe: Sandbox) -> dict[str, dict[str, str]]:
    """Metadata of the live customers by our key, each of which is there once."""
    found = [entry.values["metadata"] for entry in stripe.stripe.tables["customers"].live()]
    by_key = {each["customer_id"]: each for each in found}
    assert len(by_key) == len(found)
    return by_key


def paths(stripe: Sandbox, start: int = 0) -> list[str]:
    return [f"{line.method} {line.path}" for line in stripe.log.lines("stripe")[start:]]


def test_customers_are_mirrored_though_search_lags(shop: Shop, stripe: Sandbox) -> None:
    """Ids of earlier runs are known, so that nothing is searched for that search does not show yet."""
    sync, there = customers(), account(stripe)
    stripe.settings.change({"stripe_search_lag_seconds": 3_600.0})
    shop.build(PEOPLE.format("free", 30))
    assert statuses(shop.run(sync, there)) == {"created": 30, "updated": 0, "deleted": 0, "skipped": 0, "failed": 0}
    before = len(stripe.log.lines("stripe"))
    shop.build(PEOPLE.format("pro", 25) + " union all select 'c98', 'not an address', 'pro'")
    report = shop.run(sync, there)
    assert statuses(report) == {"created": 0, "updated": 25, "deleted": 5, "skipped": 0, "failed": 1}
    bad = shop.by_key(sync, report)["c98"]
    assert (bad.reason, bad.code) == ("rejected", "email_invalid")
    assert {key: each["plan"] for key, each in held(stripe).items()} == {f"c{n}": "pro" for n in range(25)}
    assert sum("search" in path for path in paths(stripe, before)) == 2, "for the new row, and for those that leave"


def test_customers_that_were_there_before_are_found(shop: Shop, stripe: Sandbox) -> None:
    stripe.settings.change({"stripe_search_lag_seconds": 0.0})
    for number in range(12):
        stripe.add("stripe", "customers", {"metadata": {"customer_id": f"c{number}", "note": "kept"}})
    twice = stripe.add("stripe", "customers", {"metadata": {"customer_id": "c3"}})
    shop.build(PEOPLE.format("pro", 15))
    sync = customers(sync_mode="incremental")
    report = shop.run(sync, account(stripe))
    assert statuses(report) == {"created": 3, "updated": 11, "deleted": 0, "skipped": 0, "failed": 1}
    ambiguous = shop.by_key(sync, report)["c3"]
    assert ambiguous.code == "AMBIGUOUS_KEY"
    assert twice in str(ambiguous.message)
    assert sum("search" in path for path in paths(stripe)) == 1 + 2, "the check's, and ten keys at once"
    stripe.remove("stripe", "customers", twice)
    assert held(stripe)["c4"] == {"customer_id": "c4", "note": "kept", "plan": "pro"}


@heavy
def test_a_lost_answer_makes_no_second_customer(shop: Shop, stripe: Sandbox) -> None:
    stripe.fault("drop_after", vendor="stripe", method="POST", next=3)
    shop.build(PEOPLE.format("pro", 10))
    report = shop.run(customers(), account(stripe))
    assert report.counts["failed"] == 0
    assert len(held(stripe)) == 10


@heavy
def test_what_one_run_made_unheard_the_next_one_makes_no_second_time(shop: Shop, stripe: Sandbox) -> None:
    """Search does not show it yet, but Stripe keeps its answer."""
    stripe.settings.change({"stripe_search_lag_seconds": 3_600.0})
    stripe.fault("drop_after", vendor="stripe", method="POST")
    shop.build(PEOPLE.format("pro", 3))
    first = shop.run(customers(), account(stripe))
    assert (first.counts["failed"], len(held(stripe))) == (3, 3)
    stripe.faults.clear()
    second = shop.run(customers(), account(stripe))
    assert statuses(second) == {"created": 0, "updated": 3, "deleted": 0, "skipped": 0, "failed": 0}
    assert len(held(stripe)) == 3
    assert shop.run(customers(), account(stripe)).change_set == 0


@heavy
def test_a_customer_that_somebody_deleted_is_made_anew(shop: Shop, stripe: Sandbox) -> None:
    sync, there = customers(), account(stripe)
    shop.build(PEOPLE.format("free", 3))
    shop.run(sync, there)
    [gone] = [each.id for each in stripe.stripe.tables["customers"].live() if each.values["email"] == "c1@shop.example"]
    stripe.remove("stripe", "customers", gone)
    shop.build(PEOPLE.format("pro", 3))
    report = shop.run(sync, there)
    assert statuses(report) == {"created": 1, "updated": 2, "deleted": 0, "skipped": 0, "failed": 0}
    assert held(stripe)["c1"] == {"customer_id": "c1", "plan": "pro"}
    assert shop.by_key(sync, report)["c1"].destination_id != gone
    addresses = {each.values["email"] for each in stripe.stripe.tables["customers"].live()}
    assert addresses == {f"c{i}@shop.example" for i in range(3)}  # also what has not changed


def test_a_missing_permission_ends_the_run_and_is_named(shop: Shop, stripe: Sandbox) -> None:
    stripe.settings.change({"stripe_permissions": "rak_customer_read"})
    shop.build(PEOPLE.format("pro", 5))
    there = Account("stripe", Stripe, accounts.stripe(stripe.url, "rk_test_sandbox", requests_per_second=FAST))
    report = shop.run(customers(), there)
    assert (report.status, report.counts["skipped"]) == (RunStatus.FAILED, 5)
    assert "'rak_customer_write' permission" in (report.detail or "")


def use(stripe: Sandbox, rows: int) -> str:
    who = stripe.add("stripe", "customers", {"email": "a@shop.example"})
    return f"select 'u' || i as id, '{who}' as customer, i as used from range({rows}) r(i)"


def test_usage_is_counted_once(shop: Shop, stripe: Sandbox) -> None:
    sync, there = usage(), account(stripe)
    query = use(stripe, 20)
    shop.build(f"{query} union all select 'none', null, 1")
    report = shop.run(sync, there)
    assert statuses(report) == {"created": 20, "updated": 0, "deleted": 0, "skipped": 0, "failed": 1}
    assert shop.by_key(sync, report)["none"].reason == "invalid"
    stripe.fault("drop_after", vendor="stripe", path="meter_events", next=2)
    shop.build(query.replace("range(20)", "range(25)"))
    report = shop.run(sync, there)
    assert statuses(report) == {"created": 3, "updated": 0, "deleted": 0, "skipped": 2, "failed": 0}
    assert {each.reason for each in shop.outcomes(sync, report.run_id)} == {None, "already_exists"}
    assert len(stripe.stripe.tables["meter_events"].live()) == 25
    assert shop.run(sync, there).change_set == 0


@heavy
def test_what_the_stream_refused_is_told_by_the_next_run(shop: Shop, stripe: Sandbox, clock: Ahead) -> None:
    stream = {"object": "meter_event_stream", "options": {"meter": "product_events", "report_wait": 3_600}}
    there = account(stripe)
    shop.build(f"{use(stripe, 250)} union all select 'stray', 'cus_nobody', 1")
    first = shop.run(usage(**stream), there)
    assert first.change_set == 0, "nothing is known yet"
    handed = [path for path in paths(stripe) if path.endswith("stream")]
    assert len(handed) == 3
    waits = shop.run(usage(**stream), there)
    assert (waits.status, waits.pending) == (RunStatus.OPEN, True)
    assert "still running" in (waits.detail or "")
    clock.seconds += 30
    sync = usage(**{**stream, "options": {"meter": "product_events", "report_wait": 0}})
    second = shop.run(sync, there)
    (recovered,) = second.recovered
    assert recovered == first.run_id
    found = {each.key: each for each in shop.outcomes(sync, first.run_id)}
    assert len(found) == 251
    assert found["u7"].inferred
    assert found["u7"].status == "created"
    assert (found["stray"].reason, found["stray"].code) == ("rejected", "meter_event_customer_not_found")
    # only what was refused goes out again, and nothing was counted twice
    assert len([path for path in paths(stripe) if path.endswith("stream")]) == 3 + second.change_set
    assert second.change_set == 1
    assert len(stripe.stripe.tables["meter_events"].live()) == 250
