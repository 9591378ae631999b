"""Guards: what must hold before a single request goes out. Pure: plan, history and policy in, findings out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from reverse_etl_assets.dbt.results import ModelTests
from reverse_etl_assets.guards.history import EarlierRun, usual
from reverse_etl_assets.plan.change_set import Plan
from reverse_etl_assets.records import Operation
from reverse_etl_assets.spec.policies import FieldGuard, Guards, Limit

GUARDS = (
    "kill_switch",
    "model_tests",
    "empty_model",
    "row_count",
    "max_added",
    "max_changed",
    "max_removed",
    "field_changes",
    "emptied_fields",
    "approval",
    "budget",
    "in_flight",
)
"""Every guard, in the order in which a run meets them."""
UNLIMITED = "no limit is set"


@dataclass(frozen=True)
class Finding:
    """One guard's judgement: what it saw, what it allows, and in words why.

    `value` and `limit` are in the unit that decided: rows, percent or deviations. `figures` are all numbers by name.
    `field` is set if the finding is about one field of several. `judged` is False if the guard could not look, and lets
    pass what it does not know.
    """

    guard: str
    passed: bool
    message: str
    value: float | None = None
    limit: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    field: str | None = None
    judged: bool = True


def judge(plan: Plan, policy: Guards, *, history: Iterable[EarlierRun], now: float, tests: ModelTests) -> list[Finding]:
    """The findings of every guard that looks at a plan, in a fixed order. `history` are the sync's successful runs."""
    fields = (policy.every_field, *policy.fields.values())
    return [
        _model_tests(policy, tests),
        _empty_model(plan, policy),
        _row_count(plan, policy, history, now),
        *judge_changes(plan, policy),
        *_telling("field_changes", _field_changes(plan, policy), [guards.max_changed for guards in fields]),
        *_telling("emptied_fields", _emptied_fields(plan, policy), [guards.max_emptied for guards in fields]),
    ]


def judge_changes(plan: Plan, policy: Guards) -> list[Finding]:
    """How many rows a plan adds, changes and removes; all there is to judge where it is not made from the model."""
    return [
        _change("max_added", plan.added, plan, policy.max_added, policy.percent_from),
        _change("max_changed", plan.changed, plan, policy.max_changed, policy.percent_from),
        # Rows to delete: where a mode leaves removed rows alone, they stay synced, and would add up for good.
        _change("max_removed", plan.to_send.get(Operation.DELETE, 0), plan, policy.max_removed, policy.percent_from),
    ]


def tripped(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if not finding.passed]


def beyond(limit: Limit, rows: int, of: int) -> bool:
    """Whether `rows` of `of` are more than a limit allows."""
    too_many = limit.rows is not None and rows > limit.rows
    return too_many or (limit.percent is not None and of > 0 and 100 * rows / of > limit.percent)


def _model_tests(policy: Guards, tests: ModelTests) -> Finding:
    bad = len(tests.bad)
    if not policy.require_passing_tests:
        return Finding("model_tests", True, f"not required to pass; {UNLIMITED}", bad)
    if bad:
        return Finding("model_tests", False, f"failed on the model's last build: {', '.join(tests.bad)}", bad, 0)
    if tests.unknown and "require_passing_tests" in policy.model_fields_set:
        text = f"not known to pass, as `require_passing_tests: true` asks: {tests.unknown}"
        return Finding("model_tests", False, text, 0, 0)
    if tests.unknown:
        return Finding("model_tests", True, f"not judged: {tests.unknown}", 0, 0, judged=False)
    return Finding("model_tests", True, f"{tests.good} results of the model's last build are good", 0, 0)


def _empty_model(plan: Plan, policy: Guards) -> Finding:
    figures = {"model rows": plan.model_rows}
    if plan.model_rows or policy.allow_empty_model:
        text = f"the model has {plan.model_rows} rows" + (f"; {UNLIMITED}" if policy.allow_empty_model else "")
        return Finding("empty_model", True, text, plan.model_rows, figures=figures)
    text = "the model has no rows; set `allow_empty_model` if that can be"
    return Finding("empty_model", False, text, 0, figures=figures)


def _row_count(plan: Plan, policy: Guards, history: Iterable[EarlierRun], now: float) -> Finding:
    earlier, limit, rows = usual(history, now), policy.row_count, plan.model_rows
    ignored = f"; {earlier.later} dated later than now are left out" if earlier.later else ""
    if not limit.is_set or not earlier.enough:
        few = f"{_runs(len(earlier.counts))} too few to compare with{ignored}" if limit.is_set else UNLIMITED
        return Finding("row_count", True, f"{rows} rows; {few}", rows, figures={"model rows": rows})
    away, whole = abs(rows - earlier.rows), f"away from {earlier.rows:.0f}"
    shares = [_percent(limit, away, earlier.rows, whole)]
    if earlier.enough_for_deviations:
        shares.append(_Share("deviations", _ratio(away, earlier.sigma), limit.deviations, "deviations", whole))
    text = f"{rows} rows, usually {earlier.rows:.0f} (the median of {earlier.message}{ignored})"
    finding = _within("row_count", text, away, limit, shares, policy.percent_from)
    figures = {"model rows": rows, "usual rows": earlier.rows, "rows away": away, **finding.figures}
    return replace(finding, figures={name: number for name, number in figures.items() if name != "rows"})


def _runs(number: int) -> str:
    return "1 earlier run is" if number == 1 else f"{number} earlier runs are"


def _change(guard: str, rows: int, plan: Plan, limit: Limit, percent_from: int) -> Finding:
    share = _percent(limit, rows, plan.synced_rows, f"of {plan.synced_rows} synced rows")
    return _within(guard, f"{rows} {guard.removeprefix('max_')}", rows, limit, [share], percent_from)


def _field_changes(plan: Plan, policy: Guards) -> Iterator[Finding]:
    for change in plan.field_changes:
        limit = _guard_of(policy, change.field).max_changed
        share = _percent(limit, change.changed, plan.synced_rows, f"of {plan.synced_rows} synced rows")
        text = f"{change.field} changes in {change.changed} rows"
        finding = _within("field_changes", text, change.changed, limit, [share], policy.percent_from)
        yield replace(finding, field=change.field)


def _emptied_fields(plan: Plan, policy: Guards) -> Iterator[Finding]:
    for change in plan.field_changes:
        limit = _guard_of(policy, change.field).max_emptied
        share = _percent(limit, change.emptied, change.filled, f"of {change.filled} synced rows that have a value")
        text = f"{change.field} loses its value in {change.emptied} rows"
        finding = _within("emptied_fields", text, change.emptied, limit, [share], policy.percent_from)
        yield replace(finding, field=change.field)


def _guard_of(policy: Guards, name: str) -> FieldGuard:
    return policy.fields.get(name, policy.every_field)


def _telling(guard: str, findings: Iterable[Finding], limits: Iterable[Limit]) -> list[Finding]:
    """Each field that trips, or else the one that comes nearest to it."""
    of_fields = list(findings)
    if of_fields:
        return tripped(of_fields) or [max(of_fields, key=_nearness)]
    text = "no field changes" if any(limit.is_set for limit in limits) else f"no field changes; {UNLIMITED}"
    return [Finding(guard, True, text, 0, figures={"rows": 0, "percent": 0})]


def _nearness(finding: Finding) -> tuple[float, float]:
    value = finding.value or 0
    return (value / finding.limit if finding.limit else 0, value)


@dataclass(frozen=True)
class _Share:
    """What part of a whole some rows are, and the most that is allowed. The value is None of an empty whole."""

    name: str
    value: float | None
    limit: float | None
    unit: str
    whole: str

    @property
    def is_beyond(self) -> bool:
        """A share that cannot be computed is beyond whatever is allowed."""
        return self.limit is not None and (self.value is None or self.value > self.limit)

    @property
    def text(self) -> str:
        if self.value is None:
            return f"{self.name} {self.whole} cannot be computed"
        return f"{self.value:.2f} {self.unit} {self.whole}"


def _percent(limit: Limit, rows: float, of: float, whole: str) -> _Share:
    return _Share("percent", _ratio(100 * rows, of), limit.percent, "%", whole)


def _ratio(part: float, whole: float) -> float | None:
    if whole:
        return part / whole
    return None if part else 0.0


def _within(guard: str, text: str, rows: float, limit: Limit, shares: Sequence[_Share], percent_from: int) -> Finding:
    """Whether `rows`, and the shares that they are, stay within the limit; the first that does not decides."""
    figures = _figures(rows, limit, shares)
    if limit.rows is not None and rows > limit.rows:
        return Finding(guard, False, f"{text}; the limit is {limit.rows} rows", rows, limit.rows, figures)
    if limit.rows is not None:  # says how many are too many also where no share can be computed
        shares = [share for share in shares if share.value is not None]
    judged = [share for share in shares if share.limit is not None]
    share = next((share for share in judged if share.is_beyond), judged[0] if judged else None)
    if share is None:
        parts = "".join(f" ({share.text})" for share in shares[:1] if share.value is not None)
        allowed = UNLIMITED if limit.rows is None else f"the limit is {limit.rows} rows"
        return Finding(guard, True, f"{text}{parts}; {allowed}", rows, limit.rows, figures)
    message, passed = f"{text}: {share.text}; the limit is {share.limit:g} {share.unit}", not share.is_beyond
    if share.is_beyond and rows < percent_from:
        passed, message = True, f"{message}, and holds from {percent_from} rows on (`percent_from`)"
    elif share.value is None:
        message += ". Give it in `rows`, or approve the plan"
    value = None if share.value is None else round(share.value, 4)
    return Finding(guard, passed, message, value, share.limit, figures)


def _figures(rows: float, limit: Limit, shares: Sequence[_Share]) -> dict[str, float]:
    found = {"rows": rows, "limit rows": limit.rows}
    for share in shares:
        found |= {share.name: share.value, f"limit {share.name}": share.limit}
    return {name: round(number, 4) for name, number in found.items() if number is not None}
