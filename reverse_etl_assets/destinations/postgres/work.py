"""What is done to one table in the time of a run. The one place that needs psycopg to be there."""

import hashlib
from collections.abc import Mapping, Sequence

from reverse_etl_assets.accounts.transport import Transport
from reverse_etl_assets.destinations.base import JobState, Part
from reverse_etl_assets.destinations.postgres import jobs as postgres_jobs
from reverse_etl_assets.destinations.postgres.catalog import read_table, table_names
from reverse_etl_assets.destinations.postgres.database import Connection, Database
from reverse_etl_assets.destinations.postgres.merge import Merge
from reverse_etl_assets.destinations.postgres.options import PostgresConnection, PostgresOptions
from reverse_etl_assets.destinations.postgres.reading import read_rows
from reverse_etl_assets.destinations.postgres.staging import Layout, Staging
from reverse_etl_assets.destinations.postgres.table import DOCUMENTS, Column, Table, problems, split_name
from reverse_etl_assets.destinations.schema import nearest
from reverse_etl_assets.errors import CheckFailed, ConfigurationError
from reverse_etl_assets.records import Batch, Current, FieldType, Outcome, Target


class Work:
    """Each method is one transaction, but for `close`; what it finds out of the table it keeps for the run."""

    def __init__(
        self, connection: PostgresConnection, target: Target, options: PostgresOptions, transport: Transport
    ) -> None:
        self._target, self._options = target, options
        self._database = Database(connection, transport)
        self._keys = options.key_columns or (target.external_id,)
        self._found: tuple[Table, Layout] | None = None

    async def close(self) -> None:
        await self._database.close()

    def column(self, name: str) -> Column | None:
        """A column, once the table was looked at."""
        return self._found[0].columns.get(name) if self._found else None

    async def check(self) -> None:
        """Raises CheckFailed with everything that does not fit."""
        staging, fold_case = self._options.staging_schema, self._options.fold_case
        async with self._database.transaction() as connection:
            table = await read_table(connection, *split_name(self._target.object), staging)
            known = [] if table else await table_names(connection)
        if table is None:
            name = self._target.object
            raise CheckFailed([f"There is no table `{name}` in the database{nearest(name, known)}."])
        waits_in = staging if self._options.atomic else None
        if found := problems(table, self._target, self._keys, fold_case=fold_case, staging=waits_in):
            raise CheckFailed(found)

    async def _look(self, connection: Connection) -> tuple[Table, Layout]:
        """The table as it was when the run first needed it. Raises ConfigurationError if it does not fit any more."""
        if self._found is None:
            table = await read_table(connection, *split_name(self._target.object), self._options.staging_schema)
            if table is None:
                raise ConfigurationError(f"there is no table `{self._target.object}` any more.")
            self._found = table, self._layout(table)
        return self._found

    def _layout(self, table: Table) -> Layout:
        fields = self._target.fields
        if missing := [name for name in (*self._keys, *fields) if name not in table.columns]:
            raise ConfigurationError(f"`{self._target.object}` has no column `{missing[0]}` any more.")
        values = [table.columns[name] for name in fields if name not in self._keys]
        documents = {c.name for c in values if c.kind in DOCUMENTS and fields[c.name] is not FieldType.TEXT}
        return Layout([table.columns[name] for name in self._keys], values, frozenset(documents))

    async def write(self, batch: Batch) -> list[Outcome]:
        """The batch's rows in a transaction of their own."""
        async with self._database.transaction(_size(batch), writes=True) as connection:
            table, layout = await self._look(connection)
            staging = Staging.of_transaction()
            await staging.create_rows(connection, layout)
            await staging.create_done(connection)
            await staging.fill(connection, layout, batch, 1)
            await Merge(connection, table, layout, staging).run()
            return await staging.outcomes(connection, batch)

    async def open_job(self) -> str:
        async with self._database.transaction() as connection:
            _, layout = await self._look(connection)
            return await postgres_jobs.open_job(connection, self._options.staging_schema, layout, self._identity())

    async def upload(self, job: str, batch: Batch, part: Part) -> None:
        async with self._database.transaction(_size(batch), writes=part.last) as connection:
            table, layout = await self._look(connection)
            schema = self._options.staging_schema
            await postgres_jobs.take_part(connection, schema, job, table, layout, batch, part)

    async def poll(self, job: str) -> JobState:
        async with self._database.transaction() as connection:
            return await postgres_jobs.state_of(connection, self._options.staging_schema, job)

    async def collect(self, job: str, batch: Batch) -> list[Outcome]:
        async with self._database.transaction() as connection:
            return await Staging.of_job(self._options.staging_schema, job).outcomes(connection, batch)

    async def read(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[Current]]:
        async with self._database.transaction() as connection:
            table, layout = await self._look(connection)
            rows = await read_rows(connection, table, layout, self._target, external_ids)
        return {each: [Current(each, rows[each])] if each in rows else [] for each in external_ids}

    def _identity(self) -> str:
        """The same for each run of a sync, so that it finds what its dead runs have left."""
        target = self._target
        what = (target.object, target.external_id, sorted(target.fields), self._options.model_dump_json())
        return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


def _size(batch: Batch) -> int:
    """Bytes of the values, about."""
    return sum(len(str(value)) for record in batch.records for value in record.fields.values())
