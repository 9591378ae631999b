"""Finds the rows of a sync in which a value stands, whatever it is: part of a key, a mapped field, a record's id.

A value is found as a whole, in any case, without the white space around it and however its accents are put together;
numbers and times as such, too.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import duckdb

from reverse_etl_assets.records import FieldType
from reverse_etl_assets.state.ledger import columns_of_table, unquoted
from reverse_etl_assets.state.outcomes import has_outcomes
from reverse_etl_assets.warehouses import value_text
from reverse_etl_assets.warehouses.column_types import field_type
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.duckdb import literal, quote

ID = "the record's id"
KEY = "the key"
MOST = 1_000
"""Rows that are found; of as many there may be more."""
_SPACE = "".join(filter(str.isspace, map(chr, range(0x3001))))
_NUMBERS = (FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT)
_TIMES = (FieldType.DATE, FieldType.TIMESTAMP, FieldType.TIME)
_OWN = "_retl_"
_KEY_COLUMN = re.compile(r"_retl_k\d+")


@dataclass(frozen=True)
class FoundRow:
    """A row, by its key, and where in it the value stands: destination fields, `ID` or `KEY`."""

    key: str
    places: tuple[str, ...]


def in_state(con: duckdb.DuckDBPyConnection, value: str) -> list[FoundRow]:
    """Rows that the sync remembers, about 1,000 at most: those that the destination acknowledged, also of earlier
    versions, and those that it refused or that did not go out, as long as outcomes are kept."""
    if not has_outcomes(con):
        return []
    tables = con.execute(
        "select table_name from duckdb_tables() where database_name = 'state' and starts_with(table_name, 'synced')"
    ).fetchall()
    queries = [_synced(f"state.{quote(table)}", columns_of_table(con, f"state.{quote(table)}")) for (table,) in tables]
    return _rows(con, [*queries, *_OUTCOMES], value)


def in_model(con: duckdb.DuckDBPyConnection, relation: str, columns: Columns, value: str) -> list[FoundRow]:
    """Rows of the built model, about 1,000 at most, by the columns that the sync sends."""
    places = [(unquoted(each.name), each.expression, each.sql_type) for each in columns.fields]
    places += [(KEY, quote(name), columns.types[name.lower()]) for name in columns.sync.primary_key]
    return _rows(con, [_query(columns.external_id, relation, places)], value)


def together(found: Iterable[FoundRow]) -> list[FoundRow]:
    """One for each key, in any case, in order of keys."""
    places: dict[str, dict[str, None]] = {}
    keys: dict[str, str] = {}
    for row in found:
        keys.setdefault(row.key.lower(), row.key)
        places.setdefault(row.key.lower(), {}).update(dict.fromkeys(row.places))
    return [FoundRow(keys[folded], tuple(places[folded])) for folded in sorted(keys)]


def _synced(table: str, present: Mapping[str, str]) -> str:
    places = [(name, quote(name), sql_type) for name, sql_type in present.items() if not name.startswith(_OWN)]
    keys = [(KEY, quote(name), sql_type) for name, sql_type in present.items() if _KEY_COLUMN.fullmatch(name)]
    return _query("_retl_key", table, [*places, *keys, (ID, "_retl_id", "VARCHAR")])


def _plain(text: str) -> str:
    """SQL: a text as it is compared."""
    return f"lower(nfc_normalize(trim({text}, {literal(_SPACE)})))"


_OUTCOMES = (
    f"select key, {literal(ID)} from state.outcomes where lower(destination_id) = lower($value)",
    f"select key, {literal(KEY)} from state.outcomes where list_contains(string_split(lower(key), '|'), lower($value))",
    "select sent.key, field.key from (select key, fields from state.outcomes where json_valid(fields)) as sent,"
    " json_each(sent.fields) as field where " + _plain("field.value ->> '$'") + " = lower($value)",
)


def _query(key: str, relation: str, places: Iterable[tuple[str, str, str]]) -> str:
    cases = [
        f"case when {_is(expression, sql_type)} then {literal(place)} end" for place, expression, sql_type in places
    ]
    return f"select key, unnest(places) from (select {key} as key, [{', '.join(cases)}] as places from {relation})"


def _is(expression: str, sql_type: str) -> str:
    """True for a value that is written so, or that is the same number or time."""
    tests = [f"{_plain(value_text.text(expression, sql_type))} = lower($value)"]
    kind = field_type(sql_type)
    if kind in _NUMBERS:
        tests.append(f"try_cast({expression} as double) = try_cast($value as double)")
    elif kind in _TIMES:
        tests.append(f"{expression} = try_cast($value as {sql_type})")
    elif sql_type == "VARCHAR[]":
        tests.append(f"list_contains(list_transform({expression}, item -> {_plain('item')}), lower($value))")
    return f"({' or '.join(tests)})"


def _rows(con: duckdb.DuckDBPyConnection, queries: Iterable[str], value: str) -> list[FoundRow]:
    return together(_each(con, queries, unicodedata.normalize("NFC", value.strip())))


def _each(con: duckdb.DuckDBPyConnection, queries: Iterable[str], value: str) -> Iterator[FoundRow]:
    for query in queries:
        found = f"from ({query}) as found(key, place) where key is not null and place is not null group by key"
        each = f"select key, list_sort(list(distinct place)) {found} order by key limit {MOST:d}"
        for key, places in con.execute(each, {"value": value}).fetchall():
            yield FoundRow(key, tuple(places))
