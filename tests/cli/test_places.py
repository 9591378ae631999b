"""Where a project of one's own is found, and with which variables and target the commands work on it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from reverse_etl_assets.cli import app
from reverse_etl_assets.cli.chosen import CHOSEN, Chosen
from reverse_etl_assets.cli.deployed import Deployed
from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.journal.records import RunStatus
from tests.cli.own_project import OwnProject, modules_after
from tests.heavy import first_rows

BUILDS = """
import dagster as dg
from pathlib import Path
from reverse_etl_assets.deployment.built import remember
from reverse_etl_assets.deployment.deployment import Deployment
from reverse_etl_assets.deployment.file import read_deployment

def build(name):
    found = read_deployment(Path({file!r}))
    remember(Deployment(name, found.project, found.destinations))
    return dg.Definitions()
"""


@pytest.fixture
def ready(own: OwnProject, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnProject]:
    """With a sync, where Python finds no module of an earlier test."""
    own.set_up()
    own.sync("people")
    before, paths = set(sys.modules), list(sys.path)
    yield own
    sys.path[:] = paths
    for name in set(sys.modules) - before:
        if name.split(".")[0].startswith("own_"):
            del sys.modules[name]


def module(own: OwnProject, path: str, text: str) -> None:
    file = own.folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    for folder in file.parents:
        if folder == own.folder or folder.name == "src":
            break
        (folder / "__init__.py").touch()
    file.write_text(BUILDS.format(file=str(own.folder / "hidden.yml")) + text)


def hide(own: OwnProject) -> None:
    """The file is not found by its name: only code that reads it knows the project."""
    own.file.rename(own.folder / "hidden.yml")


def asked(*words: str) -> Result:
    return CliRunner().invoke(app, [*words, "status", "--json"], catch_exceptions=False)


def syncs(*words: str) -> list[str]:
    result = asked(*words)
    assert result.exit_code == 0, result.output
    return [each["sync"] for each in json.loads(result.stdout)["syncs"]]


def said(*words: str) -> str:
    result = asked(*words)
    assert result.exit_code == 2, result.output
    return result.stderr


def test_a_file_is_found_upwards(ready: OwnProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ready.dbt / "models")
    assert syncs() == ["people"]


def test_a_file_comes_before_what_pyproject_says(ready: OwnProject) -> None:
    (ready.folder / "pyproject.toml").write_text('[tool.reverse_etl]\ndeployment = "not_there"\n')
    assert syncs() == ["people"]


@pytest.mark.parametrize("words", ["elsewhere/reverse_etl.yml", "elsewhere", "./elsewhere"])
def test_a_file_or_a_folder_is_named(ready: OwnProject, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    here = ready.folder.parent / f"{ready.folder.name}_here"
    here.mkdir()
    (here / "elsewhere").symlink_to(ready.folder)
    monkeypatch.chdir(here)
    assert syncs("--project", words) == ["people"]
    monkeypatch.setenv("REVERSE_ETL_DEPLOYMENT", words)
    assert syncs() == ["people"]


def test_a_folder_without_a_project(ready: OwnProject) -> None:
    assert "shop has no project; `reverse-etl init` begins one." in said("--project", "./shop")
    assert "is neither a folder nor a .yml file" in said("--project", "./nowhere")


@pytest.mark.parametrize(
    ("path", "toml"),
    [
        ("own_dagster.py", '[tool.dagster]\nmodule_name = "own_dagster"\n'),
        ("own_listed.py", '[tool.dagster]\nmodules = [{type = "module", name = "own_listed"}]\n'),
        ("src/own_dg/definitions.py", '[tool.dg.project]\nroot_module = "own_dg"\n'),
        (
            "src/own_target/code.py",
            '[tool.dg.project]\nroot_module = "own_target"\ncode_location_target_module = "own_target.code"\n',
        ),
    ],
)
@pytest.mark.parametrize("how", ["defs = build('shop')", "@dg.definitions\ndef defs():\n    return build('shop')\n"])
def test_what_dagster_loads_is_loaded(ready: OwnProject, path: str, toml: str, how: str) -> None:
    hide(ready)
    module(ready, path, how)
    (ready.folder / "pyproject.toml").write_text(toml)
    assert syncs() == ["people"]
    assert syncs() == ["people"]  # also where the module is loaded already


def test_a_folder_of_definitions_is_loaded(ready: OwnProject) -> None:
    hide(ready)
    module(ready, "own_folder/defs/shop.py", "defs = build('shop')")
    (ready.folder / "dg.toml").write_text('[project]\nroot_module = "own_folder"\nautoload_defs = true\n')
    assert syncs() == ["people"]


def test_several_projects_of_a_module(ready: OwnProject) -> None:
    hide(ready)
    module(ready, "own_several.py", "build('shop')\nbuild('office')\n")
    text = "own_several has several projects; choose one: --project own_several:shop or --project own_several:office."
    assert text in said("--project", "own_several").replace("\n", "")
    assert syncs("--project", "own_several:office") == ["people"]
    assert "own_several has no project `ofice`; did you mean `office`?" in said("--project", "own_several:ofice")
    (ready.folder / "pyproject.toml").write_text('[tool.reverse_etl]\ndeployment = "own_several:shop"\n')
    assert syncs() == ["people"]


def test_a_module_that_builds_nothing_of_ours(ready: OwnProject) -> None:
    hide(ready)
    module(ready, "own_else.py", "project = object()\ndestinations = []\ndefs = dg.Definitions()")
    assert "own_else has a `project` or `destinations` that is none of ours" in said("--project", "own_else")


def test_an_error_of_ours_comes_through_dagsters(ready: OwnProject) -> None:
    hide(ready)
    (ready.folder / "hidden.yml").write_text("dbt: nowhere\n")
    module(ready, "own_wrong/defs/shop.py", "defs = build('shop')")
    (ready.folder / "dg.toml").write_text('[project]\nroot_module = "own_wrong"\nautoload_defs = true\n')
    assert said().startswith(f"Error: {ready.folder}/hidden.yml:1: dbt: there is no dbt_project.yml in ")


def test_variables_beside_the_project(ready: OwnProject, monkeypatch: pytest.MonkeyPatch) -> None:
    assert token(Deployed()) == "pat-sandbox"
    monkeypatch.setenv("OWN_CRM_TOKEN", "from-the-shell")
    assert token(Deployed()) == "from-the-shell"


def token(deployed: Deployed) -> str:
    found: str = deployed.destinations["crm"].account("crm").connection.access_token.get_secret_value()
    return found


def test_variables_of_another_file(ready: OwnProject, monkeypatch: pytest.MonkeyPatch) -> None:
    (ready.folder / "other.env").write_text("export OWN_CRM_TOKEN='from another'\n")
    asked("--env-file", "other.env")
    assert token(Deployed()) == "from another"
    assert "the file of variables missing.env cannot be read" in said("--env-file", "missing.env")


def test_the_target_of_dbt(ready: OwnProject) -> None:
    CHOSEN.set(Chosen(target="prod"))
    try:
        assert Deployed().project.dbt.target == "prod"
        hide(ready)
        module(ready, "own_target_of_dbt.py", "build('shop')")
        CHOSEN.set(Chosen("own_target_of_dbt", target="prod"))
        assert Deployed().project.dbt.target == "prod"
    finally:
        CHOSEN.set(Chosen())
    with pytest.raises(ConfigurationError):
        Deployed()  # each command chooses anew


ROOT = Path(__file__).parents[2]
DAGSTER = {"dagster", "dagster_dbt"}
TO_SEND = {"dbt", "pyarrow", "reverse_etl_assets.delivery.session", "reverse_etl_assets.plan.change_set"}
OTHER_JOURNAL = {"sqlalchemy.dialects.postgresql", "psycopg"}
OTHER_VENDOR = {"reverse_etl_assets.destinations.salesforce", "phonenumbers"}


@pytest.mark.parametrize(
    ("words", "without"),
    first_rows(
        [
            (("status",), DAGSTER | TO_SEND | OTHER_JOURNAL | OTHER_VENDOR),
            (("list",), DAGSTER | TO_SEND | OTHER_VENDOR | {"sqlalchemy", "duckdb", "jinja2"}),
            (("runs",), DAGSTER | TO_SEND | OTHER_JOURNAL | OTHER_VENDOR | {"duckdb", "jinja2"}),
            (("run", "people"), DAGSTER | OTHER_JOURNAL | OTHER_VENDOR),
            (("plan", "people"), DAGSTER | OTHER_JOURNAL | OTHER_VENDOR),
            (("check",), DAGSTER | OTHER_JOURNAL | OTHER_VENDOR),
            (("why", "p1@x.org"), DAGSTER | OTHER_JOURNAL | OTHER_VENDOR),
        ],
        keep=2,
    ),
)
def test_commands_import_what_they_need(ready: OwnProject, words: tuple[str, ...], without: set[str]) -> None:
    journal = Deployed().project.journal
    journal.start_run("earlier", "people", "crm")
    journal.end_run("earlier", RunStatus.DONE, counts={})
    journal.close()
    assert not modules_after(ready.folder, *words) & without


def test_destinations_and_alerts_in_python_load_no_dbt() -> None:
    """Each command of the demo waits for what its module loads."""
    code = "import sys, demo.deployment; sys.exit(' '.join(sys.modules.keys() & {'dagster_dbt', 'dbt', 'duckdb'}))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stderr.strip() == ""


def test_a_first_run(ready: OwnProject) -> None:
    result = CliRunner().invoke(app, ["run", "people", "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert '"created": 3' in result.stdout
    assert (ready.folder / ".reverse_etl" / "shop" / "state" / "people.duckdb").is_file()
