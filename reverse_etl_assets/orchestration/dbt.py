"""The dbt project as assets. What dbt said of each model goes to the journal, where every sync of it looks it up."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliInvocation,
    DbtCliResource,
    DbtProject,
    dbt_assets,
)
from packaging.version import Version

from reverse_etl_assets.dbt.manifest import names
from reverse_etl_assets.dbt.results import results_of
from reverse_etl_assets.project import Project

_SOURCES = ("*.sql", "*.yml", "*.yaml", "*.csv")


class Translator(DagsterDbtTranslator):
    """Groups by layer (the folder below `models`), and descriptions without the SQL."""

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_code_references=True))

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return str(dbt_resource_props.get("description") or "")

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        if group := super().get_group_name(dbt_resource_props):
            return group
        folders = dbt_resource_props.get("fqn", [])[1:-1]
        return str(folders[0]) if folders else f"{dbt_resource_props['resource_type']}s"


class _Dbt(DbtCliResource):
    """dagster-dbt asks `dbt --version` before every build: seconds, and a look at the package index on the way."""

    @property
    def _cli_version(self) -> Version:
        return Version(metadata.version("dbt-core"))


def dbt_cli(project: Project) -> DbtCliResource:
    """dbt of the environment that Python runs in, also if that is not on the PATH."""
    beside = Path(sys.executable).with_name("dbt")
    executable = str(beside) if beside.exists() else "dbt"
    return _Dbt(project_dir=str(project.dbt.project_dir), dbt_executable=executable)


def prepare_manifest(project: Project) -> None:
    """Under `dagster dev`, parse the dbt project if it changed. Each run is a process that comes by here."""
    if os.environ.get("DAGSTER_IS_DEV_CLI"):
        refresh_manifest(project)


def refresh_manifest(project: Project) -> None:
    """Parse the dbt project if it changed since it was last parsed."""
    folder = project.dbt.project_dir
    files = [file for kind in _SOURCES for file in folder.rglob(kind) if folder / "target" not in file.parents]
    newest = max(file.stat().st_mtime for file in files)
    if not project.manifest.exists() or project.manifest.stat().st_mtime < newest:
        dbt_cli(project).cli(["parse", "--quiet"], target_path=project.manifest.parent).wait()


def build_dbt_assets(project: Project) -> dg.AssetsDefinition:
    dbt_project = DbtProject(project.dbt.project_dir)

    @dbt_assets(manifest=project.manifest, project=dbt_project, dagster_dbt_translator=Translator(), name="dbt_models")
    def dbt_models(context: dg.AssetExecutionContext, dbt: DbtCliResource) -> Iterator[Any]:
        # DuckDB reports a missing folder as it reports a locked file, and dbt would wait for it.
        project.warehouse.database.parent.mkdir(parents=True, exist_ok=True)
        invocation = dbt.cli(["build"], context=context)
        try:
            yield from invocation.stream()
        finally:  # a sync must see failed tests above all
            _remember_results(invocation, project)

    return dbt_models


def model_keys(project: Project) -> dict[str, dg.AssetKey]:
    """The asset of every model, by each name that a sync may call the model by."""
    nodes = json.loads(project.manifest.read_text())["nodes"].values()
    translator = Translator()
    models = [node for node in nodes if node["resource_type"] == "model"]
    return {name: translator.get_asset_key(node) for node in models for name in names(node)}


def _remember_results(invocation: DbtCliInvocation, project: Project) -> None:
    try:
        results = invocation.get_artifact("run_results.json")
        manifest = invocation.get_artifact("manifest.json")
    except FileNotFoundError:  # dbt was ended, or did not get as far as building
        return
    project.journal.hear_model_results(results_of(results, manifest))
