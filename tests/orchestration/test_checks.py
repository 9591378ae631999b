"""What the checks of a sync say of a run, by its figures."""

from dataclasses import replace
from typing import Any

import dagster as dg
import pytest

from reverse_etl_assets.guards import GUARDS
from reverse_etl_assets.guards.finding import Finding
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.orchestration.checks import check_results, findings_table
from reverse_etl_assets.runs.report import Report
from tests.engine.shop import sink_sync

KEY = dg.AssetKey(["sink", "people_that_were_never_sent"])
RED, YELLOW = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
GOOD = Finding("kill_switch", True, "off")
SENT = Report("run", sink_sync(), RunStatus.DONE, (GOOD,), {"created": 100, "model_rows": 100, "in_quarantine": 0})
GUARDED = Report("run", sink_sync(), RunStatus.GUARDED, (replace(GOOD, passed=False, message="stopped"),), {})


def judged(report: Report, instance: dg.DagsterInstance) -> dict[str, dg.AssetCheckResult]:
    return {str(each.check_name): each for each in check_results(instance, KEY, report)}


@pytest.mark.parametrize(
    ("check", "counts", "severity", "text"),
    [
        ("delivery", {"failed": 2}, YELLOW, "2 of 102 rows failed"),
        ("delivery", {"failed": 50}, RED, "50 of 150 rows failed"),
        (
            "delivery",
            {"failed": 1, "failed_unanswered": 1},
            YELLOW,
            "1 of 101 rows failed; 1 unanswered, which the next run sends again",
        ),
        (
            "delivery",
            {"possible_duplicates": 3},
            YELLOW,
            "0 of 100 rows failed; 3 rows share a record with another row, or have a key that several records carry",
        ),
        (
            "held_and_quarantined",
            {"failed": 1, "failed_ambiguous": 1},
            RED,
            "1 row may have arrived or not: look at the destination, then `reverse-etl release`",
        ),
        (
            "held_and_quarantined",
            {"skipped_held": 2, "in_quarantine": 1},
            RED,
            "2 rows held until somebody says whether they arrived (`reverse-etl release`); 1 row in quarantine"
            " (`reverse-etl quarantine`)",
        ),
        ("held_and_quarantined", {"in_quarantine": 4}, YELLOW, "4 rows in quarantine (`reverse-etl quarantine`)"),
    ],
)
def test_one_check_says_it(
    instance: dg.DagsterInstance, check: str, counts: dict[str, int], severity: dg.AssetCheckSeverity, text: str
) -> None:
    found = judged(replace(SENT, counts={**SENT.counts, **counts}), instance)
    assert (found[check].passed, found[check].severity, found[check].description) == (False, severity, text)


def test_rows_that_the_destination_has_not_settled_are_not_called_delivered(instance: dg.DagsterInstance) -> None:
    found = judged(replace(SENT, pending=True, detail="job 7 goes on"), instance)["delivery"]
    assert (found.passed, found.severity, found.description) == (False, YELLOW, "not judged: job 7 goes on")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"given_up": "job 7 is gone"}, "job 7 is gone; nothing was sent"),
        ({"unusable_times": {"`at`": 2}}, "nothing was sent; a time that cannot be used: `at` in 2 rows"),
    ],
)
def test_what_is_known_of_a_run_that_sent_nothing_is_said(
    instance: dg.DagsterInstance, change: dict[str, Any], text: str
) -> None:
    found = judged(replace(GUARDED, **change), instance)["delivery"]
    assert (found.passed, found.severity) == (False, YELLOW)
    assert str(found.description).startswith(text)


def test_a_guard_that_trips_is_the_only_check_that_is_not_green(instance: dg.DagsterInstance) -> None:
    assert [name for name, each in judged(GUARDED, instance).items() if not each.passed] == ["guards"]
    row_count = replace(GUARDED, findings=(GOOD, Finding("row_count", False, "4 rows, usually 100", 96, 50)))
    assert [name for name, each in judged(row_count, instance).items() if not each.passed] == ["row_count_anomaly"]


def test_a_trip_says_what_to_do_and_whose_it_is(instance: dg.DagsterInstance) -> None:
    """Advice that fits: nobody is told to approve what cannot be approved."""
    report = replace(GUARDED, sync=sink_sync(owners=["team:growth"]))
    assert judged(report, instance)["guards"].description == (
        "nothing was sent; kill_switch: stopped. To do: ask who stopped it, then `reverse-etl resume`."
        " Owner: team:growth."
    )
    assert all(guard.approvable or "approve" not in guard.remedy for guard in GUARDS)


def test_the_table_names_each_guard_once() -> None:
    tripped = Finding("max_removed", False, "40 removed", 40, 25)
    unknown = Finding("model_tests", True, "no results", 0, judged=False)
    limited = Finding("max_changed", True, "4 changed", 4, 25)
    rows = [row.data for row in findings_table([GOOD, limited, unknown, tripped]).value.records]
    names = [name for row in rows for name in str(row["guard"]).split(", ")]
    assert sorted(names) == sorted(guard.name for guard in GUARDS)
    assert [(row["guard"], row["result"]) for row in rows[:4]] == [
        ("max_removed", "tripped"),
        ("model_tests", "not judged"),
        ("max_changed", "held"),
        ("kill_switch", "held"),
    ]
    assert rows[4]["result"] == "not judged"
