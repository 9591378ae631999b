"""A destination that refuses whatever it is sent is not asked about every single row."""

import httpx

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.records import Batch
from reverse_etl_assets.sandbox.server import Sandbox
from tests.engine.shop import Shop, sink, sink_sync


class Elsewhere(Webhook):
    """An API that answers 404 to everything."""

    def build_request(self, batch: Batch) -> httpx.Request:
        request = super().build_request(batch)
        request.url = request.url.copy_with(path="/rest/people/no/such/path", query=None)
        request.method = "GET"
        return request


def test_the_run_stops_and_every_row_has_its_outcome(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select i::varchar id, 'n' as name from range(2000) r(i)")
    report = shop.run(sink_sync(), Account("sink", Elsewhere, sink(sandbox.url).connection))

    assert report.status is RunStatus.FAILED
    assert "every request was refused" in str(report.detail)
    outcomes = shop.by_key(sink_sync(), report)
    assert len(outcomes) == 2000
    assert {outcome.reason for outcome in outcomes.values()} == {"rejected", "stopped"}
    assert report.calls < 150  # halving all of it would be 4,000 requests
