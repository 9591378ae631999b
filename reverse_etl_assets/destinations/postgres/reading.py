"""Rows of a table as they can be sent back: numbers with every digit, times in UTC."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
from psycopg import sql

from reverse_etl_assets.destinations.postgres.database import Connection
from reverse_etl_assets.destinations.postgres.staging import Layout, key_parts, typed
from reverse_etl_assets.destinations.postgres.table import DOCUMENTS, Column, Table
from reverse_etl_assets.records import FieldType, Target

_READ = sql.SQL(
    "select a.place, (select row_to_json(r) from (select {fields}) r)::text"
    " from unnest({keys}) with ordinality as a({names}, place) join {table} t on {same}"
)
_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


async def read_rows(
    connection: Connection, table: Table, layout: Layout, target: Target, external_ids: Sequence[str]
) -> dict[str, Mapping[str, Any]]:
    """The fields of each row that is there, by its external id."""
    parts = ((each, key_parts(each, len(layout.keys))) for each in external_ids if "\0" not in each)
    asked = [(each, found) for each, found in parts if len(found) == len(layout.keys)]
    return await _read(connection, table, layout, target, asked) if asked else {}


async def _read(
    connection: Connection, table: Table, layout: Layout, target: Target, asked: Sequence[tuple[str, Sequence[str]]]
) -> dict[str, Mapping[str, Any]]:
    """A text that is no value of the key's column is the key of no row; it must not hide the others."""
    try:
        async with connection.transaction():
            query = _query(table, layout, target, [parts for _, parts in asked])
            rows = await (await connection.execute(query)).fetchall()
    except psycopg.DataError:
        if len(asked) == 1:
            return {}
        half = len(asked) // 2
        found = await _read(connection, table, layout, target, asked[:half])
        return found | await _read(connection, table, layout, target, asked[half:])
    return {asked[place - 1][0]: _decode(text) for place, text in rows}


def _query(table: Table, layout: Layout, target: Target, keys: Sequence[Sequence[str]]) -> sql.Composed:
    names = [sql.Identifier(f"k{at}") for at in range(len(layout.keys))]
    same = [
        sql.SQL("t.{} = {}").format(sql.Identifier(column.name), typed(column, sql.SQL("a.") + name))
        for column, name in zip(layout.keys, names, strict=True)
    ]
    fields = [_field(table.columns[name], sent) for name, sent in target.fields.items()]
    return _READ.format(
        fields=sql.SQL(", ").join(fields),
        keys=sql.SQL(", ").join(sql.Literal(list(column)) + sql.SQL("::text[]") for column in zip(*keys, strict=True)),
        names=sql.SQL(", ").join(names),
        table=sql.Identifier(table.schema, table.name),
        same=sql.SQL(" and ").join(same),
    )


def _field(column: Column, sent: FieldType) -> sql.Composable:
    """The column in a form that can be sent back: JSON that came as a text stays one."""
    as_text = sent is FieldType.TEXT and column.kind in DOCUMENTS
    return sql.SQL("t.{name}::text as {name}" if as_text else "t.{name}").format(name=sql.Identifier(column.name))
