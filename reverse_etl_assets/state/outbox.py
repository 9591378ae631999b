"""The outbox: the change set of a run, sealed with what it was made of, and its rows on their way to a destination.

All functions take a connection on which the sync's state is attached as `state`.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from reverse_etl_assets.journal.records import Note
from reverse_etl_assets.privacy.transforms import transformed
from reverse_etl_assets.records import Operation, Record
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state.facts import changing_facts, read_facts
from reverse_etl_assets.state.ledger import written
from reverse_etl_assets.warehouses.columns import Columns

_OPERATIONS = {operation.value: operation for operation in Operation}
_CHUNK = 5_000  # rows in memory at once while streaming


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A row to send: its number in the outbox, what to do, and the record with the fields that go out."""

    number: int
    operation: Operation
    record: Record
    size: int
    """Bytes of the fields as JSON."""
    full: Mapping[str, Any] | None = None
    """All mapped fields, where only some go out."""
    base: Mapping[str, Any] | None = None
    """What the destination last acknowledged, for rows that are looked at before they are written."""
    row_time: datetime | None = None
    """When the row was changed in the warehouse (UTC), by the sync's `updated_at`."""
    note: Note | None = None
    """What was read of the record."""
    looked_up: bool = False
    """The record was looked up in this run, and is not again."""
    external_ids: Sequence[str] = ()
    """All by which its record was found, where it may have several."""


def outbox_rows(
    con: duckdb.DuckDBPyConnection, columns: Columns, *, with_base: bool = False
) -> Generator[list[OutboxRow], None, None]:
    """What is to be sent, in chunks: writes before deletes. Uses the connection until it is done or closed.

    `with_base` adds what the destination last acknowledged to each row.
    """
    for deletes in (False, True):
        which = f"operation is not null and (operation = 'delete') = {deletes}"
        yield from _read_outbox(con, columns, which, with_base=with_base)


def rows_by_number(con: duckdb.DuckDBPyConnection, columns: Columns, numbers: Sequence[int]) -> list[OutboxRow]:
    """Rows of the outbox that were sent before, in the order of their numbers: some jobs answer by position."""
    con.register("wanted", pa.table({"number": pa.array(numbers, pa.int64())}))
    found = _read_outbox(con, columns, "rowid in (select number from wanted)")
    rows = {row.number: row for chunk in found for row in chunk}
    return [rows[number] for number in numbers if number in rows]


def _read_outbox(
    con: duckdb.DuckDBPyConnection, columns: Columns, condition: str, *, with_base: bool = False
) -> Iterator[list[OutboxRow]]:
    decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
    base = f"case when before is not null then {columns.json('before')} end" if with_base else "null"
    reader = con.sql(
        f"select rowid, operation, key, external_id, destination_id,"
        f" case when sent is not null then sent when after is not null then {columns.json('after')} else '{{}}' end,"
        f" sent_fields, {base}, row_time, kind = 'added'"
        f" from state.outbox where {condition}"
    ).to_arrow_reader(_CHUNK)
    for chunk in reader:
        rows = zip(*(column.to_pylist() for column in chunk.columns), strict=True)
        batch = []
        for number, op, key, external_id, destination_id, text, names, before, row_time, new in rows:
            fields, full = decode(text), None
            if names is not None:  # of a new row all but NULLs that are to be kept: a new record needs no more
                fields, full = {name: fields[name] for name in names}, None if new else fields
            record = Record(key, external_id, fields, destination_id)
            known = decode(before) if before else None
            if known and columns.sync.transforms:
                known = transformed(columns.sync, known)  # it was sent, so it can be
            batch.append(OutboxRow(number, _OPERATIONS[op], record, len(text), full, known, row_time))
        yield batch


def seal_outbox(
    con: duckdb.DuckDBPyConnection,
    columns: Columns,
    run_id: str,
    *,
    newest: datetime | None,
    full_at: float | None,
    of_model: bool = False,
    definition: str | None = None,
) -> None:
    """The outbox is complete and belongs to this run; with it goes all that its fold will need, even after a crash.

    `of_model` says that it was made by comparing the model, so that its refusals count. `definition` is what the sync's
    version means once this was sent.
    """
    with changing_facts(con) as facts:
        facts.outbox_run, facts.outbox_sync = run_id, written(columns.sync)
        facts.outbox_types, facts.outbox_id_separator = dict(columns.types), columns.id_separator or None
        facts.outbox_fold_case, facts.outbox_fold_blanks = columns.fold_case, columns.fold_blanks
        facts.outbox_of_model, facts.outbox_definition = of_model, definition
        facts.outbox_newest, facts.outbox_full, facts.outbox_trial = newest, full_at, False


def outbox_columns(con: duckdb.DuckDBPyConnection) -> Columns:
    """The keys and fields of the outbox as they were when it was written."""
    facts = read_facts(con)
    assert facts.outbox_sync is not None  # noqa: S101 - the caller has seen that there is one
    return Columns(
        Sync.model_validate_json(facts.outbox_sync),
        facts.outbox_types,
        facts.outbox_fold_case,
        fold_blanks=facts.outbox_fold_blanks,
        id_separator=facts.outbox_id_separator or "",
    )
