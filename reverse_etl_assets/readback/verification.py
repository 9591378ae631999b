"""Verified delivery and drift: whether the destination's records hold what they were sent.

After a run, what it sent is compared with a sample of what it got acknowledged. At any other time, what was last
acknowledged is compared with records that people and other tools may have changed since.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa

from reverse_etl_assets.accounts.transport import Usage
from reverse_etl_assets.delivery.interrupts import run_interruptible
from reverse_etl_assets.delivery.session import Environment
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.errors import ConfigurationError, DestinationError, ReverseEtlError, StateError
from reverse_etl_assets.journal.records import Stopped
from reverse_etl_assets.privacy.transforms import InvalidValue, transformed
from reverse_etl_assets.readback.differences import Difference, Kind, Tally, Verified, Wanted
from reverse_etl_assets.readback.look import CHUNK, Look, fields_decoder
from reverse_etl_assets.spec.mapped_field import IfNull, Wins
from reverse_etl_assets.spec.policies import Drift, Repair
from reverse_etl_assets.spec.route import Route
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.sql import render
from reverse_etl_assets.state import ledger, provenance, shared_records
from reverse_etl_assets.state.facts import read_facts
from reverse_etl_assets.state.lock import exclusive
from reverse_etl_assets.state.outbox import outbox_columns
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.connection import Connection

Sample = int | Literal["all"]
Chunks = Iterator[list[Wanted]]


# After a run


def verify_run(
    sync: Sync,
    columns: Columns,
    run_id: str,
    environment: Environment,
    account: Account,
    usage: Usage,
    *,
    obeys_sync_stop: bool = True,
) -> Verified:
    """Look at the records of a folded run. What hinders it is said in the answer, and spoils no run."""
    if not Route(sync, account.type).reads_back:
        return Verified(not_asked=f"`{account.name}` cannot be read back; nothing was looked at")
    if sync.verify.sample == 0:
        return Verified(not_asked="nothing is looked at (`verify.sample: 0`)")
    look = Look(sync, columns, environment, account, usage, obeys_sync_stop=obeys_sync_stop)
    tally = Tally()

    def add(wanted: Wanted, differences: Sequence[Difference]) -> None:
        tally.add(differences)

    try:
        with environment.warehouse.open(sync.sync) as con:
            learned = look.last_check(con)
            run_interruptible(look.compare(_rows_of_run(con, columns, run_id, sync.verify.sample), learned, add))
    except ReverseEtlError as error:
        return tally.verified(not_judged=str(error))
    return tally.verified(not_judged=look.not_judged)


def _rows_of_run(con: Connection, columns: Columns, run_id: str, sample: Sample) -> Chunks:
    """What a run sent and got acknowledged, but for the fields that the destination won."""
    after = f"case when outbox.after is not null then {columns.json('outbox.after')} end"
    shared = shared_records.sharing_now(columns)
    found = con.execute(render("acknowledged", after=after, shared=shared, limit=_limit(sample)), {"run_id": run_id})
    decode = fields_decoder()
    while rows := found.fetchmany(CHUNK):
        yield [_wanted_of_run(decode, *row) for row in rows]


def _wanted_of_run(
    decode: Callable[[str], dict[str, Any]],
    key: str,
    external_id: str,
    destination_id: str | None,
    deleted: bool,
    fields: str,
    names: Sequence[str] | None,
    kept: Sequence[str] | None,
) -> Wanted:
    if deleted:
        return Wanted(key, external_id, None)  # it would be looked for twice, by its key and by its id
    sent = decode(fields)
    written = sent if names is None else names
    holds = {name: sent[name] for name in written if name not in (kept or ())}
    return Wanted(key, external_id, holds, destination_id=destination_id)


def _limit(sample: Sample) -> int | None:
    return None if sample == "all" else sample


# At any time


@dataclass(frozen=True)
class Drifted(Verified):
    """What a look at the records that a sync has written found."""

    passed_over: int = 0
    """Rows that a run wrote again while the look went on."""
    resent: int = 0
    """Rows of which the next run sends the fields that differ."""
    made_again: int = 0
    """Rows that count as new for the next run, because their records are gone."""

    def __str__(self) -> str:
        if not self.resent and not self.made_again:
            return super().__str__()
        return f"{super().__str__()}; the next run mends {self.resent:,} and makes {self.made_again:,} anew"


def verify(
    sync: Sync, environment: Environment, account: Account, *, sample: Sample | None = None, repair: bool | None = None
) -> Drifted:
    """Compare synced rows, picked at random, with their records; `sample` and `repair` are those of the sync's file if
    left out.

    `repair` marks what differs so that the next run sends it. The sync may run meanwhile. Raises SyncBusy if it runs
    already, StateError if it never ran or broke off, Stopped, ConfigurationError if this cannot be done for the sync,
    CheckFailed or a DestinationError if nothing could be read.
    """
    policy = sync.verify.drift or Drift(cron="")  # for its defaults
    repair = policy.repair is Repair.RESEND if repair is None else repair
    _refuse(sync, account, repair)
    return _DriftLook(sync, environment, account).go(policy.sample if sample is None else sample, repair)


def _refuse(sync: Sync, account: Account, repair: bool) -> None:
    if not Route(sync, account.type).reads_back:
        raise ConfigurationError(f"sync {sync.sync} writes to `{account.name}`, which cannot be read back.")
    if repair and sync.mode.of_events:
        raise ConfigurationError(f"sync {sync.sync} appends: each row is sent once, and nothing is sent again.")


Suspect = tuple[Wanted, Sequence[Difference]]
"""A row whose record is not as it should be, unless a run has written it since."""


class _DriftLook:
    def __init__(self, sync: Sync, environment: Environment, account: Account) -> None:
        self._sync, self._environment, self._account = sync, environment, account
        self._warehouse, self._journal = environment.warehouse, environment.journal
        self._usage = Usage()
        self._looked_at = 0
        self._suspects: list[Suspect] = []

    def go(self, sample: Sample, repair: bool) -> Drifted:
        not_all = ""
        try:
            not_all = self._look(sample)
        except BaseException as error:
            if not (isinstance(error, DestinationError | Stopped) and self._looked_at):
                with suppress(StateError):  # what ended the look stays the error
                    self._note_usage()
                raise
            not_all = str(error)
        self._note_usage()
        if not self._suspects:
            return Drifted(looked_at=self._looked_at, not_judged=not_all)
        with exclusive(self._sync, self._warehouse):
            self._refuse_unfinished()
            with self._warehouse.open(self._sync.sync, write=repair) as con:
                return self._judge(con, repair, not_all)

    def _note_usage(self) -> None:
        self._journal.add_usage(self._account.name, self._sync.sync, rows=0, bytes=self._usage.bytes)

    def _look(self, sample: Sample) -> str:
        """Compare a copy of synced rows with their records; runs may go on meanwhile. Says why some could not be."""
        with ExitStack() as stack:
            with exclusive(self._sync, self._warehouse):
                self._refuse_unfinished()
                con = stack.enter_context(self._warehouse.open(self._sync.sync))
                provenance.refuse_mismatch(con, self._journal, self._sync, self._account.type)
                columns = _columns_of_state(con, self._sync)
                look = Look(self._sync, columns, self._environment, self._account, self._usage)
                learned = look.last_check(con)
                copy = _SyncedSample(con, columns, sample)
                con.execute("detach state")
            run_interruptible(look.compare(self._wanted(copy, columns.sync), learned, self._add))
            return look.not_judged

    def _refuse_unfinished(self) -> None:
        """What a killed run wrote is at the destination, and not in the synced rows yet."""
        name = self._sync.sync
        if runs := self._journal.open_runs(name):
            why = "has not ended in good order, and what it wrote is not known yet"
            raise StateError(f"run {runs[0].run_id} of sync {name} {why}. Run the sync, then look again.")

    def _wanted(self, copy: "_SyncedSample", sent_as: Sync) -> Chunks:
        decode = fields_decoder()
        for rows in copy.chunks():
            yield [
                Wanted(key, key, self._acknowledged(sent_as, decode(fields), untold or ()), run_id, destination_id)
                for key, destination_id, run_id, untold, fields in rows
            ]

    def _acknowledged(self, sent_as: Sync, fields: dict[str, Any], untold: Sequence[str]) -> dict[str, Any]:
        """What the destination was last told of the fields that are still mapped."""
        try:
            values = transformed(sent_as, fields)
        except InvalidValue:  # it is hashed only since, and the next run refuses the row
            return {}
        silent = {
            name for name, source in sent_as.mapping.items() if source.null is IfNull.KEEP and values[name] is None
        }
        return {n: v for n, v in values.items() if n in self._sync.mapping and n not in silent and n not in untold}

    def _add(self, wanted: Wanted, differences: Sequence[Difference]) -> None:
        self._looked_at += 1
        if differences:
            self._suspects.append((wanted, differences))

    def _judge(self, con: Connection, repair: bool, not_all: str) -> Drifted:
        """Pass over what a run has written meanwhile, and count the rest."""
        as_it_was = _unchanged(con, [wanted for wanted, _ in self._suspects])
        suspects = [(wanted.key, found) for wanted, found in self._suspects if wanted.key in as_it_was]
        passed_over = len(self._suspects) - len(suspects)
        tally = Tally(looked_at=self._looked_at - len(self._suspects))
        wrong = [(key, tally.add(found, self._may_differ)) for key, found in suspects]
        gone = [key for key, found in wrong if found and found[0].kind is Kind.MISSING]
        fields = {key: [each.field for each in found if each.field] for key, found in wrong}
        edited = {key: names for key, names in fields.items() if names}
        found = vars(tally.verified(not_all))
        if not repair:
            return Drifted(**found, passed_over=passed_over)
        ledger.mark_stale(con, edited, gone)
        return Drifted(**found, passed_over=passed_over, resent=len(edited), made_again=len(gone))

    @cached_property
    def _may_differ(self) -> frozenset[str]:
        """Fields that people may change, by their rule or because the sync never writes a record twice."""
        once = self._sync.mode.writes_once
        mapping = self._sync.mapping.items()
        return frozenset(name for name, source in mapping if once or source.wins is not Wins.WAREHOUSE)


class _SyncedSample:
    """A copy of synced rows, some or all of them, which the connection has also once it has let go of the state."""

    def __init__(self, con: Connection, columns: Columns, sample: Sample) -> None:
        self._con = con
        shared = shared_records.sharing_now(columns) if shared_records.are_known(con) else None
        con.execute(render("synced_sample", fields=columns.json("synced"), shared=shared, limit=_limit(sample)))

    def chunks(self) -> Iterator[list[tuple[Any, ...]]]:
        """Key, the destination's id, run, fields that the record was not told, and the fields as JSON."""
        found = self._con.execute("select key, destination_id, run_id, untold, fields from synced_sample")
        while rows := found.fetchmany(CHUNK):
            yield rows


def _columns_of_state(con: Connection, sync: Sync) -> Columns:
    """The keys and fields of the synced rows as they are."""
    if read_facts(con).outbox_sync is None:
        raise StateError(f"sync {sync.sync} has not run yet, so there is nothing to look at.")
    columns = outbox_columns(con)
    present = ledger.columns_of_table(con, "state.synced")
    if not {ledger.unquoted(field.name): field.sql_type for field in columns.fields}.items() <= present.items():
        raise StateError(f"the last run of sync {sync.sync} broke off while it planned. Run it, then look again.")
    for name in ("destination", "object", "external_id"):
        then, now = getattr(columns.sync, name), getattr(sync, name)
        if then != now:
            raise StateError(f"sync {sync.sync} last ran with `{name}: {then}`, and has `{now}` now. Run it first.")
    return columns


def _unchanged(con: Connection, wanted: Sequence[Wanted]) -> set[str]:
    """The keys whose synced rows are still those that were compared."""
    suspects = {"key": pa.array([each.key for each in wanted]), "run_id": pa.array([each.run_id for each in wanted])}
    con.register("suspects", pa.table(suspects))
    found = con.execute(
        "select key from suspects join state.synced on _retl_key = key and _retl_run is not distinct from run_id"
        " where key not in (select key from state.pending where key is not null)"
    )
    return {key for (key,) in found.fetchall()}
