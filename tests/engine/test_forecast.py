"""What a plan says that a run will take of the account, against what the run takes."""

from typing import Any

import pytest

from reverse_etl_assets.delivery.forecast import Forecast
from reverse_etl_assets.previews.preview import preview
from reverse_etl_sandbox.server import Sandbox
from tests.engine.crms import PEOPLE, Crm, a_crm
from tests.engine.shop import SINK, Shop, sink, sink_sync
from tests.heavy import first, heavy

FREE = {"max_removed": {}, "row_count": {"percent": None, "deviations": None}}


def requests(sandbox: Sandbox) -> int:
    """All but those that sign in."""
    return sum("token" not in line.path for line in sandbox.log.lines())


def foreseen(shop: Shop, crm: Crm, **changes: Any) -> Forecast:
    """What is foreseen of a run, and what it then takes: the same. The check of the fields was made before."""
    sync = crm.sync(**changes)
    found, before = preview(sync, shop.environment, crm.account).forecast, requests(crm.sandbox)
    report = shop.run(sync, crm.account)
    assert found is not None
    assert found == report.forecast
    assert requests(crm.sandbox) - before == found.calls
    return found


@pytest.fixture(params=first(["salesforce", "hubspot"]))
def crm(request: pytest.FixtureRequest, shop: Shop, sandbox: Sandbox) -> Crm:
    """250 people are there, and checked."""
    crm = a_crm(request.param, sandbox)
    shop.build(PEOPLE.format(250))
    shop.run(crm.sync(), crm.account)
    return crm


def test_writes_and_deletes_each_read_before_and_looked_at_after(shop: Shop, crm: Crm) -> None:
    shop.build(f"select * replace (name || '!' as name) from ({PEOPLE.format(230)})")
    size = 200 if crm.vendor == "salesforce" else 100
    upserts = -(-230 // size)
    found = foreseen(shop, crm, verify={"sample": 150})
    assert (found.writes, found.reads, found.verifies) == (upserts + 1, upserts + 1, -(-150 // size))


@heavy
def test_without_a_look_before_or_after(shop: Shop, crm: Crm) -> None:
    shop.build(f"select * replace (name || '!' as name) from ({PEOPLE.format(230)})")
    found = foreseen(shop, crm, before_images="synced")
    assert (found.reads, found.verifies) == (1, 0), "whose record a key is that leaves"


@heavy
def test_nothing_to_send(shop: Shop, crm: Crm) -> None:
    found = foreseen(shop, crm)
    assert (found.calls, found.saved) == (0, found.full_sync)
    assert found.full_sync == (2 if crm.vendor == "salesforce" else 3)


@heavy
def test_records_that_have_to_be_found_first(shop: Shop, sandbox: Sandbox) -> None:
    crm = a_crm("salesforce", sandbox)
    for number in range(3):
        crm.add(**{crm.key: f"p{number}@shop.example", crm.name: "x", crm.company: "x"})
    changes: dict[str, Any] = {"sync_mode": "update_only", "before_images": "synced"}
    shop.build(f"{PEOPLE.format(2)}")
    shop.run(crm.sync(**changes), crm.account)
    shop.build(f"select * replace (name || '!' as name) from ({PEOPLE.format(3)})")
    found = foreseen(shop, crm, **changes)
    assert (found.writes, found.reads) == (1, 1)


@heavy
def test_requests_that_are_full_by_size(shop: Shop, sandbox: Sandbox) -> None:
    sync = sink_sync(guards=FREE, options={**SINK, "max_bytes": 20_000})
    account = sink(sandbox.url)
    shop.build("select i as id, repeat('x', 1000 + i % 7) as name from range(60) r(i)")
    found = preview(sync, shop.environment, account).forecast
    assert found is not None
    assert found.writes == 4, "15 rows of 1,000 bytes and their envelopes each"
    shop.run(sync, account)
    assert len(sandbox.log.lines("rest")) == pytest.approx(found.writes, abs=1)


@heavy
def test_large_change_sets_go_as_jobs(shop: Shop, sandbox: Sandbox) -> None:
    """Open, upload, close, poll and collect; each job reads its records before."""
    crm = a_crm("salesforce", sandbox)
    shop.build(PEOPLE.format(1))
    sync = crm.sync(options={"bulk_threshold": 1_000})
    shop.run(sync, crm.account)
    shop.build(PEOPLE.format(2_001))
    found = preview(sync, shop.environment, crm.account).forecast
    assert found is not None
    assert (found.writes, found.reads, found.full_sync) == (5, 10, 5)
    alone = preview(crm.sync(options={"bulk_threshold": None}), shop.environment, crm.account).forecast
    assert alone is not None
    assert alone.full_sync == 11, "requests of 200 rows, for there is no job"


@heavy
def test_money(shop: Shop, crm: Crm) -> None:
    shop.build(f"select * replace (name || '!' as name) from ({PEOPLE.format(250)}) where id < '2'")
    found = foreseen(shop, crm, cost={"per_call": 2, "per_row": 0.5})
    assert found.cost == 2 * found.calls + 0.5 * 250
