"""A plan that was kept for a person's decision, as it stands in the sync's state: every row with before and after."""

from collections.abc import Iterable
from typing import Any

from reverse_etl_assets.delivery.forecast import forecast
from reverse_etl_assets.delivery.session import Environment
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.errors import StateError
from reverse_etl_assets.guards.approval import Identity
from reverse_etl_assets.guards.finding import Finding
from reverse_etl_assets.guards.judge import room_of
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal.records import RunKind, Tripped, WaitingPlan
from reverse_etl_assets.plan.change_set import Plan
from reverse_etl_assets.plan.field_changes import count_field_changes
from reverse_etl_assets.previews.planned_rows import rows_of
from reverse_etl_assets.previews.preview import Preview
from reverse_etl_assets.records import Operation
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state.facts import read_facts
from reverse_etl_assets.state.outbox import outbox_columns
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.connection import Connection

_OUTBOX = "state.outbox"
_COUNTS = ("model_rows", "synced_rows", "added", "changed", "removed", "unchanged", "rejected", "held")
_LEFT_OUT = ("quarantined", "superseded", "waiting")


def kept_plan(
    sync: Sync, environment: Environment, account: Account, plan_id: str | None = None, *, limit: int | None = None
) -> Preview:
    """The plan of this id, or else the sync's plan that waits. `limit` cuts the rows that are listed.

    Raises StateError if there is none, or if a later run has planned something else over its rows.
    """
    journal = environment.journal
    waiting = find_plan(journal, sync, plan_id)
    with environment.warehouse.open(sync.sync) as con:
        facts = read_facts(con)
        planned_by = journal.run(facts.outbox_run or "")
        if planned_by is None or planned_by.plan_id != waiting.plan_id:
            raise StateError(
                f"the rows of plan {waiting.plan_id} are no longer kept, for a later run of {sync.sync} planned anew."
            )
        columns = outbox_columns(con)
        plan = _plan(con, columns, waiting, removed_known=facts.outbox_full is not None)
        connected = account.connection is not None
        return Preview(
            sync,
            plan,
            _findings(waiting.findings),
            rows_of(con, columns, _OUTBOX, "operation is not null", limit),
            rows_of(con, columns, _OUTBOX, "operation is null", limit),
            identity=Identity(waiting.plan_id, waiting.basis),
            forecast=forecast(con, columns, plan, account) if connected else None,
            room=room_of(journal, account) if connected else None,
            waiting=waiting,
            stop=journal.stopped(account.name, sync.sync),
        )


def find_plan(journal: Journal, sync: Sync, plan_id: str | None) -> WaitingPlan:
    """Raises StateError if there is no such plan of the sync, or if it puts back a run."""
    if plan_id is None:
        found = next(iter(journal.waiting_plans(sync.sync)), None)
        if found is None:
            raise StateError(f"no plan of {sync.sync} waits.")
    else:
        found = journal.plan(plan_id)
    if found.sync != sync.sync:
        raise StateError(f"plan {found.plan_id} is of {found.sync}, not of {sync.sync}.")
    run = journal.run(found.run_id)
    if run and run.kind is RunKind.UNDO:
        again = f"`reverse-etl undo {run.undoes}`"
        text = f"{again} with `--dry-run` shows it, and once it is approved {again} sends it"
        raise StateError(f"plan {found.plan_id} puts back run {run.undoes}: {text}.")
    return found


def _plan(con: Connection, columns: Columns, waiting: WaitingPlan, *, removed_known: bool) -> Plan:
    counts: dict[str, Any] = {name: waiting.counts.get(name, 0) for name in (*_COUNTS, *_LEFT_OUT)}
    query = f"select operation, count(*) from {_OUTBOX} where operation is not null group by operation"
    to_send = {Operation(operation): rows for operation, rows in con.execute(query).fetchall()}
    changes = count_field_changes(con, columns, _OUTBOX) if counts["changed"] else ()
    return Plan(**counts, to_send=to_send, removed_known=removed_known, field_changes=changes)


def _findings(shown: Iterable[Tripped]) -> list[Finding]:
    return [Finding(each.guard, False, each.message, each.value, each.limit, field=each.field) for each in shown]
