"""What all stages of a run need: the sync, where it goes, and what the run has used so far."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property

from reverse_etl_assets.accounts.transport import Usage
from reverse_etl_assets.delivery.outcome_writer import Dispatched
from reverse_etl_assets.delivery.session import Environment, Session, open_session
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.errors import ChangeSetLost
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal.records import RunKind, RunStatus
from reverse_etl_assets.privacy.masking import Mask
from reverse_etl_assets.spec.route import Route
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state import ledger, quarantine, shared_records
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse


@dataclass(frozen=True)
class RunContext:
    """A run of a sync that is locked for it."""

    sync: Sync
    environment: Environment
    account: Account
    kind: RunKind
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    usage: Usage = field(default_factory=Usage)

    @property
    def journal(self) -> Journal:
        return self.environment.journal

    @property
    def warehouse(self) -> DuckDBWarehouse:
        return self.environment.warehouse

    @cached_property
    def route(self) -> Route:
        return Route(self.sync, self.account.type)

    @cached_property
    def mask(self) -> Mask:
        return Mask.of(self.sync, self.environment.models[self.sync.model])

    @property
    def obeys_sync_stop(self) -> bool:
        return self.kind is not RunKind.UNDO  # what stopped the sync is what has to be put back

    @asynccontextmanager
    async def session(self, columns: Columns) -> AsyncIterator[Session]:
        """Signed in at the destination, for the columns of a change set."""
        obeys, target = self.obeys_sync_stop, columns.target
        async with open_session(
            self.environment, self.account, self.route, target, self.usage, obeys_sync_stop=obeys
        ) as session:
            yield session

    def fold(self, run_id: str, columns: Columns, dispatched: Dispatched) -> dict[str, int]:
        """Fold the answers of this run, or of an earlier one that had no end, into the state; and count what became of
        its rows. Raises ChangeSetLost if the change set is not there any more."""
        capabilities = self.route.capabilities_for(columns.target)
        with self.warehouse.open(self.sync.sync, write=True) as con:
            try:
                ledger.fold(
                    con,
                    columns,
                    run_id,
                    self.journal.batches(run_id),
                    now=self.environment.clock(),
                    stopped=dispatched.stopped or "",
                    unsent=dispatched.unsent,
                    heirs=dispatched.heirs,
                    capabilities=capabilities,
                )
            except ChangeSetLost as error:
                self._end_lost(run_id, str(error))
                raise
            found = ledger.counts(con, run_id, capabilities.several_records)
            found["possible_duplicates"] += shared_records.count(con, columns)
            return {**found, "in_quarantine": quarantine.count(con, columns.sync)}

    def _end_lost(self, run_id: str, why: str) -> None:
        """Its batches and what they were told stay in the journal."""
        found = self.journal.run(run_id)
        self.journal.end_run(run_id, RunStatus.FAILED, counts=found.counts if found else {}, detail=why)
