"""A run that goes wrong half way ends, before all of its rows are burnt."""

import httpx
import pytest
from hypothesis import given, strategies as st

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.guards.in_flight import FailureWindow
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.records import Batch
from reverse_etl_assets.spec.policies import InFlight
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import Shop, sink, sink_sync
from tests.heavy import first_rows, heavy


class Strict(Webhook):
    """An API that refuses a whole request because of one row."""

    def build_request(self, batch: Batch) -> httpx.Request:
        request = super().build_request(batch)
        if b'"bad' in request.content:
            request.url = request.url.copy_with(path="/rest/people/no/such/path", query=None)
            request.method = "GET"
        return request


@given(
    outcomes=st.lists(st.booleans(), max_size=60),
    window=st.integers(1, 20),
    max_failed=st.sampled_from([0, 10, 33.3, 50, 100]),
)
def test_it_trips_with_the_first_full_window_beyond_the_limit(
    outcomes: list[bool], window: int, max_failed: float
) -> None:
    found = FailureWindow(InFlight(window=window, max_failed=max_failed))
    for number, failed in enumerate(outcomes, start=1):
        found.add(failed)
        ends = range(window, number + 1)
        shares = [100 * sum(outcomes[end - window : end]) / window for end in ends]
        assert found.tripped == any(share > max_failed for share in shares)
        assert found.finding.passed is not found.tripped
        assert found.finding.value == (max(shares) if shares else None)


G, B = False, True  # a row that went well, and one that failed


@pytest.mark.parametrize(
    ("outcomes", "max_failed", "tripped", "worst"),
    [
        ([B, B, B], 0, False, None),  # not enough of them to judge
        ([G, G, B, B], 50, False, 50.0),  # as many as are allowed
        ([G, B, B, B], 50, True, 75.0),
        ([B, B, B, G, G, G, G, G], 50, True, 75.0),  # what went well later does not take it back
        ([B, B, G, G, B, B, G], 50, False, 50.0),
        ([G, G, G, G, B, G, G, G, G], 20, True, 25.0),
        ([B, B, B, B], 100, False, 100.0),
    ],
)
def test_the_worst_of_the_latest_four_counts(
    outcomes: list[bool], max_failed: float, tripped: bool, worst: float | None
) -> None:
    found = FailureWindow(InFlight(window=4, max_failed=max_failed))
    for failed in outcomes:
        found.add(failed)
    assert (found.tripped, found.finding.passed, found.finding.value) == (tripped, not tripped, worst)
    assert found.finding.figures["rows"] == len(outcomes)


class TestRuns:
    def test_a_destination_that_refuses_all_from_some_row_on(self, shop: Shop, sandbox: Sandbox) -> None:
        shop.build("select lpad(i::varchar, 5, '0') as id, 'n' as name from range(10000) r(i)")
        sandbox.fault("refuse_rows", vendor="rest", percent=100, skip=20)
        report = shop.run(sink_sync(), sink(sandbox.url))

        assert report.status is RunStatus.FAILED
        assert report.counts["created"] == 2_000
        in_flight = 4 * 100  # requests at once, rows of each
        assert 100 < report.counts["failed"] <= 200 + in_flight
        assert report.counts["skipped_stopped"] == 8_000 - report.counts["failed"]
        assert {o.reason for o in shop.outcomes(sink_sync(), report.run_id)} == {None, "rejected", "stopped"}
        assert str(report.detail).startswith("guard in_flight: up to ")
        (finding,) = [finding for finding in report.findings if finding.guard == "in_flight"]
        assert (finding.passed, finding.limit) == (False, 50)
        assert finding.value is not None
        assert 50 < finding.value <= 100

    @heavy
    @pytest.mark.parametrize(
        ("percent", "policy", "status"),
        first_rows(
            [
                (30, {}, RunStatus.DONE),
                (30, {"max_failed": 20}, RunStatus.FAILED),
                (100, {"max_failed": 100}, RunStatus.DONE),
                (100, {"window": 601}, RunStatus.DONE),  # a run of fewer rows goes to its end
                (100, {"window": 600}, RunStatus.FAILED),
            ],
            2,
        ),
    )
    def test_limits(
        self, shop: Shop, sandbox: Sandbox, percent: float, policy: dict[str, float], status: RunStatus
    ) -> None:
        shop.build("select i::varchar as id, 'n' as name from range(600) r(i)")
        sandbox.fault("refuse_rows", vendor="rest", percent=percent)
        report = shop.run(sink_sync(guards={"in_flight": policy}), sink(sandbox.url))
        assert report.status is status

    @heavy
    def test_skipped_rows_say_nothing(self, shop: Shop, sandbox: Sandbox) -> None:
        """99 rows fail and 301 are gone already: the window of 100 is not full."""
        sync = sink_sync(sync_mode="mirror", guards={"in_flight": {"window": 100}, "max_removed": {}})
        shop.build("select i::varchar as id, 'n' as name from range(400) r(i)")
        shop.run(sync, sink(sandbox.url))
        shop.sql("update marts.people set name = 'm' where id::int < 99", "delete from marts.people where id::int > 98")
        for key in range(99, 400):
            sandbox.remove("rest", "people", str(key))
        sandbox.fault("refuse_rows", vendor="rest", path="people$", percent=100)
        report = shop.run(sync, sink(sandbox.url))
        assert (report.counts["failed"], report.counts["skipped_already_gone"]) == (99, 301)
        assert report.status is RunStatus.DONE

    @heavy
    def test_halving_of_refused_batches_ends_too(self, shop: Shop, sandbox: Sandbox) -> None:
        shop.build("select case when i < 100 then 'a' else 'bad' end || i as id, 'n' as name from range(700) r(i)")
        sync = sink_sync(guards={"in_flight": {"window": 40}})
        report = shop.run(sync, Account("sink", Strict, sink(sandbox.url).connection))
        assert report.status is RunStatus.FAILED
        assert report.counts["created"] == 100
        assert 21 <= report.counts["failed"] <= 21 + 4
        assert len(sandbox.log.lines()) < 100  # halving all of it would be 1,200 requests
