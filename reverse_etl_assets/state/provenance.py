"""Whether a state and the journal belong together: a state has an id, and each run in the journal names the state that
it ran with. A state that is not the one that wrote would send again what was sent.
"""

import uuid
from datetime import UTC, datetime
from enum import StrEnum

import duckdb

from reverse_etl_assets.errors import StateMismatch
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal.records import Run
from reverse_etl_assets.records import Operation
from reverse_etl_assets.spec.policies import Cutover
from reverse_etl_assets.spec.route import DestinationType, Route
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state import ledger
from reverse_etl_assets.state.facts import Facts, changing_facts, read_facts


class Way(StrEnum):
    """How a sync goes on whose state is not the one that the journal knows."""

    KEEP = "keep"
    ADOPT = "adopt"
    RESEND = "resend"
    RESTART = "restart"


_MEANS = {
    Way.KEEP: "this state is right",
    Way.ADOPT: "read back what is there",
    Way.RESEND: "send every row once",
    Way.RESTART: "every row counts as added",
}


def settle(con: duckdb.DuckDBPyConnection, journal: Journal, sync: Sync, destination: DestinationType) -> str:
    """The id of the state, which is given one if it has none. Raises StateMismatch, and changes nothing, if the journal
    knows another state, or a later copy of it, as the one that wrote, or the state a run that the journal does not
    know."""
    facts = ledger.claim(con, sync)
    if _is_new(con, facts, journal, sync, destination):
        state_id = accept(con, journal, sync)
        journal.hand_over(sync.sync, state_id)
        return state_id
    with changing_facts(con) as facts:
        facts.state_id = facts.state_id or _new_id()
        return facts.state_id


def refuse_mismatch(con: duckdb.DuckDBPyConnection, journal: Journal, sync: Sync, destination: DestinationType) -> None:
    """Raises StateMismatch as `settle` does, and writes nothing."""
    _is_new(con, read_facts(con), journal, sync, destination)


def _is_new(
    con: duckdb.DuckDBPyConnection,
    facts: Facts,
    journal: Journal,
    sync: Sync,
    destination: DestinationType,
) -> bool:
    """Whether the state is an empty one that is to read what is there, in place of the one that wrote. Raises
    StateMismatch if it is another one without that."""
    problem = mismatch(facts, journal, sync)
    if problem and not (sync.cutover is Cutover.ADOPT and not _runs(facts)):
        raise StateMismatch(f"{problem} {_what_to_do(con, sync, destination)}")
    return problem is not None


def mismatch(facts: Facts, journal: Journal, sync: Sync) -> str | None:
    """In a sentence, why this state is not the one that the journal knows; None if it is.

    What earlier releases left has no ids, and is taken as it is.
    """
    mine, name = facts.state_id, sync.sync
    runs, accepted = _runs(facts), facts.accepted_runs
    unknown = [run for run in runs if run not in accepted and journal.run(run) is None]
    if mine and unknown:
        return (
            f"the state of sync {name} knows run {unknown[0]}, and the journal does not: it is new, or older. What"
            " the right one knows of killed runs, stops and budgets does not hold here."
        )
    for run in journal.open_runs(name):
        if run.state not in (None, mine):
            return f"run {run.run_id} of sync {name} is open, and has another state than this one ({_when(run)})."
    known = {*runs, *accepted}
    writer = journal.last_writer(name, known=lambda run: run.run_id in known and run.state in (None, mine))
    if writer is None or (writer.state is None and (mine or runs)):
        return None
    if mine and writer.state == mine:
        return f"the state of sync {name} is an older copy: it does not know a run that wrote ({_when(writer)})."
    if not runs:
        return f"the state of sync {name} is empty, though the journal knows that the sync wrote ({_when(writer)})."
    return f"the state of sync {name} is not the one that wrote last ({_when(writer)}), but another home's."


def accept(con: duckdb.DuckDBPyConnection, journal: Journal, sync: Sync) -> str:
    """What has happened until now is no mismatch any more, by a person's word. Returns the id of the state."""
    writer = journal.last_writer(sync.sync)
    with changing_facts(con) as facts:
        facts.state_id = facts.state_id or _new_id()
        facts.accepted_runs = [*_runs(facts), *([writer.run_id] if writer else [])]
        return facts.state_id


def why_not(con: duckdb.DuckDBPyConnection, sync: Sync, destination: DestinationType, way: Way) -> str | None:
    """Why a sync cannot go on in this way; None if it can."""
    if way is Way.KEEP and not _runs(read_facts(con)):
        return f"the state of sync {sync.sync} is empty, so there is nothing to keep."
    if way is Way.ADOPT and not Route(sync, destination).reads_back:
        return f"`{sync.destination}` cannot be read back, so there is nothing to adopt."
    if way is Way.RESEND and sync.mode.writes_once:
        return f"`{sync.sync_mode}` sends no row again."
    if way is Way.RESEND and not _has_rows(con) and _only_by_id(sync, destination):
        return (
            f"`{sync.destination}` finds a record by its id alone, and the state has none, so nothing is sent over what"
            " was sent before: with `--restart` every row is sent as a new record, beside the one that is there."
        )
    return None


def ways(con: duckdb.DuckDBPyConnection, sync: Sync, destination: DestinationType) -> str:
    """Those that the sync can take, each with what it means."""
    able = [f"`--{way}` ({_MEANS[way]})" for way in Way if why_not(con, sync, destination, way) is None]
    return " or ".join(", ".join(part) for part in (able[:-1], able[-1:]) if part)


def has_synced(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether the state has a table of synced rows."""
    known = con.execute("select 1 from duckdb_tables() where database_name = 'state' and table_name = 'synced'")
    return known.fetchone() is not None


def _has_rows(con: duckdb.DuckDBPyConnection) -> bool:
    return has_synced(con) and con.execute("select 1 from state.synced limit 1").fetchone() is not None


def _only_by_id(sync: Sync, destination: DestinationType) -> bool:
    """Whether an upsert without a known id makes one more record, and nobody can tell which is which."""
    return Operation.UPSERT in Route(sync, destination).capabilities.once_if_new


def _new_id() -> str:
    return uuid.uuid4().hex


def _runs(facts: Facts) -> list[str]:
    """The last run that a state has folded in, that sent anything, and that began to."""
    return [run for run in (facts.folded_run, facts.sent_run, facts.began_to_send) if run]


def _when(run: Run) -> str:
    return f"run {run.run_id}, {datetime.fromtimestamp(run.started_at, UTC):%Y-%m-%d %H:%M} UTC"


def _what_to_do(con: duckdb.DuckDBPyConnection, sync: Sync, destination: DestinationType) -> str:
    return (
        "Nothing was sent. Bring the state and the journal that belong together back, or say what is right:"
        f" `reverse-etl recover-state {sync.sync} --why ...` with {ways(con, sync, destination)}."
    )
