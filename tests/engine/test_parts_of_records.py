"""A destination that takes a part of a record only where the record is, and names records by their keys alone."""

from collections.abc import Sequence
from dataclasses import replace

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.records import Batch, Outcome, Reason
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import Shop, sink, sink_sync


class Picky(Webhook):
    async def send(self, batch: Batch) -> Sequence[Outcome]:
        [record] = batch.records
        found = (await self.client.get(f"{self.connection.base_url}/people/{record.key}")).is_success
        if not found and len(record.fields) < len(self.target.fields):
            return [Outcome.skipped(record.key, Reason.NOT_FOUND, "it is not there")]
        return [replace(outcome, destination_id=None) for outcome in await super().send(batch)]


def test_what_it_does_not_find_is_made_of_all_fields(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select i::varchar as id, 'n' || i as name, 'c' || i as city from range(3) r(i)")
    fields = {"id": "id", "name": "name", "city": "city"}
    options = {"path": "/{{ object }}", "record": "{{ fields }}", "batch_size": 1, "partial": ["upsert"]}
    sync, account = sink_sync(mapping=fields, options=options), Account("sink", Picky, sink(sandbox.url).connection)
    shop.run(sync, account)
    sandbox.remove("rest", "people", "1")
    shop.sql("update marts.people set name = 'new' where id <> '2'")
    report = shop.run(sync, account)
    assert (report.counts["skipped"], report.counts["failed"]) == (0, 0)
    held = {each.id: each.values for each in sandbox.rest.tables["people"].live()}
    assert held == {
        "0": {"id": "0", "name": "new", "city": "c0"},
        "1": {"id": "1", "name": "new", "city": "c1"},
        "2": {"id": "2", "name": "n2", "city": "c2"},
    }
