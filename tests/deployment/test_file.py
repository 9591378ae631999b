"""A project in a file: `reverse_etl.yml`."""

import sys
from pathlib import Path
from subprocess import run

import pytest

from reverse_etl_assets.deployment.file import DeploymentSettings, read_deployment
from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.errors import ConfigurationError

SECRET = "geheim-4711"
SMALL = """
dbt: shop
destinations:
  crm:
    type: hubspot
    access_token: {env: FILE_CRM_TOKEN}
    daily_calls: 500
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("REVERSE_ETL_HOME", "FILE_CRM_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
    (tmp_path / "syncs").mkdir()
    return tmp_path


def written(folder: Path, text: str) -> Path:
    file = folder / "reverse_etl.yml"
    file.write_text(text.lstrip("\n"))
    return file


def wrong(folder: Path, text: str) -> list[str]:
    """What is said of the file, without where it lies."""
    with pytest.raises(ConfigurationError) as error:
        read_deployment(written(folder, text))
    assert SECRET not in str(error.value)
    return [line.removeprefix(f"{folder}/") for line in str(error.value).splitlines()]


def test_paths_are_relative_to_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(folder, f"{SMALL}\nhome: ../homes/shop\n")
    monkeypatch.chdir(folder.parent)
    found = read_deployment(Path(folder.name) / file.name)
    assert found.project.dbt.project_dir == folder / "shop"
    assert found.project.syncs_folder == folder / "syncs"
    assert found.project.home == folder.parent / "homes" / "shop"
    assert found.project.destinations == {"crm": HubSpot}


def test_the_home_lies_beside_the_file_unless_the_environment_or_the_file_says_otherwise(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_deployment(written(folder, SMALL)).project.home == folder / ".reverse_etl" / "shop"
    monkeypatch.setenv("REVERSE_ETL_HOME", str(folder / "elsewhere"))
    assert read_deployment(written(folder, SMALL)).project.home == folder / "elsewhere"
    assert read_deployment(written(folder, f"{SMALL}\nhome: state\n")).project.home == folder / "state"


def test_dbt_is_called_as_the_file_says(folder: Path) -> None:
    text = SMALL.replace(
        "dbt: shop", "dbt: {project_dir: shop, profiles_dir: conf, profile: p, target: dev, target_path: out}"
    )
    found = read_deployment(written(folder, text)).project.dbt
    assert (found.profiles_dir, found.profile, found.target) == (folder / "conf", "p", "dev")
    assert found.manifest == folder / "shop" / "out" / "manifest.json"
    assert read_deployment(written(folder, text), target="prod").project.dbt.target == "prod"


def test_an_account_is_signed_in_to_by_the_variables_that_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm = read_deployment(written(folder, SMALL)).destinations["crm"]
    assert crm.variables() == {"FILE_CRM_TOKEN": "access_token"}
    assert crm.known("base_url") == "https://api.hubapi.com"
    with pytest.raises(ConfigurationError, match="crm: access_token needs the environment variable FILE_CRM_TOKEN"):
        crm.account("crm")
    monkeypatch.setenv("FILE_CRM_TOKEN", SECRET)
    connection = crm.account("crm").connection
    assert connection.access_token.get_secret_value() == SECRET
    assert connection.budget.calls == 500
    assert SECRET not in repr(crm) + str(crm)


def test_a_variable_with_a_default(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = SMALL.replace("daily_calls: 500", "base_url: {env: FILE_CRM_URL, default: https://api.hubapi.com}")
    monkeypatch.setenv("FILE_CRM_TOKEN", SECRET)
    monkeypatch.delenv("FILE_CRM_URL", raising=False)
    crm = read_deployment(written(folder, text)).destinations["crm"]
    assert (crm.known("base_url"), crm.account("crm").connection.base_url) == ("https://api.hubapi.com",) * 2
    monkeypatch.setenv("FILE_CRM_URL", "http://127.0.0.1:8787/hubspot")
    assert (crm.known("base_url"), crm.account("crm").connection.base_url) == ("http://127.0.0.1:8787/hubspot",) * 2


def test_names_of_ones_own_may_be_env(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "dbt: shop\ndestinations: {hook: {type: webhook, base_url: https://x, secret_headers: {env: {env: MINE}}}}"
    monkeypatch.setenv("MINE", SECRET)
    account = read_deployment(written(folder, text)).destinations["hook"].account("hook")
    assert account.connection.secret_headers["env"].get_secret_value() == SECRET


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("acess_token: {env: X}", "crm.acess_token: unknown field; did you mean `access_token`?"),
        (
            f"access_token: {SECRET}",
            "crm.access_token: is a secret, which does not stand in a file; name the variable that holds it:"
            " `access_token: {env: HUBSPOT_ACCESS_TOKEN}`.",
        ),
        (
            "access_token: {env: $X}",
            "crm.access_token: `env` takes the name of an environment variable, such as `HUBSPOT_ACCESS_TOKEN`.",
        ),
        (
            f"access_token: {{value: {SECRET}}}",
            "crm.access_token.value: is a secret, which does not stand in a file; name the variable that holds it:"
            " `value: {env: HUBSPOT_ACCESS_TOKEN_VALUE}`.",
        ),
        (
            f"access_token: {{env: X, default: {SECRET}}}",
            "crm.access_token: is a secret, which does not stand in a file; name the variable that holds it:"
            " `access_token: {env: HUBSPOT_ACCESS_TOKEN}`.",
        ),
        (
            "concurrency: {env: X, default: many}",
            "crm.concurrency: Input should be a valid integer, unable to parse string as an integer",
        ),
        (
            "requests_per_second: many",
            "crm.requests_per_second: Input should be a valid number, unable to parse string as a number",
        ),
        ("largest_answer: 0", "crm.largest_answer: Input should be greater than or equal to 1"),
        (
            "daily_calls: many",
            "crm.daily_calls: Input should be a valid integer, unable to parse string as an integer",
        ),
        ("leave_percent: 100", "crm.leave_percent: Input should be less than 100"),
    ],
)
def test_a_setting_of_an_account_that_is_wrong(folder: Path, line: str, said: str) -> None:
    text = f"dbt: shop\ndestinations:\n  crm:\n    type: hubspot\n    base_url: https://x\n    {line}\n"
    assert wrong(folder, text)[0] == f"reverse_etl.yml:6: destinations.{said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("synks: x", "1: synks: unknown field; did you mean `syncs`?"),
        ("dbt: {project_dir: shop, profil: x}", "1: dbt.profil: unknown field; did you mean `profile`?"),
        ("syncs: shop", "1: `dbt` is missing."),
        ("dbt: nowhere", "1: dbt: there is no dbt_project.yml in {folder}/nowhere."),
        ("dbt: shop\nsyncs: nowhere", "2: syncs: there is no folder {folder}/nowhere."),
        ("- dbt: shop", "1: it is a mapping of settings, such as `dbt: .` and `destinations:`."),
        ("dbt: shop\ndbt: shop", "2: `dbt` is given twice."),
        ("dbt: [", "1: not valid YAML: "),
        (
            "dbt: shop\nname: my shop",
            "2: name: write a name of letters, digits and `_` that begins with a letter.",
        ),
        (
            "dbt: shop\ndestinations:\n  my-crm: {type: stripe, secret_key: {env: X}}",
            "3: destinations.my-crm: write a name of letters, digits and `_` that begins with a letter.",
        ),
        ("dbt: shop\ndestinations:\n  crm: hubspot", "3: destinations.crm: an account has a `type`, one of "),
        ("dbt: shop\ndestinations:\n  crm: {}", "3: destinations.crm: `type` is missing; known are `google_ads`, "),
        (
            "dbt: shop\ndestinations:\n  crm: {type: hubsport}",
            "3: destinations.crm.type: no destination type of this name is installed; did you mean `hubspot`?",
        ),
        (
            "dbt: shop\ndestinations:\n  crm: {type: hubspot}",
            "3: destinations.crm: `access_token` is missing; name the variable that holds it: ",
        ),
    ],
)
def test_a_file_that_is_wrong(folder: Path, text: str, said: str) -> None:
    assert any(line.startswith(f"reverse_etl.yml:{said.format(folder=folder)}") for line in wrong(folder, text)), wrong(
        folder, text
    )


def test_everything_that_is_wrong_is_said_at_once(folder: Path) -> None:
    text = "dbt: shop\nsynks: x\ndestinations:\n  a: {type: hubspot, x: 1}\n  b: {type: stripe, y: 1}\n"
    assert {line.split(": ")[1] for line in wrong(folder, text)} == {
        *("synks", "destinations.a", "destinations.a.x", "destinations.b", "destinations.b.y")
    }


def test_a_file_that_cannot_be_read(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"reverse_etl\.yml cannot be read: No such file"):
        read_deployment(folder / "reverse_etl.yml")


def test_the_settings_have_a_schema_for_editors() -> None:
    assert set(DeploymentSettings.model_json_schema()["properties"]) >= {"dbt", "syncs", "home", "destinations"}


def test_dagster_is_not_imported(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from reverse_etl_assets.deployment.file import read_deployment;"
        "read_deployment(Path(sys.argv[1]));"
        "print({each.split('.')[0] for each in sys.modules} & {'dagster', 'dagster_dbt', 'dbt'})"
    )
    done = run([sys.executable, "-c", program, written(folder, SMALL)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")
