"""What has to hold before anything is sent, and while it is sent: a line for each guard."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from reverse_etl_assets.guards import before
from reverse_etl_assets.guards.before import Evidence
from reverse_etl_assets.guards.finding import Finding


@dataclass(frozen=True)
class Guard:
    """A guard by its name in findings and checks. `holds` says what is so when it is green, `remedy` what to do when it
    trips.

    `judge` looks at a plan; the guards without one are judged where a run meets them. `of_undos`: also at an undo's
    plan, which is not made from the model. `approvable`: a person may let a plan out that it stops.
    """

    name: str
    holds: str
    remedy: str
    judge: Callable[[Evidence], list[Finding]] | None = None
    of_undos: bool = False
    approvable: bool = True


GUARDS = (
    Guard(
        "kill_switch",
        "Nobody has stopped this sync, its destination or everything.",
        "ask who stopped it, then `reverse-etl resume`",
        approvable=False,
    ),
    Guard(
        "parents",
        "The syncs that come before this one ran well the last time.",
        "mend and run the sync that comes before, then this one",
        approvable=False,
    ),
    Guard(
        "model_tests",
        "The model's last build was good, and so were its dbt tests.",
        "mend the model, and build it with dbt",
        before.model_tests,
    ),
    Guard("empty_model", "The model has rows.", "look for a broken source of the model", before.empty_model),
    Guard(
        "row_count",
        "The model's row count is near the median of earlier runs.",
        "look for a half loaded source, or a join that multiplies rows; if the count is right, approve the plan",
        before.row_count,
    ),
    Guard(
        "max_added",
        "No more rows are new than `max_added` allows.",
        "look at `reverse-etl plan`; if it is meant, approve the plan",
        before.max_added,
        of_undos=True,
    ),
    Guard(
        "max_changed",
        "No more rows differ than `max_changed` allows.",
        "look at `reverse-etl plan`; if it is meant, approve the plan",
        before.max_changed,
        of_undos=True,
    ),
    Guard(
        "max_removed",
        "No more records would be deleted than `max_removed` allows.",
        "ask why these rows left the model; if they are gone for good, approve the plan",
        before.max_removed,
        of_undos=True,
    ),
    Guard(
        "field_changes",
        "No field changes in more rows than its `max_changed` allows.",
        "look at `reverse-etl plan` for another source, format or unit; if it is meant, approve the plan",
        before.field_changes,
    ),
    Guard(
        "emptied_fields",
        "No field loses its value in more rows than its `max_emptied` allows.",
        "look for a join or a source that broke; if it is meant, approve the plan",
        before.emptied_fields,
    ),
    Guard(
        "approval",
        "The plan needs no approval, or a person has approved it.",
        "look at the plan, and approve it",
    ),
    Guard(
        "budget",
        "The destination's budget of calls is not used up.",
        "wait for tomorrow, or raise the budget",
        approvable=False,
    ),
    Guard(
        "in_flight",
        "The rows went out without `in_flight` ending the run.",
        "look why these rows failed; the next run sends the rest",
    ),
)
"""Every guard, in the order in which they are shown."""


def judge_plan(seen: Evidence, *, undo: bool = False) -> list[Finding]:
    """The findings of every guard that looks at a plan, or at an undo's."""
    judges = (guard.judge for guard in GUARDS if guard.judge and (guard.of_undos or not undo))
    return [finding for each in judges for finding in each(seen)]


def to_decide(findings: Iterable[Finding]) -> list[Finding]:
    """What stops a plan and can be approved."""
    return [finding for finding in findings if not finding.passed and is_approvable(finding)]


def is_approvable(finding: Finding) -> bool:
    return next(guard.approvable for guard in GUARDS if guard.name == finding.guard)


def remedies(findings: Iterable[Finding]) -> list[str]:
    """What to do about the findings that tripped, each once."""
    bad = {finding.guard for finding in findings if not finding.passed}
    return list(dict.fromkeys(guard.remedy for guard in GUARDS if guard.name in bad))
