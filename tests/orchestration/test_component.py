"""The component in a team's folder of definitions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster.components.core.component_tree import ComponentTreeException
from dagster.components.scaffold.scaffold import ScaffoldRequest

from reverse_etl_assets.deployment.built import built
from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.orchestration.component import ComponentSettings, ReverseEtlScaffolder, ScaffoldParams
from tests.orchestration.shop import Shop

CODE = """
from pathlib import Path
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets

class Prefixed(DagsterDbtTranslator):
    def get_asset_key(self, props):
        return super().get_asset_key(props).with_prefix("lake")

project = DbtProject(Path({folder!r}))

@dbt_assets(manifest=project.manifest_path, project=project, dagster_dbt_translator=Prefixed())
def models(context, dbt: DbtCliResource): ...
"""
RESOURCES = """
import dagster as dg

defs = dg.Definitions(resources={"dbt": "a team's own"})
"""


@pytest.fixture
def team(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A project of dg whose dbt assets are code; its folder of definitions."""
    root = f"team_{request.node.name}"
    folder = tmp_path / "location"
    (folder / root / "defs" / "warehouse").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        f'[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "{root}"\n'
    )
    (folder / root / "__init__.py").touch()
    (folder / root / "defs" / "__init__.py").touch()
    (folder / root / "defs" / "warehouse" / "models.py").write_text(CODE.format(folder=str(shop.dbt_folder)))
    (folder / root / "defs" / "resources.py").write_text(RESOURCES)
    monkeypatch.syspath_prepend(str(folder))
    return folder / root / "defs"


def add(defs: Path, shop: Shop, dbt: str | Mapping[str, Any]) -> dg.Definitions:
    """The component beside them, and all that the location has then."""
    folder = defs / "activation"
    folder.mkdir()
    destinations = {"crm": {"type": "hubspot", "access_token": {"env": "TEAM_TOKEN"}}}
    written = {
        "type": "reverse_etl_assets.ReverseEtlComponent",
        "attributes": {"dbt": dbt, "destinations": destinations},
    }
    (folder / "defs.yaml").write_text(yaml.safe_dump(written))
    (folder / "syncs").mkdir()
    shop.write_sync("contacts").rename(folder / "syncs" / "contacts.yml")
    return dg.load_from_defs_folder(path_within_project=defs)


def test_a_sync_follows_dbt_assets_of_code(team: Path, shop: Shop) -> None:
    graph = add(team, shop, {"defs": "warehouse/models.py"}).resolve_asset_graph()
    assert graph.get(dg.AssetKey(["crm", "contacts"])).parent_keys == {dg.AssetKey(["lake", "people"])}


def test_variables_of_dbt_beside_assets_of_code(team: Path, shop: Shop) -> None:
    add(team, shop, {"defs": "warehouse/models.py", "vars": {"region": "north"}})
    assert built()[-1].project.dbt.vars == {"region": "north"}


def test_a_project_whose_assets_are_code_is_not_read_beside_them(team: Path, shop: Shop) -> None:
    with pytest.raises(ComponentTreeException) as refused:
        add(team, shop, str(shop.dbt_folder))
    assert isinstance(refused.value.__cause__, ConfigurationError)
    said = str(refused.value.__cause__)
    assert "models.py has assets of this project, with keys of their own." in said
    assert "`dbt: {defs: warehouse/models.py}`" in said


def test_what_is_scaffolded_can_go_to_the_sandbox(tmp_path: Path) -> None:
    params = ScaffoldParams(dbt="defs:warehouse")
    request: Any = ScaffoldRequest("reverse_etl_assets.ReverseEtlComponent", tmp_path, "yaml", tmp_path, params)
    ReverseEtlScaffolder().scaffold(request)
    attributes = yaml.safe_load((tmp_path / "defs.yaml").read_text())["attributes"]
    hubspot = ComponentSettings.model_validate(attributes).destinations["hubspot"]
    assert set(hubspot.variables()) == {"HUBSPOT_BASE_URL", "HUBSPOT_ACCESS_TOKEN"}
    assert hubspot.known("base_url") == "https://api.hubapi.com"
    assert (tmp_path / "syncs").is_dir()
