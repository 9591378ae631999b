"""Where the change set of a run comes from: the model, or what an undo or a request to forget asks for."""

from dataclasses import dataclass
from typing import Protocol

from reverse_etl_assets.delivery.session import Environment
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.guards.judge import columns_of, prefilter, sends_key_as_field
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal.records import RunKind
from reverse_etl_assets.plan.change_set import Plan, make_plan
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state import cutover, spelling, versions
from reverse_etl_assets.state.facts import changing_facts, read_facts
from reverse_etl_assets.state.outbox import seal_outbox
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.connection import Connection


class Plans(Protocol):
    """The run that the change set is made for."""

    sync: Sync
    environment: Environment
    account: Account
    journal: Journal
    run_id: str


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

    def plan(self, run: Plans, con: Connection) -> ChangeSet:
        """Write the change set to the outbox, and seal it."""

    def before_sending(self, run: Plans) -> None:
        """Every guard has passed, and the first request is about to go out."""


class ModelChanges:
    """What differs between the model and the synced rows."""

    kind = RunKind.SYNC
    undoes: str | None = None

    def plan(self, run: Plans, con: Connection) -> ChangeSet:
        model, now = run.environment.models[run.sync.model], run.environment.clock()
        warehouse = run.environment.warehouse
        columns = columns_of(run.sync, run.account.type, warehouse.column_types(con, model))
        entry = versions.decide(columns, model, versions.history(con), read_facts(con))
        relation = warehouse.relation(model)
        if entry.same_place and not entry.takes_back:
            spelling.respell(con, columns, relation, as_field=sends_key_as_field(run.sync, run.account.type))
        begun = cutover.enter(con, columns, entry, relation, run_id=run.run_id, now=now)
        recent = prefilter(run.sync, read_facts(con), now)
        with changing_facts(con) as facts:
            facts.outbox_run = None
        plan = make_plan(con, relation, columns, prefilter=recent, now=now)
        full_at, means = None if recent else now, entry.definition.as_text
        seal_outbox(con, columns, run.run_id, newest=plan.newest, full_at=full_at, of_model=True, definition=means)
        return ChangeSet(columns, plan, begun)

    def before_sending(self, run: Plans) -> None:
        pass
