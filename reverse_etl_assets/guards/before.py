"""The guards that look at a plan: what must hold before a single request goes out. Pure.

Each takes the `Evidence` and gives its findings. Which there are, and in which order, says `guards/__init__.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from reverse_etl_assets.dbt.results import ModelTests
from reverse_etl_assets.guards.finding import UNLIMITED, Finding, Share, percent_of, ratio, tripped, within
from reverse_etl_assets.guards.history import EarlierRun, usual
from reverse_etl_assets.plan.change_set import Plan
from reverse_etl_assets.records import Operation
from reverse_etl_assets.spec.policies import FieldGuard, Guards, Limit


@dataclass(frozen=True)
class Evidence:
    """What a plan is judged by. `history` are the sync's successful runs; `now` is in seconds since 1970.

    An undo's plan is not made from the model, and has neither history nor tests.
    """

    plan: Plan
    policy: Guards
    history: Sequence[EarlierRun] = ()
    now: float = 0.0
    tests: ModelTests = field(default_factory=ModelTests)


def model_tests(seen: Evidence) -> list[Finding]:
    policy, tests, bad = seen.policy, seen.tests, len(seen.tests.bad)

    def found(passed: bool, text: str, value: float, limit: float | None = 0, *, judged: bool = True) -> list[Finding]:
        return [Finding("model_tests", passed, text, value, limit, judged=judged)]

    if not policy.require_passing_tests:
        return found(True, f"not required to pass; {UNLIMITED}", bad, None)
    if bad:
        return found(False, f"failed on the model's last build: {', '.join(tests.bad)}", bad)
    if tests.unknown and "require_passing_tests" in policy.model_fields_set:
        return found(False, f"not known to pass, as `require_passing_tests: true` asks: {tests.unknown}", 0)
    if tests.unknown:
        return found(True, f"not judged: {tests.unknown}", 0, judged=False)
    return found(True, f"{tests.good} results of the model's last build are good", 0)


def empty_model(seen: Evidence) -> list[Finding]:
    rows, may_be_empty = seen.plan.model_rows, seen.policy.allow_empty_model
    if rows or may_be_empty:
        passed, text = True, f"the model has {rows} rows" + (f"; {UNLIMITED}" if may_be_empty else "")
    else:
        passed, text = False, "the model has no rows; set `allow_empty_model` if that can be"
    return [Finding("empty_model", passed, text, rows, figures={"model rows": rows})]


def row_count(seen: Evidence) -> list[Finding]:
    earlier, limit, rows = usual(seen.history, seen.now), seen.policy.row_count, seen.plan.model_rows
    ignored = f"; {earlier.later} dated later than now are left out" if earlier.later else ""
    if not limit.is_set or not earlier.enough:
        few = f"{_runs(len(earlier.counts))} too few to compare with{ignored}" if limit.is_set else UNLIMITED
        return [Finding("row_count", True, f"{rows} rows; {few}", rows, figures={"model rows": rows})]
    away, whole = abs(rows - earlier.rows), f"away from {earlier.rows:.0f}"
    shares = [percent_of(limit, away, earlier.rows, whole)]
    if earlier.enough_for_deviations:
        shares.append(Share("deviations", ratio(away, earlier.sigma), limit.deviations, "deviations", whole))
    text = f"{rows} rows, usually {earlier.rows:.0f} (the median of {earlier.runs}{ignored})"
    finding = within("row_count", text, away, limit, shares, seen.policy.percent_from)
    figures = {"model rows": rows, "usual rows": earlier.rows, "rows away": away, **finding.figures}
    return [replace(finding, figures={name: number for name, number in figures.items() if name != "rows"})]


def _runs(number: int) -> str:
    return "1 earlier run is" if number == 1 else f"{number} earlier runs are"


def max_added(seen: Evidence) -> list[Finding]:
    return [_change("max_added", seen.plan.added, seen, seen.policy.max_added)]


def max_changed(seen: Evidence) -> list[Finding]:
    return [_change("max_changed", seen.plan.changed, seen, seen.policy.max_changed)]


def max_removed(seen: Evidence) -> list[Finding]:
    """Of rows to delete: where a mode leaves removed rows alone, they stay synced, and would add up for good."""
    return [_change("max_removed", seen.plan.to_send.get(Operation.DELETE, 0), seen, seen.policy.max_removed)]


def _change(guard: str, rows: int, seen: Evidence, limit: Limit) -> Finding:
    synced = seen.plan.synced_rows
    share = percent_of(limit, rows, synced, f"of {synced} synced rows")
    return within(guard, f"{rows} {guard.removeprefix('max_')}", rows, limit, [share], seen.policy.percent_from)


def field_changes(seen: Evidence) -> list[Finding]:
    found, synced = [], seen.plan.synced_rows
    for change in seen.plan.field_changes:
        limit = _of_field(seen.policy, change.field).max_changed
        share = percent_of(limit, change.changed, synced, f"of {synced} synced rows")
        text = f"{change.field} changes in {change.changed} rows"
        finding = within("field_changes", text, change.changed, limit, [share], seen.policy.percent_from)
        found.append(replace(finding, field=change.field))
    return _telling("field_changes", found, [each.max_changed for each in _all_fields(seen.policy)])


def emptied_fields(seen: Evidence) -> list[Finding]:
    found = []
    for change in seen.plan.field_changes:
        limit = _of_field(seen.policy, change.field).max_emptied
        share = percent_of(limit, change.emptied, change.filled, f"of {change.filled} synced rows that have a value")
        text = f"{change.field} loses its value in {change.emptied} rows"
        finding = within("emptied_fields", text, change.emptied, limit, [share], seen.policy.percent_from)
        found.append(replace(finding, field=change.field))
    return _telling("emptied_fields", found, [each.max_emptied for each in _all_fields(seen.policy)])


def _of_field(policy: Guards, name: str) -> FieldGuard:
    return policy.fields.get(name, policy.every_field)


def _all_fields(policy: Guards) -> tuple[FieldGuard, ...]:
    return (policy.every_field, *policy.fields.values())


def _telling(guard: str, of_fields: Sequence[Finding], limits: Iterable[Limit]) -> list[Finding]:
    """Each field that trips, or else the one that comes nearest to it."""
    if of_fields:
        return tripped(of_fields) or [max(of_fields, key=_nearness)]
    text = "no field changes" if any(limit.is_set for limit in limits) else f"no field changes; {UNLIMITED}"
    return [Finding(guard, True, text, 0, figures={"rows": 0, "percent": 0})]


def _nearness(finding: Finding) -> tuple[float, float]:
    value = finding.value or 0
    return (value / finding.limit if finding.limit else 0, value)
