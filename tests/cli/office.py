"""A project in a folder, with syncs to HubSpot and to a REST sink in the sandbox, and the command line on top of it."""

import json
import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import yaml
from typer.testing import CliRunner, Result

from reverse_etl_assets.cli import app
from reverse_etl_assets.dbt.settings import DbtSettings
from reverse_etl_assets.orchestration.resources import DestinationResource
from reverse_etl_assets.orchestration.vendor_resources import HubSpotResource, WebhookResource
from reverse_etl_assets.project import Project
from tests.warehouse import ProjectOfFewRows, writing

CONTACTS: Mapping[str, Any] = {
    "model": "people",
    "destination": "crm",
    "object": "contacts",
    "primary_key": "email",
    "mapping": {"email": "email", "firstname": "name", "city": "city"},
    "sync_mode": "mirror",
    "guards": {"max_removed": {"percent": 100}, "row_count": {}},
    "max_failed": {"percent": 100},
}
EVENTS: Mapping[str, Any] = {
    **CONTACTS,
    "destination": "hook",
    "object": "events",
    "primary_key": ["email", "city"],
    "external_id": "id",
    "mapping": {"who": "email", "where": "city"},
    "sync_mode": "append",
    "options": {"body": {"id": "{{ key }}", "who": "{{ fields.who }}"}},
}
PROFILE = """
shop:
  target: local
  outputs:
    local: {type: duckdb, path: "{{ env_var('REVERSE_ETL_HOME') }}/warehouse.duckdb", schema: marts}
"""
PEOPLE = "model.shop.people"
COLUMNS = ("email", "name", "city")


class Office:
    def __init__(self, home: Path, url: str, set_variable: Callable[[str, str], None]) -> None:
        self.home, self.syncs_folder, self.dbt_folder = home, home / "syncs", home / "dbt"
        self.syncs_folder.mkdir()
        (self.dbt_folder / "target").mkdir(parents=True)
        (self.dbt_folder / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
        (self.dbt_folder / "profiles.yml").write_text(PROFILE)
        nodes = {PEOPLE: _node(), "test.shop.unique_email": _test()}
        (self.dbt_folder / "target" / "manifest.json").write_text(json.dumps({"nodes": nodes}))
        self.variables = {
            "REVERSE_ETL_HOME": str(home),
            "REVERSE_ETL_DEPLOYMENT": f"deployment_in_{home.name}",
            "OFFICE_CRM_URL": f"{url}/hubspot",
            "OFFICE_CRM_TOKEN": "pat-sandbox",
            "OFFICE_HOOK_URL": f"{url}/rest",
            "COLUMNS": "160",
        }
        for name, value in self.variables.items():
            set_variable(name, value)

    def deploy(self, put: Callable[[dict[str, ModuleType], str, ModuleType], None]) -> None:
        """The module that the command line is told to load."""
        module = ModuleType(self.variables["REVERSE_ETL_DEPLOYMENT"])
        module.__dict__.update(destinations=self.destinations, project=self.project)
        put(sys.modules, module.__name__, module)

    @cached_property
    def destinations(self) -> dict[str, DestinationResource]:
        return {
            "crm": HubSpotResource(
                base_url=dg.EnvVar("OFFICE_CRM_URL"),
                access_token=dg.EnvVar("OFFICE_CRM_TOKEN"),
                requests_per_second=100_000,
            ),
            "hook": WebhookResource(base_url=dg.EnvVar("OFFICE_HOOK_URL"), allow_private=True),
        }

    @cached_property
    def project(self) -> Project:
        types = {name: resource.destination_type for name, resource in self.destinations.items()}
        return ProjectOfFewRows(DbtSettings(self.dbt_folder), self.syncs_folder, types)

    def forget(self) -> None:
        """Read the syncs anew."""
        self.project.__dict__.pop("syncs", None)

    def sync(self, name: str, spec: Mapping[str, Any] = CONTACTS, **changes: Any) -> None:
        self.forget()
        (self.syncs_folder / f"{name}.yml").write_text(yaml.safe_dump({**spec, **changes}, sort_keys=False))

    def build(self, *rows: tuple[str | None, str | None, str | None]) -> None:
        """Build the model of these rows, as dbt would."""
        with writing(self.home / "warehouse.duckdb") as con:
            con.execute("create schema if not exists marts")
            con.execute("create or replace table marts.people (email varchar, name varchar, city varchar)")
            if rows:
                con.executemany("insert into marts.people values (?, ?, ?)", [list(row) for row in rows])

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, words, catch_exceptions=False)

    def ok(self, *words: str) -> str:
        """What a command prints that has to succeed."""
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return result.output

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def answer(self, key: str, sync: str) -> str:
        """The sentences of `why`."""
        (found,) = [each for each in self.json("why", key)["answers"] if each["sync"] == sync]
        return str(found["answer"])


def _node() -> dict[str, Any]:
    return {
        "name": "people",
        "resource_type": "model",
        "config": {},
        "unique_id": PEOPLE,
        "schema": "marts",
        "alias": "people",
        "columns": {name: {"name": name} for name in COLUMNS},
    }


def _test() -> dict[str, Any]:
    return {"name": "unique_email", "resource_type": "test", "attached_node": PEOPLE}
