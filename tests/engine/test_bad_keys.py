"""A key that a destination cannot be asked for is refused alone: its row goes no further, and all others do."""

from typing import Any

import pytest

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.destinations.stripe import Stripe
from reverse_etl_assets.errors import RequestRejected
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.previews.undo import preview_undo
from reverse_etl_assets.readback.verification import verify
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts
from tests.engine.shop import FAST, SINK, Shop, sink, sink_sync
from tests.heavy import first, heavy

PEOPLE = "select 'c' || i as id, 'n' as name from range({}) r(i)"
READ = {"path": "/{{ object }}?keys={{ keys }}&limit=50", "records": "records", "key": "id", "at_once": 50}
UNREADABLE = {"comma": "a,b", "too long for an address": "y" * 70_000}
"""Keys that the sink takes in a body, and that it cannot be asked for."""


def reading(**changes: Any) -> Sync:
    """A sync that reads records before it writes them, 50 at once."""
    return sink_sync(options={**SINK, "read": READ}, **{"verify": {"sample": 0}, **changes})


def people(shop: Shop, rows: int, *keys: str, name: str = "n") -> None:
    shop.build(PEOPLE.format(rows) + "".join(f" union all select '{key}', '{name}'" for key in keys))


@heavy
def test_a_search_that_one_key_spoils(shop: Shop, sandbox: Sandbox) -> None:
    """Refused in every run, it goes into quarantine, and the others are never held up."""
    endless = "x" * 20_000
    people(shop, 25, endless)
    mapping = {"metadata.customer_id": "id", "description": "name"}
    quarantine = {"quarantine": {"after": 2, "apart": "0 seconds"}}
    sync = sink_sync(destination="stripe", object="customers", mapping=mapping, options={"delete": True}, **quarantine)
    account = Account("stripe", Stripe, accounts.stripe(sandbox.url, requests_per_second=FAST))
    report = shop.run(sync, account)
    assert (report.counts["created"], report.counts["failed_rejected"]) == (25, 1)
    refused = shop.by_key(sync, report)[endless]
    assert refused.reason == "rejected"
    assert refused.message
    for more in (26, 27):
        people(shop, more, endless)
        report = shop.run(sync, account)
        assert report.counts["created"] == 1
    assert shop.by_key(sync, report)[endless].reason == "quarantined"


@pytest.mark.parametrize("key", first(UNREADABLE.values()), ids=UNREADABLE)
@pytest.mark.parametrize("mode", first(["incremental", "update_only", "mirror"]))
def test_a_read_that_one_key_spoils(shop: Shop, sandbox: Sandbox, key: str, mode: str) -> None:
    people(shop, 60)
    shop.run(sink_sync(options=SINK), sink(sandbox.url))
    people(shop, 70, key, name="m")
    sync = reading(sync="another", sync_mode=mode)
    report = shop.run(sync, sink(sandbox.url))
    assert report.status is RunStatus.DONE
    found = shop.by_key(sync, report)
    assert {key for key, outcome in found.items() if outcome.status == "failed"} == {key}
    assert found[key].reason == "rejected"
    assert len(found) == 71


@heavy
@pytest.mark.parametrize("key", first(UNREADABLE.values()), ids=UNREADABLE)
def test_a_row_that_leaves_and_cannot_be_read(shop: Shop, sandbox: Sandbox, key: str) -> None:
    people(shop, 20, key)
    loose = {"sync_mode": "mirror", "guards": {"max_removed": {}}}
    shop.run(reading(before_images="synced", **loose), sink(sandbox.url))
    people(shop, 10)
    sync = reading(before_images="destination", **loose)
    report = shop.run(sync, sink(sandbox.url))
    assert (report.counts["deleted"], report.counts["failed_rejected"]) == (10, 1)
    assert shop.by_key(sync, report)[key].reason == "rejected"


@pytest.mark.parametrize("key", first(UNREADABLE.values()), ids=UNREADABLE)
def test_looks_pass_over_what_cannot_be_read(shop: Shop, sandbox: Sandbox, key: str) -> None:
    """It is counted and said; it is not taken for missing, and the other records are judged."""
    people(shop, 60, key)
    sync = reading(before_images="synced", verify={"sample": "all"})
    report = shop.run(sync, sink(sandbox.url))
    assert report.counts["created"] == 61
    assert report.verified is not None
    assert (report.verified.looked_at, report.verified.wrong) == (60, 0)
    assert "1 of them" in report.verified.not_judged

    sandbox.edit("rest", "people", "c3", {"name": "edited"})
    drifted = verify(sync, shop.environment, sink(sandbox.url), sample="all")
    assert (drifted.looked_at, drifted.differing, drifted.missing) == (60, 1, 0)
    assert "1 of them" in drifted.not_judged

    preview = preview_undo(report.run_id, sync, shop.environment, sink(sandbox.url))
    assert preview.left is not None
    assert {each.key: each.reason for each in preview.left} == {"c3": "edited", key: "rejected"}


@heavy
@pytest.mark.parametrize("key", first(UNREADABLE.values()), ids=UNREADABLE)
def test_records_are_adopted_but_for_one_that_cannot_be_read(shop: Shop, sandbox: Sandbox, key: str) -> None:
    people(shop, 60)
    shop.run(sink_sync(), sink(sandbox.url))
    people(shop, 60, key)
    sync = reading(sync="another", cutover="adopt")
    report = shop.run(sync, sink(sandbox.url))
    found = shop.by_key(sync, report)
    assert {key: outcome.reason for key, outcome in found.items()} == {key: "rejected"}


@heavy
def test_an_adoption_of_which_every_read_is_refused_takes_nothing_over(shop: Shop, sandbox: Sandbox) -> None:
    """Then no key is at fault: what is there is not sent as if it were new."""
    people(shop, 20)
    shop.run(sink_sync(), sink(sandbox.url))
    read = {**READ, "path": "/no/such/path?keys={{ keys }}"}
    sync = sink_sync(sync="another", cutover="adopt", options={**SINK, "missing": [], "read": read})
    with pytest.raises(RequestRejected, match="404"):
        shop.run(sync, sink(sandbox.url))
    assert sandbox.rest.tables["people"].counters.updated == 0


@heavy
def test_a_destination_that_refuses_every_read_is_not_asked_about_every_key(shop: Shop, sandbox: Sandbox) -> None:
    people(shop, 2_000)
    read = {**READ, "path": "/no/such/path?keys={{ keys }}"}
    sync = sink_sync(options={**SINK, "missing": [], "read": read})
    report = shop.run(sync, sink(sandbox.url))
    assert report.status is RunStatus.FAILED
    assert "every look-up was refused" in str(report.detail)
    assert {each.reason for each in shop.by_key(sync, report).values()} <= {"rejected", "stopped"}
    assert len(shop.by_key(sync, report)) == 2_000
    assert report.calls < 150
