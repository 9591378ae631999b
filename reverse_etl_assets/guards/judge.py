"""What is decided before anything is sent: which columns, how far to compare, and what the guards say.

A run and its preview both ask here, so that a preview shows what the run will do.
"""

from collections.abc import Mapping
from typing import Any

from reverse_etl_assets.accounts.budget import refusal
from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.dbt.results import Dbt, judge_results, listen
from reverse_etl_assets.destinations.base import Account, BaseDestination
from reverse_etl_assets.guards import history as row_history, judge_plan
from reverse_etl_assets.guards.before import Evidence
from reverse_etl_assets.guards.finding import Finding
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal.records import Room
from reverse_etl_assets.journal.usage import Allowance
from reverse_etl_assets.plan.change_set import Plan, Prefilter
from reverse_etl_assets.records import FieldType, Operation
from reverse_etl_assets.spec.fitness import can_read
from reverse_etl_assets.spec.policies import BeforeImages
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state import ledger
from reverse_etl_assets.state.answers import as_timestamp
from reverse_etl_assets.state.facts import Facts
from reverse_etl_assets.warehouses import row_times
from reverse_etl_assets.warehouses.columns import Columns


def columns_of(sync: Sync, destination: type[BaseDestination[Any, Any]], types: Mapping[str, str]) -> Columns:
    """The sync's columns over a built model; keys are compared as the destination compares them."""
    columns = Columns.of(sync, types, fold_case=False)
    capabilities = destination.capabilities_for(columns.target, destination.Options.model_validate(sync.options))
    partial = sync.mode.operations & frozenset({Operation.UPSERT, Operation.UPDATE}) <= capabilities.partial
    partial = partial and not sync.mode.sends_all
    return Columns.of(
        sync,
        types,
        fold_case=capabilities.fold_case,
        partial=partial,
        fold_blanks=capabilities.fold_blanks,
        id_separator=capabilities.id_separator,
    )


def sends_key_as_field(sync: Sync, destination: type[BaseDestination[Any, Any]]) -> bool:
    """Whether what a record is matched by was written to it as a mapped field, and not as the key's text."""
    target = sync.target(dict.fromkeys(sync.columns, FieldType.TEXT))
    able = destination.capabilities_for(target, destination.Options.model_validate(sync.options))
    return able.key_as_field and sync.external_id.lower() in {field.lower() for field in sync.mapping}


def reads_back(sync: Sync, destination: type[BaseDestination[Any, Any]]) -> bool:
    """Whether a run looks at each record before it writes it: for a field rule, or for the values an undo puts back."""
    if sync.mode.writes_once or not can_read(sync, destination):
        return False
    return sync.reads_current_values or sync.before_images is BeforeImages.DESTINATION


def prefilter(sync: Sync, facts: Facts, now: float) -> Prefilter | None:
    """Compare only what was modified lately, unless a full compare is due."""
    how = sync.change_detection
    if how.last_modified_at is None or facts.newest is None or facts.full_compared_at is None:
        return None
    if facts.full_compared_as != ledger.written(sync):  # another mapping: any row may differ
        return None
    newest, since_full = facts.newest, now - facts.full_compared_at
    if newest > as_timestamp(now) or not 0 <= since_full < how.full_compare_every.total_seconds():
        return None  # times of the future are those of a wrong clock, ours or the data's
    return Prefilter(how.last_modified_at, row_times.before(newest, how.lookback))


def budget_finding(journal: Journal, account: Account) -> Finding:
    """Whether the account has requests left today."""
    budget, room = account.connection.budget, room_of(journal, account)
    why = refusal(account.name, budget, room)
    used = f"{room.calls:,} requests today" + (f" of {budget.calls:,}" if budget.calls else "")
    return Finding("budget", why is None, why or used, room.calls, budget.calls)


def room_of(journal: Journal, account: Account) -> Room:
    """How the account stands now."""
    budget = account.connection.budget
    return journal.room(account.name, Allowance(budget.calls, budget.leave))


def guard_findings(sync: Sync, journal: Journal, plan: Plan, model: Model, dbt: Dbt | None) -> list[Finding]:
    """What the guards say of a plan, given the sync's history and the last results of the model's tests."""
    now = journal.clock()
    counts = journal.row_counts(sync.sync, recent=row_history.RECENT, since=now - row_history.LOOK_BACK)
    history = [row_history.EarlierRun(at, rows) for at, rows in counts]
    trouble = listen(journal, dbt) if dbt else {}
    tests = judge_results(model, journal, trouble)
    return judge_plan(Evidence(plan, sync.guards, history, now, tests))
