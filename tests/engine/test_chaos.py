"""Deliveries into storms: whatever the destination does, every row ends with one outcome, and it is true."""

import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.records import Status
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state import held_rows
from reverse_etl_assets.state.outcomes import RowOutcome
from reverse_etl_sandbox.faults import row_is_hit
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import SINK, Shop, crm, crm_sync, sink, sink_sync
from tests.heavy import first, heavy, seeds

pytestmark = heavy

SEEDS = seeds("CHAOS_SEEDS", 3)
WRITTEN = (Status.CREATED, Status.UPDATED)
_LOST, _UNNAMED = "no answer that can be read: RemoteProtocolError", "the destination's answer does not name this row"
_OWN_WORDS = "INTERNAL_ERROR: internal error"  # HubSpot's, of any server error
STORMS: list[tuple[dict[str, Any], str]] = [
    ({"kind": "rate_limit", "retry_after": 0}, ""),
    ({"kind": "server_error", "status": 503}, "HTTP 503: "),
    ({"kind": "server_error", "status": 500}, "HTTP 500: "),
    ({"kind": "server_error", "status": 502}, "HTTP 502: "),
    ({"kind": "server_error", "status": 503, "written": True}, "HTTP 503: "),
    ({"kind": "server_error", "status": 408, "written": True}, "HTTP 408: "),
    ({"kind": "garbled"}, "no answer that can be read: DecodingError"),
    ({"kind": "drop_before"}, _LOST),
    ({"kind": "drop_after"}, _LOST),
    ({"kind": "timeout_after", "hold_seconds": 0.02}, _LOST),
    ({"kind": "malformed"}, "HTTP 200 with a body that is not JSON: "),
    ({"kind": "empty"}, _UNNAMED),
    ({"kind": "slow", "delay_ms": 20.0}, ""),
]
"""What may happen to a request, and how a row says so of which nobody knows what became."""
SMALL = {**SINK, "batch_size": 20}


def let_loose(sandbox: Sandbox, seed: int) -> tuple[str, ...]:
    """Half of all requests meet some trouble, some rows are refused, and some are left out of the answer. Returns how
    the words begin that this leaves of a row in doubt."""
    chosen = random.Random(seed).sample(STORMS, 4)
    for number, (storm, _) in enumerate(chosen):
        sandbox.fault(**storm, probability=0.15, seed=seed * 10 + number)
    sandbox.fault("refuse_rows", percent=5.0, seed=seed)
    sandbox.fault("omit_rows", percent=5.0, seed=seed + 1)
    return (_UNNAMED, _OWN_WORDS, *(said for _, said in chosen if said))


def held_at_sink(sandbox: Sandbox, collection: str = "people") -> Mapping[str, Mapping[str, Any]]:
    table = sandbox.rest.tables.get(collection)
    return {entry.id: entry.values for entry in table.live()} if table else {}


def held_at_crm(sandbox: Sandbox) -> Mapping[str, Mapping[str, Any]]:
    return {str(entry.values["email"]).lower(): entry.values for entry in sandbox.hubspot.tables["contacts"].live()}


def check_truth(
    found: Mapping[str | None, RowOutcome],
    held: Mapping[str, Mapping[str, Any]],
    wanted: Mapping[str, Mapping[str, Any]],
    before: Mapping[str, Mapping[str, Any]],
    doubts: tuple[str, ...],
) -> None:
    """Every outcome says what the destination holds, or what it was that left it in doubt. `wanted` are the model's
    values of every written row."""
    for key, outcome in found.items():
        assert key is not None
        shown = {name: held[key].get(name) for name in wanted[key]} if key in held and key in wanted else None
        new, old = wanted.get(key), before.get(key)
        match outcome.status, outcome.reason:
            case (("created" | "updated"), _):
                assert shown == new
            case "deleted", _:
                assert key not in held
            case "failed", ("ambiguous" | "unanswered"):
                assert str(outcome.message).startswith(doubts)
            case "failed" | "skipped", "already_gone":
                assert key not in held
            case (("failed" | "skipped"), _):
                assert outcome.reason
                assert shown != new or new is None or (old is not None and shown == old)


def people(shop: Shop, rows: int, version: str, without: str = "false") -> dict[str, dict[str, Any]]:
    """Build the model; returns what each key should be at the sink."""
    shop.build(f"select i::varchar id, '{version} ' || i as name from range({rows}) r(i) where not ({without})")
    return {str(i): {"id": str(i), "name": f"{version} {i}"} for i in range(rows)}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_mirror_at_the_sink(shop: Shop, sandbox: Sandbox, seed: int) -> None:
    sync, account = sink_sync(sync_mode="mirror", options=SMALL, guards={"max_removed": {}}), sink(sandbox.url)
    first = people(shop, 300, "first")
    shop.run(sync, account)
    assert held_at_sink(sandbox) == first
    second = people(shop, 300, "second", without="i % 3 = 0")
    doubts = let_loose(sandbox, seed)
    report = shop.run(sync, account)
    found = shop.by_key(sync, report)
    assert found.keys() == first.keys()
    written = {key: values for key, values in second.items() if int(key) % 3}
    check_truth(found, held_at_sink(sandbox), written, first, doubts)
    sandbox.faults.clear()
    again = shop.run(sync, account)
    settled = {key for key, outcome in found.items() if outcome.status in (*WRITTEN, Status.DELETED)}
    settled |= {key for key, outcome in found.items() if outcome.reason == "already_gone"}
    assert shop.by_key(sync, again).keys() == first.keys() - settled
    assert held_at_sink(sandbox) == written
    assert shop.run(sync, account).change_set == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_contacts_in_hubspot(shop: Shop, sandbox: Sandbox, seed: int) -> None:
    sync, account = crm_sync(), crm(sandbox.url)
    shop.build("select 'User' || i || '@shop.example' as email, 'n' || i as name from range(1500) r(i)")
    doubts = let_loose(sandbox, seed)
    found = shop.by_key(sync, shop.run(sync, account))
    wanted = {f"user{i}@shop.example": {"firstname": f"n{i}"} for i in range(1500)}
    assert found.keys() == wanted.keys()
    check_truth(found, held_at_crm(sandbox), wanted, {}, doubts)
    sandbox.faults.clear()
    shop.run(sync, account)
    assert {key: {"firstname": held["firstname"]} for key, held in held_at_crm(sandbox).items()} == wanted
    assert shop.run(sync, account).change_set == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_events_are_never_sent_twice(shop: Shop, sandbox: Sandbox, seed: int) -> None:
    """An event that may have arrived is reported and kept back until a person lets it go."""
    sync, account = sink_sync(sync_mode="append", options=SMALL), sink(sandbox.url)
    wanted = people(shop, 400, "event")
    doubts = let_loose(sandbox, seed)
    found = shop.by_key(sync, shop.run(sync, account))
    assert found.keys() == wanted.keys()
    check_truth(found, held_at_sink(sandbox), wanted, {}, doubts)
    sandbox.faults.clear()
    doubtful = {key for key, outcome in found.items() if outcome.reason == "ambiguous"}
    before = held_at_sink(sandbox).keys()
    second = shop.by_key(sync, shop.run(sync, account))
    assert {key for key, outcome in second.items() if outcome.reason == "held"} == doubtful
    assert held_at_sink(sandbox).keys() == before | (wanted.keys() - doubtful)
    assert sandbox.rest.tables["people"].counters.updated == 0  # none arrived twice
    release(shop, sync, doubtful)
    last = shop.by_key(sync, shop.run(sync, account))
    assert last.keys() == doubtful
    assert held_at_sink(sandbox) == wanted
    assert shop.run(sync, account).change_set == 0


def release(shop: Shop, sync: Sync, keys: set[str | None]) -> None:
    with shop.warehouse.open(sync.sync, write=True) as con:
        assert all(held_rows.release(con, key) for key in keys if key)


@pytest.mark.parametrize("vendor", first(["sink", "hubspot"]))
def test_ten_thousand_rows_none_hidden_none_lost(
    shop: Shop, sandbox: Sandbox, vendor: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A third of the requests are answered 429 and one row in twenty is refused inside a 207."""
    shop.build("select 'p' || i || '@shop.example' as id, id as email, 'n' || i as name from range(10000) r(i)")
    sync, account = (sink_sync(), sink(sandbox.url)) if vendor == "sink" else (crm_sync(), crm(sandbox.url))
    sandbox.fault("rate_limit", vendor="rest" if vendor == "sink" else vendor, probability=1 / 3, seed=7, retry_after=0)
    sandbox.fault("refuse_rows", percent=5.0, seed=3)
    report = shop.run(sync, account)
    found = shop.by_key(sync, report)
    held = held_at_sink(sandbox) if vendor == "sink" else held_at_crm(sandbox)
    refused = {key for key in found if row_is_hit(key, 3, 5.0)}
    assert len(found) == 10_000
    assert len(refused) > 400
    for key, outcome in found.items():
        expected = ("failed", "rejected") if key in refused else ("created", None)
        assert (outcome.status, outcome.reason) == expected
        assert bool(outcome.message) == (key in refused)
    assert held.keys() == found.keys() - refused
    assert report.counts["created"] == len(held)
    assert report.counts["failed_rejected"] == len(refused)
    assert report.too_many_failed == (len(refused) > 500)
    show_figures(vendor, report, sandbox, capsys)


def show_figures(vendor: str, report: Report, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    writes = [line for line in sandbox.log.lines() if line.method == "POST" and not line.path.endswith("read")]
    statuses = Counter(line.status for line in writes)
    assert statuses[429] > 20
    assert statuses[207] == 100
    with capsys.disabled():
        print(
            f"\n{vendor}: 10000 outcomes: {report.counts['created']} created, {report.counts['failed_rejected']}"
            f" refused by name; 0 hidden, 0 lost; {statuses[429]} of {statuses.total()} requests answered 429,"
            f" {statuses[207]} answered 207; {report.seconds:.1f} s"
        )


def test_an_account_that_never_stops_refusing_is_given_up_on_in_time(shop: Shop, sandbox: Sandbox) -> None:
    account: Account = sink(sandbox.url)
    people(shop, 50, "first")
    sandbox.fault("server_error", status=503, retry_after=0)
    sync = sink_sync(options={**SINK, "not_taken": [503]})
    report = shop.run(sync, account)
    found = shop.by_key(sync, report)
    assert {(o.status, o.reason) for o in found.values()} == {("failed", "unavailable")}
    assert len(found) == 50
    assert report.status is RunStatus.DONE
    assert report.too_many_failed
