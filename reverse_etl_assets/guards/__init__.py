"""What has to hold before anything is sent, and while it is sent: a line for each guard."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from reverse_etl_assets.guards import before
from reverse_etl_assets.guards.before import Evidence
from reverse_etl_assets.guards.finding import Finding


@dataclass(frozen=True)
class Guard:
    """A guard by its name in findings and checks. `holds` says what is so when it is green.

    `judge` looks at a plan; the guards without one are judged where a run meets them. `of_undos`: also at an undo's
    plan, which is not made from the model. `approvable`: a person may let a plan out that it stops.
    """

    name: str
    holds: str
    judge: Callable[[Evidence], list[Finding]] | None = None
    of_undos: bool = False
    approvable: bool = True

    @property
    def check(self) -> str:
        """The name of its asset check."""
        return "row_count_anomaly" if self.name == "row_count" else f"guard_{self.name}"


GUARDS = (
    Guard("kill_switch", "Nobody has stopped this sync, its destination or everything.", approvable=False),
    Guard("parents", "The syncs that come before this one ran well the last time.", approvable=False),
    Guard("model_tests", "The model's last build was good, and so were its dbt tests.", before.model_tests),
    Guard("empty_model", "The model has rows.", before.empty_model),
    Guard("row_count", "The model's row count is near the median of earlier runs.", before.row_count),
    Guard("max_added", "No more rows are new than `max_added` allows.", before.max_added, of_undos=True),
    Guard("max_changed", "No more rows differ than `max_changed` allows.", before.max_changed, of_undos=True),
    Guard(
        "max_removed", "No more records would be deleted than `max_removed` allows.", before.max_removed, of_undos=True
    ),
    Guard(
        "field_changes",
        "No field changes in more rows than its `max_changed` allows.",
        before.field_changes,
    ),
    Guard(
        "emptied_fields",
        "No field loses its value in more rows than its `max_emptied` allows.",
        before.emptied_fields,
    ),
    Guard("approval", "The plan needs no approval, or a person has approved it."),
    Guard("budget", "The destination's budget of calls is not used up.", approvable=False),
    Guard("in_flight", "The rows went out without `in_flight` ending the run."),
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
