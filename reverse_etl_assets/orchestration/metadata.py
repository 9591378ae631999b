"""What a run leaves in Dagster: figures to plot, why rows failed, a few rows, and where all of them are.

Everything has a cap, for every event stays in Dagster's database; the outcomes table in the sync's state has all rows.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import dagster as dg

from reverse_etl_assets.deployment.deployment import ConfiguredDestination
from reverse_etl_assets.errors import ReverseEtlError
from reverse_etl_assets.journal.usage import Allowance
from reverse_etl_assets.orchestration.checks import findings_table
from reverse_etl_assets.orchestration.clipping import clip
from reverse_etl_assets.previews.kept_plan import kept_plan
from reverse_etl_assets.previews.markdown import markdown
from reverse_etl_assets.privacy.masking import Mask
from reverse_etl_assets.project import Project
from reverse_etl_assets.reasons import meaning_of
from reverse_etl_assets.records import Reason
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.spec.policies import BeforeImages
from reverse_etl_assets.spec.route import Route
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state.conflicts import ConflictEntry, conflict_count, conflict_log
from reverse_etl_assets.state.outcomes import (
    ErrorGroup,
    RowOutcome,
    error_groups,
    has_outcomes,
    outcomes_query,
    settled_rows,
    unsettled_rows,
)
from reverse_etl_assets.warehouses.connection import Connection
from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse

_Number = TypeVar("_Number", int, float)
_Shown = TypeVar("_Shown", RowOutcome, ErrorGroup)
MAX_GROUPS, MAX_UNSETTLED, MAX_SAMPLE, MAX_CONFLICTS, MAX_EXAMPLES = 10, 20, 3, 20, 5
MAX_SUMMARY = 50_000  # bytes
_LONG, _SHORT = 400, 120  # bytes of a cell
_OUTCOMES = ("created", "updated", "deleted", "failed")
_CHANGES = ("added", "changed", "removed", "unchanged", "rejected", "held", "quarantined", "superseded", "waiting")
_NOT_WRITTEN = ("kept", "same", "edited")  # once the record had been read

_GROUP_COLUMNS = ("rows", "status", "reason", "field", "message", "next_run", "example_key", "code")
_CONFLICT_COLUMNS = ("key", "field", "rule", "ours", "theirs", "winner", "why")
_ROW_COLUMNS = ("key", "status", "reason", "field", "message", "code", "change", "destination_id")


def run_metadata(report: Report, project: Project) -> Any:
    """Of a run that sent: what ended it early, what became of its rows, and then numbers, which Dagster plots.

    Numbers that are seldom anything but zero are left out where they are. Values of rows are masked: whoever sees the
    asset sees this, for as long as Dagster keeps its events.
    """
    mask = project.mask(report.sync)
    tables, conflicts = _tables(report, project)
    figures: dict[str, Any] = {
        **({"ended early": clip(mask.text(report.detail), 2_000)} if report.detail else {}),
        **tables,
        "dagster/row_count": report.counts.get("model_rows", 0),
        **counts(report.counts),
        **_calls(report, project),
        "bytes": report.bytes,
        "seconds": round(report.seconds, 3),
        **_set({"waited seconds": round(report.waited, 1), "conflicts": conflicts}),
    }
    if report.sync.cost.per_call or report.sync.cost.per_row:
        figures["cost"] = round(report.cost, 6)
    if report.trial is not None:
        figures["rows of a trial"] = report.trial
    if report.plan_id:
        figures["plan id"] = report.plan_id
    figures["before-images"] = _images(report.sync, project)
    figures |= cutover(report)
    if report.recovered:
        figures["recovered runs"] = clip(", ".join(report.recovered), _LONG)
    return figures | run_place(report.sync, report.run_id, project.warehouse)


def in_events(report: Report, project: Project) -> Report:
    """The report as events show it, without values of rows."""
    verified = report.verified
    return replace(report, verified=verified and verified.masked(project.event_mask(report.sync)))


def guarded_metadata(report: Report, project: Project, resource: ConfiguredDestination) -> dict[str, Any]:
    """Of a run that was held back: what stopped it, what it would have sent, and how to let it out."""
    figures: dict[str, Any] = {"nothing was sent": clip(report.detail or "", 2_000)}
    figures |= {"guards": findings_table(report.findings), **_changes(report.counts), **cutover(report)}
    if not report.waits:
        return figures
    plan: dict[str, Any] = {"plan id": report.plan_id}
    with contextlib.suppress(ReverseEtlError):  # another process holds the state's file; the plan waits all the same
        account = resource.account(report.sync.destination)
        found = kept_plan(report.sync, project.environment, account, report.plan_id, limit=MAX_EXAMPLES)
        summary = markdown(found.masked(project.event_mask(report.sync)), examples=MAX_EXAMPLES)
        plan["plan"] = dg.MetadataValue.md(clip(summary, MAX_SUMMARY))
    return plan | figures


def pending_metadata(report: Report) -> dict[str, Any]:
    """Of a run whose rows the destination has and has not settled yet."""
    return {**_changes(report.counts), "waits for": clip(report.detail or "", _LONG), "run in journal": report.run_id}


def counts(found: Mapping[str, int]) -> dict[str, int]:
    """The change set and the outcomes. A row that went out or failed is counted always, so that plots have no holes;
    what else is zero is left out."""
    outcomes = {name: found.get(name, 0) for name in _OUTCOMES}
    unwritten = {name: found.get(f"skipped_{name}", 0) for name in _NOT_WRITTEN}
    more = {"skipped": found.get("skipped", 0), **unwritten, "possible duplicates": found.get("possible_duplicates", 0)}
    return {**_changes(found), **outcomes, **_set(more)}


def _changes(found: Mapping[str, int]) -> dict[str, int]:
    return _set({name: found.get(name, 0) for name in _CHANGES})


def _set(numbers: Mapping[str, _Number]) -> dict[str, _Number]:
    return {name: number for name, number in numbers.items() if number}


def cutover(report: Report) -> dict[str, str]:
    """How the sync's version began, of the first runs of it."""
    return {"cutover": str(report.begun)} if report.begun else {}


def run_place(sync: Sync, run_id: str, warehouse: DuckDBWarehouse) -> dict[str, Any]:
    """Where every outcome of the run is."""
    return {
        "run in journal": run_id,
        "all outcomes": dg.MetadataValue.md(f"```sql\n{outcomes_query(warehouse, sync.sync, run_id)}\n```"),
    }


def _calls(report: Report, project: Project) -> dict[str, int]:
    """Requests: of the run, as they were foreseen, those that a full sync would have made more, and all of the day."""
    foreseen, today = report.forecast, project.journal.room(report.sync.destination, Allowance()).calls
    saved = max(0, foreseen.full_sync - report.calls) if foreseen else 0
    more = {"calls foreseen": foreseen.calls if foreseen else 0, "calls saved": saved, "calls today": today}
    return {"calls": report.calls, **_set(more)}


def _images(sync: Sync, project: Project) -> str:
    """Where the values come from that an undo of the run puts back."""
    route = Route(sync, project.destinations[sync.destination])
    return (BeforeImages.DESTINATION if route.reads_first else BeforeImages.SYNCED).value


def _tables(report: Report, project: Project) -> tuple[dict[str, Any], int]:
    """Why rows did not arrive, rows, and conflicts, of which there may be more than are shown."""
    mask, ids = project.event_mask(report.sync), project.mask(report.sync)
    with project.warehouse.open(report.sync.sync) as con:
        if not has_outcomes(con):
            return {}, 0
        groups = error_groups(con, report.run_id, MAX_GROUPS)
        rows = unsettled_rows(con, report.run_id, MAX_UNSETTLED) + settled_rows(con, report.run_id, MAX_SAMPLE)
        conflicts = conflict_log(con, limit=MAX_CONFLICTS, run_id=report.run_id)
        number = conflict_count(con, report.run_id)
        groups = [_in_event(con, report, group.masked(mask), group.example, mask) for group in groups]
        shown_rows = [
            replace(
                _in_event(con, report, row.masked(mask), row.key, mask), destination_id=row.masked(ids).destination_id
            )
            for row in rows
        ]
    shown = {
        "why rows did not arrive": (_GROUP_COLUMNS, [_group(group) for group in groups]),
        "rows (failed first)": (_ROW_COLUMNS, [_row(row) for row in shown_rows]),
        "where field rules met another value": (
            _CONFLICT_COLUMNS,
            [_conflict(each.masked(mask)) for each in conflicts],
        ),
    }
    return {name: _table(columns, cells) for name, (columns, cells) in shown.items() if cells}, number


def _in_event(con: Connection, report: Report, shown: _Shown, key: str | None, mask: Mask) -> _Shown:
    """Without what the record holds, which the message of a row that was kept quotes."""
    if shown.reason != Reason.KEPT or key is None:
        return shown
    held = {entry.field: entry.theirs for entry in conflict_log(con, run_id=report.run_id, key=key)}
    return replace(shown, message=mask.text(shown.message or "", held))


def _conflict(entry: ConflictEntry) -> tuple[Any, ...]:
    ours, theirs = (clip("" if value is None else str(value), _SHORT) for value in (entry.ours, entry.theirs))
    key, field = clip(entry.key, _SHORT), clip(entry.field, _SHORT)
    return key, field, entry.rule, ours, theirs, entry.winner, clip(entry.why, _LONG)


def _group(group: ErrorGroup) -> tuple[Any, ...]:
    return (
        group.rows,
        group.status,
        group.reason,
        clip(group.field, _SHORT),
        clip(group.message, _LONG),
        meaning.next_run if (meaning := meaning_of(group.reason)) else None,
        clip(group.example, _SHORT),
        clip(group.code, _SHORT),
    )


def _row(row: RowOutcome) -> tuple[Any, ...]:
    return (
        clip(row.key, _SHORT),
        f"{row.status} (inferred)" if row.inferred else row.status,
        row.reason or "",
        clip(row.field, _SHORT),
        clip(row.message, _LONG),
        clip(row.code, _SHORT),
        row.kind,
        clip(row.destination_id, _SHORT),
    )


def _table(columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dg.TableMetadataValue:
    """Without the columns that are empty in every row."""
    filled = [number for number in range(len(columns)) if any(row[number] not in (None, "") for row in rows)]
    names = [columns[number] for number in filled]
    schema = dg.TableSchema([dg.TableColumn(name, "int" if name == "rows" else "string") for name in names])
    records = [dg.TableRecord({columns[number]: row[number] for number in filled}) for row in rows]
    return dg.MetadataValue.table(records, schema)
