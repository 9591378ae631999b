"""A job is two tables in the staging schema: `job_<id>` holds the rows until they are merged, and the transaction that
merges them puts `job_<id>_done` in its place, with what became of each row."""

import time
import uuid
import zlib
from collections.abc import Iterable

from psycopg import sql

from reverse_etl_assets.destinations.base import JobState, Part
from reverse_etl_assets.destinations.postgres.database import Connection
from reverse_etl_assets.destinations.postgres.merge import Merge
from reverse_etl_assets.destinations.postgres.staging import Layout, Staging
from reverse_etl_assets.destinations.postgres.table import Table
from reverse_etl_assets.errors import RetryLater
from reverse_etl_assets.records import Batch

KEPT = 7 * 86_400.0
"""Seconds after which what a job left is dropped, whoever it belonged to. Nobody has collected it by then."""
_LOCKS = 0x7265746C  # "retl"; the first of the two numbers of our advisory locks

_TABLES = """
select c.relname::text, obj_description(c.oid, 'pg_class') as said
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relkind = 'r' and c.relname ~ '^job_[0-9a-f]{32}(_done)?$'
    and pg_has_role(c.relowner, 'USAGE')
"""
_SESSIONS = "select pid || '@' || extract(epoch from backend_start) from pg_stat_activity"
_OURS = f"{_SESSIONS} where pid = pg_backend_pid()"


async def open_job(connection: Connection, schema: str, layout: Layout, identity: str) -> str:
    """An empty job. What dead runs of the same sync left is dropped: the engine has collected it before."""
    await _tidy(connection, schema, identity)
    job = uuid.uuid4().hex
    staging = Staging.of_job(schema, job)
    await staging.create_rows(connection, layout)
    [[session]] = await (await connection.execute(_OURS)).fetchall()
    await _describe(connection, staging.rows, f"{identity} {session} {time.time():.0f}")
    return job


async def _describe(connection: Connection, table: sql.Identifier, text: str) -> None:
    await connection.execute(sql.SQL("comment on table {} is {}").format(table, sql.Literal(text)))


async def _tidy(connection: Connection, schema: str, identity: str) -> None:
    tables = await (await connection.execute(_TABLES, [schema])).fetchall()
    alive = {row[0] for row in await (await connection.execute(_SESSIONS)).fetchall()}
    for name, comment in tables:
        if _is_dead(comment or "", identity, alive):
            await connection.execute(sql.SQL("drop table if exists {}").format(sql.Identifier(schema, name)))


def _is_dead(comment: str, identity: str, alive: Iterable[str]) -> bool:
    """Left by a run of this sync that is over, or by any that is long over. Another sync may have the same target."""
    try:
        whose, session, opened = comment.split()
        age = time.time() - float(opened)
    except ValueError:
        return False  # not made by us
    return session not in alive and (whose == identity or age > KEPT)


async def take_part(
    connection: Connection, schema: str, job: str, table: Table, layout: Layout, batch: Batch, part: Part
) -> None:
    """Stage a part's rows; with the last one merge them all. The transaction is the caller's."""
    staging = Staging.of_job(schema, job)
    await connection.execute("select pg_advisory_xact_lock(%s, %s)", _lock(job))
    name = staging.rows.as_string(connection)
    found = await connection.execute("select obj_description(to_regclass(%s), 'pg_class')", [name])
    [[comment]] = await found.fetchall()
    if comment is None:
        raise RetryLater(f"the staging table of job {job} is gone")
    await staging.fill(connection, layout, batch, part.number)
    if part.last:
        await staging.create_done(connection)
        await Merge(connection, table, layout, staging).run()
        await _describe(connection, staging.done, comment)
        await connection.execute(sql.SQL("create index on {} (key)").format(staging.done))
        await connection.execute(sql.SQL("drop table {}").format(staging.rows))


async def state_of(connection: Connection, schema: str, job: str) -> JobState:
    """A killed run's transaction may still be at work: it holds a lock until it has ended, one way or the other."""
    staging = Staging.of_job(schema, job)
    [[free]] = await (await connection.execute("select pg_try_advisory_xact_lock(%s, %s)", _lock(job))).fetchall()
    if not free:
        return JobState.RUNNING
    names = [name.as_string(connection) for name in (staging.done, staging.rows)]
    found = await connection.execute("select to_regclass(%s) is not null, to_regclass(%s) is not null", names)
    [[done, waits]] = await found.fetchall()
    return JobState.DONE if done else JobState.OPEN if waits else JobState.GONE


def _lock(job: str) -> list[int]:
    """Two 32-bit numbers, the second with a sign."""
    number = zlib.crc32(job.encode())
    return [_LOCKS, number - (1 << 32) if number >= 1 << 31 else number]
