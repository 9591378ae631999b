"""Reads a table's columns, unique keys and privileges from PostgreSQL's catalogs."""

from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from reverse_etl_assets.destinations.postgres.table import Column, Table

_TABLE = """
select c.oid, c.relkind::text as kind, current_user::text as role,
    has_table_privilege(c.oid, 'DELETE') as may_delete, has_schema_privilege(n.oid, 'USAGE') as may_use_schema,
    (select has_schema_privilege(oid, 'CREATE') and has_schema_privilege(oid, 'USAGE')
     from pg_namespace where nspname = %(staging)s) as staging,
    has_database_privilege(current_database(), 'TEMPORARY') as temporary, current_database()::text as database,
    current_setting('server_encoding') as encoding,
    pg_is_in_recovery() or current_setting('default_transaction_read_only')::boolean as read_only
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = %(table)s and c.relkind in ('r', 'p', 'v', 'm', 'f')
"""

# A domain has the length of its base type, and may forbid NULL and have a default of its own.
_COLUMNS = """
with recursive based(attnum, typid, typmod, filled, strict) as (
    select attnum, atttypid, atttypmod, atthasdef or attidentity <> '' or attgenerated <> '', attnotnull
    from pg_attribute where attrelid = %(oid)s and attnum > 0 and not attisdropped
    union all
    select attnum, typbasetype, case typmod when -1 then typtypmod else typmod end,
        filled or typdefault is not null, strict or typnotnull
    from based join pg_type on pg_type.oid = typid and typtype = 'd'
)
select a.attname::text as name, a.attidentity::text as identity, a.attgenerated::text as generated,
    format_type(a.atttypid, a.atttypmod) as full, format_type(b.typid, -1) as cast, b.typmod, b.filled, b.strict,
    case when t.typtype = 'e' then 'enum' when t.typcategory = 'A' then 'array' when t.typname = 'bpchar'
        then 'character' when t.typname = 'citext' then 'citext' else format_type(b.typid, -1) end as kind,
    has_column_privilege(a.attrelid, a.attnum, 'INSERT') as may_insert,
    has_column_privilege(a.attrelid, a.attnum, 'UPDATE') as may_update,
    has_column_privilege(a.attrelid, a.attnum, 'SELECT') as may_select,
    t.typname = 'citext' or not coalesce(l.collisdeterministic, true) as folds_case
from pg_attribute a
join based b on b.attnum = a.attnum
join pg_type t on t.oid = b.typid and t.typtype <> 'd'
left join pg_collation l on l.oid = a.attcollation
where a.attrelid = %(oid)s
order by a.attnum
"""

# Those that ON CONFLICT can name: whole, valid and checked at once.
_UNIQUE = """
select array_agg(a.attname::text) as names
from pg_index i
cross join unnest(i.indkey::int[]) with ordinality as k(attnum, place)
join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
where i.indrelid = %(oid)s and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null
    and i.indexprs is null and k.place <= i.indnkeyatts
group by i.indexrelid
"""

_ALL = "select relname::text, nspname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace" + (
    " where relkind in ('r', 'p') and nspname <> 'information_schema' and nspname !~ '^pg_'"
)


async def read_table(connection: psycopg.AsyncConnection[Any], schema: str, name: str, staging: str) -> Table | None:
    """The table, or None if there is none of that name."""
    async with connection.cursor(row_factory=namedtuple_row) as cursor:
        await cursor.execute(_TABLE, {"schema": schema, "table": name, "staging": staging})
        found: Any = await cursor.fetchone()
        if found is None:
            return None
        await cursor.execute(_COLUMNS, {"oid": found.oid})
        columns = [_column(row) for row in await cursor.fetchall()]
        await cursor.execute(_UNIQUE, {"oid": found.oid})
        keys: list[Any] = await cursor.fetchall()
    return Table(
        schema,
        name,
        found.kind,
        found.role,
        {column.name: column for column in columns},
        [frozenset(key.names) for key in keys],
        found.may_delete,
        found.may_use_schema,
        found.staging,
        found.temporary,
        found.database,
        found.encoding,
        found.read_only,
    )


async def table_names(connection: psycopg.AsyncConnection[Any]) -> list[str]:
    """Every table of the database as a sync's `object` names it."""
    found = await (await connection.execute(_ALL)).fetchall()
    return [name for table, schema in found for name in ([f"{schema}.{table}"] + [table] * (schema == "public"))]


def _column(row: Any) -> Column:
    why = "it is generated" if row.generated else "it is GENERATED ALWAYS AS IDENTITY" if row.identity == "a" else ""
    sized = row.typmod >= 0
    return Column(
        row.name,
        row.kind,
        row.full,
        row.cast,
        length=row.typmod - 4 if sized and row.kind in ("character varying", "character") else None,
        scale=_scale(row.kind, row.typmod) if sized else None,
        required=row.strict and not row.filled,
        read_only_because=why,
        may_insert=row.may_insert,
        may_update=row.may_update,
        may_select=row.may_select,
        folds_case=row.folds_case,
    )


def _scale(kind: str, typmod: int) -> int | None:
    if kind == "numeric":
        return ((typmod - 4 & 0x7FF) ^ 0x400) - 0x400  # 11 bits with a sign, as numeric_in packs them
    return typmod if kind.startswith("time") else None
