"""Drift as an asset check of its own, with a job and a schedule; and differences as a table."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from reverse_etl_assets.errors import ReverseEtlError
from reverse_etl_assets.orchestration.clipping import clip
from reverse_etl_assets.orchestration.loaded import LoadedSync
from reverse_etl_assets.project import Project
from reverse_etl_assets.readback.differences import Difference, Verified
from reverse_etl_assets.readback.verification import Drifted, verify
from reverse_etl_assets.spec.policies import Drift

CHECK = "drift"
_LONG, _CELL = 2_000, 120  # bytes
_NOT_AGAIN = "as of the last look, which has a time of its own: "
_COLUMNS = ("row", "what", "field", "sent", "the record holds")


def build_drift_check(loaded: LoadedSync, project: Project) -> dg.AssetChecksDefinition:
    """The check of a sync that asks for it. It runs alone, by its schedule or by hand."""
    sync, key = loaded.sync, loaded.key

    @dg.asset_check(
        asset=key,
        name=CHECK,
        description="The records that were written hold what they were sent. People's allowed edits are only counted.",
        pool=sync.destination,
    )
    def drift(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        if context.job_def.asset_layer.asset_graph.materializable_asset_keys:
            return _as_last_time(context, key)
        try:
            found = verify(sync, project.environment, loaded.destination.account(sync.destination))
        except ReverseEtlError as error:
            return _not_judged(project.mask(sync).text(str(error)))
        return _result(found.masked(project.event_mask(sync)))

    return drift


def build_drift_job(name: str, loaded: LoadedSync, drift: Drift) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    job = drift_job(name, loaded.key, tags=loaded.tags)
    schedule = dg.ScheduleDefinition(
        name=f"{name}_schedule",
        job=job,
        cron_schedule=drift.cron,
        execution_timezone="UTC",
        description=f"Looks for drift in {loaded.key.to_user_string()} at {drift.cron} (UTC).",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    return job, schedule


def drift_job(name: str, key: dg.AssetKey, tags: Mapping[str, str] | None = None) -> Any:
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.checks(dg.AssetCheckKey(key, CHECK)),
        description=f"Looks whether the records of {key.to_user_string()} still hold what they were sent.",
        tags=tags,
    )


def _as_last_time(context: dg.AssetCheckExecutionContext, key: dg.AssetKey) -> dg.AssetCheckResult:
    """Dagster runs all checks of an asset that it materialises; this one has its own time, and costs requests."""
    check = dg.AssetCheckKey(key, CHECK)
    for record in context.instance.event_log_storage.get_asset_check_execution_history(check, limit=10):
        last = record.evaluation
        if isinstance(last, dg.AssetCheckEvaluation):  # and not the announcement of one
            message = f"{_NOT_AGAIN}{(last.description or '').removeprefix(_NOT_AGAIN)}"
            return dg.AssetCheckResult(
                passed=last.passed, severity=last.severity, description=message, metadata=last.metadata
            )
    return _not_judged("nobody has looked yet; the check has a schedule of its own")


def _result(found: Drifted) -> dg.AssetCheckResult:
    if found.not_judged and not found.wrong:
        return _not_judged(str(found))
    figures: dict[str, Any] = {
        "fields edited, allowed": found.allowed,
        "to mend": found.resent,
        "to make anew": found.made_again,
        "looked (UTC)": f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
    }
    return dg.AssetCheckResult(
        passed=not found.wrong and not found.duplicates,
        severity=severity(found),
        description=clip(str(found), _LONG),
        metadata={**difference_metadata(found), **figures},
    )


def _not_judged(why: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=False, severity=dg.AssetCheckSeverity.WARN, description=clip(f"not judged: {why}", _LONG)
    )


def severity(found: Verified) -> dg.AssetCheckSeverity:
    """Of several records for one key nobody can say that a row did not arrive."""
    return dg.AssetCheckSeverity.WARN if found.duplicates and not found.wrong else dg.AssetCheckSeverity.ERROR


def difference_metadata(found: Verified) -> Mapping[str, Any]:
    """Numbers first, for Dagster plots each of them."""
    numbers = {
        "looked at": found.looked_at,
        "differing": found.differing,
        "missing": found.missing,
        "possible duplicates": found.duplicates,
    }
    return {**numbers, "differences": _table(found.examples)} if found.examples else numbers


def _table(differences: Iterable[Difference]) -> dg.TableMetadataValue:
    rows = [(each.key, each.kind.value, each.field, _cell(each.wanted), _cell(each.held)) for each in differences]
    schema = dg.TableSchema([dg.TableColumn(name) for name in _COLUMNS])
    clipped = [dict(zip(_COLUMNS, (clip(cell, _CELL) for cell in row), strict=True)) for row in rows]
    return dg.MetadataValue.table([dg.TableRecord(row) for row in clipped], schema)


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
