"""Writes staged rows to their table within one transaction. A row that the table refuses fails alone."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import psycopg
from psycopg import sql

from reverse_etl_assets.destinations.postgres.database import Connection, is_of_the_row, row_error, without_values
from reverse_etl_assets.destinations.postgres.staging import Layout, Staging, typed
from reverse_etl_assets.destinations.postgres.table import Column, Table
from reverse_etl_assets.records import RowError

CHUNK = 5_000
"""Rows of one statement: what a bad row among them costs to be written again."""
_ORDER = ("23503", "23505")
"""Foreign keys and unique values: another row of the same run may make or free what the row needs."""

_OF_CHUNK = "s.number between {low} and {high} and s.operation in ({operations}) and not exists"
_OPEN = sql.SQL(_OF_CHUNK + " (select from {done} o where o.number = s.number and o.number between {low} and {high})")
_NOTE = sql.SQL("insert into {done} (number, key, status) select number, key, {status} from written")
_DELETE = sql.SQL(
    "with written as (delete from {table} t using {rows} s where {open} and {same} returning s.number, s.key) {note}"
)
_UPDATE = sql.SQL(
    "with written as (update {table} t set {values} from {rows} s where {open} and {same} returning s.number, s.key)"
    " {note}"
)
_FOUND = sql.SQL("with written as (select s.number, s.key from {rows} s join {table} t on {same} where {open}) {note}")
_INSERT = sql.SQL(
    "with wanted as (select s.number as _retl_number, s.key as _retl_key, {selected} from {rows} s"
    " where {open} and s.sent is null),"
    " made as (insert into {table} ({columns}) select {names} from wanted order by _retl_number"
    " on conflict ({keys}) do nothing returning {keys}),"
    # two texts may be one uuid: one of them made the row
    " written as (select distinct on ({keys}) _retl_number as number, _retl_key as key from wanted"
    " join made using ({keys})) {note}"
)
_REFUSE = sql.SQL(
    "with refused as (delete from {rows} s where {which} returning number, key, refused, field)"
    " insert into {done} (number, key, status, reason, code, message, field)"
    " select number, key, 'failed', 'rejected', {code}, coalesce(refused, {message}), coalesce(field, {field})"
    " from refused"
)
_UNREADABLE = sql.SQL(
    "select distinct on (s.number) s.number, v.field, e.sql_error_code, e.message from {rows} s"
    " cross join lateral (values {values}) v(field, value, type)"
    " cross join lateral pg_input_error_info(v.value, v.type) e"
    " where s.number between {low} and {high} and e.message is not null order by s.number"
)
# What no statement named: it was there already, or not there. An upsert of some fields is sent again with all.
_REST = sql.SQL(
    "insert into {done} (number, key, status, reason, message) select s.number, s.key, 'skipped',"
    " case s.operation when 'insert' then 'already_exists' when 'delete' then 'already_gone' else 'not_found' end,"
    " case s.operation when 'insert' then 'a row with this key is there' else 'there is no row with this key' end"
    " from {rows} s where not exists (select from {done} o where o.number = s.number)"
    " and (s.operation <> 'upsert' or s.sent is not null)"
    " and (s.operation = 'insert') = exists (select from {table} t where {same})"
)
_MISSED = sql.SQL(
    "select count(*) from {rows} s where s.operation = 'upsert' and {same_exists}"
    " and not exists (select from {done} o where o.number = s.number)"
)


class Merge:
    """Brings what is staged into the table. Who was created and who updated is told by the statement that did it."""

    def __init__(self, connection: Connection, table: Table, layout: Layout, staging: Staging) -> None:
        self._connection, self._layout, self._staging = connection, layout, staging
        staged = [(column, sql.SQL("s.") + layout.staged[column.name]) for column in layout.columns]
        self._typed = {column.name: typed(column, text) for column, text in staged}
        equal = (sql.SQL("t.{} = {}").format(sql.Identifier(k.name), self._typed[k.name]) for k in layout.keys)
        self._words: dict[str, sql.Composable] = {
            "table": sql.Identifier(table.schema, table.name),
            "rows": staging.rows,
            "done": staging.done,
            "same": sql.SQL(" and ").join(equal),
        }

    async def run(self) -> None:
        """Every row that is staged has its outcome afterwards, but those that a trigger made away with.

        Deletes come first: they may free a value that another row needs. Rows that met a constraint which involves
        other rows are tried once more, when all others are written.
        """
        await self._connection.execute(sql.SQL("analyze {}").format(self._staging.rows))
        await self._refuse(sql.SQL("s.refused is not null"), RowError(""))
        await self._write()
        if await self._tried_again():
            await self._write()
        await self._execute(_REST)

    async def _write(self) -> None:
        for statement in (self._delete, self._update, self._insert):
            for low, high in await self._chunks():
                await self._settle(statement, low, high)

    async def _chunks(self) -> list[tuple[int, int]]:
        found = await self._execute(sql.SQL("select min(number), max(number) from {rows} having count(*) > 0"))
        return [
            (start, min(high, start + CHUNK - 1))
            for low, high in await found.fetchall()
            for start in range(low, high + 1, CHUNK)
        ]

    async def _tried_again(self) -> bool:
        again = sql.SQL("delete from {done} where code in ({codes})")
        removed = await self._execute(again, codes=_listed(_ORDER))
        same = sql.SQL("exists (select from {table} t where {same})").format(**self._words)
        missed = await (await self._execute(_MISSED, same_exists=same)).fetchone()
        return removed.rowcount > 0 or bool(missed and missed[0])

    async def _settle(self, statement: Callable[[int, int], sql.Composed], low: int, high: int) -> None:
        """Run the statement for these rows; if they are refused, for each half of them."""
        try:
            async with self._connection.transaction():
                await self._connection.execute(statement(low, high))
            return
        except psycopg.Error as error:
            if not is_of_the_row(error):
                raise
            if low == high:
                await self._refuse_one(low, error)
                return
            unreadable = (error.sqlstate or "").startswith("22") and await self._refuse_unreadable(low, high)
        if unreadable:
            await self._settle(statement, low, high)
            return
        middle = (low + high) // 2
        await self._settle(statement, low, middle)
        await self._settle(statement, middle + 1, high)

    async def _refuse_unreadable(self, low: int, high: int) -> bool:
        """Refuse the rows with a value that its column's type does not take: PostgreSQL 16 and later can tell."""
        if self._connection.info.server_version < 160_000:
            return False
        values = sql.SQL(", ").join(
            sql.SQL("({}, s.{}, {})").format(
                sql.Literal(column.name), self._layout.staged[column.name], sql.Literal(column.full)
            )
            for column in self._layout.columns
            if column.kind != "array"
        )
        found = await self._execute(_UNREADABLE, low=sql.Literal(low), high=sql.Literal(high), values=values)
        unreadable = await found.fetchall()
        for number, field, code, message in unreadable:
            problem = RowError(without_values(message, code), code, field)
            await self._refuse(sql.SQL("s.number = {}").format(sql.Literal(number)), problem)
        return bool(unreadable)

    async def _refuse_one(self, number: int, error: psycopg.Error) -> None:
        if error.sqlstate in _ORDER:  # it stays staged, for another try
            problem = row_error(error, None)
            note = sql.SQL(
                "insert into {done} (number, key, status, reason, code, message)"
                " select number, key, 'failed', 'rejected', {code}, {message} from {rows} where number = {number}"
            )
            literals = {"code": problem.code, "message": problem.message, "number": number}
            await self._execute(note, **{name: sql.Literal(value) for name, value in literals.items()})
            return
        field = None if error.diag.column_name else await self._field_at_fault(number)
        await self._refuse(sql.SQL("s.number = {}").format(sql.Literal(number)), row_error(error, field))

    async def _refuse(self, which: sql.Composable, problem: RowError) -> None:
        parts = {"code": problem.code, "message": problem.message, "field": problem.field}
        await self._execute(_REFUSE, which=which, **{name: sql.Literal(value) for name, value in parts.items()})

    async def _field_at_fault(self, number: int) -> str | None:
        """The first field whose value the column's type does not take, if there is one."""
        for column in self._layout.columns:
            text = self._layout.staged[column.name]
            fits = sql.SQL(
                "select ({})::{}, coalesce(char_length(rtrim(s.{})) <= {}, true) from {} s where number = {}"
            )
            length, at = sql.Literal(column.length), sql.Literal(number)
            full = sql.SQL(column.full)  # the catalog quotes it
            query = fits.format(self._typed[column.name], full, text, length, self._staging.rows, at)
            try:
                async with self._connection.transaction():
                    row = await (await self._connection.execute(query)).fetchone()
            except psycopg.Error:
                return column.name
            if row and not row[1]:
                return column.name
        return None

    async def _execute(self, statement: sql.SQL, **words: sql.Composable) -> psycopg.AsyncCursor[Any]:
        """Values stand in statements as literals: bound ones would make a `%` in a name a placeholder."""
        return await self._connection.execute(statement.format(**self._words, **words))

    # Statements, for the rows from one number to another

    def _delete(self, low: int, high: int) -> sql.Composed:
        return _DELETE.format(**self._words, **self._of(low, high, "deleted", "delete"))

    def _update(self, low: int, high: int) -> sql.Composed:
        which = self._of(low, high, "updated", "update", "upsert")
        if not self._layout.values:
            return _FOUND.format(**self._words, **which)
        values = sql.SQL(", ").join(self._assignments())
        return _UPDATE.format(values=values, **self._words, **which)

    def _assignments(self) -> Iterator[sql.Composable]:
        for column in self._layout.values:
            yield sql.SQL(
                "{name} = case when s.sent is null or {text} = any(s.sent) then {value} else t.{name} end"
            ).format(name=sql.Identifier(column.name), text=sql.Literal(column.name), value=self._typed[column.name])

    def _insert(self, low: int, high: int) -> sql.Composed:
        columns = self._layout.columns
        names = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)
        keys = sql.SQL(", ").join(sql.Identifier(column.name) for column in self._layout.keys)
        selected = sql.SQL(", ").join(_as(self._typed[column.name], column) for column in columns)
        which = self._of(low, high, "created", "insert", "upsert")
        return _INSERT.format(selected=selected, columns=names, names=names, keys=keys, **self._words, **which)

    def _of(self, low: int, high: int, status: str, *operations: str) -> dict[str, sql.Composable]:
        bounds = {"low": sql.Literal(low), "high": sql.Literal(high)}
        return {
            "open": _OPEN.format(**bounds, operations=_listed(operations), done=self._staging.done),
            "note": _NOTE.format(status=sql.Literal(status), done=self._staging.done),
        }


def _as(value: sql.Composable, column: Column) -> sql.Composable:
    return sql.SQL("{} as {}").format(value, sql.Identifier(column.name))


def _listed(texts: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Literal, texts))
