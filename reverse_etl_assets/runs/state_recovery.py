"""A person's word on a state that is not the one that the journal knows: how the sync goes on."""

from reverse_etl_assets.delivery.session import Environment
from reverse_etl_assets.errors import StateError
from reverse_etl_assets.runs.run import exclusive
from reverse_etl_assets.spec.policies import Cutover
from reverse_etl_assets.spec.route import DestinationType
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state import ledger, provenance
from reverse_etl_assets.state.facts import changing_facts, read_facts
from reverse_etl_assets.state.provenance import Way
from reverse_etl_assets.warehouses.connection import Connection
from reverse_etl_assets.warehouses.duckdb import literal, transaction


def recover_state(
    sync: Sync, environment: Environment, destination: DestinationType, way: Way, *, who: str, why: str
) -> str:
    """From now on state and journal belong together; the next run goes on in this way. Returns what was wrong.

    Sends nothing. Raises StateError if nothing is wrong, or if this way is none for the sync; SyncBusy.
    """
    journal, warehouse = environment.journal, environment.warehouse
    with exclusive(sync, warehouse), warehouse.open(sync.sync, write=True) as con:
        ledger.claim(con, sync)
        facts = read_facts(con)
        problem = provenance.mismatch(facts, journal, sync)
        if problem is None:
            raise StateError(f"state and journal of sync {sync.sync} belong together; there is nothing to recover.")
        if no := provenance.why_not(con, sync, destination, way):
            raise StateError(f"{no} Use {provenance.ways(con, sync, destination)}.")
        with transaction(con):
            _apply(con, way)
            state_id = provenance.accept(con, journal, sync)
        journal.hand_over(sync.sync, state_id, who=who, why=f"{why} (--{way}: {problem})")
    return problem


def _apply(con: Connection, way: Way) -> None:
    if way is Way.KEEP:
        return
    if provenance.has_synced(con):
        if way is Way.RESEND:
            names = [name for name in ledger.columns_of_table(con, "state.synced") if not name.startswith("_retl_")]
            con.execute(f"update state.synced set _retl_untold = [{', '.join(map(literal, names))}]")
        else:
            con.execute("delete from state.synced")
    if way is not Way.RESEND:
        for table in ("pending", "kept", "refusals"):
            con.execute(f"delete from state.{table}")
    with changing_facts(con) as facts:
        facts.outbox_run = facts.newest = facts.full_compared_at = None
        facts.recovers_by = Cutover.ADOPT if way is Way.ADOPT else None
