"""Random tables: key types, column types and values that have hurt somebody before."""

import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

TEXTS = [
    "",
    " ",
    "a",
    "A",
    "b",
    "é",
    "É",
    "日本",
    "😀",
    "x|y",
    "x\\|y",
    "\\",
    "it's",
    '"q"',
    "%s",
    "{{ key }}",
    "line\n2",
]
WHOLE = [0, 1, -1, 7, 2**63 - 1, -(2**63)]
PLACES = [Decimal("0.00"), Decimal("1.10"), Decimal("-1.10"), Decimal("9999999999.99")]
LONG = [Decimal("0.0000"), Decimal("1234567890123456789012345678901234.5678"), Decimal("-0.0001")]
REALS = [0.0, -0.0, 1.5, 0.1, 1e300, -5e-324, float("nan"), float("inf"), float("-inf")]
MOMENTS = [datetime(2024, 2, 29, 23, 59, 59, 999_999), datetime(2024, 3, 1), datetime(1969, 7, 20, 20, 17, 40)]
ZONED = [
    datetime(2024, 3, 1, tzinfo=UTC),
    datetime(2024, 3, 1, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))),  # the same moment
    datetime(2024, 3, 31, 1, 30, tzinfo=timezone(timedelta(hours=2))),
]
DAYS = [date(2024, 2, 29), date(1970, 1, 1), date(9999, 12, 31)]
IDS = [uuid.UUID(int=number) for number in (0, 1, 2**127)]

KEY_TYPES: dict[str, st.SearchStrategy[Any]] = {
    "BIGINT": st.integers(0, 6),
    "VARCHAR": st.sampled_from(TEXTS),
    "DATE": st.sampled_from(DAYS),
    "UUID": st.sampled_from(IDS),
}
FIELD_TYPES: dict[str, st.SearchStrategy[Any]] = {
    "BIGINT": st.sampled_from(WHOLE),
    "VARCHAR": st.sampled_from(TEXTS),
    "BOOLEAN": st.booleans(),
    "DATE": st.sampled_from(DAYS),
    "DOUBLE": st.sampled_from(REALS),
    "DECIMAL(12,2)": st.sampled_from(PLACES),
    "DECIMAL(38,4)": st.sampled_from(LONG),
    "TIMESTAMP": st.sampled_from(MOMENTS),
    "TIMESTAMP WITH TIME ZONE": st.sampled_from(ZONED),
    "INTEGER[]": st.lists(st.none() | st.integers(0, 2), max_size=2),
    "DOUBLE[]": st.lists(st.none() | st.sampled_from(REALS), max_size=2),
    "STRUCT(a INTEGER, b VARCHAR)": st.fixed_dictionaries(
        {"a": st.none() | st.integers(0, 2), "b": st.none() | st.sampled_from(TEXTS)}
    ),
}


@dataclass(frozen=True)
class Table:
    """Column types, and the tables of several successive runs as tuples of values."""

    keys: tuple[str, ...]
    fields: tuple[str, ...]
    versions: tuple[tuple[tuple[Any, ...], ...], ...]


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """A table and its later versions; rows survive, change, come and go, and some share a key."""
    keys = draw(st.lists(st.sampled_from(sorted(KEY_TYPES)), min_size=1, max_size=2))
    fields = draw(st.lists(st.sampled_from(sorted(FIELD_TYPES)), min_size=1, max_size=3))
    key = st.tuples(*(st.none() | KEY_TYPES[k] if draw(st.booleans()) else KEY_TYPES[k] for k in keys))
    values = st.tuples(*(st.none() | FIELD_TYPES[f] for f in fields))
    row = st.tuples(key, values).map(lambda parts: parts[0] + parts[1])
    pool = draw(st.lists(row, min_size=1, max_size=8))
    versions = []
    for _ in range(draw(st.integers(2, 4))):
        kept = draw(st.lists(st.sampled_from(pool), max_size=6, unique_by=id))
        fresh = draw(st.lists(row, max_size=4))
        some_key = st.sampled_from(pool).map(lambda other: other[: len(keys)])
        twins = draw(st.lists(st.tuples(some_key, values).map(lambda parts: parts[0] + parts[1]), max_size=2))
        versions.append(tuple(kept + fresh + twins))
        pool = pool + fresh
    return Table(tuple(keys), tuple(fields), tuple(versions))
