"""A person's rows in a sync's state: where they are, and the state's file without them."""

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import duckdb

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.privacy.masking import written_forms
from reverse_etl_assets.state.facts import Facts, changing_facts
from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse, quote

_KEYS, _RUNS = ("key", "_retl_key"), ("run_id", "_retl_run")
_IDS = ("destination_id", "_retl_id")
_OF_ITSELF = frozenset({"facts", "versions"})  # what a state knows of itself
_PASSING = frozenset({"adopting", "current"})  # a killed process leaves them, and a run that needs them makes them anew


class Trace:
    """What a state, attached as `state`, knows of a key in any case."""

    def __init__(self, con: duckdb.DuckDBPyConnection, key: str) -> None:
        self._con, self._key = con, key

    @cached_property
    def columns(self) -> Mapping[str, list[str]]:
        """Those of every table that is to be kept."""
        found: dict[str, list[str]] = {}
        query = "select table_name, column_name from duckdb_columns() where database_name = 'state' order by all"
        for table, column in self._con.execute(query).fetchall():
            if table not in _PASSING:
                found.setdefault(table, []).append(column)
        return found

    @cached_property
    def keys(self) -> Mapping[str, str]:
        """The column of each table that holds keys. Raises StateError if nobody can say whom a table's rows are of."""
        found = {}
        for table, columns in self.columns.items():
            if key := _one_of(_KEYS, columns):
                found[table] = key
            elif table not in _OF_ITSELF:
                raise StateError(f"table `{table}` of the state has no key, so nobody knows if the person is in it.")
        return found

    @property
    def rows(self) -> dict[str, int]:
        """How many there are in each table that has any."""
        counted = {table: len(self._find(table, "1")) for table in self.keys}
        return {table: rows for table, rows in counted.items() if rows}

    @property
    def spellings(self) -> list[str]:
        """The ways in which the state writes the key, those of synced rows first."""
        found = {table: self._find(table, quote(column)) for table, column in self.keys.items()}
        others = sorted({text for texts in found.values() for text in texts})
        return list(dict.fromkeys([*found.get("synced", ()), *others]))

    @property
    def record_ids(self) -> list[str]:
        """The ids of records that the state knows of the key: that of the synced row first, then the latest."""
        at = {table: "answered_at" if "answered_at" in columns else "null" for table, columns in self.columns.items()}
        ids_by_time: list[tuple[Any, str]] = []
        for table in sorted(self.keys, key=lambda name: name != "synced"):
            if column := _one_of(_IDS, self.columns[table]):
                found = self._find(table, f"{{'at': {at[table]}, 'id': {quote(column)}}}")
                ids_by_time += sorted(((each["at"], each["id"]) for each in found if each["id"]), key=_latest_first)
        return list(dict.fromkeys(record_id for _, record_id in ids_by_time))

    @property
    def runs(self) -> set[str]:
        """The runs that had to do with the key."""
        with_runs = {table: _one_of(_RUNS, self.columns[table]) for table in self.keys}
        return {run for table, column in with_runs.items() if column for run in self._find(table, quote(column)) if run}

    def _find(self, table: str, expression: str) -> list[Any]:
        same = f"lower({quote(self.keys[table])}) = lower($key)"
        found = self._con.execute(f"select {expression} from state.{quote(table)} where {same}", {"key": self._key})
        return [value for (value,) in found.fetchall()]


def _latest_first(found: tuple[Any, str]) -> float:
    return -found[0].timestamp() if found[0] else 0.0


def known_runs(con: duckdb.DuckDBPyConnection) -> set[str]:
    """The runs of which a state has outcomes."""
    known = con.execute("select 1 from duckdb_tables() where database_name = 'state' and table_name = 'outcomes'")
    if known.fetchone() is None:
        return set()
    return {run for (run,) in con.execute("select distinct run_id from state.outcomes").fetchall()}


def rewrite(warehouse: DuckDBWarehouse, sync: str, key: str, reset: Callable[[Facts], None]) -> None:
    """Write the state's file anew, without the key's rows and without the key in what was said of other rows.

    `reset` sets facts on the way. For the holder of the sync's lock; all of it happens, or nothing.
    """
    pattern = _pattern(key)
    with warehouse.rewriting(sync) as con:
        trace = Trace(con, key)
        con.execute("COPY FROM DATABASE state TO fresh (SCHEMA)")
        for table in _PASSING:
            con.execute(f"drop table if exists fresh.{table}")
        for table, columns in trace.columns.items():
            values, shown, kept = {}, "*", "true"
            if pattern and "message" in columns:
                values["pattern"] = pattern
                shown = "* replace (regexp_replace(message, $pattern, '***', 'gi') as message)"
            if column := trace.keys.get(table):
                values["key"] = key
                kept = f"lower({quote(column)}) is distinct from lower($key)"
            name = quote(table)
            con.execute(f"insert into fresh.{name} select {shown} from state.{name} where {kept}", values)
        with changing_facts(con, "fresh") as facts:
            reset(facts)


def hidden(text: str, key: str) -> str:
    """A text without the key, however it is written."""
    pattern = _pattern(key)
    return re.sub(pattern, "***", text, flags=re.IGNORECASE) if pattern else text


def _pattern(key: str) -> str | None:
    """None for a number: in a text nobody could tell it from others."""
    if not any(letter.isalpha() for letter in key):
        return None
    return "|".join(_alone(form) for form in sorted(written_forms(key), key=len, reverse=True))


def _alone(form: str) -> str:
    """A pattern, for Python and DuckDB alike, that finds a text where it is no part of a longer word."""
    before, after = (r"\b" if re.match(r"\w", each, re.ASCII) else "" for each in (form[0], form[-1]))
    return f"{before}{re.escape(form)}{after}"


def _one_of(wanted: tuple[str, ...], columns: list[str]) -> str | None:
    return next((name for name in wanted if name in columns), None)
