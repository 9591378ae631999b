"""Guards at their limits: the last plan that passes, the first that does not, and not one request when one trips."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from reverse_etl_assets.dbt.results import ModelTests
from reverse_etl_assets.guards import judge_plan
from reverse_etl_assets.guards.before import Evidence
from reverse_etl_assets.guards.finding import Finding, beyond, tripped
from reverse_etl_assets.guards.history import EarlierRun
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.plan.change_set import Plan
from reverse_etl_assets.plan.field_changes import FieldChange
from reverse_etl_assets.records import Operation
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.spec.policies import Guards, Limit
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import Shop, crm, crm_sync, sink, sink_sync
from tests.heavy import first_rows, heavy
from tests.journal_entries import record_model_results

NONE: Mapping[str, Any] = {
    "max_removed": {},
    "row_count": {},
    "every_field": {"max_emptied": {}},
    "percent_from": 1,
}
"""Guards that let everything through; with a limit added, single rows trip it."""
NOW = 1_750_000_000.0
GOOD = ModelTests(good=2)


def planned(*fields: FieldChange, **counts: int) -> Plan:
    names = ("added", "changed", "removed", "unchanged", "rejected", "held")
    rows: dict[str, Any] = {"model_rows": 1000, "synced_rows": 1000, **dict.fromkeys(names, 0), **counts}
    return Plan(**rows, to_send={Operation.DELETE: rows["removed"]}, removed_known=True, field_changes=fields)


def findings_of(
    plan: Plan, policy: Mapping[str, Any], earlier: Sequence[int] = (), tests: ModelTests = GOOD
) -> list[Finding]:
    """`earlier` are the row counts of runs of the last hours, the newest first."""
    history = [EarlierRun(NOW - 60 * (1 + number), rows) for number, rows in enumerate(earlier)]
    guards = Guards.model_validate({**NONE, **policy})
    findings = judge_plan(Evidence(plan, guards, history, NOW, tests))
    assert all(finding.message for finding in findings)
    return findings


def guards_that_trip(
    plan: Plan, policy: Mapping[str, Any], earlier: Sequence[int] = (), tests: ModelTests = GOOD
) -> list[str]:
    return [finding.guard for finding in tripped(findings_of(plan, policy, earlier, tests))]


def message(guard: str, *args: Any) -> str:
    (finding,) = [finding for finding in findings_of(*args) if finding.guard == guard]
    return finding.message


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


def test_a_share_of_nothing_cannot_be_computed_so_it_trips_and_a_number_decides() -> None:
    plan = planned(added=1000, synced_rows=0)
    assert message("max_added", plan, {"max_added": {"percent": 5}}) == (
        "1000 added: percent of 0 synced rows cannot be computed; the limit is 5 %."
        " Give it in `rows`, or approve the plan"
    )
    assert guards_that_trip(plan, {"max_added": {"percent": 100}}) == ["max_added"]
    assert guards_that_trip(plan, {"max_added": {"rows": 999}}) == ["max_added"]
    assert guards_that_trip(plan, {"max_added": {"rows": 1000, "percent": 1}}) == []
    assert guards_that_trip(planned(synced_rows=0), {"max_added": {"percent": 0}}) == []


def test_a_first_run_passes_the_defaults() -> None:
    findings = judge_plan(Evidence(planned(added=1000, synced_rows=0), Guards(), now=NOW))
    assert tripped(findings) == []


@pytest.mark.parametrize("synced", [0, 20])
def test_a_share_of_few_rows_is_no_anomaly_and_says_so(synced: int) -> None:
    policy = {"max_added": {"percent": 5}, "percent_from": 10}
    assert guards_that_trip(planned(added=10, synced_rows=synced), policy) == ["max_added"]
    few = planned(added=9, synced_rows=synced)
    assert guards_that_trip(few, policy) == []
    assert message("max_added", few, policy).endswith("and holds from 10 rows on (`percent_from`)")
    assert guards_that_trip(few, {"max_added": {"rows": 8}, "percent_from": 10}) == ["max_added"]


def test_findings_have_numbers_for_a_plot() -> None:
    found = {finding.guard: finding for finding in findings_of(planned(added=30), {"max_added": {"percent": 5}})}
    assert (found["max_added"].value, found["max_added"].limit) == (3, 5)
    assert found["max_added"].figures == {"rows": 30, "percent": 3, "limit percent": 5}
    assert found["max_changed"].message == "0 changed (0.00 % of 1000 synced rows); no limit is set"
    assert found["max_changed"].figures == {"rows": 0, "percent": 0}


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


@pytest.mark.parametrize(
    ("earlier", "limit", "rows", "trips"),
    [
        ([1000] * 6, 1, 1, False),  # six runs are too few
        ([1000] * 7, 6, 1120, False),  # a deviation is at least 2 % of the median
        ([1000] * 7, 6, 1121, True),
        ([1000] * 7, 6, 879, True),
        ([900, 1100, 900, 1100, 1000, 1000, 1000], 1, 1148, False),  # the median absolute deviation is 100
        ([900, 1100, 900, 1100, 1000, 900, 1100], 1, 1149, True),
        ([1000, 1000, 1000, 1000, 1000, 1000, 5], 6, 1000, False),
        ([0] * 7, 1000, 1, True),
    ],
)
def test_row_count_in_deviations(earlier: list[int], limit: float, rows: int, trips: bool) -> None:
    plan, policy = planned(model_rows=rows), {"row_count": {"deviations": limit}}
    assert guards_that_trip(plan, policy, earlier) == ["row_count"] * trips


def test_a_row_count_says_what_it_was_compared_with() -> None:
    plan, policy = planned(model_rows=1600), {"row_count": {"percent": 50, "deviations": 6}}
    assert message("row_count", plan, policy, [1000] * 7) == (
        "1600 rows, usually 1000 (the median of the last 7 runs): 60.00 % away from 1000; the limit is 50 %"
    )
    assert message("row_count", plan, policy, [1000]) == "1600 rows; 1 earlier run is too few to compare with"
    assert message("row_count", plan, {}, [1000] * 7) == "1600 rows; no limit is set"
    assert "usually 0" in message("row_count", plan, policy, [0, 0, 0])
    assert guards_that_trip(plan, {**policy, "percent_from": 601}, [1000] * 7) == []


def test_what_happens_to_one_field() -> None:
    email, name = FieldChange("Email", 300, 100, 400), FieldChange("Name", 200, 0, 0)
    plan = planned(email, name, changed=400)
    assert guards_that_trip(plan, {"every_field": {"max_changed": {"percent": 30}, "max_emptied": {}}}) == []
    limits = {"every_field": {"max_changed": {"percent": 10}, "max_emptied": {"percent": 20}}}
    found = tripped(findings_of(plan, limits))
    assert [(finding.guard, finding.field, finding.value) for finding in found] == [
        ("field_changes", "Email", 30),
        ("field_changes", "Name", 20),
        ("emptied_fields", "Email", 25),
    ]
    assert found[2].message == (
        "Email loses its value in 100 rows: 25.00 % of 400 synced rows that have a value; the limit is 20 %"
    )
    own = {**limits, "fields": {"Email": {"max_changed": {"rows": 300}, "max_emptied": {"percent": 25}}}}
    assert [(finding.guard, finding.field) for finding in tripped(findings_of(plan, own))] == [
        ("field_changes", "Name")
    ]


def test_fields_within_their_limits_are_told_by_the_worst() -> None:
    """The worst is the nearest to its own limit."""
    plan = planned(FieldChange("Email", 40, 40, 1000), FieldChange("Phone", 30, 30, 1000), changed=40)
    limits = {"every_field": {"max_emptied": {"percent": 20}}, "fields": {"Phone": {"max_emptied": {"percent": 4}}}}
    (finding,) = [finding for finding in findings_of(plan, limits) if finding.guard == "emptied_fields"]
    assert (finding.field, finding.value, finding.limit, finding.passed) == ("Phone", 3, 4, True)
    (finding,) = [finding for finding in findings_of(plan, limits) if finding.guard == "field_changes"]
    assert finding.message == "Email changes in 40 rows (4.00 % of 1000 synced rows); no limit is set"
    assert message("emptied_fields", planned(), limits) == "no field changes"
    assert message("field_changes", planned(), limits) == "no field changes; no limit is set"


def test_a_fifth_of_a_field_may_be_emptied_by_default() -> None:
    def trips(emptied: int, filled: int) -> bool:
        plan = planned(FieldChange("Email", emptied, emptied, filled), changed=emptied)
        return bool(tripped(judge_plan(Evidence(plan, Guards(), now=NOW))))

    assert not trips(20, 100)
    assert trips(21, 100)
    assert trips(10, 10)
    assert not trips(9, 9)


def test_removed_rows_count_only_where_they_are_deleted() -> None:
    """Where a mode leaves them alone they stay synced, and would add up until the sync stopped for good."""
    plan = replace(planned(removed=1000), to_send={})
    assert guards_that_trip(plan, {"max_removed": {"rows": 0}}) == []


def test_an_empty_model() -> None:
    assert guards_that_trip(planned(model_rows=0), {}) == ["empty_model"]
    assert guards_that_trip(planned(model_rows=1), {}) == []
    assert guards_that_trip(planned(model_rows=0), {"allow_empty_model": True}) == []


def test_results_of_the_models_tests() -> None:
    bad, unknown = ModelTests(bad=("unique_id",), good=1), ModelTests(unknown="unique_id never ran")
    asked: Mapping[str, Any] = {"require_passing_tests": True}
    assert guards_that_trip(planned(), asked, tests=GOOD) == []
    assert guards_that_trip(planned(), {}, tests=bad) == ["model_tests"]
    assert guards_that_trip(planned(), {}, tests=unknown) == []
    assert guards_that_trip(planned(), asked, tests=unknown) == ["model_tests"]
    for tests in (bad, unknown):
        assert guards_that_trip(planned(), {"require_passing_tests": False}, tests=tests) == []


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
        shop.build("select i::varchar id, 'n' as name from range(300) r(i)")
        options = {**sink_sync().options, "batch_size": 150}
        self.sync = sink_sync(sync_mode="mirror", options=options, **changes)
        self.account = sink(sandbox.url)
        return shop.run(self.sync, self.account)

    def calls(self, sandbox: Sandbox) -> int:
        return len(sandbox.log.lines())

    def test_four_percent_and_one_row_more_removed(self, shop: Shop, sandbox: Sandbox) -> None:
        self.first(shop, sandbox, guards={"max_removed": {"percent": 4}})
        calls = self.calls(sandbox)
        shop.sql("delete from marts.people where id::int < 13", "update marts.people set name = 'm' where id = '200'")
        report = shop.run(self.sync, self.account)
        assert report.status is RunStatus.GUARDED
        assert "13 removed" in str(report.detail)
        assert self.calls(sandbox) == calls
        assert len(sandbox.rest.tables["people"].live()) == 300
        assert shop.journal.history(self.sync.sync)[0].status is RunStatus.GUARDED
        shop.sql("insert into marts.people values ('0', 'n')")
        assert shop.run(self.sync, self.account).counts["deleted"] == 12

    def test_mirror_deletes_exactly_the_removed_rows(self, shop: Shop, sandbox: Sandbox) -> None:
        self.first(shop, sandbox)
        shop.sql("delete from marts.people where id::int % 100 = 7")
        report = shop.run(self.sync, self.account)
        gone = {str(i) for i in range(300) if i % 100 == 7}
        found = shop.by_key(self.sync, report)
        assert found.keys() == gone
        assert {outcome.status for outcome in found.values()} == {"deleted"}
        assert {e.id for e in sandbox.rest.tables["people"].live()} == {str(i) for i in range(300)} - gone

    def test_an_empty_model_deletes_nothing(self, shop: Shop, sandbox: Sandbox) -> None:
        self.first(shop, sandbox, guards=NONE)
        calls = self.calls(sandbox)
        shop.sql("delete from marts.people")
        report = shop.run(self.sync, self.account)
        assert report.status is RunStatus.GUARDED
        assert "empty_model" in str(report.detail)
        assert self.calls(sandbox) == calls

    @heavy
    def test_a_failed_test_of_the_model(self, shop: Shop, sandbox: Sandbox) -> None:
        record_model_results(shop.journal, "model.shop.people", {"unique_people_id": "fail"})
        assert self.first(shop, sandbox).status is RunStatus.GUARDED
        assert self.calls(sandbox) == 0
        record_model_results(shop.journal, "model.shop.people", {"unique_people_id": "pass"})
        assert shop.run(self.sync, self.account).counts["created"] == 300

    @heavy
    def test_row_count_counts_finished_runs(self, shop: Shop, sandbox: Sandbox) -> None:
        self.first(shop, sandbox, guards={"row_count": {"percent": 4}, "max_removed": {}})
        for _ in range(2):
            shop.run(self.sync, self.account)
        shop.sql("delete from marts.people where id::int < 13")
        calls = self.calls(sandbox)
        assert "row_count" in str(shop.run(self.sync, self.account).detail)
        assert self.calls(sandbox) == calls

    @pytest.mark.parametrize(
        ("scope", "runs"),
        first_rows(
            [
                ("all", False),
                ("destination:sink", False),
                ("sync:people_to_sink", False),
                ("destination:crm", True),
                ("sync:people_to_crm", True),
            ]
        ),
    )
    def test_the_kill_switch_before_a_run(self, shop: Shop, sandbox: Sandbox, scope: str, runs: bool) -> None:
        shop.journal.stop(scope, "ann", "audit")
        report = self.first(shop, sandbox)
        assert (report.status is RunStatus.DONE) == runs
        assert bool(self.calls(sandbox)) == runs
        assert runs or "audit" in str(report.detail)


@heavy
def test_rejected_rows_are_named_and_the_others_delivered(shop: Shop, sandbox: Sandbox) -> None:
    """30 rows without a key and 20 that share one, among 300."""
    shop.build(
        "select case when i < 30 then null when i < 50 then 'same@shop.example' else i || '@shop.example' end email,"
        " 'n' as name from range(300) r(i)"
    )
    sync = crm_sync()
    report = shop.run(sync, crm(sandbox.url))
    assert report.counts["created"] == len(sandbox.hubspot.tables["contacts"].live()) == 250
    assert report.counts["rejected"] == report.counts["failed_invalid"] == report.counts["failed"] == 50
    rows = [outcome for outcome in shop.outcomes(sync, report.run_id) if outcome.status == "failed"]
    without = [row for row in rows if row.key is None]
    assert len(without) == 30
    assert {row.message for row in without} == {"the primary key (email) is empty"}
    shared = [row for row in rows if row.key is not None]
    assert {(row.key, row.message) for row in shared} == {
        ("same@shop.example", "20 rows of the model share this primary key")
    }
    assert len(shared) == 20
