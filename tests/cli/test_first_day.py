"""What `docs/destinations/first-day.md` says is done, vendor by vendor, against the sandbox: each file and command."""

import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from typer.testing import CliRunner

from demo import deployment
from reverse_etl_assets.cli import app
from reverse_etl_assets.dbt.settings import DbtSettings
from reverse_etl_assets.orchestration.resources import DestinationResource
from reverse_etl_assets.project import Project
from reverse_etl_sandbox.server import Sandbox
from tests.destinations.postgres_tables import Server
from tests.heavy import first
from tests.pages import ROOT

PAGE = (ROOT / "docs" / "destinations" / "first-day.md").read_text()
PARTS: dict[str, str] = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
VENDORS = [name for name in PARTS if name != "The same for all"]
UNREAD = ("Stripe", "Slack", "Google Ads", "Meta Ads")
"""Whose records cannot be read back."""
TABLES = {
    "Salesforce": ("salesforce", "Lead"),
    "HubSpot": ("hubspot", "contacts"),
    "Intercom": ("intercom", "contacts"),
    "Stripe": ("stripe", "customers"),
    "Slack": ("slack", "first-day"),
    "Zendesk": ("zendesk", "users"),
    "Google Ads": ("google_ads", "1001"),
    "Meta Ads": ("meta_ads", "120200000000000001"),
    "Webhook": ("rest", "people"),
}


def block(part: str, language: str) -> str:
    [found] = re.findall(rf"```{language}\n(.*?)```", PARTS[part], re.S)
    return str(found)


COMMANDS = [shlex.split(line, comments=True) for line in block("The same for all", "bash").splitlines()]


class Machine:
    """A project as the page has it made, on a machine with the vendors' variables."""

    def __init__(self, home: Path, vendor: str, count: Callable[[], int]) -> None:
        self.vendor, self.count = vendor, count
        (home / "syncs").mkdir()
        (home / "syncs" / "first_day.yml").write_text(block(vendor, "yaml"))
        with duckdb.connect(str(home / "warehouse.duckdb")) as con:  # as `dbt build` does; tests of dbt are elsewhere
            con.execute("create schema marts")
            model = (ROOT / "dbt_project/models/marts/first_day.sql").read_text()
            con.execute(f"create table marts.first_day as {model}")
            self.values = [
                str(v) for row in con.sql("select email, full_name from marts.first_day").fetchall() for v in row
            ]
        self.said = ""

    def run(self, *words: str) -> int:
        done = CliRunner().invoke(app, words, catch_exceptions=False)
        self.said += done.output
        return done.exit_code

    def shows_nothing(self) -> None:
        """No secret, and no value of a row that is personal data."""
        secrets = [value for name, value in os.environ.items() if SECRET.search(name) and len(value) > 8]
        assert len(secrets) >= 8
        assert [value for value in (*secrets, *self.values) if value in self.said] == []

    def json(self, *words: str) -> Any:
        return json.loads(CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False).stdout)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    from demo.database import embedded_server

    with embedded_server() as url:
        yield url


def service_account(token_uri: str) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()
    return json.dumps({"client_email": "sync@demo.iam.example", "private_key": pem, "token_uri": token_uri})


def variables(url: str, home: Path, server: Server | None) -> Mapping[str, str]:
    return {
        "REVERSE_ETL_HOME": str(home),
        "REVERSE_ETL_WAREHOUSE": str(home / "warehouse.duckdb"),
        "REVERSE_ETL_DEPLOYMENT": f"first_day_in_{home.name}",
        "SALESFORCE_BASE_URL": f"{url}/salesforce",
        "SALESFORCE_CLIENT_ID": "sandbox",
        "SALESFORCE_CLIENT_SECRET": "sandbox-secret",
        "HUBSPOT_BASE_URL": f"{url}/hubspot",
        "HUBSPOT_ACCESS_TOKEN": "pat-sandbox",
        "INTERCOM_ACCESS_TOKEN": "ic-sandbox",
        "STRIPE_SECRET_KEY": "rk_test_sandbox",
        "SLACK_BOT_TOKEN": "xoxb-sandbox",
        "ZENDESK_BASE_URL": f"{url}/zendesk",
        "ZENDESK_CLIENT_ID": "sandbox",
        "ZENDESK_CLIENT_SECRET": "zendesk-secret",
        "GOOGLE_ADS_CUSTOMER_ID": "123-456-7890",
        "GOOGLE_ADS_SERVICE_ACCOUNT": service_account(f"{url}/google_ads/token"),
        "META_ADS_ACCESS_TOKEN": "EAAsandbox",
        "POSTGRES_URL": server.as_role("first_day_sync") if server else "",
        "POSTGRES_PASSWORD": "first-day-password",
        "WEBHOOK_BASE_URL": f"{url}/rest",
        "WEBHOOK_TOKEN": "hook-sandbox",
    }


SECRET = re.compile(r"SECRET|TOKEN|PASSWORD|SERVICE_ACCOUNT")
MOVED = {
    "slack": "slack/api",
    "intercom": "intercom",
    "stripe": "stripe",
    "google_ads": "google_ads",
    "meta_ads": "meta",
}
"""Whose address the deployment reads when it is loaded."""


def resources(url: str) -> dict[str, DestinationResource]:
    """Those of the project's deployment, led to the sandbox."""
    found = dict(deployment.destinations)
    for name, path in MOVED.items():
        found[name] = found[name].model_copy(update={"base_url": f"{url}/{path}", "requests_per_second": 1_000.0})
    found["zendesk"] = found["zendesk"].model_copy(update={"requests_per_second": 1_000.0})
    found["crm_webhook"] = found["crm_webhook"].model_copy(update={"allow_private": True})
    return found


@pytest.fixture(params=first(VENDORS))
def machine(
    request: pytest.FixtureRequest, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Machine]:
    sandbox.settings.change({"slack_post_seconds": 0.0, "slack_minute_seconds": 0.0, "zendesk_requests": 1_000_000})
    vendor, server = str(request.param), None
    if vendor == "PostgreSQL":
        server = Server(request.getfixturevalue("postgres_server"))
        role = "first_day_sync"
        server.run(
            "drop schema if exists first_day cascade",
            *filter(str.strip, block("PostgreSQL", "text").split(";")),
            "drop schema if exists reverse_etl cascade", f"drop role if exists {role}", f"create role {role} login",
            f"grant usage on schema first_day to {role}",
            f"grant select, insert, update, delete on first_day.people to {role}",
            f"create schema reverse_etl authorization {role}",
        )  # fmt: skip
    for name in ("DAGSTER_HOME", "REVERSE_ETL_JOURNAL", "REVERSE_ETL_STOP"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables(sandbox.url, tmp_path, server).items():
        monkeypatch.setenv(name, value)

    def count() -> int:
        if server:
            return int(server.run("select count(*) from first_day.people")[0][0])
        place, table = TABLES[vendor]
        found = sandbox.app.control.people.table(place, table) if place != "rest" else sandbox.rest.table(table)
        return len(found.live())

    made = Machine(tmp_path, vendor, count)
    module = ModuleType(f"first_day_in_{tmp_path.name}")
    types = {name: resource.destination_type for name, resource in deployment.destinations.items()}
    project = Project(DbtSettings(ROOT / "dbt_project"), tmp_path / "syncs", types)
    module.__dict__.update(destinations=resources(sandbox.url), project=project)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    yield made
    project.journal.close()


def test_every_command_of_the_page(machine: Machine) -> None:
    """In the page's order; nothing of what is printed is a secret or a value of a row."""
    ids: dict[str, str] = {}
    ends = {"run": 1, "verify": 2 if machine.vendor in UNREAD else 0}
    for command in COMMANDS:
        program, *words = [ids.get(word, word) for word in command]
        if program == "dbt":
            assert words == ["build", "--select", "first_day"]
            continue
        assert program == "reverse-etl"
        waits = words[0] == "undo" and "UNDO" not in ids and "--dry-run" not in words
        assert machine.run(*words) == (1 if waits else ends.get(words[0], 0)), machine.said
        if waits and machine.vendor == "Meta Ads":
            assert "10 failed invalid" in " ".join(machine.said.split())
            machine.shows_nothing()
            return
        if words[0] == "run" or waits:
            assert machine.count() == (10 if waits else 0)
            [plan] = machine.json("status")["waiting_plans"]
            ids["UNDO" if waits else "PLAN"] = plan["plan"]
        elif "--run" in words:
            assert machine.count() == 10, machine.said
            ids["RUN"] = machine.json("status")["syncs"][0]["run"]
        assert all(each in machine.said for each in ids.values()), "nobody could know the id"
    assert machine.count() == 0
    assert machine.json("status")["stops"] == []
    machine.run("why", "first-day-3")
    machine.shows_nothing()
