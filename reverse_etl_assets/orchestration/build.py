"""Everything that Dagster loads, from a project and its destinations."""

import re
from collections.abc import Mapping

import dagster as dg
from dagster_duckdb import DuckDBResource

from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.orchestration.alerts import Alerts, build_alerts
from reverse_etl_assets.orchestration.assets import asset_key, build_sync_asset
from reverse_etl_assets.orchestration.automation import build_schedules, build_sensors
from reverse_etl_assets.orchestration.dbt import build_dbt_assets, dbt_cli, model_keys, prepare_manifest
from reverse_etl_assets.orchestration.drift import build_drift_check, build_drift_job
from reverse_etl_assets.orchestration.jobs import build_jobs
from reverse_etl_assets.orchestration.quarantine import build_quarantine_asset, quarantine_sensor
from reverse_etl_assets.orchestration.removed import build_removed, remember_syncs
from reverse_etl_assets.orchestration.resources import DestinationResource
from reverse_etl_assets.orchestration.syntax import check_syntax, sync_files
from reverse_etl_assets.orchestration.undo import build_undo_job
from reverse_etl_assets.project import Project

_TAKEN = ("dbt", "warehouse", "operations")  # names of our own resources and assets


def build_sync_definitions(
    project: Project, destinations: Mapping[str, DestinationResource], alerts: Alerts | None = None
) -> dg.Definitions:
    """Raises ConfigurationError for a destination or a missing manifest, SpecError for a sync's file."""
    _check_destinations(destinations)
    prepare_manifest(project)
    syncs = project.syncs.values()
    files = sync_files(project.syncs_folder)
    check_syntax(syncs, files)
    keys = model_keys(project)
    assets = [
        build_sync_asset(
            sync, project, destinations[sync.destination], model_key=keys[sync.model], file=files[sync.sync]
        )
        for sync in syncs
    ]
    scheduled = [(sync, asset_key(sync)) for sync in syncs]
    by_name = {sync.sync: key for sync, key in scheduled}
    quarantine = build_quarantine_asset(project, destinations)
    looked_at = [(sync, sync.verify.drift, key) for sync, key in scheduled if sync.verify.drift]
    drift = [build_drift_job(*each) for each in looked_at]
    ours = dg.Definitions(
        assets=[build_dbt_assets(project), *assets, *([quarantine] if quarantine else [])],
        asset_checks=[build_drift_check(s, project, destinations[s.destination], key) for s, _, key in looked_at],
        schedules=[*build_schedules(scheduled), *(schedule for _, schedule in drift)],
        sensors=[
            *build_sensors(scheduled),
            *([quarantine_sensor()] if quarantine else []),
            *(build_alerts(project, destinations, alerts) if alerts else []),
        ],
        jobs=[*build_jobs(project), build_undo_job(project, destinations), *(job for job, _ in drift)],
        resources={**destinations, "dbt": dbt_cli(project), "warehouse": _warehouse(project)},
        # A sync waits for HTTP and needs no process of its own; starting one for each step takes seconds.
        executor=dg.in_process_executor,
    )
    remember_syncs(by_name, files)
    return dg.Definitions.merge(ours, build_removed(project, by_name.values()))


def _check_destinations(destinations: Mapping[str, DestinationResource]) -> None:
    for name, resource in destinations.items():
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name in _TAKEN:
            raise ConfigurationError(
                f"destination {name!r}: a name has letters, digits and `_`, and is not {' or '.join(_TAKEN)}."
            )
        resource.refuse_literal_secrets(name)


def _warehouse(project: Project) -> DuckDBResource:
    """For assets and checks of your own. Read-only, for DuckDB takes one writer, dbt, or many readers."""
    return DuckDBResource(database=str(project.warehouse.database), connection_config={"access_mode": "READ_ONLY"})
