"""A destination that refuses whatever it is sent is not asked about every single row."""

from collections.abc import Iterator
from itertools import count
from typing import ClassVar

import httpx
import pytest

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.records import Batch, Outcome
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import SINK, Shop, sink, sink_sync
from tests.engine.test_dispatch import Strict
from tests.heavy import heavy


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


@heavy
@pytest.mark.parametrize(("rows", "status"), [(24, RunStatus.DONE), (26, RunStatus.FAILED)])
def test_25_rows_refused_alone_are_enough_and_24_are_not(
    shop: Shop, sandbox: Sandbox, rows: int, status: RunStatus
) -> None:
    shop.build(f"select i::varchar id, 'n' as name from range({rows}) r(i)")
    report = shop.run(sink_sync(), Account("sink", Elsewhere, sink(sandbox.url).connection))
    refused = min(rows, 25)
    assert (report.status, report.counts["failed_rejected"]) == (status, refused)
    assert report.counts["skipped"] == rows - refused


@heavy
def test_a_destination_that_takes_some_is_asked_about_every_row(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select if(i % 10 = 0, 'bad', 'good') || i as id, 'n' as name from range(300) r(i)")
    report = shop.run(sink_sync(), Account("sink", Strict, sink(sandbox.url).connection))
    assert (report.status, report.counts["failed_rejected"], report.counts["created"]) == (RunStatus.DONE, 30, 270)


class Falls(Webhook):
    """Its code cannot read some of the answers, of which these are the numbers."""

    over: ClassVar[range]
    answers: ClassVar[Iterator[int]]

    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        if next(self.answers) in self.over:
            raise KeyError("results")
        return super().read_response(batch, response)


@heavy
@pytest.mark.parametrize(
    ("over", "status"),
    [
        (range(24), RunStatus.DONE),
        (range(25), RunStatus.FAILED),
        (range(0, 60, 2), RunStatus.DONE),  # 30 of them, and never two in a row
    ],
)
def test_25_answers_of_no_use_in_a_row_end_a_run_and_24_do_not(
    shop: Shop, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, over: range, status: RunStatus
) -> None:
    monkeypatch.setattr(Falls, "over", over, raising=False)
    monkeypatch.setattr(Falls, "answers", count(), raising=False)
    shop.build("select i::varchar id, 'n' as name from range(300) r(i)")
    unguarded = {"in_flight": {"max_failed": 100}}
    sync = sink_sync(sync_mode="append", options={**SINK, "batch_size": 5}, guards=unguarded)
    report = shop.run(sync, Account("sink", Falls, sink(sandbox.url).connection))
    assert (report.status, report.counts["failed_ambiguous"]) == (status, 5 * len(over))
    assert (report.counts["created"] == 300 - 5 * len(over)) == (status is RunStatus.DONE)
