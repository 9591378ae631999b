"""Guards: what must hold before a single request goes out. Pure: plan, history and policy in, findings out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from reverse_etl_assets.plan import Plan
from reverse_etl_assets.policies import Guards, Limit
from reverse_etl_assets.records import Operation

_HISTORY = 10  # runs that a row count is compared with
_ENOUGH = 3  # runs before a row count can be out of line
_BAD = frozenset({"fail", "error", "runtime error", "skipped"})


@dataclass(frozen=True)
class Finding:
    """One guard's judgement: what it saw, what it allows, and in words why."""

    guard: str
    passed: bool
    message: str
    value: float | None = None
    limit: float | None = None


def judge(
    plan: Plan, policy: Guards, *, earlier_row_counts: Sequence[int], model_results: Mapping[str, str]
) -> list[Finding]:
    """Every guard's finding, in a fixed order. `earlier_row_counts` are the model's, the newest run's first."""
    return [
        _model_tests(policy, model_results),
        _empty_model(plan, policy),
        _row_count(plan, policy, earlier_row_counts),
        _change("max_added", plan.added, plan, policy.max_added),
        _change("max_changed", plan.changed, plan, policy.max_changed),
        # Rows to delete: where a mode leaves removed rows alone, they stay synced, and would add up for good.
        _change("max_removed", plan.to_send.get(Operation.DELETE, 0), plan, policy.max_removed),
    ]


def tripped(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if not finding.passed]


def _model_tests(policy: Guards, results: Mapping[str, str]) -> Finding:
    bad = sorted(name for name, status in results.items() if status in _BAD)
    if not policy.require_passing_tests:
        return Finding("model_tests", True, "not required to pass", len(bad))
    if bad:
        return Finding("model_tests", False, f"failed on the model's last build: {', '.join(bad)}", len(bad), 0)
    said = f"{len(results)} results of the model's last build are good" if results else "no test results are known"
    return Finding("model_tests", True, said, 0, 0)


def _empty_model(plan: Plan, policy: Guards) -> Finding:
    if plan.model_rows or policy.allow_empty_model:
        return Finding("empty_model", True, f"the model has {plan.model_rows} rows", plan.model_rows)
    return Finding("empty_model", False, "the model has no rows; set `allow_empty_model` if that can be", 0)


def _row_count(plan: Plan, policy: Guards, earlier: Sequence[int]) -> Finding:
    recent = [rows for rows in earlier[:_HISTORY] if rows is not None]
    if len(recent) < _ENOUGH:
        return Finding("row_count", True, f"{len(recent)} earlier runs are too few to compare with", plan.model_rows)
    usual = median(recent)
    away = abs(plan.model_rows - usual)
    said = f"{plan.model_rows} rows, usually {usual:.0f}"
    percent = 100 * away / usual if usual else (0.0 if not away else 100.0)
    return _within("row_count", policy.row_count, away, percent, said, "rows away from the usual number")


def _change(guard: str, rows: int, plan: Plan, limit: Limit) -> Finding:
    what = guard.removeprefix("max_")
    if not plan.synced_rows:
        # Before the first sync there is nothing to be a percentage of; a number of rows still holds.
        percent = None if rows else 0.0
        if limit.rows is None:
            return Finding(guard, True, f"{rows} {what}; nothing was synced before", rows)
    else:
        percent = 100 * rows / plan.synced_rows
    return _within(guard, limit, rows, percent, f"{rows} {what}", f"of {plan.synced_rows} synced rows")


def _within(guard: str, limit: Limit, rows: float, percent: float | None, said: str, unit: str) -> Finding:
    if limit.rows is not None and rows > limit.rows:
        return Finding(guard, False, f"{said}; the limit is {limit.rows} rows", rows, limit.rows)
    if limit.percent is not None and percent is not None and percent > limit.percent:
        message = f"{said}: {percent:.2f} % {unit}; the limit is {limit.percent:g} %"
        return Finding(guard, False, message, round(percent, 4), limit.percent)
    if limit.percent is not None and percent is not None:
        return Finding(guard, True, f"{said} ({percent:.2f} %)", round(percent, 4), limit.percent)
    return Finding(guard, True, said, rows, limit.rows)


def beyond(limit: Limit, rows: int, of: int) -> bool:
    """Whether `rows` of `of` are more than a limit allows."""
    too_many = limit.rows is not None and rows > limit.rows
    return too_many or (limit.percent is not None and of > 0 and 100 * rows / of > limit.percent)
