"""The checks that every sync has. The engine has judged before and after the run; here its findings get a colour."""

from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg

from reverse_etl_assets.guard import Finding
from reverse_etl_assets.journal_records import RunStatus
from reverse_etl_assets.orchestration.clipping import clip
from reverse_etl_assets.policies import Limit
from reverse_etl_assets.sync import Report

_CHECKS = {
    "guard": "Everything held that must hold before a request goes out. Red: nothing was sent.",
    "row_count_anomaly": "The model's row count is near the median of the last runs.",
    "failed_rows": "No row failed. Red: more rows failed than `max_failed` allows, yellow: fewer.",
    "unanswered_rows": "The destination said of every row what became of it.",
}
_Result = tuple[bool, dg.AssetCheckSeverity, str, dict[str, Any]]


def check_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    return [dg.AssetCheckSpec(name, asset=key, description=text) for name, text in _CHECKS.items()]


def check_results(key: dg.AssetKey, report: Report) -> list[dg.AssetCheckResult]:
    """One result for each check, also if the run ended before anything was sent."""
    results = {
        "guard": _guard(report.findings),
        "row_count_anomaly": _row_count(report),
        "failed_rows": _failed_rows(report),
        "unanswered_rows": _unanswered_rows(report),
    }
    return [
        dg.AssetCheckResult(
            asset_key=key, check_name=name, passed=passed, severity=severity, description=said, metadata=metadata
        )
        for name, (passed, severity, said, metadata) in results.items()
    ]


def findings_table(findings: Iterable[Finding]) -> dg.TableMetadataValue:
    """A row for each guard: what it saw and what it allows."""
    schema = dg.TableSchema(
        [
            dg.TableColumn("guard"),
            dg.TableColumn("passed", "bool"),
            dg.TableColumn("value", "float"),
            dg.TableColumn("limit", "float"),
            dg.TableColumn("why"),
        ]
    )
    rows = [
        dg.TableRecord(
            {"guard": f.guard, "passed": f.passed, "value": f.value, "limit": f.limit, "why": clip(f.message, 500)}
        )
        for f in findings
    ]
    return dg.MetadataValue.table(rows, schema)


def _guard(findings: Sequence[Finding]) -> _Result:
    bad = [finding for finding in findings if not finding.passed]
    said = "; ".join(f"{finding.guard}: {finding.message}" for finding in bad)
    said = f"nothing was sent; {said}" if bad else f"{len(findings)} guards passed"
    return not bad, dg.AssetCheckSeverity.ERROR, clip(said, 2_000), {"guards": findings_table(findings)}


def _row_count(report: Report) -> _Result:
    finding = next((finding for finding in report.findings if finding.guard == "row_count"), None)
    if finding is None:
        return _not_judged("the model was not looked at")
    metadata: dict[str, Any] = {"model rows": report.counts.get("model_rows", 0)}
    if finding.limit is not None:
        metadata |= {"away from usual": finding.value, "limit": _said(report.sync.guards.row_count)}
    return finding.passed, dg.AssetCheckSeverity.ERROR, finding.message, metadata


def _failed_rows(report: Report) -> _Result:
    if report.status is RunStatus.GUARDED:
        return _not_judged("nothing was sent")
    failed, of, limit = report.counts.get("failed", 0), report.change_set, report.sync.max_failed
    metadata: dict[str, Any] = {"failed": failed, "change set": of}
    if of:
        metadata["failed percent"] = round(100 * failed / of, 4)
    metadata["limit"] = _said(limit)
    severity = dg.AssetCheckSeverity.ERROR if report.too_many_failed else dg.AssetCheckSeverity.WARN
    return failed == 0, severity, f"{failed} of {of} rows failed", metadata


def _unanswered_rows(report: Report) -> _Result:
    if report.status is RunStatus.GUARDED:
        return _not_judged("nothing was sent")
    unanswered = report.counts.get("failed_unanswered", 0)
    ambiguous = report.counts.get("failed_ambiguous", 0)
    held = report.counts.get("skipped_held", 0)
    said = f"{unanswered} unanswered (sent again by the next run), {ambiguous} ambiguous, {held} held for a person"
    severity = dg.AssetCheckSeverity.ERROR if ambiguous or held else dg.AssetCheckSeverity.WARN
    metadata = {"unanswered": unanswered, "ambiguous": ambiguous, "held": held}
    return not unanswered + ambiguous + held, severity, said, metadata


def _said(limit: Limit) -> str:
    """Text, for Dagster would plot a number."""
    rows = f"{limit.rows} rows" if limit.rows is not None else ""
    percent = f"{limit.percent:g} %" if limit.percent is not None else ""
    return " or ".join(filter(None, (rows, percent))) or "none"


def _not_judged(why: str) -> _Result:
    """Neither green nor red: a check that says yes without having looked is worth nothing."""
    return False, dg.AssetCheckSeverity.WARN, f"not judged: {why}", {}
