"""Syncs whose file was renamed or removed after Dagster had loaded it.

A run reads the files anew in a process of its own. Of a sync that is not there any more Dagster would say that it has
no definition, before any code of a sync runs. So Dagster is given the syncs that were loaded, to hand them to the
processes of runs; there, each sync that is gone has an asset that says what became of it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType

from reverse_etl_assets.orchestration.checks import check_specs
from reverse_etl_assets.orchestration.drift import CHECK as DRIFT, drift_job
from reverse_etl_assets.project import Project

_NAME = "reverse_etl/"


def remember_syncs(keys: Mapping[str, dg.AssetKey], files: Mapping[str, Path]) -> None:
    """Hand the file of each sync to the processes of runs."""
    context = DefinitionsLoadContext.get()
    for sync, key in keys.items():
        loaded = {"sync": sync, "file": str(files[sync].resolve())}
        context.add_to_pending_reconstruction_metadata(f"{_NAME}{key.to_user_string()}", json.dumps(loaded))


def build_removed(project: Project, keys: Iterable[dg.AssetKey]) -> dg.Definitions:
    """An asset and a drift check for each sync that Dagster planned with and that has no file now.

    There are none but in the process of a run, for everywhere else the files are what Dagster knows.
    """
    known = set(keys)
    gone = [(key, sync, file) for key, sync, file in _planned(project) if key not in known]
    return dg.Definitions(
        assets=[_asset(key, sync, file) for key, sync, file in gone],
        asset_checks=[_drift_check(key, sync, file) for key, sync, file in gone],
        jobs=[drift_job(sync, key) for key, sync, _ in gone],
    )


def _planned(project: Project) -> Iterator[tuple[dg.AssetKey, str, Path]]:
    context = DefinitionsLoadContext.get()
    if context.load_type is not DefinitionsLoadType.RECONSTRUCTION:
        return
    for name, value in context.reconstruction_metadata.items():
        if not name.startswith(_NAME):
            continue
        sync = json.loads(value)
        file = Path(sync["file"])
        if file.parent == project.syncs_folder.resolve():
            yield dg.AssetKey.from_user_string(name.removeprefix(_NAME)), sync["sync"], file


def _asset(key: dg.AssetKey, sync: str, file: Path) -> dg.AssetsDefinition:
    @dg.asset(key=key, check_specs=check_specs(key), output_required=False)
    def gone(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        raise _failure(sync, file)
        yield

    return gone


def _drift_check(key: dg.AssetKey, sync: str, file: Path) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=key, name=DRIFT)
    def drift() -> dg.AssetCheckResult:
        raise _failure(sync, file)

    return drift


def _failure(sync: str, file: Path) -> dg.Failure:
    return dg.Failure(
        f"there is no sync {sync} any more: {file} was renamed, removed or given another name after Dagster had loaded "
        "it. Nothing was sent. Reload the code location (Deployment, Reload), and start the run again.",
        allow_retries=False,
    )
