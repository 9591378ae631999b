"""The syncs of `examples/jaffle` where the wheel is installed, and nothing of this checkout is there."""

import json
import re
import shutil
from pathlib import Path

import pytest

from reverse_etl_sandbox.server import Sandbox
from tests.outside.conftest import ROOT, Team

PYTHON, COMPONENTS = "acme", "acme_components"
WAYS = pytest.mark.parametrize("way", [PYTHON, COMPONENTS])
KEYS = """
import importlib, json
from dagster import AssetKey
defs = importlib.import_module("{way}.definitions").defs
defs = defs() if callable(defs) else defs
graph = defs.get_repository_def().asset_graph
print(json.dumps({{
    key.to_user_string(): sorted(each.to_user_string() for each in graph.get(key).parent_keys)
    for key in graph.materializable_asset_keys
}}))
"""


PLAN = """
import json
from dagster import AssetKey, DagsterInstance
with DagsterInstance.get() as instance:
    event = instance.get_latest_materialization_event(AssetKey(["hubspot", "customers"]))
    print(json.dumps(event.asset_materialization.metadata["plan id"].value))
"""


@pytest.fixture
def built(team: Team) -> Team:
    team.dbt("build")
    return team


def choose(team: Team, way: str) -> None:
    team.replace("pyproject.toml", {'root_module = "acme"': f'root_module = "{way}"'})


def contacts(sandbox: Sandbox) -> dict[str, dict[str, str]]:
    """What HubSpot has, by e-mail address."""
    found = sandbox.hubspot.tables["contacts"].live()
    return {entry.values["email"]: entry.values for entry in found}


def test_the_package_is_the_wheel(team: Team) -> None:
    found = team.python("import json, sys, reverse_etl_assets as r; print(json.dumps([r.__file__, *sys.path]))")
    assert "site-packages" in found[0]
    assert ROOT not in [Path(each) for each in found if each]


def test_few_lines_are_added() -> None:
    code = (ROOT / "examples/jaffle/acme/definitions.py").read_text()
    added = re.search(r"# syncs begin\n(.*) *# syncs end\n", code, re.DOTALL)
    assert added
    lines = [*added[1].splitlines(), "import reverse_etl_assets as retl", "defs = dg.Definitions.merge(", ")"]
    assert len(lines) <= 15
    component = (ROOT / "examples/jaffle/acme_components/defs/reverse_etl/defs.yaml").read_text()
    assert len(component.splitlines()) <= 10


@WAYS
def test_dagsters_own_checks_are_green(built: Team, way: str) -> None:
    choose(built, way)
    built.run("dg", "check", "yaml")
    built.run("dg", "check", "defs")
    keys = built.python(KEYS.format(way=way))
    assert keys["hubspot/customers"] == ["jaffle/customers"]
    assert keys["jaffle_shop/quarantine"] == ["hubspot/customers"]
    assert len(keys) == 6, "each model stands there once"


@WAYS
def test_a_column_that_nobody_documented_goes_out(built: Team, sandbox: Sandbox, way: str) -> None:
    choose(built, way)
    built.run("reverse-etl", "check")
    built.run("reverse-etl", "run", "customers")
    found = contacts(sandbox)
    assert found["ada.lovelace@example.com"]["lifetime_value"] == "20.5"
    assert len(found) == 3


@WAYS
def test_the_plan_is_the_same_on_the_command_line_and_in_dagster(built: Team, sandbox: Sandbox, way: str) -> None:
    choose(built, way)
    planned = json.loads(built.run("reverse-etl", "plan", "customers", "--json"))
    assert planned["counts"]["added"] == 3
    built.run("dg", "launch", "--assets", "hubspot/customers")
    assert len(contacts(sandbox)) == 3
    assert built.python(PLAN) == planned["plan"]
    assert json.loads(built.run("reverse-etl", "plan", "customers", "--json"))["counts"]["added"] == 0


@WAYS
def test_a_failing_test_stops_the_sync_wherever_dbt_ran(built: Team, sandbox: Sandbox, way: str) -> None:
    choose(built, way)
    seed = built.dbt_folder / "seeds" / "raw_customers.csv"
    seed.write_text(f"{seed.read_text()}1,Ada,Twice\n")
    built.dbt("build", good=False)
    said = built.run("reverse-etl", "run", "customers", good=False)
    assert "unique_customers_customer_id" in said
    said = built.run("dg", "launch", "--assets", "hubspot/customers", good=False)
    assert "unique_customers_customer_id" in said
    assert not contacts(sandbox)


def test_dagsters_own_dbt_run_is_heard_of(team: Team, sandbox: Sandbox) -> None:
    team.dbt("parse")
    team.run("dg", "launch", "--assets", "*")
    assert len(contacts(sandbox)) == 3
    seed = team.dbt_folder / "seeds" / "raw_customers.csv"
    seed.write_text(f"{seed.read_text()}1,Ada,Twice\n")
    team.run("dg", "launch", "--assets", "*", good=False)
    said = team.run("dg", "launch", "--assets", "hubspot/customers", good=False)
    assert "unique_customers_customer_id" in said


@WAYS
def test_the_target_that_dbt_builds_is_the_one_that_is_read(built: Team, sandbox: Sandbox, way: str) -> None:
    choose(built, way)
    seed = built.dbt_folder / "seeds" / "raw_customers.csv"
    seed.write_text("id,first_name,last_name\n9,Mary,Shelley\n")
    built.dbt("build", DBT_TARGET="prod")
    built.dbt("parse")
    for target, rows in (("dev", 3), ("prod", 1)):
        planned = json.loads(built.run("reverse-etl", "plan", "customers", "--json", DBT_TARGET=target))
        assert planned["counts"]["added"] == rows, target
    asked = json.loads(built.run("reverse-etl", "--target", "prod", "plan", "customers", "--json"))
    assert asked["counts"]["added"] == 1
    built.run("dg", "launch", "--assets", "hubspot/customers", DBT_TARGET="prod")
    assert contacts(sandbox).keys() == {"mary.shelley@example.com"}


def test_a_second_dbt_project_stands_beside_it(built: Team) -> None:
    text = (built.folder / "acme" / "definitions.py").read_text()
    shutil.copytree(built.dbt_folder, built.folder / "second")
    built.replace("second/dbt_project.yml", {"name: jaffle_shop": "name: second", "  jaffle_shop:": "  second:"})
    shutil.copytree(built.folder / "acme" / "syncs", built.folder / "acme" / "more")
    (built.folder / "acme" / "more" / "customers.yml").rename(built.folder / "acme" / "more" / "people.yml")
    built.run("dbt", "--quiet", "build", folder="second")
    more = """
second = DbtProject(HERE.parent / "second")


class Second(DagsterDbtTranslator):
    def get_asset_key(self, dbt_resource_props):
        return super().get_asset_key(dbt_resource_props).with_prefix("second")


@dbt_assets(manifest=second.manifest_path, project=second, dagster_dbt_translator=Second())
def second_dbt(context: dg.AssetExecutionContext, dbt_second: DbtCliResource):
    yield from dbt_second.cli(["build"], context=context).stream()


crm = retl.HubSpotResource(base_url=dg.EnvVar("HUBSPOT_BASE_URL"), access_token=dg.EnvVar("HUBSPOT_ACCESS_TOKEN"))
defs = dg.Definitions.merge(
    defs,
    dg.Definitions([second_dbt], resources={"dbt_second": DbtCliResource(second)}),
    retl.build_sync_definitions(dbt=second_dbt, syncs=HERE / "more", destinations={"hubspot": crm}),
)
"""
    built.write("acme/definitions.py", f"{text}\n{more}")
    built.run("dg", "check", "defs")
    keys = built.python(KEYS.format(way="acme"))
    assert keys["hubspot/customers"] == ["jaffle/customers"]
    assert keys["hubspot/people"] == ["second/customers"]
    said = built.run("reverse-etl", "plan", "people", good=False)
    assert "--project acme.definitions:jaffle_shop or --project acme.definitions:second" in said
    planned = json.loads(built.run("reverse-etl", "--project", "acme.definitions:second", "plan", "people", "--json"))
    assert planned["counts"]["added"] == 3
    homes = {each.parent.name for each in (built.folder / "acme" / ".reverse_etl").glob("*/project.json")}
    assert homes == {"second"}, "a plan writes to the home of its own project"
