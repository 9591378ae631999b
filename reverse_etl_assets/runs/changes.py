"""Where the change set of a run comes from: the model, or what an undo or a request to forget asks for."""

from dataclasses import dataclass
from typing import Protocol

from reverse_etl_assets.guards.judge import prefilter
from reverse_etl_assets.journal.records import RunKind
from reverse_etl_assets.plan.change_set import Plan, make_plan
from reverse_etl_assets.runs.context import RunContext
from reverse_etl_assets.state import cutover, spelling, versions
from reverse_etl_assets.state.facts import changing_facts, read_facts
from reverse_etl_assets.state.outbox import seal_outbox
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.connection import Connection


@dataclass(frozen=True)
class ChangeSet:
    """What the outbox holds."""

    columns: Columns
    plan: Plan
    begun: cutover.Begun | None = None
    """The version of the sync that begins with it."""


class Changes(Protocol):
    kind: RunKind
    undoes: str | None
    """The run that is put back, if this is an undo."""

    def plan(self, run: RunContext, con: Connection) -> ChangeSet:
        """Write the change set to the outbox, and seal it."""

    def before_sending(self, run: RunContext) -> None:
        """Every guard has passed, and the first request is about to go out."""


class ModelChanges:
    """What differs between the model and the synced rows."""

    kind = RunKind.SYNC
    undoes: str | None = None

    def plan(self, run: RunContext, con: Connection) -> ChangeSet:
        model, now = run.environment.models[run.sync.model], run.environment.clock()
        warehouse = run.environment.warehouse
        columns = Columns.on(run.route, warehouse.column_types(con, model))
        entry = versions.decide(columns, model, versions.history(con), read_facts(con))
        relation = warehouse.relation(model)
        if entry.same_place and not entry.takes_back:
            spelling.respell(con, columns, relation, as_field=run.route.sends_key_as_field)
        begun = cutover.enter(con, columns, entry, relation, run_id=run.run_id, now=now)
        recent = prefilter(run.sync, read_facts(con), now)
        with changing_facts(con) as facts:
            facts.outbox_run = None
        plan = make_plan(con, relation, columns, prefilter=recent, now=now)
        full_at, means = None if recent else now, entry.definition.as_text
        seal_outbox(con, columns, run.run_id, newest=plan.newest, full_at=full_at, of_model=True, definition=means)
        return ChangeSet(columns, plan, begun)

    def before_sending(self, run: RunContext) -> None:
        pass
