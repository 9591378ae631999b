"""`cutover: adopt` in the state: which rows are asked for, what records hold, and the synced rows made of it."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from reverse_etl_assets.spec.mapped_field import MappedField, Wins
from reverse_etl_assets.sql import render
from reverse_etl_assets.state.answers import as_timestamp
from reverse_etl_assets.warehouses.columns import Column, Columns
from reverse_etl_assets.warehouses.duckdb import literal
from reverse_etl_assets.warehouses.model_rows import latest_rows


def note_model(con: duckdb.DuckDBPyConnection, columns: Columns, relation: str) -> int:
    """Keep the model's rows to compare with; returns how many. Rows that a plan would refuse are not among them."""
    relation, _ = latest_rows(con, relation, columns)
    own_keys = [key.expression for key in columns.keys]
    names = {
        "relation": relation,
        "keys": columns.keys,
        "has_key": columns.has_key,
        "own_keys": ", ".join(own_keys),
        "key_text": columns.key_text(),
        "external_id": columns.external_id,
        "pack": columns.pack(None),
        "sendable": " and ".join(test for _, test in columns.sendable) or "true",
    }
    con.execute(render("adopting", **names))
    held = "number bigint, destination_id varchar, held varchar, differing varchar[]"
    con.execute(f"create or replace table state.current ({held})")
    row = con.execute("select count(*) from state.adopting").fetchone()
    return int(row[0]) if row else 0


def page(con: duckdb.DuckDBPyConnection, columns: Columns, start: int, size: int) -> list[tuple[int, str, Any]]:
    """Rows from the number `start` on: number, external id, and fields as they would go out but for transforms."""
    decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
    found = con.execute(
        f"select rowid, external_id, {columns.json('after')}::varchar from state.adopting"
        " where rowid >= $start and rowid < $start + $size",
        {"start": start, "size": size},
    ).fetchall()
    return [(number, external_id, decode(after)) for number, external_id, after in found]


def note_held(con: duckdb.DuckDBPyConnection, held: Sequence[tuple[int, str, str, Sequence[str]]]) -> None:
    """What was read: a row's number, its record's id, all fields as JSON, and those that differ from the row."""
    numbers, ids, texts, differing = zip(*held, strict=True) if held else ((), (), (), ())
    table = pa.table(
        {
            "number": pa.array(numbers, pa.int64()),
            "destination_id": pa.array(ids, pa.string()),
            "held": pa.array(texts, pa.string()),
            "differing": pa.array(differing, pa.list_(pa.string())),
        }
    )
    con.register("found", table)
    con.execute("insert into state.current by name from found")
    con.unregister("found")


def take(con: duckdb.DuckDBPyConnection, columns: Columns, run_id: str, now: float) -> int:
    """Make synced rows of the records that were read; returns how many.

    A value that agrees is the row's own. One that differs, but cannot be told in the field's type, has to be sent
    whatever the row says. What was there before our first write is nobody's but the destination's, for field rules.
    """
    mapped = list(zip(columns.sync.mapping.items(), columns.fields, strict=True))
    fields = [(field, _held(name, source, field)) for (name, source), field in mapped]
    con.execute(render("adopt", keys=columns.keys, fields=fields))
    ours = f"({columns.json('after')})::json"
    for (name, source), field in mapped:
        if source.wins is not Wins.WAREHOUSE:
            goes_out = f"after.{field.name} is not null" if field.keeps_null else "true"
            con.execute(
                "insert into state.kept select $run_id, $now::timestamp, key, $field, $rule, 'null',"
                f" ({ours} -> {_pointer(name)})::varchar, (held::json -> {_pointer(name)})::varchar"
                " from state.adopting join state.current as current on current.number = adopting.rowid"
                f" where list_contains(differing, $field) and {goes_out}",
                {"run_id": run_id, "now": as_timestamp(now), "field": name, "rule": source.wins.value},
            )
    row = con.execute("select count(*) from state.current").fetchone()
    con.execute("drop table state.adopting")
    con.execute("drop table state.current")
    return int(row[0]) if row else 0


def _held(name: str, source: MappedField, field: Column) -> str:
    """A record's value in the type of the model's column; NULL if it has none there, as a hash has none."""
    if source.transform:
        return f"null::{field.sql_type}"
    return f"try_cast(held::json ->> {_pointer(name)} as {field.sql_type})"


def _pointer(field: str) -> str:
    """Of a field in JSON (RFC 6901)."""
    return literal("/" + field.replace("~", "~0").replace("/", "~1"))
