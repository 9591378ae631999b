"""What a run leaves in Dagster: figures to plot, why rows failed, a few rows, and where all of them are.

Everything has a cap, for every event stays in Dagster's database; the outcomes table in the sync's state has all rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from reverse_etl_assets.destinations.base import HttpDestination
from reverse_etl_assets.masking import Mask
from reverse_etl_assets.orchestration.clipping import clip
from reverse_etl_assets.orchestration.description import target
from reverse_etl_assets.outcomes import (
    ErrorGroup,
    RowOutcome,
    error_groups,
    has_outcomes,
    outcomes_query,
    settled_rows,
    unsettled_rows,
)
from reverse_etl_assets.project import Project
from reverse_etl_assets.report import Report
from reverse_etl_assets.spec import Sync
from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse

MAX_GROUPS, MAX_UNSETTLED, MAX_SAMPLE = 10, 50, 10
_LONG, _SHORT = 400, 120  # bytes of a cell
_CHANGES = ("added", "changed", "removed", "unchanged", "rejected", "held", "quarantined", "superseded")
_OUTCOMES = ("created", "updated", "deleted", "skipped", "failed")
_CALLS_PER_JOB = 5  # open, upload, close, poll, collect: the fewest

_GROUP_COLUMNS = ("rows", "status", "reason", "code", "field", "message", "example_key")
_ROW_COLUMNS = ("key", "status", "reason", "code", "field", "message", "change", "destination_id")


def run_metadata(report: Report, project: Project, destination: type[HttpDestination[Any, Any]]) -> Any:
    """Of a run that sent. Numbers first, for Dagster plots each of them; tables last, for they are long.

    Personal data is masked: whoever sees the asset sees this, for as long as Dagster keeps its events.
    """
    mask = project.mask(report.sync)
    figures: dict[str, Any] = {
        "dagster/row_count": report.counts.get("model_rows", 0),
        **counts(report.counts),
        "calls": report.calls,
        "calls saved": max(0, full_sync_calls(report, destination) - report.calls),
        "bytes": report.bytes,
        "seconds": round(report.seconds, 3),
        "waited seconds": round(report.waited, 3),
    }
    if report.sync.cost.per_call or report.sync.cost.per_row:
        figures["cost"] = round(report.cost, 6)
    figures |= cutover(report)
    if report.recovered:
        figures["recovered runs"] = clip(", ".join(report.recovered), _LONG)
    if report.detail:
        figures["ended early"] = clip(mask.text(report.detail), 2_000)
    place = run_place(report.sync, report.run_id, project.warehouse)
    return {**figures, **place, **_tables(report, project.warehouse, mask)}


def counts(found: Mapping[str, int]) -> dict[str, int]:
    """The change set and the outcomes; a count that is missing is zero, so that plots have no holes."""
    named = {name: found.get(name, 0) for name in (*_CHANGES, *_OUTCOMES)}
    return {**named, "possible duplicates": found.get("possible_duplicates", 0)}


def cutover(report: Report) -> dict[str, str]:
    """How the sync's version began, of the first runs of it."""
    return {"cutover": str(report.begun)} if report.begun else {}


def run_place(sync: Sync, run_id: str, warehouse: DuckDBWarehouse) -> dict[str, Any]:
    """Where every outcome of the run is."""
    return {
        "run in journal": run_id,
        "all outcomes": dg.MetadataValue.md(f"```sql\n{outcomes_query(warehouse, sync.sync, run_id)}\n```"),
    }


def full_sync_calls(report: Report, destination: type[HttpDestination[Any, Any]]) -> int:
    """Requests that sending every row of the model would take at least."""
    rows = report.counts.get("model_rows", 0)
    options = destination.Options.model_validate(report.sync.options)
    calls = _divide_up(rows, destination.capabilities_for(target(report.sync), options).max_rows)
    job_rows = getattr(destination, "job_max_rows", None)
    return min(calls, _CALLS_PER_JOB * _divide_up(rows, job_rows)) if job_rows else calls


def _divide_up(rows: int, size: int) -> int:
    return -(-rows // size)


def _tables(report: Report, warehouse: DuckDBWarehouse, mask: Mask) -> dict[str, Any]:
    with warehouse.open(report.sync.sync) as con:
        if not has_outcomes(con):
            return {}
        groups = error_groups(con, report.run_id, MAX_GROUPS)
        rows = unsettled_rows(con, report.run_id, MAX_UNSETTLED) + settled_rows(con, report.run_id, MAX_SAMPLE)
    tables: dict[str, Any] = {}
    if groups:
        tables["why rows did not arrive"] = _table(_GROUP_COLUMNS, [_group(group.masked(mask)) for group in groups])
    if rows:
        tables["rows (failed first)"] = _table(_ROW_COLUMNS, [_row(row.masked(mask)) for row in rows])
    return tables


def _group(group: ErrorGroup) -> tuple[Any, ...]:
    return (
        group.rows,
        group.status,
        group.reason,
        clip(group.code, _SHORT),
        clip(group.field, _SHORT),
        clip(group.message, _LONG),
        clip(group.example, _SHORT),
    )


def _row(row: RowOutcome) -> tuple[Any, ...]:
    return (
        clip(row.key, _SHORT),
        f"{row.status} (inferred)" if row.inferred else row.status,
        row.reason or "",
        clip(row.code, _SHORT),
        clip(row.field, _SHORT),
        clip(row.message, _LONG),
        row.kind,
        clip(row.destination_id, _SHORT),
    )


def _table(columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dg.TableMetadataValue:
    schema = dg.TableSchema([dg.TableColumn(name, "int" if name == "rows" else "string") for name in columns])
    return dg.MetadataValue.table([dg.TableRecord(dict(zip(columns, row, strict=True))) for row in rows], schema)
