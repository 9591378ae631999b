"""An open destination for the time of a run: its client, the account's pace, retries, and what all of it used."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from reverse_etl_assets.accounts.budget import Meter
from reverse_etl_assets.accounts.pacing import Pacer
from reverse_etl_assets.accounts.transport import Transport, Usage
from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.dbt.results import Dbt
from reverse_etl_assets.delivery.asking import Answers, Asking
from reverse_etl_assets.delivery.deletions import Deletions
from reverse_etl_assets.delivery.dispatcher import Dispatcher
from reverse_etl_assets.delivery.field_rules import FieldRules
from reverse_etl_assets.delivery.guarding import guarded
from reverse_etl_assets.delivery.retries import Retries, RetryPolicy
from reverse_etl_assets.destinations.base import NOTHING_KNOWN, Account, BaseDestination, ReadsRecords
from reverse_etl_assets.errors import GarbledAnswer, RetryLater
from reverse_etl_assets.journal import Journal, Stopped
from reverse_etl_assets.journal.writer import JournalWriter
from reverse_etl_assets.privacy.masking import Mask
from reverse_etl_assets.records import Capabilities, Current, Operation, Target
from reverse_etl_assets.spec.policies import InFlight
from reverse_etl_assets.spec.route import Route
from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse


@dataclass(frozen=True)
class Environment:
    """What all syncs of a project share."""

    journal: Journal
    warehouse: DuckDBWarehouse
    models: Mapping[str, Model]
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    clock: Callable[[], float] = time.time
    dbt: Dbt | None = None
    """Where dbt says what it did last."""


class Session:
    """What can be asked of an open destination. Everything goes at the account's pace and is asked again in vain."""

    def __init__(
        self,
        environment: Environment,
        account: Account,
        destination: BaseDestination[Any, Any],
        pacer: Pacer,
        reading: Pacer,
        sync: str,
    ) -> None:
        self.destination = destination
        self.pacer, self._reading = pacer, reading
        self._environment, self._account, self._sync = environment, account, sync
        self._retries = Retries(pacer, environment.retry_policy)
        self._asking = Asking(Retries(reading, environment.retry_policy), type(destination).__name__)

    async def check(self) -> None:
        """The destination's own check. Raises CheckFailed or a DestinationError."""
        await self._retries.call(self._checked)

    async def _checked(self, last: bool) -> None:
        """Once. It only reads: an answer that makes no sense may make sense the next time."""
        try:
            await guarded(self.destination.check(), type(self.destination).__name__)
        except GarbledAnswer as error:
            raise RetryLater(str(error)) from error

    async def read(
        self, external_ids: Sequence[str], known: Mapping[str, str] = NOTHING_KNOWN
    ) -> Answers[Sequence[Current]]:
        """The records that carry these external ids, however many; `known` has their ids as far as we know them.

        Raises a DestinationError that concerns them all.
        """
        reader = self.destination
        assert isinstance(reader, ReadsRecords)  # noqa: S101 - refused when the sync is loaded
        answers = Answers[Sequence[Current]]()
        turns = asyncio.Semaphore(self.destination.capabilities.concurrency)
        size = self.destination.capabilities.read_limit

        async def read(ids: Sequence[str]) -> None:
            async with turns:
                await self._asking.ask_once(ids, partial(reader.read_records, known=known), answers, halves=size > 1)

        try:
            async with asyncio.TaskGroup() as tasks:
                for start in range(0, len(external_ids), size):
                    tasks.create_task(read(external_ids[start : start + size]))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        return answers

    def writer(self, run_id: str, *, obeys_sync_stop: bool = True) -> JournalWriter:
        return JournalWriter(
            self._environment.journal, run_id, self._account.name, self._sync, obeys_sync_stop=obeys_sync_stop
        )

    def dispatcher(
        self,
        writer: JournalWriter,
        *,
        to_send: Mapping[Operation, int] | None = None,
        rules: FieldRules | None = None,
        in_flight: InFlight | None = None,
        mask: Mask | None = None,
        deletions: Deletions | None = None,
        on_progress: Callable[[Mapping[str, int]], None] = lambda statuses: None,
    ) -> Dispatcher:
        """`to_send` decides which operations go out as jobs."""
        able = self.destination.capabilities.jobs
        jobs = frozenset(
            operation
            for operation, rows in (to_send or {}).items()
            if able and (able.spans_run or rows >= able.from_rows)
        )
        return Dispatcher(
            self.destination,
            writer,
            self.pacer,
            sync=self._sync,
            reading=self._reading,
            job_operations=jobs,
            rules=rules,
            in_flight=in_flight,
            mask=mask,
            deletions=deletions,
            retry_policy=self._environment.retry_policy,
            on_progress=on_progress,
        )


@asynccontextmanager
async def open_session(
    environment: Environment,
    account: Account,
    route: Route,
    target: Target,
    usage: Usage,
    *,
    obeys_sync_stop: bool = True,
) -> AsyncIterator[Session]:
    """Opens the account for one target of the route; `usage` counts what is used. A stop ends every longer wait."""
    sync = route.sync.sync

    def look() -> None:
        if stop := environment.journal.stopped(account.name, sync, obeys_sync_stop=obeys_sync_stop):
            raise Stopped(stop)

    concurrency = account.connection.concurrency or route.capabilities_for(target).concurrency
    meter = Meter(environment.journal, account.name, sync, account.connection.budget)
    bounds = account.connection.bounds
    transport = Transport(usage, concurrency=concurrency, meter=meter, quota=account.type.quota, bounds=bounds)
    async with account.type.open(account.connection, target, route.options, transport) as destination:
        able = destination.capabilities
        paced = f"{account.name}/{able.rate_scope}" if able.rate_scope else account.name
        pacer = Pacer(environment.journal, paced, able.requests_per_second, look=look)
        reading = reads_pacer(pacer, environment.journal, paced, able)
        try:
            yield Session(environment, account, destination, pacer, reading, sync)
        finally:
            usage.waited += pacer.waited + (reading.waited if reading is not pacer else 0)
            await meter.settle()


def reads_pacer(pacer: Pacer, journal: Journal, paced: str, able: Capabilities) -> Pacer:
    """The pace of look-ups and reads: that of all requests, unless the vendor counts them apart."""
    if able.reads_per_second is None:
        return pacer
    return Pacer(journal, f"{paced}/reads", able.reads_per_second, waits=pacer.waits)
