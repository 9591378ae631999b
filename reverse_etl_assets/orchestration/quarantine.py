"""The quarantine of all syncs as one asset: a page to look at after each run, and figures to plot."""

from collections.abc import Iterable
from typing import Any

import dagster as dg

from reverse_etl_assets.errors import ReverseEtlError
from reverse_etl_assets.orchestration.clipping import clip
from reverse_etl_assets.orchestration.loaded import Loaded
from reverse_etl_assets.state.quarantine import QuarantinedRow, look

_MOST = 100  # rows; `reverse-etl quarantine` lists all
_LONG, _SHORT = 400, 120  # bytes of a cell
_COLUMNS = ("sync", "key", "refused", "since", "code", "message", "owner", "hint", "link")


def build_quarantine_asset(loaded: Loaded) -> dg.AssetsDefinition | None:
    """Downstream of every sync; None if there is none."""
    project, syncs = loaded.project, list(loaded.syncs.values())
    if not syncs:
        return None
    has: Any = dg.AutomationCondition  # its own types tell conditions of assets from those of checks
    # A run that failed leaves no materialisation, and is the one that fills the quarantine; checks every run leaves.
    ran = has.any_deps_updated() | has.any_deps_match(has.any_checks_match(has.newly_updated()))

    @dg.asset(
        key=loaded.quarantine_key,
        deps=[each.key for each in syncs],
        group_name="operations",
        kinds={"reverse_etl"},
        description="Rows that their destination refused too often, of all syncs. They are not sent as they are.",
        automation_condition=ran.since_last_handled() & ~has.in_progress(),
    )
    def quarantine(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        places = [(each.sync, each.destination.link(each.sync.untyped_target)) for each in syncs]
        try:
            counts, rows = look(project.warehouse, places, _MOST)
        except ReverseEtlError as error:
            raise dg.Failure(clip(str(error), _LONG)) from None
        by_asset = {each.key.to_user_string(): counts[each.sync.sync] for each in syncs}
        shown = [row.masked(project.mask(project.syncs[row.sync])) for row in rows]
        total = sum(counts.values())
        return dg.MaterializeResult(metadata={"in quarantine": total, **by_asset, "rows": _table(shown)})

    return quarantine


def quarantine_sensor(loaded: Loaded) -> dg.SensorDefinition:
    """Looks again after each run of a sync."""
    return dg.AutomationConditionSensorDefinition(
        loaded.named("quarantine"),
        target=dg.AssetSelection.assets(loaded.quarantine_key),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Brings {loaded.quarantine_key.to_user_string()} up to date when a sync has run.",
    )


def _table(rows: Iterable[QuarantinedRow]) -> dg.TableMetadataValue:
    types = {"refused": "int"}
    schema = dg.TableSchema([dg.TableColumn(name, types.get(name, "string")) for name in _COLUMNS])
    return dg.MetadataValue.table([dg.TableRecord(_record(row)) for row in rows], schema)


def _record(row: QuarantinedRow) -> dict[str, str | int]:
    return {
        "sync": row.sync,
        "key": clip(row.key, _SHORT),
        "refused": row.times,
        "since": f"{row.first_at:%Y-%m-%d %H:%M} UTC",
        "code": clip(row.code, _SHORT),
        "message": clip(row.message, _LONG),
        "owner": ", ".join(row.owners),
        "hint": clip(row.hint, _LONG),
        "link": row.link or "",
    }
