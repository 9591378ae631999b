"""The demo checks itself: what the outcomes say against what the sandbox holds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from demo.deployment import destinations
from demo.rounds import Round
from demo.spoiled import Fate
from reverse_etl_assets import Project, preview
from reverse_etl_assets.destinations import Operation

_VENDORS = {
    "salesforce": "salesforce",
    "hubspot": "hubspot",
    "slack": "slack",
    "intercom": "intercom",
    "zendesk": "zendesk",
    "meta_ads": "meta_ads",
    "google_ads": "google_ads",
    "stripe": "stripe",
    "crm_webhook": "rest",
    "product_database": "postgres",
}
_WRITES = ("created", "updated", "deleted")
_AGREED = ("already_exists", "already_gone", "same", "kept")
"""Reasons of skipped rows whose records are as they should be."""


def verify(
    project: Project, rounds: Sequence[Round], fates: Sequence[Fate], counts: Mapping[str, Any]
) -> dict[str, str]:
    """Each check and what is wrong, nothing if all is well. `counts` are the sandbox's."""
    return {
        "Dagster materialised every asset in both rounds": _failures(rounds),
        "every row of every change set has exactly one outcome": _one_outcome_each(project, rounds),
        "the sandbox made, changed and removed as many records as the outcomes say": _records(project, rounds, counts),
        "what was read back holds what was sent": _verified(rounds),
        "every spoiled row ended as it should": "; ".join(
            f"{fate.defect} in {fate.sync}: {fate.status} {fate.reason}" for fate in fates if not fate.as_expected
        ),
        "a third run would send again only what did not arrive": _third_run(project, rounds[-1]),
    }


def _failures(rounds: Sequence[Round]) -> str:
    return "; ".join(f"{name}: {why}" for found in rounds for name, why in found.failures.items())


def _verified(rounds: Sequence[Round]) -> str:
    runs = [(name, run.counts) for found in rounds for name, run in found.runs.items() if run.counts.get("verified")]
    wrong = [f"{name}: {counts['verified_differing']} rows" for name, counts in runs if counts["verified_differing"]]
    return "; ".join(wrong) if runs else "nothing was read back"


def _one_outcome_each(project: Project, rounds: Sequence[Round]) -> str:
    wrong = []
    for found in rounds:
        for name, run in found.runs.items():
            operations = project.syncs[name].mode.operations
            kinds = ["added", "changed", "rejected", *(["removed"] if Operation.DELETE in operations else [])]
            planned = sum(run.counts[kind] for kind in kinds)
            outcomes = sum(run.counts[status] for status in (*_WRITES, "skipped", "failed"))
            if planned != outcomes:
                wrong.append(f"{name}: {planned} rows, {outcomes} outcomes")
    return "; ".join(wrong)


def _records(project: Project, rounds: Sequence[Round], counts: Mapping[str, Any]) -> str:
    written: Counter[tuple[str, str, str]] = Counter()
    for found in rounds:
        for name, run in found.runs.items():
            sync = project.syncs[name]
            for write in _WRITES:
                written[_VENDORS[sync.destination], sync.object, write] += run.counts[write]
    wrong = [
        f"{vendor} {kind}: {number} {write} by the outcomes, {counts[vendor]['objects'][kind][write]} in the sandbox"
        for (vendor, kind, write), number in written.items()
        if counts[vendor]["objects"][kind][write] != number
    ]
    return "; ".join(wrong)


def _third_run(project: Project, last: Round) -> str:
    wrong = []
    for name, sync in project.syncs.items():
        plan = preview(sync, project.environment, destinations[sync.destination].account(sync.destination)).plan
        counts = last.runs[name].counts
        settled = sum(counts.get(f"skipped_{reason}", 0) for reason in _AGREED)
        left = counts["failed"] - counts.get("failed_invalid", 0) + counts["skipped"] - settled
        if sum(plan.to_send.values()) != left:
            wrong.append(f"{name}: {sum(plan.to_send.values())} rows would go out, and {left} did not arrive")
    return "; ".join(wrong)
