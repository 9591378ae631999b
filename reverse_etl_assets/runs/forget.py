"""Forget a person: what is known of one key goes out of the states of all syncs and out of the journal.

A process that is killed on the way leaves the key in a state until all else is done, so that a second call finds it.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from reverse_etl_assets.delivery.session import Environment
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.errors import StateError
from reverse_etl_assets.runs.forget_records import Deletion, ForgetChanges, delete_records, left_elsewhere, why_not
from reverse_etl_assets.runs.run import SyncRun
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state.cutover import LeftRow
from reverse_etl_assets.state.erase import Trace, hidden, known_runs, rewrite
from reverse_etl_assets.state.facts import Facts, read_facts
from reverse_etl_assets.state.lock import exclusive
from reverse_etl_assets.warehouses.columns import Columns


@dataclass(frozen=True)
class Subject:
    """A sync whose memory is looked through. Of one that was removed from the project only the name is left."""

    name: str
    sync: Sync | None = None
    account: Account | None = None


@dataclass(frozen=True)
class Known:
    """What is known of the key in a sync: rows by table of its state, and the runs that had to do with it."""

    sync: str
    rows: Mapping[str, int]
    runs: tuple[str, ...]
    left: tuple[LeftRow, ...] = ()
    """Records of earlier versions at another place, which nobody follows any more."""
    in_model: bool = False
    obstacle: str | None = None
    """Why nobody can say whether the model holds the key."""


@dataclass(frozen=True)
class Forgotten:
    """What became of it. With a problem of `deletion` nothing was purged: the state is what knows the record."""

    known: Known
    deletion: Deletion

    @property
    def purged(self) -> bool:
        return self.deletion.problem is None


class Refused(StateError):
    """Nothing was done; the message says why, and what would be right."""


class Forgetting:
    """One key, in the syncs that are to forget it.

    Case does not matter, also where the destination tells `aB` from `Ab`: a person may be known by a spelling of the
    past, and what is missed stays for good. Where keys of two people differ in case alone, both go; `look` shows the
    rows first.
    """

    def __init__(self, key: str, subjects: Sequence[Subject], environment: Environment) -> None:
        self._key, self._subjects, self._environment = key, subjects, environment
        self._journal, self._warehouse = environment.journal, environment.warehouse
        self._for_good = False

    def look(self) -> list[Known]:
        """What is known, by sync; nothing is changed. Raises SyncBusy if one of the syncs is running."""
        with self._locked():
            return [self._known(subject) for subject in self._subjects]

    def go(
        self,
        *,
        who: str,
        why: str,
        at_destinations: bool = False,
        permanently: bool = False,
        even_if_in_model: bool = False,
    ) -> list[Forgotten]:
        """Purge it; with `at_destinations` delete its records before, `permanently` beyond restoring. Killed runs are
        folded in first.

        Raises SyncBusy, or Refused, before anything is done.
        """
        self._for_good = permanently
        at_destinations |= permanently
        with self._locked():
            for subject in self._subjects:
                self._recover(subject)
            looked_at = [(subject, self._known(subject)) for subject in self._subjects]
            self._refuse(looked_at, at_destinations, even_if_in_model)
            found = [(subject, known) for subject, known in looked_at if known.rows]
            resets = {known.sync: self._reset(known, at_destinations) for _, known in found}
            forgotten = [Forgotten(known, self._delete(subject, at_destinations)) for subject, known in found]
            purged = [each.known.sync for each in forgotten if each.purged]
            for name in purged:
                self._purge_journal(name, who, why)
            if purged:
                self._journal.database.compact()
            for name in purged:
                rewrite(self._warehouse, name, self._key, resets[name])
            return forgotten

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with ExitStack() as locks:
            for subject in self._subjects:
                locks.enter_context(exclusive(subject.name, self._warehouse))
            yield

    # look

    def _known(self, subject: Subject) -> Known:
        with self._warehouse.open(subject.name) as con:
            trace = Trace(con, self._key)
            found = Known(subject.name, trace.rows, tuple(sorted(trace.runs)), tuple(left_elsewhere(con, self._key)))
        if subject.sync is None:
            return found
        try:
            return Known(**{**vars(found), "in_model": self._is_in_model(subject.sync)})
        except StateError as error:
            return Known(**{**vars(found), "obstacle": str(error)})

    def _is_in_model(self, sync: Sync) -> bool:
        model = self._environment.models[sync.model]
        with self._warehouse.open(sync.sync, models=True) as con:
            types = {name.lower(): kind for name, kind in self._warehouse.column_types(con, model).items()}
            if any(name.lower() not in types for name in sync.primary_key):
                raise StateError(f"the built model {sync.model} has no column {', '.join(sync.primary_key)}")
            columns = Columns(sync, types, fold_case=False)
            held = f"lower({columns.external_id}) = lower($key) or lower({columns.old_key_text}) = lower($key)"
            query = f"select 1 from {self._warehouse.relation(model)} where {held} limit 1"
            return con.execute(query, {"key": self._key}).fetchone() is not None

    # refuse

    def _refuse(
        self, looked_at: Sequence[tuple[Subject, Known]], at_destinations: bool, even_if_in_model: bool
    ) -> None:
        problems = [] if even_if_in_model else [message for _, known in looked_at if (message := still_sent(known))]
        if at_destinations:
            problems += [why for subject, known in looked_at if known.rows and (why := self._why_not(subject))]
        if problems:
            raise Refused("Nothing was purged.\n" + "\n".join(f"- {problem}" for problem in problems))

    def _why_not(self, subject: Subject) -> str | None:
        if subject.sync is None or subject.account is None:
            return f"sync {subject.name} was removed from the project, so its records cannot be deleted from here."
        with self._warehouse.open(subject.name) as con:
            return why_not(con, subject.sync, subject.account, for_good=self._for_good)

    # recover, delete and purge

    def _recover(self, subject: Subject) -> None:
        runs = self._journal.open_runs(subject.name)
        if not runs:
            return
        if subject.sync is None or subject.account is None:
            raise Refused(f"run {runs[0].run_id} of {subject.name} has not ended, and the sync is not in the project.")
        jobs = (batch for run in runs for batch in self._journal.batches(run.run_id) if batch.job)
        if subject.account.connection is None and any(batch.answered_at is None for batch in jobs):
            raise Refused(f"a job of {subject.name} has to be asked about first: set its destination's credentials.")
        SyncRun(subject.sync, self._environment, subject.account, ForgetChanges(self._key)).recover()

    def _reset(self, known: Known, at_destinations: bool) -> Callable[[Facts], None]:
        """What is to hold afterwards: a deletion is no run to go on from, and a plan that lost a row is not the one
        that waits for a decision."""
        if not at_destinations and "outbox" not in known.rows:
            return lambda facts: None
        with self._warehouse.open(known.sync) as con:
            folded_run = read_facts(con).folded_run

        def reset(facts: Facts) -> None:
            facts.folded_run, facts.outbox_run = folded_run, None

        return reset

    def _delete(self, subject: Subject, at_destinations: bool) -> Deletion:
        if not at_destinations or subject.sync is None or subject.account is None:
            return Deletion()
        return delete_records(subject.sync, self._environment, subject.account, self._key, for_good=self._for_good)

    def _purge_journal(self, name: str, who: str, why: str) -> None:
        """The log first: what follows cannot be told afterwards."""
        with self._warehouse.open(name) as con:
            named, known = Trace(con, self._key).runs, known_runs(con)
        digest = hashlib.sha256(self._key.lower().encode()).hexdigest()
        self._journal.log_forgotten(name, digest, who, why)
        ended = self._journal.ended_with_batches(name)
        gone = [run_id for run_id in ended if run_id in named or run_id not in known]
        self._journal.forget_runs(name, gone, lambda message: hidden(message, self._key))


def still_sent(found: Known) -> str | None:
    """Why the next run of the sync may send the person again."""
    if found.in_model:
        return (
            f"the model of {found.sync} still holds the key: its next run would send the person again. Take the row out"
            " of the source, and build the model."
        )
    if found.obstacle and found.rows:
        return f"nobody can say whether the model of {found.sync} still holds the key: {found.obstacle}"
    return None
