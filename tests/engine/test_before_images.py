"""Values out of before-images: typed as in the model, and whether that loses anything."""

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state.images import image_fields, unpacked
from reverse_etl_assets.warehouses.columns import Columns

NOON = datetime(2026, 1, 31, 12)
FIELD = 'a~b/c.d"e'  # every character that means something in a path

EXACT: list[tuple[str, Any, Any]] = [
    ("VARCHAR", 'it\'s "so"', 'it\'s "so"'),
    ("VARCHAR", 12.5, "12.5"),
    ("VARCHAR", True, "true"),
    ("VARCHAR", None, None),
    ("UUID", "0b0e3b66-1d4e-4ac7-a2a1-6a4b0d7f3c11", "0b0e3b66-1d4e-4ac7-a2a1-6a4b0d7f3c11"),
    ("ENUM('a', 'b')", "b", "b"),
    ("BIGINT", 9223372036854775807, 9223372036854775807),
    ("INTEGER", 7.0, 7),
    ("INTEGER", "-7", -7),
    ("DECIMAL(10,2)", 12.5, Decimal("12.50")),
    ("DECIMAL(38,4)", "1234567890123456789012345678901234.5678", Decimal("1234567890123456789012345678901234.5678")),
    ("DOUBLE", 0.30000000000000004, 0.30000000000000004),
    ("BOOLEAN", "true", True),
    ("BOOLEAN", False, False),
    ("DATE", "2026-01-31", date(2026, 1, 31)),
    ("DATE", "2026-01-31T00:00:00Z", date(2026, 1, 31)),
    ("TIMESTAMP", "2026-01-31T12:00:00.000Z", NOON),
    ("TIMESTAMP", "2026-01-31T14:00:00+02:00", NOON),
    ("TIMESTAMP_S", "2026-01-31T12:00:00Z", NOON),
    ("TIMESTAMP WITH TIME ZONE", "2026-01-31T12:00:00Z", NOON.replace(tzinfo=UTC)),
    ("TIME", "12:30:00.000Z", time(12, 30)),
    ("JSON", {"a": [1, None]}, '{"a":[1,null]}'),
    ("JSON", '{"a":1}', '{"a":1}'),
    ("INTEGER[]", [1, 2], [1, 2]),
    ("STRUCT(a INTEGER)", '{"a":1}', {"a": 1}),
    ("STRUCT(a INTEGER)", None, None),
]
LOSSY: list[tuple[str, Any]] = [
    ("VARCHAR", {"Id": "001"}),
    ("UUID", "no uuid"),
    ("ENUM('a', 'b')", "c"),
    ("INTEGER", 12.7),
    ("INTEGER", "many"),
    ("DECIMAL(10,2)", "12.505"),
    ("DECIMAL(38,2)", 12345678901234567890.12),
    ("DECIMAL(38,19)", 0.1234567890123456),
    ("BOOLEAN", "perhaps"),
    ("DATE", "2026-01-31T10:00:00Z"),
    ("TIMESTAMP", "1767225600000"),
    ("TIMESTAMP_S", "2026-01-31T12:00:00.5Z"),
    ("TIME", "noon"),
    ("INTEGER[]", "a;b"),
    ("STRUCT(a INTEGER)", {"b": 1}),
]


def read(sql_type: str, image: str, *, ours: str = "true", **source: Any) -> tuple[Any, bool]:
    spec: dict[str, Any] = {"column": "c", **source}
    plain = {"sync": "s", "model": "m", "destination": "d", "object": "o", "sync_mode": "mirror", "primary_key": "id"}
    sync = Sync.model_validate({**plain, "mapping": {FIELD: spec}})
    columns = Columns(sync, {"id": "VARCHAR", "c": sql_type}, fold_case=False)
    (field,) = image_fields(columns, "image", ours=ours)
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        row = con.execute(
            f"select {field.value}, {field.exact}, typeof({field.value}) "
            f" from (select {unpacked(columns, 'image')} from (select $image::varchar as image))",
            {"image": image},
        ).fetchone()
    assert row is not None
    assert row[2].replace('"', "") == sql_type
    return row[0], row[1]


@pytest.mark.parametrize(("sql_type", "held", "value"), EXACT)
def test_what_fits(sql_type: str, held: Any, value: Any) -> None:
    found, exact = read(sql_type, json.dumps({FIELD: held}))
    assert (str(found) if sql_type == "UUID" else found, exact) == (value, True)


@pytest.mark.parametrize(("sql_type", "held"), LOSSY)
def test_what_does_not(sql_type: str, held: Any) -> None:
    assert read(sql_type, json.dumps({FIELD: held}))[1] is False


def test_what_the_image_does_not_know() -> None:
    assert read("VARCHAR", "{}") == (None, False)


def test_a_hash_that_was_read_is_no_value_of_the_model() -> None:
    image = json.dumps({FIELD: "5f16f4c7"})
    assert read("VARCHAR", image, transform="sha256_name") == ("5f16f4c7", True)
    assert read("VARCHAR", image, transform="sha256_name", ours="false") == (None, False)
    assert read("VARCHAR", json.dumps({FIELD: None}), transform="sha256_name", ours="false") == (None, True)
