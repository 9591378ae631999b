"""The checks that every sync has. The engine has judged before and after the run; here its findings get a colour."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dagster as dg

from reverse_etl_assets.guards import GUARDS
from reverse_etl_assets.guards.finding import UNLIMITED, Finding
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.orchestration.clipping import clip
from reverse_etl_assets.orchestration.drift import difference_metadata, severity
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.spec.policies import Limit
from reverse_etl_assets.warehouses.row_times import in_words

_OUTCOMES = {
    "failed_rows": "No row failed. Red: more rows failed than `max_failed` allows, yellow: fewer.",
    "unanswered_rows": "The destination said of every row what became of it.",
    "quarantined_rows": "No row is kept back because the destination refused it too often.",
    "usable_times": "The times that the model's rows carry can be used, as far as the sync goes by them.",
    "possible_duplicates": "No record stands for several rows of the model, and no key of a row for several records.",
    "verified_delivery": "Records of a sample of the rows that the run wrote were read back, and hold what was sent.",
}
_LOOK_BACK = 20  # evaluations of a check
_BEFORE = "; as it was judged before: "
_Result = tuple[bool, dg.AssetCheckSeverity, str, Mapping[str, Any]]


def check_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    texts = {**{guard.check: guard.holds for guard in GUARDS}, **_OUTCOMES}
    return [dg.AssetCheckSpec(name, asset=key, description=text) for name, text in texts.items()]


def check_results(key: dg.AssetKey, report: Report) -> list[dg.AssetCheckResult]:
    """One result for each check, also if the run ended before anything was sent."""
    results = {
        **{guard.check: _guard(guard.name, report) for guard in GUARDS},
        "failed_rows": _failed_rows(report),
        "unanswered_rows": _unanswered_rows(report),
        "quarantined_rows": _quarantined_rows(report),
        "possible_duplicates": _possible_duplicates(report),
        "usable_times": _usable_times(report),
        "verified_delivery": _verified_delivery(report),
    }
    return [_result(key, name, result) for name, result in results.items()]


def unjudged(key: dg.AssetKey, why: str) -> Iterator[dg.AssetCheckResult]:
    """One result for each check of a run that broke off."""
    for spec in check_specs(key):
        yield _result(key, spec.name, _not_judged(why))


def as_before(instance: dg.DagsterInstance, key: dg.AssetKey, why: str) -> Iterator[dg.AssetCheckResult]:
    """For a run that was refused because another one goes on: each check as it was judged last, for nothing has been
    said against it."""
    for spec in check_specs(key):
        history = instance.event_log_storage.get_asset_check_execution_history(spec.key, limit=_LOOK_BACK)
        evaluations = (each.evaluation for each in history)  # also planned ones
        last = next((each for each in evaluations if isinstance(each, dg.AssetCheckEvaluation)), None)
        if last is None:
            yield _result(key, spec.name, _not_judged(why))
            continue
        text = (last.description or "").rpartition(_BEFORE)[2]
        again = (last.passed, last.severity, clip(f"{why}{_BEFORE}{text}", 2_000), last.metadata)
        yield _result(key, spec.name, again)


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


def _result(key: dg.AssetKey, name: str, result: _Result) -> dg.AssetCheckResult:
    passed, severity, text, metadata = result
    return dg.AssetCheckResult(
        asset_key=key, check_name=name, passed=passed, severity=severity, description=text, metadata=metadata
    )


def _guard(name: str, report: Report) -> _Result:
    """What the guard found. One of which nothing is known was not reached, or else there is nothing to guard."""
    found = [finding for finding in report.findings if finding.guard == name]
    if not found and (report.status is RunStatus.GUARDED or not report.findings):
        return _not_judged("the run ended before")
    if not found:
        return True, dg.AssetCheckSeverity.ERROR, UNLIMITED, {}
    passed = all(finding.passed for finding in found)
    text = "; ".join(finding.message for finding in found)
    if not passed and report.status is RunStatus.GUARDED:
        waits = f"; plan {report.plan_id} waits for a decision" if report.waits else ""
        text = f"nothing was sent; {text}{waits}"
    if passed and not all(finding.judged for finding in found):
        return False, dg.AssetCheckSeverity.WARN, clip(text, 2_000), {}
    return passed, dg.AssetCheckSeverity.ERROR, clip(text, 2_000), _figures(found)


def _figures(found: Iterable[Finding]) -> Mapping[str, float]:
    """Of the field with the greatest value, if there are several findings; Dagster plots each number over the runs."""
    worst = max(found, key=lambda finding: finding.value or 0)
    if worst.figures:
        return worst.figures
    numbers = {"value": worst.value, "limit": worst.limit}
    return {name: number for name, number in numbers.items() if number is not None}


def _failed_rows(report: Report) -> _Result:
    if report.status is RunStatus.GUARDED:
        return _not_judged("nothing was sent")
    failed, of, limit = report.counts.get("failed", 0), report.change_set, report.sync.max_failed
    metadata: dict[str, Any] = {"failed": failed, "change set": of}
    if of:
        metadata["failed percent"] = round(100 * failed / of, 4)
    metadata["limit"] = _limit_text(limit)
    severity = dg.AssetCheckSeverity.ERROR if report.too_many_failed else dg.AssetCheckSeverity.WARN
    return failed == 0, severity, f"{failed} of {of} rows failed", metadata


def _unanswered_rows(report: Report) -> _Result:
    if report.status is RunStatus.GUARDED and not report.given_up:
        return _not_judged("nothing was sent")
    unanswered = report.counts.get("failed_unanswered", 0)
    ambiguous = report.counts.get("failed_ambiguous", 0)
    held = report.counts.get("skipped_held", 0)
    text = f"{unanswered} unanswered (sent again by the next run), {ambiguous} ambiguous, {held} held for a person"
    severity = dg.AssetCheckSeverity.ERROR if ambiguous or held else dg.AssetCheckSeverity.WARN
    metadata = {"unanswered": unanswered, "ambiguous": ambiguous, "held": held}
    if report.given_up:
        return False, severity, clip(f"{report.given_up}; {text}", 2_000), metadata
    return not unanswered + ambiguous + held, severity, text, metadata


def _quarantined_rows(report: Report) -> _Result:
    """After the run; of one that sent nothing, as it was planned."""
    rows = report.counts.get("in_quarantine", report.counts.get("quarantined"))
    if rows is None:
        return _not_judged("the run ended before")
    text = f"{rows:,} row{'s' * (rows != 1)} in quarantine"
    return rows == 0, dg.AssetCheckSeverity.WARN, text, {"quarantined": rows}


def _usable_times(report: Report) -> _Result:
    if "model_rows" not in report.counts:
        return _not_judged("the run ended before")
    found = report.unusable_times
    message = in_words(found) if found else "no row has a time that cannot be used"
    return not found, dg.AssetCheckSeverity.WARN, message, {"rows": sum(found.values())}


def _possible_duplicates(report: Report) -> _Result:
    rows = report.counts.get("possible_duplicates")
    if rows is None:
        return _not_judged("nothing was sent" if report.status is RunStatus.GUARDED else "the run ended before")
    text = f"{rows:,} row{'s' * (rows != 1)} share a record with another row, or have a key that several records carry"
    return rows == 0, dg.AssetCheckSeverity.WARN, text, {"possible duplicates": rows}


def _verified_delivery(report: Report) -> _Result:
    """Green without a look where none was asked for, as a guard without a limit is."""
    found = report.verified
    if found is None:
        return _not_judged("nothing was sent" if report.status is RunStatus.GUARDED else "the run has not ended yet")
    if found.not_judged and not found.wrong:
        return _not_judged(found.not_judged if not found.looked_at else str(found))
    good = not found.wrong and not found.duplicates
    return good, severity(found), clip(str(found), 2_000), difference_metadata(found)


def _limit_text(limit: Limit) -> str:
    """Text, for Dagster would plot a number."""
    rows = f"{limit.rows} rows" if limit.rows is not None else ""
    percent = f"{limit.percent:g} %" if limit.percent is not None else ""
    return " or ".join(filter(None, (rows, percent))) or "none"


def _not_judged(why: str) -> _Result:
    """Neither green nor red: a check that says yes without having looked is worth nothing."""
    return False, dg.AssetCheckSeverity.WARN, f"not judged: {why}", {}
