"""What an undo would put back, without doing it: the same plan, in a copy of the state, and a look at the records."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import msgspec

from reverse_etl_assets.accounts.transport import Usage
from reverse_etl_assets.delivery.addressing import known_ids
from reverse_etl_assets.delivery.field_rules import FieldRules
from reverse_etl_assets.delivery.session import Environment, open_session
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.guards import judge_plan
from reverse_etl_assets.guards.approval import decide, identify
from reverse_etl_assets.guards.before import Evidence
from reverse_etl_assets.guards.finding import Finding, tripped
from reverse_etl_assets.guards.judge import budget_finding
from reverse_etl_assets.journal.records import Run, Stop
from reverse_etl_assets.plan.change_set import Plan
from reverse_etl_assets.previews.planned_rows import PlannedRow
from reverse_etl_assets.previews.preview import recovered
from reverse_etl_assets.privacy.masking import Mask
from reverse_etl_assets.records import Operation, Outcome, RowError
from reverse_etl_assets.runs.undo import planned, undoable
from reverse_etl_assets.spec.route import Route
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state.last_check import last_check
from reverse_etl_assets.state.outbox import outbox_rows
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.connection import Connection


@dataclass(frozen=True)
class UndoRow(PlannedRow):
    """`fields` maps each field to what the run left there and what is put back; `source` is who knew the latter: the
    `destination`, just before the run wrote, or our own `synced` rows."""

    source: str | None


@dataclass(frozen=True)
class LeftAlone:
    """A row that the run would not write, for what its record holds now."""

    key: str
    reason: str
    message: str


@dataclass(frozen=True)
class UndoPreview:
    """What an undo would do. `rows` are those to put back, `refused` those that cannot be or that a later run wrote."""

    sync: Sync
    undone: Run
    plan_id: str | None
    """None without credentials."""
    plan: Plan
    findings: Sequence[Finding]
    rows: Sequence[UndoRow]
    refused: Sequence[UndoRow]
    left: Sequence[LeftAlone] | None
    """None if the destination cannot be read: then nobody knows who has edited a record since."""
    unfinished: Sequence[str] = ()
    stop: Stop | None = None

    @property
    def goes_out(self) -> bool:
        return not tripped(self.findings) and self.stop is None

    def masked(self, mask: Mask) -> "UndoPreview":
        """As it may be shown."""
        if not mask.hides:
            return self
        left = [
            replace(row, key=mask.key(row.key) or "", message=mask.text(row.message, {}, row.key))
            for row in self.left or ()
        ]
        rows, refused = ([_masked(row, mask) for row in part] for part in (self.rows, self.refused))
        return replace(self, rows=rows, refused=refused, left=None if self.left is None else left)


def preview_undo(
    run_id: str, sync: Sync, environment: Environment, account: Account, *, limit: int | None = None
) -> UndoPreview:
    """Plan an undo. `limit` cuts the rows that are listed, not those that are looked at.

    Raises StateError if the run is not to be undone, SyncBusy if a run of the sync is going on, and what reading the
    destination raises.
    """
    undone = undoable(environment.journal, run_id, sync, account)
    with recovered(sync, environment, account, to_write=True) as (warehouse, unfinished):
        written = warehouse.state_file(sync.sync).exists()
        with warehouse.open(sync.sync, write=written) as con:
            columns, plan = planned(environment.journal, con, sync, account, undone)
            journal, findings, identity = environment.journal, judge_plan(Evidence(plan, sync.guards), undo=True), None
            if account.connection is not None:
                identity = identify(con, columns, account, plan)
                findings = [budget_finding(journal, account), *findings]
            left = _look(con, columns, sync, environment, account)
            stay = {row.key for row in left or ()}
            rows = _rows(con, columns, "operation is not null", limit)
            return UndoPreview(
                sync,
                undone,
                identity.plan_id if identity else None,
                plan,
                decide(findings, identity, plan, journal.approval_of(sync.sync), sync.approval),
                [row for row in rows if row.key not in stay],
                _rows(con, columns, "operation is null", limit),
                left,
                unfinished,
                journal.stopped(account.name, sync.sync, obeys_sync_stop=False),
            )


def _masked(row: UndoRow, mask: Mask) -> UndoRow:
    return UndoRow(**vars(row.masked(mask)))


def _rows(con: Connection, columns: Columns, which: str, limit: int | None) -> list[UndoRow]:
    before = f"case when before is not null then {columns.json('before')}::varchar end"
    query = (
        f"select key, kind, operation, reason, message, changed_fields, {before}, sent, source from state.outbox"
        f" where {which} order by kind, key{'' if limit is None else f' limit {limit:d}'}"
    )
    return [
        UndoRow(key, kind, operation, reason, message, _difference(changed, left, sent), source)
        for key, kind, operation, reason, message, changed, left, sent, source in con.execute(query).fetchall()
    ]


def _difference(names: Sequence[str] | None, left: str | None, sent: str | None) -> dict[str, tuple[Any, Any]]:
    decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
    now: Mapping[str, Any] = decode(left) if left else {}
    then: Mapping[str, Any] = decode(sent) if sent else {}
    return {name: (now.get(name), then.get(name)) for name in names or (*now, *(n for n in then if n not in now))}


def _look(
    con: Connection, columns: Columns, sync: Sync, environment: Environment, account: Account
) -> list[LeftAlone] | None:
    """The rows that the undo would leave alone for what their records hold now; None if they cannot be read."""
    if account.connection is None or not Route(sync, account.type).reads_back:
        return None
    found = asyncio.run(_judge(con, columns, sync, environment, account))
    return [LeftAlone(o.key, o.reason or o.status, o.error.message if o.error else "") for o in found]


async def _judge(
    con: Connection, columns: Columns, sync: Sync, environment: Environment, account: Account
) -> list[Outcome]:
    mask = Mask.of(sync, environment.models[sync.model])
    outcomes: list[Outcome] = []
    async with open_session(
        environment, account, Route(sync, account.type), columns.target, Usage(), obeys_sync_stop=False
    ) as session:
        learned = last_check(con, columns, sync.options, environment.clock())
        if learned is None:
            await session.check()
        else:
            session.destination.recall(learned)
        reader: Any = session.destination
        partial = session.destination.capabilities.partial
        rules = FieldRules(columns.sync.mapping, reader, partial=partial, kept={}, mask=mask, puts_back=True)
        for chunk in outbox_rows(con, columns, with_base=True):
            rows = [row for row in chunk if row.operation is not Operation.INSERT]
            known = known_ids(rows, session.destination.capabilities)
            answers = await session.read([row.record.external_id for row in rows], known)
            for row in rows:
                if error := answers.refused.get(row.record.external_id):
                    problem = RowError(mask.message([row.record], str(error)))
                    outcomes.append(Outcome.rejected(row.record.key, problem))
                elif outcome := rules.judge(row, answers.found.get(row.record.external_id, ())).outcome:
                    outcomes.append(outcome)
    return outcomes
