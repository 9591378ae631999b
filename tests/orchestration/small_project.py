"""A project in a folder: one model, `people`, and syncs of it to HubSpot in the sandbox."""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._serdes import serialize_value

from reverse_etl_assets.dbt.settings import DbtSettings
from reverse_etl_assets.orchestration.assets import build_sync_asset
from reverse_etl_assets.orchestration.dbt import DbtLink
from reverse_etl_assets.orchestration.loaded import Loaded, LoadedSync, load, load_one
from reverse_etl_assets.orchestration.resources import DestinationResource
from reverse_etl_assets.orchestration.run_tags import RunTags
from reverse_etl_assets.orchestration.vendor_resources import HubSpotResource
from reverse_etl_assets.project import Project
from reverse_etl_assets.spec.loading import load_sync
from reverse_etl_assets.spec.yaml_source import YamlSource
from tests.warehouse import ProjectOfFewRows, writing

TOKEN = "pat-sandbox"
PEOPLE = "model.shop.people"
MODEL_KEY = dg.AssetKey(["marts", "people"])
QUARANTINE = dg.AssetKey(["shop", "quarantine"])
CONTACTS: Mapping[str, Any] = {
    "model": "people",
    "destination": "crm",
    "object": "contacts",
    "primary_key": "email",
    "mapping": {"email": "email", "firstname": "name"},
    "sync_mode": "mirror",
}
PROFILE = """
shop:
  target: local
  outputs:
    local: {type: duckdb, path: "{{ env_var('REVERSE_ETL_HOME') }}/warehouse.duckdb", schema: marts}
"""


def failure_of(events: Sequence[dg.DagsterEvent]) -> Any:
    """What the only step that failed says of it."""
    (event,) = [event for event in events if event.is_step_failure]
    said: Any = event.event_specific_data
    return said.user_failure_data


@dataclass(frozen=True)
class Ran:
    """What one run left in Dagster."""

    success: bool
    events: Sequence[dg.DagsterEvent]
    run_id: str

    @property
    def materializations(self) -> list[dg.AssetMaterialization]:
        return [e.step_materialization_data.materialization for e in self.events if e.is_step_materialization]

    @property
    def metadata(self) -> Mapping[str, Any]:
        (materialization,) = self.materializations
        return {name: value.value for name, value in materialization.metadata.items()}

    @property
    def observed(self) -> Mapping[str, Any]:
        """The figures of a run that left an observation, as one does that did not end well."""
        kind = dg.DagsterEventType.ASSET_OBSERVATION
        (seen,) = [e.asset_observation_data.asset_observation for e in self.events if e.event_type is kind]
        return {name: value.value for name, value in seen.metadata.items()}

    @property
    def checks(self) -> dict[str, Any]:
        kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
        found: list[Any] = [e.event_specific_data for e in self.events if e.event_type == kind]
        return {check.check_name: check for check in found}

    @property
    def guards(self) -> dict[str, Mapping[str, Any]]:
        """What the check `guards` says of each."""
        rows = [row.data for row in self.checks["guards"].metadata["guards"].records]
        return {name: row for row in rows for name in row["guard"].split(", ")}

    @property
    def failure(self) -> Any:
        return failure_of(self.events)


class SmallProject:
    def __init__(
        self, home: Path, url: str, instance: dg.DagsterInstance, set_variable: Callable[[str, str], None]
    ) -> None:
        self.home, self.url, self.instance = home, url, instance
        self.dbt_folder, self.syncs_folder = home / "dbt", home / "syncs"
        self.syncs_folder.mkdir(exist_ok=True)
        (self.dbt_folder / "target").mkdir(parents=True, exist_ok=True)
        (self.dbt_folder / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
        (self.dbt_folder / "profiles.yml").write_text(PROFILE)
        (self.dbt_folder / "target" / "manifest.json").write_text(json.dumps({"nodes": _nodes()}))
        variables = {"REVERSE_ETL_HOME": str(home), "TEST_CRM_URL": f"{url}/hubspot", "TEST_CRM_TOKEN": TOKEN}
        for name, value in variables.items():
            set_variable(name, value)

    @cached_property
    def destinations(self) -> dict[str, DestinationResource]:
        crm = HubSpotResource(
            base_url=dg.EnvVar("TEST_CRM_URL"), access_token=dg.EnvVar("TEST_CRM_TOKEN"), requests_per_second=100_000
        )
        return {"crm": crm}

    @cached_property
    def project(self) -> Project:
        types = {name: resource.destination_type for name, resource in self.destinations.items()}
        return ProjectOfFewRows(DbtSettings(self.dbt_folder), self.syncs_folder, types)

    def build(self, query: str) -> None:
        """Build the model from a query, as dbt would."""
        with writing(self.home / "warehouse.duckdb") as con:
            con.execute("create schema if not exists marts")
            con.execute(f"create or replace table marts.people as {query}")
        self.dbt_said({unique_id: "pass" if "test" in unique_id else "success" for unique_id in _nodes()})

    def dbt_said(self, statuses: Mapping[str, str], command: str = "build") -> None:
        """What a dbt command leaves that ends now."""
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        results = [{"unique_id": name, "status": status, "timing": []} for name, status in statuses.items()]
        said = {"metadata": {"generated_at": now}, "args": {"which": command}, "results": results}
        (self.dbt_folder / "target" / "run_results.json").write_text(json.dumps(said))

    def write_sync(self, name: str = "", **changes: Any) -> Path:
        """A file for a sync to contacts. Each gets its own name, for all tests share Dagster's history."""
        file = self.syncs_folder / f"{name or 'contacts_' + uuid.uuid4().hex[:8]}.yml"
        file.write_text(yaml.safe_dump({**CONTACTS, **changes}, sort_keys=False))
        return file

    def asset(self, **changes: Any) -> dg.AssetsDefinition:
        file = self.write_sync(**changes)
        sync = load_sync(YamlSource(file), self.project.models, self.project.destinations)
        resource = self.destinations[sync.destination]
        link = DbtLink(self.project.dbt, {PEOPLE: MODEL_KEY})
        return self.asset_of(load_one(sync, self.project, resource, link, file=file))

    def asset_of(self, loaded: LoadedSync) -> dg.AssetsDefinition:
        return build_sync_asset(loaded, self.project, RunTags([loaded]))

    def loaded(self, **more: DestinationResource) -> Loaded:
        """All syncs that are there, and further destinations."""
        self.project.__dict__.pop("syncs", None)
        return load(self.project, {**self.destinations, **more}, DbtLink(self.project.dbt, {PEOPLE: MODEL_KEY}))

    def run(self, *assets: dg.AssetsDefinition) -> Ran:
        result = dg.materialize(assets, instance=self.instance, raise_on_error=False)
        return Ran(result.success, result.all_events, result.run_id)

    def run_job(self, *assets: dg.AssetsDefinition, **settings: Any) -> Ran:
        job = dg.define_asset_job("syncs", selection=list(assets), **settings)
        resolved = dg.Definitions(assets, jobs=[job]).resolve_job_def("syncs")
        result = resolved.execute_in_process(instance=self.instance, raise_on_error=False)
        return Ran(result.success, result.all_events, result.run_id)


def stored(small: SmallProject, ran: Ran) -> list[str]:
    """A run's events as Dagster's database has them."""
    records = small.instance.get_records_for_run(ran.run_id, limit=10_000).records
    return [serialize_value(record.event_log_entry) for record in records]


def _nodes() -> dict[str, Any]:
    columns = {
        "email": {"name": "email", "data_type": "varchar", "description": "Address as typed."},
        "name": {"name": "name"},
    }
    model = {"name": "people", "unique_id": PEOPLE, "schema": "marts", "alias": "people", "columns": columns}
    tests = {
        f"test.shop.{name}": {"name": name, "attached_node": PEOPLE, "resource_type": "test"}
        for name in ("unique_people_email", "size")
    }
    return {PEOPLE: {**model, "resource_type": "model"}, **tests}
