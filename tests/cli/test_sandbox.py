"""`reverse-etl sandbox`: a first run without an account."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from reverse_etl_assets.cli import app
from reverse_etl_assets.cli.deployed import Deployed
from reverse_etl_assets.cli.sandbox import variables
from reverse_etl_sandbox.accounts import accounts
from tests.cli.own_project import ROOT, OwnProject
from tests.heavy import heavy

CRM = {
    "type": "hubspot",
    "base_url": {"env": "OWN_CRM_URL", "default": "https://api.hubapi.com"},
    "access_token": {"env": "OWN_CRM_TOKEN"},
}


@pytest.fixture
def tried(own: OwnProject, monkeypatch: pytest.MonkeyPatch) -> OwnProject:
    own.set_up(destinations={"crm": CRM})
    own.sync("people")
    (own.folder / ".env").unlink()
    for name in ("OWN_CRM_URL", "OWN_CRM_TOKEN"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return own


@contextmanager
def started(own: OwnProject, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """The command, up to the line that says where the sandbox runs; ended with Ctrl-C's signal."""
    command = [sys.executable, "-m", "reverse_etl_assets.cli", "sandbox", "--port", "0", *words]
    pipe = subprocess.PIPE
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=own.folder, env=variables, stdout=pipe, stderr=pipe, text=True) as process:
        process.said = []  # type: ignore[attr-defined]
        assert process.stderr is not None
        for line in process.stderr:
            process.said.append(line)  # type: ignore[attr-defined]
            if line.startswith("The sandbox runs at"):
                break
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def test_a_first_run_without_an_account(tried: OwnProject) -> None:
    file = tried.folder / ".env"
    with started(tried, "--env-file", ".env") as process:
        assert file.stat().st_mode & 0o777 == 0o600
        assert re.search(r"^OWN_CRM_URL=http://127\.0\.0\.1:\d+/hubspot$", file.read_text(), re.MULTILINE)
        result = CliRunner().invoke(app, ["run", "people", "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert '"created": 3' in result.stdout
        assert (tried.folder / ".reverse_etl" / "shop-sandbox" / "state" / "people.duckdb").is_file()
        assert not (tried.folder / ".reverse_etl" / "shop").exists()
    assert process.returncode == 0, process.said  # type: ignore[attr-defined]


@heavy
def test_a_file_is_completed(tried: OwnProject) -> None:
    file = tried.folder / ".env"
    file.write_text("# ours\nOWN_CRM_TOKEN=of-our-own\nOTHER='a b'\n")
    file.chmod(0o640)
    with started(tried, "--env-file", ".env") as first:
        begun = file.read_text()
    with started(tried, "--env-file", ".env"):
        again = file.read_text()
    assert begun.startswith("# ours\nOWN_CRM_TOKEN=of-our-own\nOTHER='a b'\n\n# >>> reverse-etl sandbox: ")
    assert "OWN_CRM_TOKEN" not in begun.partition("# >>>")[2]
    assert [line.split("=")[0] for line in again.splitlines()] == [line.split("=")[0] for line in begun.splitlines()]
    assert again != begun  # it lies on another port now
    assert file.stat().st_mode & 0o777 == 0o640
    assert "! OWN_CRM_TOKEN stood in .env with another value, and stays.\n" in first.said  # type: ignore[attr-defined]


@heavy
def test_without_a_file_the_variables_are_printed(tried: OwnProject) -> None:
    with started(tried) as process:
        assert process.stdout is not None
        printed = {process.stdout.readline().split("=")[0] for _ in range(3)}
    assert printed == {"export OWN_CRM_TOKEN", "export OWN_CRM_URL", "export REVERSE_ETL_HOME"}
    assert not (tried.folder / ".env").exists()


def remarks(own: OwnProject, **settings: object) -> str:
    own.set_up(destinations={"crm": {**CRM, **settings}})
    return " ".join(variables(Deployed(), accounts("http://127.0.0.1:1"))[1])


def test_what_does_not_go_to_the_sandbox_is_said(tried: OwnProject) -> None:
    fixed = "crm: its address does not come from a variable, so it is not the sandbox's; `base_url: {env: HUBSPOT_BASE"
    assert fixed in remarks(tried, base_url="https://api.hubapi.com")
    hook = {"type": "webhook", "base_url": {"env": "OWN_CRM_URL"}, "access_token": None}
    assert "crm: it does not go to this machine unless it says `allow_private: " in remarks(tried, **hook)
    table = {**hook, "type": "postgres"}
    assert "crm: the sandbox does not play postgres" in remarks(tried, **table)
    assert remarks(tried) == ""


CODE = """
from pathlib import Path
import dagster as dg
import reverse_etl_assets as retl

defs = retl.build_sync_definitions(
    dbt=retl.DbtSettings(Path("shop").absolute()),
    syncs="syncs",
    destinations={"crm": retl.HubSpotResource(access_token=dg.EnvVar("OWN_CRM_TOKEN"))},
)
"""


def test_what_is_written_in_python_is_said_in_python(tried: OwnProject, monkeypatch: pytest.MonkeyPatch) -> None:
    (tried.folder / "location_of_sandbox.py").write_text(CODE)
    monkeypatch.setenv("REVERSE_ETL_DEPLOYMENT", "location_of_sandbox")
    (said,) = variables(Deployed(), accounts("http://127.0.0.1:1"))[1]
    assert said.endswith('it is not the sandbox\'s; `base_url=dg.EnvVar("HUBSPOT_BASE_URL")`.')


def test_a_home_that_is_named_is_said(tried: OwnProject) -> None:
    tried.set_up(destinations={"crm": CRM}, home="state_of_ours")
    found, said = variables(Deployed(), accounts("http://127.0.0.1:1"))
    assert "REVERSE_ETL_HOME" not in found
    assert [text for text in said if text.startswith("`home` is set: what is sent here counts as sent.")]


def test_a_port_that_is_taken(tried: OwnProject) -> None:
    url = tried.url.rpartition(":")[2]
    result = CliRunner().invoke(app, ["sandbox", "--port", url], catch_exceptions=False)
    assert result.exit_code == 2
    assert f"the sandbox did not start; --port takes another port than {url}, 0 a free one." in result.stderr


def test_every_vendor_lets_its_account_in(own: OwnProject) -> None:
    """What signs in is what the vendor takes: settings that its connection has, and a call that is not refused."""
    from reverse_etl_assets.destinations.registry import destination_type

    for kind, settings in accounts(own.url).items():
        assert destination_type(kind).Connection.model_validate(settings).base_url.startswith(own.url), kind
