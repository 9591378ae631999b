"""The dbt project as Dagster's assets: a team's own code, which knows nothing of syncs."""

import os
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, DbtProject, dbt_assets
from packaging.version import Version

_FOLDER = Path(__file__).parents[1] / "dbt_project"

# dbt is beside this Python, also where that folder is not on the path: `.venv/bin/dagster dev`
os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))

dbt_project = DbtProject(_FOLDER)
dbt_project.prepare_if_dev()


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


dbt_cli = _Dbt(project_dir=str(_FOLDER))


@dbt_assets(manifest=dbt_project.manifest_path, project=dbt_project, dagster_dbt_translator=Translator())
def dbt_models(context: dg.AssetExecutionContext, dbt: DbtCliResource) -> Iterator[Any]:
    # DuckDB reports a missing folder as it reports a locked file, and dbt would wait for it.
    Path(os.environ.get("REVERSE_ETL_HOME") or _FOLDER.parent / ".reverse_etl").mkdir(parents=True, exist_ok=True)
    yield from dbt.cli(["build"], context=context).stream()
