"""Deletes a person's records at the destination of a sync, as a run of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reverse_etl_assets.delivery.session import Environment
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.errors import ReverseEtlError, StateError
from reverse_etl_assets.journal.records import RunKind, RunStatus
from reverse_etl_assets.plan.change_set import Plan
from reverse_etl_assets.records import Capabilities, Operation, Reason, Status
from reverse_etl_assets.runs.changes import ChangeSet
from reverse_etl_assets.runs.context import RunContext
from reverse_etl_assets.runs.run import SyncRun
from reverse_etl_assets.spec.route import Route
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.sql import render
from reverse_etl_assets.state import ledger
from reverse_etl_assets.state.cutover import LeftRow, left_rows
from reverse_etl_assets.state.erase import Trace, hidden
from reverse_etl_assets.state.facts import changing_facts, read_facts
from reverse_etl_assets.state.outbox import outbox_columns, seal_outbox
from reverse_etl_assets.state.outcomes import RowOutcome, settled_rows, unsettled_rows
from reverse_etl_assets.state.versions import history
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.connection import Connection

_DELETE = frozenset({Operation.DELETE})
_MOST = 100  # spellings of a key


@dataclass(frozen=True)
class Deletion:
    """What became of a person's records; `problem` says why one may still be there."""

    outcomes: Sequence[RowOutcome] = ()
    problem: str | None = None
    known_ids: Sequence[str] = ()
    """Of the records that the state knew, deleted or not."""
    left: Sequence[str] = ()
    """Those that were deleted before in a way that the destination can undo, and were not reached."""


class ForgetChanges:
    """The records of one key, to be deleted."""

    kind = RunKind.FORGET
    undoes: str | None = None

    def __init__(self, key: str, *, for_good: bool = False) -> None:
        self._key, self._for_good = key, for_good
        self.known_ids: list[str] = []
        """Filled by `plan`."""
        self.reaches_deleted: bool | None = None

    def plan(self, run: RunContext, con: Connection) -> ChangeSet:
        columns = _columns(con, run.sync)
        ledger.prepare(con, columns)
        with changing_facts(con) as facts:
            facts.outbox_run = None
        trace = Trace(con, self._key)
        elsewhere = {row.destination_id for row in left_elsewhere(con, self._key)}
        self.known_ids = [each for each in trace.record_ids if each not in elsewhere]
        keys = trace.spellings
        keys = keys[:1] if columns.fold_case else keys
        names = {"outbox": "state.outbox", "keys": columns.keys, "struct_type": columns.struct_type}
        columns = replace(columns, operations=_DELETE, for_good=self._for_good)
        self.reaches_deleted = _able(run.sync, run.account, columns).reaches_deleted if self._for_good else None
        known = next(iter(self.known_ids), None) if self.reaches_deleted else None
        con.execute(render("forget", **names), {"keys": keys, "known": known})
        seal_outbox(con, columns, run.run_id, newest=None, full_at=None)
        # The last run's rows that did not arrive are no longer pending, so a timestamp would hide them.
        with changing_facts(con) as facts:
            facts.full_compared_at = None
        return ChangeSet(columns, _plan(len(keys)))

    def before_sending(self, run: RunContext) -> None:
        pass


def why_not(con: Connection, sync: Sync, account: Account, *, for_good: bool = False) -> str | None:
    """Why the sync's records cannot be deleted from here, or not for good."""
    if read_facts(con).outbox_sync is None:
        return None  # nothing was ever sent
    try:
        columns = replace(_columns(con, sync), operations=_DELETE, for_good=for_good)
    except StateError as error:
        return str(error)
    able = _able(sync, account, columns)
    if Operation.DELETE not in able.operations:
        return f"sync {sync.sync}: `{account.name}` cannot delete records as it is set up."
    if for_good and not able.erases:
        kept = f" {account.type.after_deletion}" if account.type.after_deletion else ""
        return f"sync {sync.sync}: `{account.name}` cannot delete for good what is in `{sync.object}`.{kept}"
    return None


def delete_records(
    sync: Sync, environment: Environment, account: Account, key: str, *, for_good: bool = False
) -> Deletion:
    """Of a sync that is locked for it. Never raises an error that a person can mend: the others go on."""
    with environment.warehouse.open(sync.sync) as con:
        if read_facts(con).outbox_sync is None:
            return Deletion()
    changes = ForgetChanges(key, for_good=for_good)
    run = SyncRun(sync, environment, account, changes)
    try:
        report = run.go()
    except ReverseEtlError as error:
        return Deletion(problem=hidden(run.context.mask.text(str(error)), key))
    if report.status is RunStatus.GUARDED:
        return Deletion(problem=report.detail)
    with environment.warehouse.open(sync.sync) as con:
        outcomes = unsettled_rows(con, report.run_id, _MOST) + settled_rows(con, report.run_id, _MOST)
    problems = [f"{o.reason}: {o.message or 'without a message'}" for o in outcomes if not _is_gone(o)]
    if report.verified and report.verified.wrong:
        problems.append("a record with this key is still there")
    if report.status is not RunStatus.DONE and not problems:
        problems.append(report.detail or report.status.value)
    left = _left(changes, outcomes) if for_good else ()
    return Deletion(outcomes, hidden("; ".join(problems), key) or None, changes.known_ids, left)


def _left(changes: ForgetChanges, outcomes: Sequence[RowOutcome]) -> list[str]:
    """Ids of records that the destination may keep."""
    if changes.reaches_deleted is None:
        return []
    answered = [o for o in outcomes if o.status == Status.DELETED or changes.reaches_deleted]
    return [each for each in changes.known_ids if each not in {o.destination_id for o in answered}]


def left_elsewhere(con: Connection, key: str) -> list[LeftRow]:
    """Records of earlier versions, but for those where the last one writes: there a deletion by the key finds them."""
    places = {version.number: version.definition.place for version in history(con)}
    return [row for row in left_rows(con, key) if places[row.version] != places[max(places)]]


def _able(sync: Sync, account: Account, columns: Columns) -> Capabilities:
    return Route(sync, account.type).capabilities_for(columns.target)


def _is_gone(outcome: RowOutcome) -> bool:
    return outcome.status == Status.DELETED or outcome.reason == Reason.ALREADY_GONE


def _columns(con: Connection, sync: Sync) -> Columns:
    """The columns of the synced rows as they are. Raises StateError if the records are at another place than the file
    says."""
    columns = outbox_columns(con)
    for name in ("destination", "object", "primary_key", "external_id"):
        then, now = getattr(columns.sync, name), getattr(sync, name)
        if then != now:
            message = f"wrote with `{name}: {then}`, and has `{now}` now. Change it back first"
            raise StateError(f"sync {sync.sync} {message}.")
    return columns


def _plan(rows: int) -> Plan:
    return Plan(
        model_rows=rows,
        synced_rows=0,
        added=0,
        changed=0,
        removed=rows,
        unchanged=0,
        rejected=0,
        held=0,
        to_send={Operation.DELETE: rows} if rows else {},
        removed_known=True,
    )
