"""The checks that every sync has: one for each thing that somebody would look after.

The engine has judged before and after the run; here its findings get a colour. What a run did not reach stays as it was
judged before, so that one cause turns one check red.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from reverse_etl_assets.guards import GUARDS, remedies
from reverse_etl_assets.guards.finding import UNLIMITED, Finding, tripped
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.orchestration.clipping import clip
from reverse_etl_assets.orchestration.drift import difference_metadata, severity
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.spec.policies import Limit
from reverse_etl_assets.warehouses.row_times import in_words

ROW_COUNT = "row_count"  # the guard that has a check of its own
_LOOK_BACK = 20  # evaluations of a check
_LONG, _SHORT = 2_000, 300  # bytes of a text
_BEFORE = "; as it was judged before: "
_NOT_REACHED = "the run ended before"


@dataclass(frozen=True)
class Judgement:
    """What a check says of one run."""

    passed: bool
    text: str
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Unjudged:
    """The run did not get to what the check looks at: what it said before still holds, for nothing has been said
    against it. `harmless`: nothing was sent either, so that a check that never judged has nothing to warn of."""

    why: str
    harmless: bool = False


def check_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    return [dg.AssetCheckSpec(name, asset=key, description=text) for name, (text, _) in _CHECKS.items()]


def check_results(instance: dg.DagsterInstance, key: dg.AssetKey, report: Report) -> list[dg.AssetCheckResult]:
    """One result for each check, also if the run ended before anything was sent."""
    return [_result(instance, key, name, judge(report)) for name, (_, judge) in _CHECKS.items()]


def as_before(instance: dg.DagsterInstance, key: dg.AssetKey, why: str) -> Iterator[dg.AssetCheckResult]:
    """Each check as it was judged last, for a run of which no report says anything."""
    for name in _CHECKS:
        yield _result(instance, key, name, Unjudged(why))


def broke_off(instance: dg.DagsterInstance, key: dg.AssetKey, why: str) -> Iterator[dg.AssetCheckResult]:
    """Nobody knows yet what the run has sent, and `delivery` alone says so."""
    for name in _CHECKS:
        warning = Judgement(False, f"not judged: {why}", dg.AssetCheckSeverity.WARN)
        yield _result(instance, key, name, warning if name == "delivery" else Unjudged(why))


def is_repeated(description: str | None) -> bool:
    """Whether a check only says again what it said of an earlier run."""
    return _BEFORE in (description or "")


def findings_table(findings: Sequence[Finding]) -> dg.TableMetadataValue:
    """A row for each guard that tripped, could not judge, or has a limit: what it saw, what it allows, and why. A row
    names the others that held, and one those that the run did not reach."""
    told = [each for each in findings if not each.passed or each.limit is not None or not each.judged]
    told.sort(key=lambda each: (each.passed, each.judged))
    rows = [_row(each.guard, _word(each), each.value, each.limit, each.message) for each in told]
    named = {each.guard for each in told}
    others = [guard.name for guard in GUARDS if guard.name not in named]
    reached = {each.guard for each in findings}
    all_reached = bool(findings) and not tripped(findings)
    held = [name for name in others if name in reached or all_reached]
    rows += [_row(", ".join(held), "held", None, None, f"nothing against it, or {UNLIMITED}")] if held else []
    rest = [name for name in others if name not in held]
    rows += [_row(", ".join(rest), "not judged", None, None, _NOT_REACHED)] if rest else []
    types = {"value": "float", "limit": "float"}
    columns = [dg.TableColumn(name, types.get(name, "string")) for name in ("guard", "result", "value", "limit", "why")]
    return dg.MetadataValue.table([dg.TableRecord(row) for row in rows], dg.TableSchema(columns))


def _word(finding: Finding) -> str:
    if not finding.judged:
        return "not judged"
    return "held" if finding.passed else "tripped"


def _row(guard: str, result: str, value: float | None, limit: float | None, why: str) -> dict[str, Any]:
    return {"guard": guard, "result": result, "value": value, "limit": limit, "why": clip(why, _SHORT)}


def _result(
    instance: dg.DagsterInstance, key: dg.AssetKey, name: str, judged: Judgement | Unjudged
) -> dg.AssetCheckResult:
    if isinstance(judged, Unjudged):
        judged = _as_before(instance, dg.AssetCheckKey(key, name), judged)
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=judged.passed,
        severity=judged.severity,
        description=clip(judged.text, _LONG),
        metadata=judged.metadata,
    )


def _as_before(instance: dg.DagsterInstance, check: dg.AssetCheckKey, unjudged: Unjudged) -> Judgement:
    history = instance.event_log_storage.get_asset_check_execution_history(check, limit=_LOOK_BACK)
    evaluations = (each.evaluation for each in history)  # also planned ones
    last = next((each for each in evaluations if isinstance(each, dg.AssetCheckEvaluation)), None)
    if last is None:
        return Judgement(unjudged.harmless, f"not judged: {unjudged.why}", dg.AssetCheckSeverity.WARN)
    text = (last.description or "").rpartition(_BEFORE)[2]
    return Judgement(last.passed, f"{unjudged.why}{_BEFORE}{text}", last.severity, last.metadata)


def _guards(report: Report) -> Judgement | Unjudged:
    """What has to hold, but for the row count."""
    found = [finding for finding in report.findings if finding.guard != ROW_COUNT]
    if not found:
        return Unjudged(_NOT_REACHED, harmless=report.status is RunStatus.GUARDED)
    figures = {"guards": findings_table(report.findings), **_values(found)}
    if bad := tripped(found):
        return Judgement(False, _stopped(report, bad), metadata=figures)
    held = sum(finding.judged for finding in found)
    unknown = "".join(f"; {each.guard}: {each.message}" for each in found if not each.judged)
    return Judgement(True, f"{held} guard{'s' * (held != 1)} held{unknown}", metadata=figures)


def _stopped(report: Report, bad: Sequence[Finding]) -> str:
    """What happened, what to do, and whose it is, in one line."""
    nothing = "nothing was sent; " if report.status is RunStatus.GUARDED else ""
    waits = f"; plan {report.plan_id} waits for a decision" if report.waits else ""
    owners = f" Owner: {', '.join(report.sync.owners)}." if report.sync.owners else ""
    what = "; ".join(f"{each.guard}: {each.message}" for each in bad)
    return f"{nothing}{clip(what, _LONG // 2)}{waits}. To do: {'; '.join(remedies(bad))}.{owners}"


def _values(found: Iterable[Finding]) -> dict[str, float]:
    """Of the guards with a limit, of the field with the greatest one; Dagster plots each number over the runs."""
    values: dict[str, float] = {}
    for finding in found:
        if finding.value is not None and finding.limit is not None:
            values[finding.guard] = max(finding.value, values.get(finding.guard, finding.value))
    return values


def _row_count_anomaly(report: Report) -> Judgement | Unjudged:
    found = next((finding for finding in report.findings if finding.guard == ROW_COUNT), None)
    if found is None:
        return Unjudged(_NOT_REACHED, harmless=report.status is RunStatus.GUARDED)
    text = found.message if found.passed else _stopped(report, [found])
    return Judgement(found.passed, text, metadata=found.figures)


def _delivery(report: Report) -> Judgement | Unjudged:
    """Of the rows that were to be written: the ones that were not, or of which that is not known."""
    if report.pending:
        return Judgement(False, f"not judged: {report.detail}", dg.AssetCheckSeverity.WARN)
    times = in_words(report.unusable_times) if report.unusable_times else ""
    guarded = report.status is RunStatus.GUARDED
    if guarded and not report.given_up and not times:
        return Unjudged("nothing was sent", harmless=True)
    counts = report.counts
    failed, unanswered, of = counts.get("failed", 0), counts.get("failed_unanswered", 0), report.change_set
    same = counts.get("possible_duplicates", 0)
    text = _joined(
        (report.given_up, bool(report.given_up)),
        ("nothing was sent", guarded),
        (f"{failed} of {of} rows failed", not guarded),
        (f"{unanswered} unanswered, which the next run sends again", unanswered),
        (f"{_of_rows(same)} share a record with another row, or have a key that several records carry", same),
        (times, bool(times)),
    )
    figures: dict[str, Any] = {"failed": failed, "change set": of, "limit": _limit_text(report.sync.max_failed)}
    if of:
        figures["failed percent"] = round(100 * failed / of, 4)
    unusable = sum(report.unusable_times.values())
    more = {"unanswered": unanswered, "possible duplicates": same, "unusable times": unusable}
    figures |= {name: number for name, number in more.items() if number}
    bad = bool(failed or unanswered or same or times or report.given_up)
    red = report.too_many_failed and not guarded
    return Judgement(not bad, text, dg.AssetCheckSeverity.ERROR if red else dg.AssetCheckSeverity.WARN, figures)


def _held_and_quarantined(report: Report) -> Judgement | Unjudged:
    """After the run; of one that sent nothing, as it was planned."""
    counts, planned = report.counts, "in_quarantine" not in report.counts
    rows = counts.get("quarantined" if planned else "in_quarantine")
    if rows is None:
        return Unjudged(_NOT_REACHED, harmless=report.status is RunStatus.GUARDED)
    ambiguous, held = counts.get("failed_ambiguous", 0), counts.get("held" if planned else "skipped_held", 0)
    text = _joined(
        (
            f"{_of_rows(ambiguous)} may have arrived or not: look at the destination, then `reverse-etl release`",
            ambiguous,
        ),
        (f"{_of_rows(held)} held until somebody says whether they arrived (`reverse-etl release`)", held),
        (f"{_of_rows(rows)} in quarantine (`reverse-etl quarantine`)", rows),
    )
    red = dg.AssetCheckSeverity.ERROR if ambiguous or held else dg.AssetCheckSeverity.WARN
    figures = {"ambiguous": ambiguous, "held": held, "quarantined": rows}
    return Judgement(not ambiguous + held + rows, text or "no row is held or in quarantine", red, figures)


def _verified_delivery(report: Report) -> Judgement | Unjudged:
    """Green without a look where none was asked for, as a guard without a limit is."""
    found, guarded = report.verified, report.status is RunStatus.GUARDED
    if found is None:
        return Unjudged("nothing was sent" if guarded else "the run has not ended yet", harmless=guarded)
    if found.not_judged and not found.wrong:
        text = f"not judged: {found.not_judged if not found.looked_at else found}"
        return Judgement(False, text, dg.AssetCheckSeverity.WARN)
    good = not found.wrong and not found.duplicates
    return Judgement(good, str(found), severity(found), difference_metadata(found))


def _joined(*parts: tuple[str, object]) -> str:
    """Those that are said."""
    return "; ".join(words for words, is_said in parts if is_said)


def _of_rows(number: int) -> str:
    return f"{number:,} row{'s' * (number != 1)}"


def _limit_text(limit: Limit) -> str:
    """Text, for Dagster would plot a number."""
    rows = f"{limit.rows} rows" if limit.rows is not None else ""
    percent = f"{limit.percent:g} %" if limit.percent is not None else ""
    return " or ".join(filter(None, (rows, percent))) or "none"


_CHECKS: Mapping[str, tuple[str, Callable[[Report], Judgement | Unjudged]]] = {
    "guards": (
        "What has to hold before rows are sent, and while they are, held. The table names each guard.",
        _guards,
    ),
    "row_count_anomaly": ("The model's row count is near the median of earlier runs.", _row_count_anomaly),
    "delivery": (
        "Every row that was sent arrived, as one record. Red: more rows failed than `max_failed` allows.",
        _delivery,
    ),
    "held_and_quarantined": ("No row waits for a person, and none was refused too often.", _held_and_quarantined),
    "verified_delivery": (
        "Records of a sample of the rows that the run wrote were read back, and hold what was sent.",
        _verified_delivery,
    ),
}
