"""The rows of a run on their way to a table: a staging table, filled by COPY, and one for what became of each row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from reverse_etl_assets.destinations.base import encode_json
from reverse_etl_assets.destinations.postgres.database import Connection
from reverse_etl_assets.destinations.postgres.table import Column
from reverse_etl_assets.destinations.values import plain_text
from reverse_etl_assets.records import Batch, Outcome, Reason, Record, RowError, Status

NUL = "it holds the character NUL, which PostgreSQL cannot store"
_OUTCOMES = sql.SQL(
    "create {temporary} table {done} (number bigint primary key, key text not null, status text not null, reason text,"
    " code text, message text, field text) {end}"
)
_ROWS = sql.SQL(
    "create {temporary} table {rows} (number bigint generated always as identity primary key, part integer not null,"
    " key text not null, operation text not null, sent text[], refused text, field text, {values}) {end}"
)


@dataclass(frozen=True)
class Layout:
    """The columns that rows fill: those of the key, and the others that the sync maps."""

    keys: Sequence[Column]
    values: Sequence[Column]
    documents: frozenset[str] = frozenset()
    """Columns of JSON that get JSON, and not a text that is JSON."""

    @property
    def columns(self) -> Sequence[Column]:
        return (*self.keys, *self.values)

    @property
    def staged(self) -> Mapping[str, sql.Identifier]:
        """Each column's name in the staging table, where all are text."""
        return {column.name: sql.Identifier(f"v{at}") for at, column in enumerate(self.columns, 1)}


@dataclass(frozen=True)
class Staging:
    """Names of the two tables."""

    rows: sql.Identifier
    done: sql.Identifier
    temporary: bool

    @classmethod
    def of_transaction(cls) -> "Staging":
        return cls(sql.Identifier("pg_temp", "reverse_etl_rows"), sql.Identifier("pg_temp", "reverse_etl_done"), True)

    @classmethod
    def of_job(cls, schema: str, job: str) -> "Staging":
        return cls(sql.Identifier(schema, f"job_{job}"), sql.Identifier(schema, f"job_{job}_done"), False)

    def _words(self) -> dict[str, sql.Composable]:
        temporary, end = ("temporary", "on commit drop") if self.temporary else ("", "")
        return {"temporary": sql.SQL(temporary), "end": sql.SQL(end), "rows": self.rows, "done": self.done}

    async def create_rows(self, connection: Connection, layout: Layout) -> None:
        values = sql.SQL(", ").join(name + sql.SQL(" text") for name in layout.staged.values())
        await connection.execute(_ROWS.format(values=values, **self._words()))

    async def create_done(self, connection: Connection) -> None:
        await connection.execute(_OUTCOMES.format(**self._words()))

    async def fill(self, connection: Connection, layout: Layout, batch: Batch, part: int) -> None:
        """Put a batch's rows there; again if they were there before."""
        await connection.execute(sql.SQL("delete from {} where part = {}").format(self.rows, sql.Literal(part)))
        names = sql.SQL(", ").join(layout.staged.values())
        copy = sql.SQL("copy {} (part, key, operation, sent, refused, field, {}) from stdin").format(self.rows, names)
        async with connection.cursor() as cursor, cursor.copy(copy) as stream:
            for row in staged_rows(layout, batch):
                await stream.write_row((part, *row))

    async def outcomes(self, connection: Connection, batch: Batch) -> list[Outcome]:
        """What became of the batch's rows; those that nothing is known of are left out."""
        query = sql.SQL("select key, status, reason, code, message, field from {} where key = any({})")
        records = {_storable(record.key): record for record in batch.records}
        found = await (await connection.execute(query.format(self.done, sql.Literal(list(records))))).fetchall()
        return [_outcome(records[row[0]], *row[1:]) for row in found]


def _outcome(
    record: Record, status: str, reason: str | None, code: str | None, message: str | None, field: str | None
) -> Outcome:
    error = RowError(message, code, field) if message else None
    written = record.external_id if reason is None else None
    return Outcome(record.key, Status(status), Reason(reason) if reason else None, error, written)


def _storable(key: str) -> str:
    return key.replace("\0", "\ufffd")


def staged_rows(layout: Layout, batch: Batch) -> Iterator[tuple[Any, ...]]:
    """Rows for COPY: key, operation, the fields that are sent if they are not all, why a row is refused, values."""
    for record in batch.records:
        sent = None if all(column.name in record.fields for column in layout.values) else list(record.fields)
        values = list(_values(layout, record))
        refused = _refused(layout, values)
        if refused:
            values = [None] * len(layout.columns)
        yield (_storable(record.key), batch.operation.value, sent, *(refused or (None, None)), *values)


def _values(layout: Layout, record: Record) -> Iterator[str | None]:
    yield from key_parts(record.external_id, len(layout.keys))
    for column in layout.values:
        yield text_of(record.fields.get(column.name), document=column.name in layout.documents)


def _refused(layout: Layout, values: Sequence[str | None]) -> tuple[str, str] | None:
    if len(values) != len(layout.columns):
        names = ", ".join(column.name for column in layout.keys)
        return f"its key has not the {len(layout.keys)} parts that `key_columns` names", names
    for column, value in zip(layout.columns, values, strict=True):
        if value is not None and "\0" in value:
            return NUL, column.name
    return None


def text_of(value: Any, *, document: bool) -> str | None:
    """A value as a column's input takes it."""
    if value is None:
        return None
    return encode_json(value).decode() if document else plain_text(value)


def key_parts(key: str, count: int) -> list[str]:
    """The texts of a key's columns. Those of several are joined by `|`, with `\\` before a `|` or `\\` in them."""
    if count == 1:
        return [key]
    parts, escaped = [""], False
    for letter in key:
        if escaped or letter not in "\\|":
            parts[-1] += letter
            escaped = False
        elif letter == "\\":
            escaped = True
        else:
            parts.append("")
    return parts


def typed(column: Column, text: sql.Composable) -> sql.Composable:
    """A staged text as the column's type. Lengths are left to the assignment, which refuses what a cast would cut."""
    if column.kind == "timestamp without time zone":  # which holds UTC
        return sql.SQL("({}::timestamptz at time zone 'UTC')").format(text)
    if column.kind == "array":
        elements = sql.SQL("array(select json_array_elements_text({}::json))").format(text)
        return sql.SQL("(case when {} is not null then {}::{} end)").format(text, elements, sql.SQL(column.cast))
    return sql.SQL("{}::{}").format(text, sql.SQL(column.cast))
