"""A warehouse with one wide model, and an environment around it."""

import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.delivery.session import Environment
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.destinations.registry import destination_type
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state import ledger
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse

FIELDS = ("firstname", "lastname", "company", "city", "phone", "jobtitle", "website", "zip", "state", "external_id")
MODEL = Model("customers", "model.bench.customers", "marts", "customers", {}, {})
_ROWS = """
    create or replace table marts.customers as select
        'user' || i || '@example.com' as email,
        'First' || (i % 5000) as firstname, 'Last' || (i % 70000) as lastname, 'Company ' || (i % 90000) as company,
        'City' || (i % 900) as city, '+4930' || (1000000 + i) as phone, 'Job' || (i % 300) as jobtitle,
        'https://example.com/' || (i % 90000) as website, lpad((i % 99999)::varchar, 5, '0') as zip,
        'State' || (i % 50) as state, 'C' || i as external_id,
        i as id, (i % 1000000)::decimal(12, 2) as amount, (i % 40)::integer as orders, i % 2 = 0 as opted_in,
        date '2020-01-01' + (i % 2000)::integer as last_order,
        timestamp '2024-01-01' + interval (i % 999999) second as at_
    from range({rows}) as r(i)
"""


def build_model(home: Path, rows: int, memory_limit: str = "1GB") -> DuckDBWarehouse:
    """`rows` rows of 17 columns, and a warehouse with two threads and a memory limit."""
    home.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(home / "warehouse.duckdb")) as con:
        con.execute("set memory_limit = '1GB'; set preserve_insertion_order = false; create schema if not exists marts")
        con.execute(_ROWS.format(rows=rows))
    return DuckDBWarehouse(home / "warehouse.duckdb", home / "state", memory_limit=memory_limit, threads=2)


def change(warehouse: DuckDBWarehouse, rows: int, of: int) -> None:
    """Change one value in exactly `rows` rows, spread over the model."""
    with duckdb.connect(str(warehouse.database)) as con:
        con.execute(
            "update marts.customers set company = company || '*' where id % $step = 0 and id < $step * $rows",
            {"step": of // rows, "rows": rows},
        )


def mark_synced(warehouse: DuckDBWarehouse, sync: Sync, *, fold_case: bool) -> None:
    """A state in which every row of the model was acknowledged, without sending anything."""
    warehouse.state_file(sync.sync).unlink(missing_ok=True)
    with warehouse.open(sync.sync, write=True, models=True) as con:
        columns = Columns.of(sync, warehouse.column_types(con, MODEL), fold_case=fold_case)
        ledger.prepare(con, columns)
        keys = ", ".join(f"{key.expression} as {key.name}" for key in columns.keys)
        fields = ", ".join(f"{field.expression} as {field.name}" for field in columns.fields)
        text = columns.key_text()
        con.execute(
            f"insert into state.synced by name select {text} as _retl_key, 'x' as _retl_id, 'r' as _retl_run,"
            f" {keys}, {fields} from {warehouse.relation(MODEL)}"
        )


def environment(home: Path, warehouse: DuckDBWarehouse) -> Environment:
    return Environment(Journal.open(f"sqlite:///{home / 'journal.sqlite'}"), warehouse, {"customers": MODEL})


def account(name: str, kind: str, connection: Mapping[str, Any]) -> Account:
    type_ = destination_type(kind)
    return Account(name, type_, type_.Connection.model_validate(dict(connection)))


def peak_memory() -> float:
    """Of this process, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
