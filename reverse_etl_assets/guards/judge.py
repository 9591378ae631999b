"""What is decided before anything is sent: which columns, how far to compare, and what the guards say.

A run and its preview both ask here, so that a preview shows what the run will do.
"""

from reverse_etl_assets.accounts.budget import refusal
from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.dbt.results import Dbt, judge_results, listen
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.guards import history as row_history, judge_plan
from reverse_etl_assets.guards.before import Evidence
from reverse_etl_assets.guards.finding import Finding
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal.records import Room
from reverse_etl_assets.journal.usage import Allowance
from reverse_etl_assets.plan.change_set import Plan, Prefilter
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state import ledger
from reverse_etl_assets.state.answers import as_timestamp
from reverse_etl_assets.state.facts import Facts
from reverse_etl_assets.warehouses import row_times


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
