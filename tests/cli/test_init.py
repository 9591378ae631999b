"""`reverse-etl init`: a project beside somebody's dbt project."""

import subprocess
import textwrap
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from reverse_etl_assets.cli import app
from reverse_etl_assets.deployment.account_lines import account_lines, needed, variable
from reverse_etl_assets.deployment.file import DeploymentSettings, read_deployment
from reverse_etl_assets.destinations.registry import destination_types
from reverse_etl_assets.orchestration.component import ComponentSettings
from reverse_etl_sandbox.accounts import accounts
from tests.cli.own_project import OwnProject


def init(*words: str) -> Result:
    return CliRunner().invoke(app, ["init", *words], catch_exceptions=False)


def made(*words: str) -> str:
    result = init(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*words: str) -> str:
    result = init(*words)
    assert result.exit_code == 2, result.output
    return result.stderr


def files(folder: Path) -> set[str]:
    hidden = {each for each in folder.rglob("*") if each.is_file() and "shop" not in each.relative_to(folder).parts}
    return {each.relative_to(folder).as_posix() for each in hidden}


def test_a_level_below(own: OwnProject) -> None:
    said = made()
    assert files(own.folder) == {
        *("reverse_etl.yml", "syncs/first_sync.yml.example", ".reverse_etl/.gitignore", ".env.example")
    }
    found = read_deployment(own.file)
    assert found.project.dbt.project_dir == own.dbt
    assert found.project.syncs == {}
    assert set(found.destinations["hubspot"].variables()) == {"HUBSPOT_BASE_URL", "HUBSPOT_ACCESS_TOKEN"}
    assert found.destinations["hubspot"].known("base_url") == "https://api.hubapi.com"
    assert f"profile shop of {own.dbt}/profiles.yml, target dev" in said
    checked = CliRunner().invoke(app, ["check"], catch_exceptions=False).stdout
    assert checked == f"No syncs yet in {own.folder}/syncs: reverse-etl new sync MODEL --to DESTINATION\n"
    assert [line[2:5] for line in said.partition("Next:\n")[2].splitlines()] == ["1. ", "2. ", "3. "]


def test_in_the_dbt_project_and_below_it(own: OwnProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own.dbt / "models")
    made()
    assert read_deployment(own.dbt / "reverse_etl.yml").project.dbt.project_dir == own.dbt


def test_below_a_file_that_names_the_dbt_project(own: OwnProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files would have a state each, and the nearer one would be taken."""
    made()
    monkeypatch.chdir(own.dbt / "models")
    said = made()
    assert "kept  ../../reverse_etl.yml" in said
    assert not (own.dbt / "reverse_etl.yml").exists()
    own.file.write_text("dbt: elsewhere\ndestinations: {}\n")
    made()
    assert (own.dbt / "reverse_etl.yml").exists()


def test_a_file_where_a_folder_has_to_be(own: OwnProject) -> None:
    (own.folder / ".reverse_etl").touch()
    assert f"{own.folder}/.reverse_etl/.gitignore cannot be written: File exists" in refused()


def test_what_is_there_stays(own: OwnProject) -> None:
    made()
    own.file.write_text("dbt: shop # ours\n")
    (own.folder / ".env.example").unlink()
    said = made()
    assert "kept  reverse_etl.yml\n" in said
    assert "wrote .env.example\n" in said
    assert own.file.read_text() == "dbt: shop # ours\n"


def test_a_dbt_project_that_is_named(own: OwnProject, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = own.folder / "deep" / "elsewhere"
    elsewhere.mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    assert f"--dbt nowhere: there is no dbt_project.yml in {elsewhere}/nowhere." in refused("--dbt", "nowhere")
    made("--dbt", "../../shop", "--to", "stripe", "--to", "slack")
    found = read_deployment(elsewhere / "reverse_etl.yml")
    assert found.project.dbt.project_dir == own.dbt
    assert set(found.destinations) == {"stripe", "slack"}


def test_several_or_none(own: OwnProject, monkeypatch: pytest.MonkeyPatch) -> None:
    (own.folder / "other").mkdir()
    (own.folder / "other" / "dbt_project.yml").touch()
    assert "there are several dbt projects here; choose one: --dbt other or --dbt shop." in refused()
    (own.folder / "empty").mkdir()
    monkeypatch.chdir(own.folder / "empty")
    assert "no dbt project here: no dbt_project.yml in " in refused()
    assert files(own.folder / "empty") == set()


def test_a_type_that_is_misspelt(own: OwnProject) -> None:
    assert "No destination type 'hubsport' is installed" in refused("--to", "hubsport")
    assert files(own.folder) == set()


def test_a_profile_that_is_not_there_is_said(own: OwnProject) -> None:
    (own.dbt / "profiles.yml").unlink()
    result = init()
    assert result.exit_code == 0
    assert result.stderr.startswith("! ")
    assert own.file.exists()


def test_git_takes_no_secret(own: OwnProject) -> None:
    subprocess.run(["git", "init", "-q", own.folder], check=True)
    assert "! .env will hold secrets, and git does not ignore it" in init().stderr
    (own.folder / ".gitignore").write_text(".env\n")
    assert "git does not ignore it" not in init().stderr
    state = own.folder / ".reverse_etl" / "shop"
    state.mkdir()
    (state / "journal.sqlite").touch()
    listed = subprocess.run(["git", "status", "--short", "-uall"], cwd=own.folder, capture_output=True, text=True)
    assert "journal" not in listed.stdout


def test_a_component(own: OwnProject) -> None:
    assert "--component: no project of dg here" in refused("--component")
    (own.folder / "src" / "own_dg" / "defs").mkdir(parents=True)
    (own.folder / "pyproject.toml").write_text('[tool.dg.project]\nroot_module = "own_dg"\n')
    made()
    folder = own.folder / "src" / "own_dg" / "defs" / "reverse_etl"
    written = yaml.safe_load((folder / "defs.yaml").read_text())
    assert written["type"] == "reverse_etl_assets.ReverseEtlComponent"
    settings = ComponentSettings.model_validate(written["attributes"])
    assert (folder / str(written["attributes"]["dbt"])).resolve() == own.dbt
    assert settings.destinations.keys() == {"hubspot"}
    assert (folder / "syncs").is_dir()
    assert (own.folder / ".env.example").is_file()


def test_a_component_beside_dbts_own(own: OwnProject) -> None:
    (own.folder / "own_dg" / "defs" / "jaffle").mkdir(parents=True)
    (own.folder / "own_dg" / "defs" / "jaffle" / "defs.yaml").write_text("type: dagster_dbt.DbtProjectComponent\n")
    (own.folder / "dg.toml").write_text('[project]\nroot_module = "own_dg"\n')
    made()
    written = yaml.safe_load((own.folder / "own_dg" / "defs" / "reverse_etl" / "defs.yaml").read_text())
    assert written["attributes"]["dbt"] == {"defs": "jaffle"}


def test_a_component_beside_dbt_assets_of_code(own: OwnProject) -> None:
    """By the folder of the project, the models would stand there twice."""
    defs = own.folder / "own_dg" / "defs"
    (defs / "warehouse").mkdir(parents=True)
    (defs / "warehouse" / "assets.py").write_text("@dbt_assets(manifest=manifest)\ndef models(): ...\n")
    (own.folder / "dg.toml").write_text('[project]\nroot_module = "own_dg"\n')
    made()
    written = yaml.safe_load((defs / "reverse_etl" / "defs.yaml").read_text())
    assert written["attributes"]["dbt"] == {"defs": "warehouse/assets.py"}


def test_a_code_location_that_loads_no_folder_gets_the_lines_for_its_code(own: OwnProject) -> None:
    (own.folder / "own_dg").mkdir()
    (own.folder / "own_dg" / "definitions.py").write_text("defs = dg.Definitions(assets=[models])\n")
    (own.folder / "dg.toml").write_text('[project]\nroot_module = "own_dg"\n')
    assert "does not load " in refused("--component")
    said = made("--to", "hubspot", "--to", "webhook")
    lines = said.partition("Add to own_dg/definitions.py")[2].partition("\nNext:\n")[0].partition("\n\n")[2]
    code = compile(textwrap.dedent(lines), "definitions.py", "exec")
    assert {"dg", "retl", "Path"} <= set(code.co_names)
    assert 'syncs=Path(__file__).parents[1] / "syncs",' in lines
    assert 'access_token=dg.EnvVar("HUBSPOT_ACCESS_TOKEN"),' in lines
    assert files(own.folder) == {
        *("dg.toml", "own_dg/definitions.py", "syncs/first_sync.yml.example", ".reverse_etl/.gitignore"),
        ".env.example",
    }


@pytest.mark.parametrize("kind", sorted(destination_types()))
def test_the_account_of_every_type_loads(kind: str) -> None:
    text = "dbt: .\ndestinations:\n" + "\n".join(f"  {line}" for line in account_lines(kind, kind))
    settings = DeploymentSettings.model_validate(yaml.safe_load(text)).destinations[kind]
    assert set(settings.variables()) == {variable(kind, setting) for setting in needed(kind)}
    in_sandbox = accounts("http://127.0.0.1:1").get(kind, {})
    assert set(in_sandbox) - {"meter_events_url", "mode"} <= set(needed(kind)), "or the sandbox cannot stand in"
