"""What holds for guards of any limits over any plan: more of what they count never makes them let go."""

import math
from dataclasses import replace
from typing import Any

from hypothesis import given, strategies as st

from reverse_etl_assets.dbt.results import ModelTests
from reverse_etl_assets.guards import GUARDS, judge_plan
from reverse_etl_assets.guards.before import Evidence
from reverse_etl_assets.guards.finding import Finding
from reverse_etl_assets.guards.history import DAY, EarlierRun
from reverse_etl_assets.plan.change_set import Plan
from reverse_etl_assets.plan.field_changes import FieldChange
from reverse_etl_assets.records import Operation
from reverse_etl_assets.spec.policies import FieldGuard, Guards, InFlight, Limit, RowCount

NOW = 1_750_000_000.0
ROWS = st.integers(0, 40) | st.integers(0, 10**9)
LIMITS = st.builds(Limit, rows=st.none() | ROWS, percent=st.none() | st.floats(0, 100))
FIELDS = st.builds(FieldGuard, max_changed=LIMITS, max_emptied=LIMITS)
GUARDED = st.builds(
    Guards,
    max_added=LIMITS,
    max_changed=LIMITS,
    max_removed=LIMITS,
    row_count=st.builds(
        RowCount,
        rows=st.none() | ROWS,
        percent=st.none() | st.floats(0, 1e9),
        deviations=st.none() | st.floats(0, 1e9, exclude_min=True),
    ),
    every_field=FIELDS,
    fields=st.dictionaries(st.sampled_from("ab"), FIELDS),
    percent_from=st.integers(1, 50),
    in_flight=st.just(InFlight()),
    allow_empty_model=st.booleans(),
    require_passing_tests=st.booleans(),
)
HISTORY = st.lists(st.builds(EarlierRun, at=st.floats(NOW - 70 * DAY, NOW + 9 * DAY), rows=ROWS), max_size=40)
NAMES = st.lists(st.text(max_size=5)).map(tuple)
TESTS = st.builds(ModelTests, NAMES, st.integers(0, 5), st.sampled_from(["", "never ran"]))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    changes = []
    for name in draw(st.lists(st.sampled_from("abc"), unique=True)):
        emptied = draw(ROWS)
        filled = emptied + draw(ROWS) if emptied else 0
        changes.append(FieldChange(name, emptied + draw(ROWS), emptied, filled))
    removed = draw(ROWS)
    return Plan(
        **dict[str, Any]({name: draw(ROWS) for name in ("model_rows", "synced_rows", "added", "changed", "unchanged")}),
        removed=removed,
        rejected=0,
        held=0,
        to_send=draw(st.sampled_from([{}, {Operation.DELETE: removed}])),
        removed_known=draw(st.booleans()),
        field_changes=tuple(changes),
    )


def judged(plan: Plan, policy: Guards, history: list[EarlierRun], tests: ModelTests) -> list[Finding]:
    return judge_plan(Evidence(plan, policy, history, NOW, tests))


def tripped(findings: list[Finding]) -> set[tuple[str, str | None]]:
    return {(finding.guard, finding.field) for finding in findings if not finding.passed}


@given(plan=plans(), policy=GUARDED, history=HISTORY, tests=TESTS)
def test_every_plan_is_judged_by_every_guard(
    plan: Plan, policy: Guards, history: list[EarlierRun], tests: ModelTests
) -> None:
    findings = judged(plan, policy, history, tests)
    assert list(dict.fromkeys(finding.guard for finding in findings)) == [
        guard.name
        for guard in GUARDS
        if guard.name not in ("kill_switch", "parents", "approval", "budget", "in_flight")
    ]
    for finding in findings:
        assert finding.message
        assert all(math.isfinite(number) for number in finding.figures.values())
        assert finding.passed or finding.limit is not None or finding.guard == "empty_model"


def more_of(plan: Plan, what: str, more: int) -> Plan:
    if what == "removed":
        return replace(plan, to_send={Operation.DELETE: plan.to_send.get(Operation.DELETE, 0) + more})
    if what != "fields":
        return replace(plan, **{what: getattr(plan, what) + more})
    changes = (
        FieldChange(c.field, c.changed + more, c.emptied + more, max(c.filled, c.emptied + more))
        for c in plan.field_changes
    )
    return replace(plan, field_changes=tuple(changes))


@given(
    plan=plans(),
    policy=GUARDED,
    more=st.integers(1, 10**6),
    what=st.sampled_from(("added", "changed", "removed", "fields")),
)
def test_more_rows_never_make_a_guard_let_go(plan: Plan, policy: Guards, more: int, what: str) -> None:
    before, after = (judged(each, policy, [], ModelTests()) for each in (plan, more_of(plan, what, more)))
    assert tripped(before) <= tripped(after)


@given(policy=GUARDED, history=HISTORY, rows=ROWS, more=st.integers(1, 10**6), plan=plans(), up=st.booleans())
def test_further_from_the_usual_never_makes_the_row_count_let_go(
    policy: Guards, history: list[EarlierRun], rows: int, more: int, plan: Plan, up: bool
) -> None:
    def trips(model_rows: int) -> bool:
        findings = judged(replace(plan, model_rows=model_rows), policy, history, ModelTests())
        return ("row_count", None) in tripped(findings)

    usual = next(finding for finding in judged(plan, policy, history, ModelTests()) if finding.guard == "row_count")
    centre = usual.figures.get("usual rows", rows)
    nearer = rows if (rows >= centre) == up else int(2 * centre - rows)
    if nearer >= 0:
        further = nearer + more if up else max(0, nearer - more)
        assert trips(nearer) <= trips(further)
