"""Times that rows of a model carry: what a run may take from them, and which it cannot use.

A time of the years 1 to 9999 counts, up to the run's own clock. Of any other no run draws a conclusion for other rows.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import duckdb

from reverse_etl_assets.records import FieldType
from reverse_etl_assets.warehouses.column_types import field_type
from reverse_etl_assets.warehouses.duckdb import quote

_TOLERANCE = timedelta(days=1)  # clocks that differ, and local times without a zone
_AT = "try_cast({0} as timestamp)"
YEARS = f"coalesce({_AT} >= timestamp '0001-01-01' and {_AT} < timestamp '10000-01-01', {{0}} is null)"
"""SQL that is true for a time which every destination can read, and for NULL."""


def is_time(sql_type: str) -> bool:
    """Whether a DuckDB type says at which moment something was."""
    return field_type(sql_type) in (FieldType.TIMESTAMP, FieldType.DATE)


def moment(column: str) -> str:
    """A column's time in SQL; NULL if there is none."""
    return f"try_cast({quote(column)} as timestamp)"


def newest(column: str, now: float) -> str:
    """The greatest time of a column that is not beyond the clock: an aggregate."""
    at = moment(column)
    return f"max({at}) filter (where {YEARS.format(at)} and {at} <= {_literal(now)})"


def since(column: str, at: str) -> str:
    """True for rows that may have been modified since the bound value `at`: also those whose time tells nothing."""
    known = moment(column)
    return f"({known} >= {at} or {known} is null or not {YEARS.format(known)})"


def row_time(column: str, now: float) -> str:
    """When a row was changed: at the latest now, and NULL if its time cannot be used."""
    at = moment(column)
    return f"case when {_fits(column, now)} then least({at}, {_literal(now)}) end"


def unusable(con: duckdb.DuckDBPyConnection, relation: str, columns: Mapping[str, str], now: float) -> dict[str, int]:
    """In how many rows of a relation these columns (by setting) have a time that cannot be used, if in any."""
    if not columns:
        return {}
    each = [f"count({quote(c)}) - count(*) filter (where {_fits(c, now)})" for c in columns.values()]
    ((*rows,),) = con.execute(f"select {', '.join(each)} from {relation}").fetchall()
    found = zip(columns.items(), rows, strict=True)
    return {f"`{name}` ({setting})": number for (setting, name), number in found if number}


def before(at: datetime, span: timedelta) -> datetime:
    """As long before a time as there is time."""
    try:
        return at - span
    except OverflowError:
        return datetime.min


def _fits(column: str, now: float) -> str:
    at = moment(column)
    return f"{YEARS.format(at)} and {at} <= {_literal(now)} + interval {_TOLERANCE.days} day"


def _literal(now: float) -> str:
    return f"timestamp '{datetime.fromtimestamp(now, UTC).replace(tzinfo=None)}'"


def in_words(found: Mapping[str, int]) -> str:
    """What is wrong with times, and what would be right."""
    rows = ", ".join(f"{column} in {number:,} row{'s' * (number != 1)}" for column, number in found.items())
    return (
        f"a time that cannot be used: {rows}. It lies more than a day ahead of the clock or not in the years 1 to 9999;"
        " write when the row was changed, in UTC, or NULL"
    )
