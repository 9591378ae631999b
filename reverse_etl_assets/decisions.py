"""What is decided before anything is sent: which columns, how far to compare, and what the guards say.

A run and its preview both ask here, so that a preview shows what the run will do.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from reverse_etl_assets import ledger
from reverse_etl_assets.columns import Columns
from reverse_etl_assets.destinations.base import HttpDestination
from reverse_etl_assets.guard import Finding, judge
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal_records import RunStatus
from reverse_etl_assets.plan import Plan, Prefilter
from reverse_etl_assets.spec import Sync


def columns_of(sync: Sync, destination: type[HttpDestination[Any, Any]], types: Mapping[str, str]) -> Columns:
    """The sync's columns over a built model; keys are compared as the destination compares them."""
    columns = Columns.of(sync, types, fold_case=False)
    capabilities = destination.capabilities_for(columns.target, destination.Options.model_validate(sync.options))
    return Columns.of(sync, types, fold_case=capabilities.fold_case)


def prefilter(sync: Sync, facts: Mapping[str, str], now: float) -> Prefilter | None:
    """Compare only what was modified lately, unless a full compare is due."""
    how = sync.change_detection
    if how.last_modified_at is None or "newest" not in facts or "full_compared_at" not in facts:
        return None
    if facts.get("full_compared_as") != ledger.written(sync):  # another mapping: any row may differ
        return None
    if now - float(facts["full_compared_at"]) >= how.full_compare_every.total_seconds():
        return None
    return Prefilter(how.last_modified_at, datetime.fromisoformat(facts["newest"]) - how.lookback)


def guard_findings(sync: Sync, journal: Journal, plan: Plan) -> list[Finding]:
    """What the guards say of a plan, given the sync's history and the last results of the model's tests."""
    done = [run.model_rows for run in journal.history(sync.sync) if run.status is RunStatus.DONE]
    results = {result.test: result.status for result in journal.model_results(sync.model)}
    counts = [rows for rows in done if rows is not None]
    return judge(plan, sync.guards, earlier_row_counts=counts, model_results=results)
