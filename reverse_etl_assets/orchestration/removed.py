"""Syncs whose file was renamed or removed after Dagster had loaded it.

A run reads the files anew in a process of its own. Of a sync that is not there any more Dagster would say that it has
no definition, before any code of a sync runs. So Dagster is given the syncs that were loaded, to hand them to the
processes of runs; there, each sync that is gone has an asset that says what became of it.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType

from reverse_etl_assets.orchestration.checks import check_specs
from reverse_etl_assets.orchestration.drift import CHECK as DRIFT, drift_job
from reverse_etl_assets.orchestration.loaded import Loaded
from reverse_etl_assets.project import Project

_NAME = "reverse_etl/"
_LOG = logging.getLogger("reverse_etl_assets")


def remember_syncs(loaded: Loaded) -> None:
    """Hand the file of each sync to the processes of runs."""
    context = DefinitionsLoadContext.get()
    for name, each in loaded.syncs.items():
        known = {"sync": name, "job": loaded.named(f"{name}_drift"), "file": str(each.file.resolve())}
        context.add_to_pending_reconstruction_metadata(f"{_NAME}{each.key.to_user_string()}", json.dumps(known))


def build_removed(loaded: Loaded) -> dg.Definitions:
    """An asset and a drift check for each sync that Dagster planned with and that has no file now.

    There are none but in the process of a run, for everywhere else the files are what Dagster knows.
    """
    gone = [each for each in _planned(loaded.project) if each.key not in loaded.keys]
    return dg.Definitions(
        assets=[_asset(each) for each in gone],
        asset_checks=[_drift_check(each) for each in gone],
        jobs=[drift_job(each.job, each.key) for each in gone],
    )


@dataclass(frozen=True)
class _Gone:
    """A sync that Dagster planned with; `job` is the name of its drift job."""

    key: dg.AssetKey
    sync: str
    job: str
    file: Path


def _planned(project: Project) -> Iterator[_Gone]:
    context = DefinitionsLoadContext.get()
    if context.load_type is not DefinitionsLoadType.RECONSTRUCTION:
        return
    for name, value in context.reconstruction_metadata.items():
        if not name.startswith(_NAME):
            continue
        known = json.loads(value)
        file = Path(known["file"])
        if file.parent == project.syncs_folder.resolve():
            key = dg.AssetKey.from_user_string(name.removeprefix(_NAME))
            yield _Gone(key, known["sync"], known["job"], file)


def warn_of_renamed(loaded: Loaded) -> None:
    """A line in the log for each sync that has run and has no file now: a user's job or asset that names it finds
    nothing, and under a new name it begins anew."""
    states = loaded.project.home / "state"
    names = {name.lower(): name for name in loaded.syncs}
    for state in sorted(states.glob("*.duckdb")):
        if state.stem.lower() in names:
            continue
        near = get_close_matches(state.stem, [n for n in names.values() if not (states / f"{n}.duckdb").exists()], n=1)
        renamed = f" If `{near[0]}` is its new name, it begins anew there; `sync: {state.stem}` keeps the old one."
        _LOG.warning(
            "%s has the state of a sync `%s`, and %s has no such sync. Jobs, schedules and assets that name it no"
            " longer find it.%s If it is gone for good, remove the file.",
            state,
            state.stem,
            loaded.project.syncs_folder,
            renamed if near else "",
        )


def _asset(gone: _Gone) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=gone.key.to_python_identifier(),
        specs=[dg.AssetSpec(gone.key, skippable=True)],
        check_specs=check_specs(gone.key),
        can_subset=True,
    )
    def fail(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        raise _failure(gone)
        yield

    return fail


def _drift_check(gone: _Gone) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=gone.key, name=DRIFT)
    def drift() -> dg.AssetCheckResult:
        raise _failure(gone)

    return drift


def _failure(gone: _Gone) -> dg.Failure:
    return dg.Failure(
        f"there is no sync {gone.sync} any more: {gone.file} was renamed, removed or given another name after Dagster "
        "had loaded it. Nothing was sent. Reload the code location (Deployment, Reload), and start the run again.",
        allow_retries=False,
    )
