"""kill -9 on the way to each vendor: nothing acknowledged is lost or sent again, and nothing is there twice."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from reverse_etl_sandbox.meta_ads import CUSTOMERS
from reverse_etl_sandbox.server import RemoteSandbox
from tests.engine.launcher import ACCOUNTS, Launcher
from tests.engine.shop import Shop, sink_sync
from tests.engine.test_kill import acknowledged, remote
from tests.heavy import first, heavy, seeds
from tests.until import until

pytestmark = heavy

__all__ = ["remote"]

SEEDS = seeds("KILLS", 1)
ROWS = 24
PEOPLE = f"select 'c' || i as id, 'n' || i as name, 'c' || i || '@x.example' as email from range({ROWS}) r(i)"
FREE = {"max_removed": {}, "row_count": {"percent": None, "deviations": None}}
TO_META = {"mapping": {"EMAIL": "email", "FN": "name"}, "options": {}}
GRANTED = {"terms_of_service": "accepted", "ad_user_data": "granted", "ad_personalization": "granted"}


@dataclass(frozen=True)
class Vendor:
    """Where two dozen people go, in so many requests at least, and which of them a record stands for (None: hashed)."""

    account: str
    vendor: str
    object: str
    requests: int
    spec: Mapping[str, Any]
    who: Callable[[Mapping[str, Any]], str] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    table: str = ""

    def arrived(self, remote: RemoteSandbox) -> list[str]:
        found = remote.records(self.vendor, self.table or self.object)
        return [self.who(each["values"]) if self.who else each["id"] for each in found]


VENDORS = {
    "google_ads": Vendor("ads", "google_ads", "1001", 5, {"mapping": {"email": "email"}, "options": GRANTED}),
    "meta": Vendor("meta_adds", "meta_ads", CUSTOMERS, 5, {"external_id": "EMAIL", "primary_key": "email", **TO_META}),
    "stripe": Vendor(
        "stripe",
        "stripe",
        "customers",
        ROWS,
        {"mapping": {"metadata.customer_id": "id", "email": "email"}, "options": {"delete": True}},
        lambda values: str(values["metadata"]["customer_id"]),
        {"stripe_test_requests": 1_000_000, "stripe_endpoint_requests": 1_000_000},
    ),
    "slack": Vendor(
        "slack",
        "slack",
        "#customer-alerts",
        ROWS,
        {"mapping": {"name": "name"}, "options": {"text": "{{ key }}"}},
        lambda values: str(values["text"]),
        {"slack_post_seconds": 0.0, "slack_minute_seconds": 0.0},
        "customer-alerts",
    ),
    "intercom": Vendor(
        "intercom",
        "intercom",
        "contacts",
        ROWS,
        {"external_id": "external_id", "mapping": {"name": "name", "email": "email"}, "options": {}},
        lambda values: str(values["external_id"]),
        {"intercom_ten_second_requests": 1_000_000},
    ),
    "zendesk": Vendor(
        "zendesk",
        "zendesk",
        "users",
        ROWS,
        {"external_id": "external_id", "mapping": {"name": "name", "email": "email"}, "options": {"bulk": False}},
        lambda values: str(values["external_id"]),
        {"zendesk_requests": 1_000_000},
    ),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", first(VENDORS))
def test_killed_on_the_way(shop: Shop, launcher: Launcher, remote: RemoteSandbox, name: str, seed: int) -> None:
    vendor = VENDORS[name]
    remote.set(**vendor.settings)
    before = len(vendor.arrived(remote))
    shop.build(PEOPLE)
    sync = sink_sync(
        **{"destination": name, "object": vendor.object, "sync_mode": "mirror", "guards": FREE, **vendor.spec},
        verify={"sample": 0},
    )
    wanted = random.Random(f"{name} {seed}").randrange(2, vendor.requests)
    launcher.start(shop, sync, vendor.account, remote.url)
    until(lambda: remote.counts()[vendor.vendor]["calls"]["total"] >= wanted)
    launcher.kill()
    told = acknowledged(shop, sync)

    account = ACCOUNTS[vendor.account](remote.url)
    report = shop.run(sync, account)
    held = {key for (key,) in shop.state(sync, "select key from state.held")}
    arrived = vendor.arrived(remote)
    assert report.counts["failed"] == 0
    assert report.counts["synced_rows"] >= told, "what was acknowledged is known"
    assert report.change_set == ROWS - report.counts["synced_rows"], "and not sent again"
    assert len(set(arrived)) == len(arrived), "nothing is there twice"
    if vendor.who:
        everybody = {f"c{i}" for i in range(ROWS)}
        assert set(arrived) | held >= everybody, "and nothing is lost, or it is known by name"
    assert ROWS - len(held) <= len(arrived) - before <= ROWS
    assert shop.run(sync, account).change_set == len(held)
