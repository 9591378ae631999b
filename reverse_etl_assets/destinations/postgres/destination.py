"""A PostgreSQL table that product applications read. All of a run is written in one transaction."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

from reverse_etl_assets.accounts.transport import Transport
from reverse_etl_assets.destinations.base import NOTHING_KNOWN, BaseDestination, JobState, Part
from reverse_etl_assets.destinations.postgres.options import PostgresConnection, PostgresOptions
from reverse_etl_assets.destinations.postgres.values import same_in_column
from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.records import Batch, Capabilities, Current, FieldType, JobLimits, Operation, Outcome, Target

if TYPE_CHECKING:
    from reverse_etl_assets.destinations.postgres.work import Work

ROWS_PER_TRANSACTION = 2_000
"""Our choice: few enough that a batch holds its locks for well below a second."""
ROWS_PER_PART = 5_000
"""Our choice: what of a run is in memory at once."""
KEYS_PER_READ = 5_000
"""Our choice: an answer of a few megabytes."""


class Postgres(BaseDestination[PostgresConnection, PostgresOptions]):
    """A table, matched by the columns of a unique index.

    Rows are copied to a staging table and merged from there: with `atomic`, once the run's last row has come, together
    with what became of each row, so that the database itself tells after a crash whether the run was committed. A row
    that the table refuses is left out of the transaction by a savepoint, and fails alone.
    """

    Connection = PostgresConnection
    Options = PostgresOptions
    kind = "postgres"
    describes = True
    after_deletion = "PostgreSQL keeps nothing of a deleted row but in backups, replicas and what your triggers copy."

    def __init__(
        self, connection: PostgresConnection, target: Target, options: PostgresOptions, work: "Work | None"
    ) -> None:
        super().__init__(connection, target, options)
        self._opened = work

    @classmethod
    @asynccontextmanager
    async def open(
        cls, connection: PostgresConnection, target: Target, options: PostgresOptions, transport: Transport
    ) -> AsyncIterator[Self]:
        try:
            from reverse_etl_assets.destinations.postgres.work import Work
        except ImportError as error:
            raise ConfigurationError(
                f"a destination of type postgres needs psycopg ({error}): pip install 'reverse-etl-assets[postgres]'"
            ) from None
        work = Work(connection, target, options, transport)
        try:
            yield cls(connection, target, options, work)
        finally:
            await work.close()

    @classmethod
    def unopened(cls, connection: PostgresConnection, target: Target, options: PostgresOptions) -> Self:
        return cls(connection, target, options, None)

    @classmethod
    def capabilities_for(cls, target: Target, options: PostgresOptions) -> Capabilities:
        """Everything is idempotent because the key is unique: a second insert finds its row there.

        A job tells only after its commit that the row of an upsert was gone, too late to send the other fields; so with
        `atomic` an upsert carries them all.
        """
        partial = {Operation.UPDATE} if options.atomic else {Operation.UPDATE, Operation.UPSERT}
        return Capabilities(
            operations=frozenset(Operation),
            idempotent=frozenset(Operation),
            max_rows=ROWS_PER_TRANSACTION,
            max_bytes=5_000_000,
            concurrency=4,
            fold_case=options.fold_case,
            partial=frozenset(partial),
            erases=True,
            read_limit=KEYS_PER_READ,
            jobs=JobLimits(ROWS_PER_PART, 20_000_000, spans_run=True) if options.atomic else None,
        )

    @property
    def _work(self) -> "Work":
        assert self._opened is not None  # noqa: S101 - `open` gave it
        return self._opened

    async def check(self) -> None:
        await self._work.check()

    async def send(self, batch: Batch) -> Sequence[Outcome]:
        """One transaction for the batch."""
        return await self._work.write(batch)

    async def open_job(self, batch: Batch) -> str:
        return await self._work.open_job()

    async def upload(self, job_id: str, batch: Batch, part: Part) -> None:
        """Stages a part; the last one's transaction merges them all."""
        await self._work.upload(job_id, batch, part)

    async def poll(self, job_id: str) -> JobState:
        return await self._work.poll(job_id)

    async def collect(self, job_id: str, batch: Batch) -> Sequence[Outcome]:
        return await self._work.collect(job_id, batch)

    async def read_records(
        self, external_ids: Sequence[str], known: Mapping[str, str] = NOTHING_KNOWN
    ) -> Mapping[str, Sequence[Current]]:
        return await self._work.read(external_ids)

    def same(self, field: str, sent: Any, held: Any) -> bool:
        column = self._opened.column(field) if self._opened else None
        return same_in_column(column, self.target.fields.get(field, FieldType.TEXT), sent, held)
