"""What a plan costs, as a ratio to one plain scan of the model's mapped columns in the same run."""

import time
from pathlib import Path

from benchmarks.setting import FIELDS, MODEL, account, build_model, change, mark_synced, peak_memory
from reverse_etl_assets.guards.approval import identify
from reverse_etl_assets.plan.change_set import make_plan
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state import ledger
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse

SYNC = Sync.model_validate(
    {
        "sync": "bench",
        "model": "customers",
        "destination": "crm",
        "object": "contacts",
        "primary_key": "id",
        "sync_mode": "mirror",
        "mapping": {name: name for name in (*FIELDS[:4], "amount", "orders", "opted_in", "last_order", "at_")},
    }
)


def run(home: Path, rows: int, changed: int) -> dict[str, object]:
    """One row of the table: seconds of a scan and of a plan with its outbox on disk, their ratio, peak memory."""
    warehouse = build_model(home, rows)
    mark_synced(warehouse, SYNC, fold_case=False)
    change(warehouse, changed, rows)
    scan = min(_scan(warehouse) for _ in range(3))
    seconds, found = _plan(warehouse)
    assert found == changed, (found, changed)
    return {
        "rows": rows,
        "changed": changed,
        "scan s": round(scan, 3),
        "plan s": round(seconds, 3),
        "ratio": round(seconds / scan, 1),
        "peak MB": round(peak_memory()),
    }


def identity(home: Path, rows: int, changed: int | None) -> dict[str, object]:
    """What a plan's id costs, by CPU: of a first sync, or of so many changed rows."""
    warehouse, crm = build_model(home, rows), account("crm", "webhook", {"base_url": "https://crm.example"})
    if changed is not None:
        mark_synced(warehouse, SYNC, fold_case=False)
        change(warehouse, changed, rows)
    with warehouse.open("bench", write=True, models=True) as con:
        columns = Columns.of(SYNC, warehouse.column_types(con, MODEL), fold_case=False)
        ledger.prepare(con, columns)
        began = time.process_time()
        plan = make_plan(con, warehouse.relation(MODEL), columns)
        planned = time.process_time()
        identify(con, columns, crm, plan)
        identified = time.process_time()
    return {
        "rows": rows,
        "to send": sum(plan.to_send.values()),
        "plan ms": round(1000 * (planned - began)),
        "id ms": round(1000 * (identified - planned)),
        "of the plan": f"{100 * (identified - planned) / (planned - began):.1f} %",
    }


def _scan(warehouse: DuckDBWarehouse) -> float:
    touched = ", ".join(f"max({name})" for name in SYNC.columns)
    with warehouse.open("bench", models=True) as con:
        began = time.perf_counter()
        con.execute(f"select {touched} from {warehouse.relation(MODEL)}").fetchall()
        return time.perf_counter() - began


def _plan(warehouse: DuckDBWarehouse) -> tuple[float, int]:
    with warehouse.open("bench", write=True, models=True) as con:
        columns = Columns.of(SYNC, warehouse.column_types(con, MODEL), fold_case=False)
        ledger.prepare(con, columns)
        began = time.perf_counter()
        plan = make_plan(con, warehouse.relation(MODEL), columns)
        con.execute("checkpoint state")
        return time.perf_counter() - began, plan.changed
