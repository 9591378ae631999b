"""What a sync knows of a row, from its model, its state and the journal; masked, as it may be shown."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from reverse_etl_assets.cli.deployed import Deployed
from reverse_etl_assets.delivery.session import Environment
from reverse_etl_assets.errors import FileLocked, ReverseEtlError, StateError, SyncBusy
from reverse_etl_assets.journal.records import Run, Stop
from reverse_etl_assets.previews.planned_rows import PlannedRow
from reverse_etl_assets.previews.preview import Preview, preview, recovered
from reverse_etl_assets.privacy.masking import Mask
from reverse_etl_assets.records import Reason, Status
from reverse_etl_assets.runs.recovery import job_is_open
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state import outcomes
from reverse_etl_assets.state.conflicts import ConflictEntry, conflict_log
from reverse_etl_assets.state.facts import Learned, read_facts
from reverse_etl_assets.state.outcomes import RowOutcome, Why
from reverse_etl_assets.state.versions import history, once_personal

_IN_DOUBT = (Reason.AMBIGUOUS, Reason.HELD)


@dataclass(frozen=True)
class Memory:
    """What a sync knows of its rows. The answers of a killed run count, as the next run will fold them in."""

    environment: Environment
    gap: str | None = None
    """Why something of it is not known now: then nothing is said never to have been."""
    at_work: frozenset[str] = frozenset()
    """Runs whose jobs are still at the destination."""


@contextmanager
def memory_of(deployed: Deployed, sync: Sync) -> Iterator[Memory]:
    """Raises StateError if the state cannot be read."""
    environment = deployed.project.environment
    with ExitStack() as opened:
        try:
            known = recovered(sync, environment, deployed.account_without_credentials(sync))
            warehouse, unfinished = opened.enter_context(known)
            at_work = frozenset(run for run in unfinished if job_is_open(environment.journal, run))
            memory = Memory(replace(environment, warehouse=warehouse), at_work=at_work)
        except SyncBusy:
            memory = Memory(environment, "A run is going on just now; what it does is known here once it has ended.")
        except FileLocked:
            raise
        except StateError as error:
            memory = Memory(environment, f"The model cannot be looked at: {error}")
        yield memory


@dataclass(frozen=True)
class Facts:
    """All that is known of a row, before it is put into words."""

    sync: Sync
    why: Why
    last_run: Run | None
    stop: Stop | None
    look: Preview | None
    obstacle: str | None
    """Why the model cannot be looked at."""
    memory: Memory
    conflicts: Sequence[ConflictEntry] = ()
    undoes: str | None = None
    """The run that was put back by the last run that knew the row, if that was an undo."""
    link: str | None = None
    """The record's page in the destination's own interface."""

    @property
    def last(self) -> RowOutcome | None:
        return self.why.outcomes[0] if self.why.outcomes else None

    @property
    def said_to_have_arrived(self) -> bool:
        """Whether a person took the send in doubt for done: the row is synced by the very run that did not know."""
        run = (self.why.synced or {}).get("_retl_run")
        held = self.why.held is not None or self.last is None or self.last.reason not in _IN_DOUBT
        return not held and any(each.run_id == run and each.reason == Reason.AMBIGUOUS for each in self.why.outcomes)

    @property
    def in_model(self) -> bool | None:
        return None if self.look is None else self.look.plan.model_rows > 0

    @property
    def planned(self) -> PlannedRow | None:
        return next(iter(self.look.rows), None) if self.look else None

    @property
    def refused(self) -> PlannedRow | None:
        refused = self.look.refused if self.look else ()
        return next((row for row in refused if row.reason != Reason.SUPERSEDED), None)


def gather(deployed: Deployed, sync: Sync, memory: Memory, key: str, hidden: Mask | None, shown: str) -> Facts:
    project = deployed.project
    with memory.environment.warehouse.open(sync.sync) as con:
        mask = hidden.also(once_personal(history(con))) if hidden else Mask()
        raw = outcomes.why(con, key)
        found, link = _masked(raw, mask, key, shown), _link(deployed, sync, raw, read_facts(con).learned)
        conflicts = [entry.masked(mask) for entry in conflict_log(con, key=key)]
    look, obstacle = None, memory.gap
    try:
        if not obstacle:
            look = preview(sync, memory.environment, deployed.account_without_credentials(sync), key=key)
            look = look.masked(mask) if hidden else look
    except ReverseEtlError as error:
        obstacle = f"The model cannot be looked at: {mask.text(str(error), {}, key)}"
    last_run = next(iter(project.journal.history(sync.sync, 1)), None)
    stop = project.journal.stopped(sync.destination, sync.sync)
    last_by = project.journal.run(found.outcomes[0].run_id) if found.outcomes else None
    undoes = last_by.undoes if last_by else None
    return Facts(sync, found, last_run, stop, look, obstacle, memory, conflicts, undoes, link)


def _link(deployed: Deployed, sync: Sync, why: Why, learned: Learned) -> str | None:
    """None once the record is gone."""
    if not why.outcomes or why.outcomes[0].status == Status.DELETED:
        return None
    known = (why.outcomes[0].destination_id, (why.synced or {}).get("_retl_id"))
    record = next((each for each in known if each), None)
    return deployed.record_link(sync, record, learned) if record else None


def _masked(found: Why, mask: Mask, key: str, shown: str) -> Why:
    rows = [replace(outcome.masked(mask), key=shown) for outcome in found.outcomes]
    synced = None if found.synced is None else mask.row(found.synced)
    held = None if found.held is None else mask.text(found.held, {}, key)
    shares = [mask.key(each) or "" for each in found.shares]
    left = [replace(row, destination_id=mask.text(row.destination_id or "", {}, key) or None) for row in found.left]
    return replace(found, outcomes=rows, synced=synced, held=held, left=left, shares=shares)
