"""A sync's file that was renamed or removed after Dagster had loaded it: what a run says that was planned with it."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType
from dagster._utils.test.definitions import scoped_reconstruction_metadata

from reverse_etl_sandbox.server import Sandbox
from tests.heavy import first, heavy
from tests.orchestration.shop import Shop
from tests.orchestration.small_project import failure_of
from tests.until import until

DRIFT = {"verify": {"drift": {"cron": "0 3 * * *"}}}


def planned(shop: Shop) -> dict[str, Any]:
    """What Dagster hands to the process of a run."""
    context = DefinitionsLoadContext(DefinitionsLoadType.INITIALIZATION)
    with DefinitionsLoadContext.scoped(context):
        shop.definitions()
    return dict(context.get_pending_reconstruction_metadata())


@pytest.mark.parametrize("what", first(["renamed", "removed", "given another name"]))
def test_a_run_says_what_became_of_the_file(shop: Shop, what: str) -> None:
    file = shop.write_sync("contacts", **DRIFT)
    known = planned(shop)
    if what == "renamed":
        file.rename(file.with_name("leads.yml"))
    elif what == "removed":
        file.unlink()
    else:
        shop.write_sync("contacts", sync="leads", **DRIFT)
    shop.project.__dict__.pop("syncs")  # a new process
    with scoped_reconstruction_metadata(known):
        again = shop.definitions()
    ran = shop.run(again, "crm/contacts")
    said = ran.failure.description
    assert said == (
        f"there is no sync contacts any more: {file} was renamed, removed or given another name after Dagster had "
        "loaded it. Nothing was sent. Reload the code location (Deployment, Reload), and start the run again."
    )
    drift = again.resolve_job_def("shop_contacts_drift").execute_in_process(
        instance=shop.instance, raise_on_error=False
    )
    assert failure_of(drift.all_events).description == said


def test_nothing_stands_in_where_the_files_are_what_dagster_knows(shop: Shop) -> None:
    file = shop.write_sync("contacts", **DRIFT)
    known = planned(shop)
    with scoped_reconstruction_metadata(known):
        shop.definitions().resolve_asset_graph()
    file.rename(file.with_name("leads.yml"))
    shop.project.__dict__.pop("syncs")
    keys = {key.to_user_string() for key in shop.definitions().resolve_all_asset_keys()}
    assert "crm/leads" in keys
    assert "crm/contacts" not in keys


DEFINITIONS = """
from pathlib import Path

import dagster as dg

from reverse_etl_assets import DbtSettings, HubSpotResource, build_sync_definitions

crm = HubSpotResource(base_url=dg.EnvVar("TEST_CRM_URL"), access_token=dg.EnvVar("TEST_CRM_TOKEN"))
defs = build_sync_definitions(dbt=DbtSettings(Path({dbt!r})), syncs=Path({syncs!r}), destinations={{"crm": crm}})
"""
LAUNCH = """
mutation($keys: [AssetKeyInput!]!) { launchRun(executionParams: {
  selector: {
    repositoryLocationName: "shop", repositoryName: "__repository__", jobName: "__ASSET_JOB", assetSelection: $keys
  }
}) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
FAILURES = """
query($run: ID!) { runOrError(runId: $run) { ... on Run { status eventConnection { events {
  __typename ... on ExecutionStepFailureEvent { error { message } failureMetadata { description } }
} } } } }
"""


@contextmanager
def webserver(home: Path) -> Iterator[httpx.Client]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "dagster_webserver", "-w", str(home / "workspace.yaml"), "-p", str(port)]
    environment = os.environ | {"DAGSTER_HOME": str(home / "dagster")}
    (home / "dagster").mkdir()
    coordinator = {"module": "dagster.core.run_coordinator", "class": "DefaultRunCoordinator"}  # no daemon runs here
    settings = {"telemetry": {"enabled": False}, "run_coordinator": coordinator}
    (home / "dagster" / "dagster.yaml").write_text(json.dumps(settings))
    with (
        (home / "log").open("w") as log,
        subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=log) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        try:
            give_up = time.monotonic() + 90
            while time.monotonic() < give_up and process.poll() is None:
                try:
                    client.get("/server_info").raise_for_status()
                    break
                except httpx.HTTPError:
                    time.sleep(0.2)
            yield client
        finally:
            process.terminate()
            process.wait(30)


def ask(client: httpx.Client, query: str, **variables: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.post("/graphql", json={"query": query, "variables": variables}).json()
    assert "errors" not in answer, answer
    return answer["data"]


@heavy
def test_a_run_that_the_ui_starts_says_it(shop: Shop, sandbox: Sandbox) -> None:
    file = shop.write_sync("contacts", **DRIFT)
    code = shop.home / "shop_definitions.py"
    code.write_text(DEFINITIONS.format(dbt=str(shop.dbt_folder), syncs=str(shop.home / "syncs")))
    location = {"python_file": {"relative_path": code.name, "location_name": "shop"}}
    (shop.home / "workspace.yaml").write_text(json.dumps({"load_from": [location]}))
    with webserver(shop.home) as client:
        known = ask(client, "{ assetNodes { assetKey { path } } }")["assetNodes"]
        assert {"assetKey": {"path": ["crm", "contacts"]}} in known
        file.rename(file.with_name("leads.yml"))
        launched = ask(client, LAUNCH, keys=[{"path": ["crm", "contacts"]}])["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run = launched["run"]["runId"]
        until(lambda: ask(client, FAILURES, run=run)["runOrError"]["status"] == "FAILURE", seconds=90, pause=0.5)
        found = ask(client, FAILURES, run=run)["runOrError"]
    (failure,) = [
        event for event in found["eventConnection"]["events"] if event["__typename"] == "ExecutionStepFailureEvent"
    ]
    assert "there is no sync contacts any more" in json.dumps(failure)
    assert not sandbox.hubspot.tables["contacts"].live()


def test_a_sync_that_ran_and_has_another_name_now_is_told_at_load(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    file = shop.write_sync("contacts")
    (shop.home / "state").mkdir()
    (shop.home / "state" / "contacts.duckdb").touch()
    shop.definitions()
    assert caplog.messages == []
    file.rename(file.with_name("crm_contacts.yml"))
    shop.project.__dict__.pop("syncs")
    shop.definitions()
    (said,) = caplog.messages
    assert said.startswith(f"{shop.home}/state/contacts.duckdb has the state of a sync `contacts`, and ")
    assert "If `crm_contacts` is its new name, it begins anew there; `sync: contacts` keeps the old one." in said
