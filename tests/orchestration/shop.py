"""A project with a real dbt project below it, so that all of it can be loaded and built."""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster_dbt import DbtCliResource, DbtProject, dbt_assets

from reverse_etl_assets.dbt.settings import DbtSettings
from reverse_etl_assets.deployment.alerts import Alerts
from reverse_etl_assets.orchestration.build import build_definitions
from reverse_etl_assets.orchestration.dbt import link_dbt
from reverse_etl_assets.orchestration.loaded import load
from reverse_etl_assets.orchestration.resources import DestinationResource
from reverse_etl_assets.orchestration.vendor_resources import HubSpotResource
from tests.dbt_shell import dbt_succeeds
from tests.orchestration.small_project import CONTACTS, PROFILE, Ran
from tests.warehouse import ProjectOfFewRows, writing

_FILES = {
    "dbt_project.yml": "name: shop\nversion: '1.0'\nprofile: shop\nflags: {send_anonymous_usage_stats: false}\n",
    "profiles.yml": PROFILE,
    "models/marts/people.sql": "select email, name from {{ source('raw', 'people') }}",
    "models/marts/people.yml": """
version: 2
sources: [{name: raw, tables: [{name: people}]}]
models:
  - name: people
    description: People we know.
    columns:
      - {name: email, data_type: varchar, description: Address as typed., data_tests: [unique]}
      - {name: name, data_tests: [{not_null: {config: {severity: warn}}}]}
""",
}


def write_dbt_project(folder: Path) -> None:
    """Files and manifest."""
    for name, text in _FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    environment = os.environ | {"REVERSE_ETL_HOME": str(folder)}
    dbt_succeeds("parse", "--quiet", "--profiles-dir", str(folder), cwd=folder, env=environment)


@dataclass
class Shop:
    home: Path
    dbt_folder: Path
    instance: dg.DagsterInstance

    def __post_init__(self) -> None:
        (self.home / "syncs").mkdir()
        types = {"crm": HubSpotResource.destination_type}
        self.project = ProjectOfFewRows(DbtSettings(self.dbt_folder), self.home / "syncs", types)

    @property
    def destinations(self) -> Mapping[str, DestinationResource]:
        crm = HubSpotResource(
            base_url=dg.EnvVar("TEST_CRM_URL"), access_token=dg.EnvVar("TEST_CRM_TOKEN"), requests_per_second=100_000
        )
        return {"crm": crm}

    def write_sync(self, name: str, **changes: Any) -> Path:
        file = self.home / "syncs" / f"{name}.yml"
        file.write_text(yaml.safe_dump({**CONTACTS, **changes}, sort_keys=False))
        return file

    def definitions(self, alerts: Alerts | None = None, **more: DestinationResource) -> dg.Definitions:
        """The team's own, with dbt, and those of the syncs."""
        dbt_models = self.dbt_assets()
        loaded = load(self.project, {**self.destinations, **more}, link_dbt(dbt_models))
        cli = DbtCliResource(
            project_dir=str(self.dbt_folder), dbt_executable=str(Path(sys.executable).with_name("dbt"))
        )
        ours = dg.Definitions([dbt_models], resources={"dbt": cli}, executor=dg.in_process_executor)
        return dg.Definitions.merge(ours, build_definitions(loaded, alerts))

    def dbt_assets(self) -> dg.AssetsDefinition:
        project = DbtProject(self.dbt_folder)

        @dbt_assets(manifest=project.manifest_path, project=project)
        def dbt_models(context: dg.AssetExecutionContext, dbt: DbtCliResource) -> Iterator[Any]:
            yield from dbt.cli(["build"], context=context).stream()

        return dbt_models

    def fill(self, query: str) -> None:
        """What dbt finds at its source."""
        with writing(self.home / "warehouse.duckdb") as con:
            con.execute("create schema if not exists raw")
            con.execute(f"create or replace table raw.people as {query}")

    def run(self, definitions: dg.Definitions, *keys: str) -> Ran:
        job = definitions.resolve_implicit_global_asset_job_def()
        selection = [dg.AssetKey.from_user_string(key) for key in keys]
        result = job.execute_in_process(instance=self.instance, asset_selection=selection, raise_on_error=False)
        return Ran(result.success, result.all_events, result.run_id)
