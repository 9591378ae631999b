"""Guards at their limits: the last plan that passes, the first that does not, and not one request when one trips."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from reverse_etl_assets.guard import beyond, judge, tripped
from reverse_etl_assets.journal_records import RunStatus
from reverse_etl_assets.plan import Plan
from reverse_etl_assets.policies import Guards, Limit
from reverse_etl_assets.records import Operation
from reverse_etl_assets.sandbox.server import Sandbox
from reverse_etl_assets.sync import Report
from tests.engine.shop import Shop, crm, crm_sync, sink, sink_sync

NONE: Mapping[str, Any] = {"max_removed": {}, "row_count": {}}


def planned(**counts: int) -> Plan:
    names = ("added", "changed", "removed", "unchanged", "rejected", "held")
    rows = {"model_rows": 1000, "synced_rows": 1000, **dict.fromkeys(names, 0), **counts}
    return Plan(**rows, to_send={Operation.DELETE: rows["removed"]}, removed_known=True)


def guards_that_trip(
    plan: Plan, policy: Mapping[str, Any], earlier: Sequence[int] = (), results: Mapping[str, str] | None = None
) -> list[str]:
    findings = judge(
        plan,
        Guards.model_validate({**NONE, **policy}),
        earlier_row_counts=earlier,
        model_results=results or {},
    )
    assert all(finding.message for finding in findings)
    return [finding.guard for finding in tripped(findings)]


@pytest.mark.parametrize("what", ["added", "changed", "removed"])
@pytest.mark.parametrize(
    ("limit", "rows", "trips"),
    [
        ({"rows": 100}, 100, False),
        ({"rows": 100}, 101, True),
        ({"rows": 0}, 0, False),
        ({"rows": 0}, 1, True),
        ({"percent": 10}, 100, False),
        ({"percent": 10}, 101, True),
        ({"percent": 0}, 0, False),
        ({"percent": 0}, 1, True),
        ({"percent": 0.1}, 1, False),
        ({"percent": 0.1}, 2, True),
        ({"rows": 50, "percent": 10}, 51, True),
        ({"rows": 500, "percent": 10}, 101, True),
        ({"rows": 500, "percent": 50}, 500, False),
        ({}, 1000, False),
    ],
)
def test_limits_of_a_change_set(what: str, limit: Mapping[str, Any], rows: int, trips: bool) -> None:
    assert guards_that_trip(planned(**{what: rows}), {f"max_{what}": limit}) == [f"max_{what}"] * trips


def test_a_share_of_nothing_does_not_stop_the_first_run_but_a_number_does() -> None:
    plan = planned(added=1000, synced_rows=0)
    assert guards_that_trip(plan, {"max_added": {"percent": 5}}) == []
    assert guards_that_trip(plan, {"max_added": {"rows": 999}}) == ["max_added"]
    assert guards_that_trip(plan, {"max_added": {"rows": 1000, "percent": 1}}) == []


@pytest.mark.parametrize(
    ("earlier", "limit", "rows", "trips"),
    [
        ([1000, 1000], {"percent": 10}, 1, False),  # two runs are no history
        ([1000, 1000, 1000], {"percent": 10}, 1100, False),
        ([1000, 1000, 1000], {"percent": 10}, 1101, True),
        ([1000, 1000, 1000], {"percent": 10}, 900, False),
        ([1000, 1000, 1000], {"percent": 10}, 899, True),
        ([1000, 1000, 1000], {"rows": 5}, 1005, False),
        ([1000, 1000, 1000], {"rows": 5}, 1006, True),
        ([1000, 5, 1000], {"percent": 10}, 1000, False),  # one odd run does not move the median
        ([1000] * 10 + [1] * 20, {"percent": 10}, 1000, False),  # only the last ten count
        ([0, 0, 0], {"percent": 10}, 0, False),
        ([0, 0, 0], {"percent": 10}, 1, True),
        ([1000, 1000, 1000], {}, 1, False),
    ],
)
def test_row_count_against_history(earlier: list[int], limit: Mapping[str, Any], rows: int, trips: bool) -> None:
    policy = {"row_count": limit, "allow_empty_model": True}
    assert guards_that_trip(planned(model_rows=rows), policy, earlier) == ["row_count"] * trips


def test_removed_rows_count_only_where_they_are_deleted() -> None:
    """Where a mode leaves them alone they stay synced, and would add up until the sync stopped for good."""
    plan = replace(planned(removed=1000), to_send={})
    assert guards_that_trip(plan, {"max_removed": {"rows": 0}}) == []


def test_an_empty_model() -> None:
    assert guards_that_trip(planned(model_rows=0), {}) == ["empty_model"]
    assert guards_that_trip(planned(model_rows=1), {}) == []
    assert guards_that_trip(planned(model_rows=0), {"allow_empty_model": True}) == []


@pytest.mark.parametrize(
    ("status", "trips"), [("pass", False), ("success", False), ("warn", False), ("fail", True), ("error", True)]
)
def test_results_of_the_models_tests(status: str, trips: bool) -> None:
    results = {"unique_id": status, "not_null_id": "pass"}
    assert guards_that_trip(planned(), {}, results=results) == ["model_tests"] * trips
    assert guards_that_trip(planned(), {"require_passing_tests": False}, results=results) == []


@pytest.mark.parametrize(
    ("limit", "rows", "of", "is_beyond"),
    [
        (Limit(percent=5), 5, 100, False),
        (Limit(percent=5), 6, 100, True),
        (Limit(rows=3), 3, 100, False),
        (Limit(rows=3), 4, 100, True),
        (Limit(percent=0), 0, 0, False),
        (Limit(), 100, 100, False),
    ],
)
def test_how_many_rows_may_fail(limit: Limit, rows: int, of: int, is_beyond: bool) -> None:
    assert beyond(limit, rows, of) is is_beyond


class TestRuns:
    """The same guards around real runs: nothing goes out."""

    def first(self, shop: Shop, sandbox: Sandbox, **changes: Any) -> Report:
        shop.build("select i::varchar id, 'n' as name from range(10000) r(i)")
        options = {**sink_sync().options, "batch_size": 1000}
        self.sync = sink_sync(sync_mode="mirror", options=options, **changes)
        self.account = sink(sandbox.url)
        return shop.run(self.sync, self.account)

    def calls(self, sandbox: Sandbox) -> int:
        return len(sandbox.log.lines())

    def test_one_percent_and_101_of_10000_removed(self, shop: Shop, sandbox: Sandbox) -> None:
        self.first(shop, sandbox, guards={"max_removed": {"percent": 1}})
        calls = self.calls(sandbox)
        shop.sql("delete from marts.people where id::int < 101", "update marts.people set name = 'm' where id = '500'")
        report = shop.run(self.sync, self.account)
        assert report.status is RunStatus.GUARDED
        assert "101 removed" in str(report.detail)
        assert self.calls(sandbox) == calls
        assert len(sandbox.rest.tables["people"].live()) == 10_000
        assert shop.journal.history(self.sync.sync)[0].status is RunStatus.GUARDED
        shop.sql("insert into marts.people values ('0', 'n')")
        assert shop.run(self.sync, self.account).counts["deleted"] == 100

    def test_mirror_deletes_exactly_the_removed_rows(self, shop: Shop, sandbox: Sandbox) -> None:
        self.first(shop, sandbox)
        shop.sql("delete from marts.people where id::int % 100 = 7")
        report = shop.run(self.sync, self.account)
        gone = {str(i) for i in range(10_000) if i % 100 == 7}
        found = shop.by_key(self.sync, report)
        assert found.keys() == gone
        assert {outcome.status for outcome in found.values()} == {"deleted"}
        assert {e.id for e in sandbox.rest.tables["people"].live()} == {str(i) for i in range(10_000)} - gone

    def test_an_empty_model_deletes_nothing(self, shop: Shop, sandbox: Sandbox) -> None:
        self.first(shop, sandbox, guards=NONE)
        calls = self.calls(sandbox)
        shop.sql("delete from marts.people")
        report = shop.run(self.sync, self.account)
        assert report.status is RunStatus.GUARDED
        assert "empty_model" in str(report.detail)
        assert self.calls(sandbox) == calls

    def test_a_failed_test_of_the_model(self, shop: Shop, sandbox: Sandbox) -> None:
        shop.journal.record_model_results("people", {"unique_people_id": "fail"})
        assert self.first(shop, sandbox).status is RunStatus.GUARDED
        assert self.calls(sandbox) == 0
        shop.journal.record_model_results("people", {"unique_people_id": "pass"})
        assert shop.run(self.sync, self.account).counts["created"] == 10_000

    def test_row_count_counts_finished_runs(self, shop: Shop, sandbox: Sandbox) -> None:
        self.first(shop, sandbox, guards={"row_count": {"percent": 1}, "max_removed": {}})
        for _ in range(2):
            shop.run(self.sync, self.account)
        shop.sql("delete from marts.people where id::int < 101")
        calls = self.calls(sandbox)
        assert "row_count" in str(shop.run(self.sync, self.account).detail)
        assert self.calls(sandbox) == calls

    @pytest.mark.parametrize(
        ("scope", "runs"),
        [
            ("all", False),
            ("destination:sink", False),
            ("sync:people_to_sink", False),
            ("destination:crm", True),
            ("sync:people_to_crm", True),
        ],
    )
    def test_the_kill_switch_before_a_run(self, shop: Shop, sandbox: Sandbox, scope: str, runs: bool) -> None:
        shop.journal.stop(scope, "ann", "audit")
        report = self.first(shop, sandbox)
        assert (report.status is RunStatus.DONE) == runs
        assert bool(self.calls(sandbox)) == runs
        assert runs or "audit" in str(report.detail)


def test_rejected_rows_are_named_and_the_others_delivered(shop: Shop, sandbox: Sandbox) -> None:
    """100 rows without a key and 20 that share one, among 10,000."""
    shop.build(
        "select case when i < 100 then null when i < 120 then 'same@shop.example' else i || '@shop.example' end email,"
        " 'n' as name from range(10000) r(i)"
    )
    sync = crm_sync()
    report = shop.run(sync, crm(sandbox.url))
    assert report.counts["created"] == len(sandbox.hubspot.tables["contacts"].live()) == 9_880
    assert report.counts["rejected"] == report.counts["failed_invalid"] == report.counts["failed"] == 120
    rows = [outcome for outcome in shop.outcomes(sync, report.run_id) if outcome.status == "failed"]
    without = [row for row in rows if row.key is None]
    assert len(without) == 100
    assert {row.message for row in without} == {"the primary key (email) is empty"}
    shared = [row for row in rows if row.key is not None]
    assert {(row.key, row.message) for row in shared} == {
        ("same@shop.example", "20 rows of the model share this primary key")
    }
    assert len(shared) == 20
