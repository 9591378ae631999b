"""A command that somebody ends says how far it came, waits for the answers in flight, and the next run goes on."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_sandbox.server import Sandbox
from tests.cli.office import EVENTS, Office
from tests.heavy import first, heavy
from tests.until import until

ROOT = Path(__file__).parents[2]
ROWS = 3_000
DEPLOYMENT = """
from pathlib import Path
import dagster as dg
from reverse_etl_assets.orchestration.vendor_resources import HubSpotResource, WebhookResource
from reverse_etl_assets.dbt.settings import DbtSettings
from reverse_etl_assets.project import Project

crm = HubSpotResource(
    base_url=dg.EnvVar("OFFICE_CRM_URL"), access_token=dg.EnvVar("OFFICE_CRM_TOKEN"), requests_per_second=100_000
)
destinations = {"crm": crm, "hook": WebhookResource(base_url=dg.EnvVar("OFFICE_HOOK_URL"), allow_private=True)}
here = Path(__file__).parent
types = {name: each.destination_type for name, each in destinations.items()}
project = Project(DbtSettings(here / "dbt"), here / "syncs", types)
"""


@contextmanager
def started(office: Office, sandbox: Sandbox, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command in a process of its own, whose destination is slow, but for the first three batches."""
    (office.home / "office_deployment.py").write_text(DEPLOYMENT)
    for path in ("batch/upsert", "batch/archive"):
        sandbox.fault("slow", vendor="hubspot", path=path, skip=3, delay_ms=1_500)
    variables = {**os.environ, **office.variables, "REVERSE_ETL_DEPLOYMENT": "office_deployment"}
    variables["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(office.home)])
    command = [sys.executable, "-m", "reverse_etl_assets.cli", *words]
    with subprocess.Popen(
        command, cwd=office.home, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        yield process


@contextmanager
def running(office: Office, sandbox: Sandbox) -> Iterator[subprocess.Popen[str]]:
    """`run --all` in a process of its own, some of whose rows have gone out."""
    office.sync("people_to_crm")
    office.sync("z_events", EVENTS)
    office.build(*((f"p{i}@shop.example", f"P{i}", "Bern") for i in range(ROWS)))
    with started(office, sandbox, "run", "--all") as process:
        contacts = sandbox.hubspot.tables["contacts"]
        until(lambda: len(contacts.live()) >= 300 or process.poll() is not None, pause=0.02)
        yield process


@heavy
@pytest.mark.parametrize("number", first([signal.SIGINT, signal.SIGTERM, signal.SIGHUP]))
def test_a_run_that_is_ended_says_how_far_it_came(office: Office, sandbox: Sandbox, number: signal.Signals) -> None:
    said = "ended by Ctrl-C" if number is signal.SIGINT else "terminated from outside"
    contacts = sandbox.hubspot.tables["contacts"]
    with running(office, sandbox) as process:
        process.send_signal(number)
        told, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number, told
    (run,) = office.project.journal.history("people_to_crm")
    assert 300 <= run.counts["created"] == len(contacts.live()) < ROWS
    ended = f"{said}; {run.counts['created']:,} of 3,000 rows had gone out; the next run sends the rest"
    assert (run.status, run.detail) == (RunStatus.FAILED, ended)
    words = " ".join(told.split())
    assert f"people_to_crm: {ended}" in words
    assert "z_events: not begun" in words
    assert ended in " ".join(office.ok("status").split())
    sandbox.faults.clear()
    office.ok("run", "people_to_crm")
    assert len(contacts.live()) == ROWS
    assert sandbox.counts()["hubspot"]["objects"]["contacts"]["created"] == ROWS


@heavy
def test_a_run_that_goes_on_and_then_is_killed_is_told_as_far_as_it_came(office: Office, sandbox: Sandbox) -> None:
    """What the journal heard counts for whoever asks, before a next run folds it in."""
    sent, unsent = "p10@shop.example", f"p{ROWS - 1}@shop.example"
    with running(office, sandbox) as process:
        sandbox.settings.change({"latency_ms": 10_000.0})  # it goes on as long as this test asks
        meanwhile = office.answer(sent, "people_to_crm")
        going_on = " ".join(office.ok("status").split())
        process.kill()
    assert meanwhile == (
        "What this sync remembers has no send of it."
        " A run is going on just now; what it does is known here once it has ended."
    )
    assert "it goes on just now; " in going_on
    said = " ".join(office.ok("status").split())
    assert "no process of this machine works on it any more; " in said
    assert " rows have gone out" in said
    assert "the next run first folds in what is known of them" in " ".join(office.ok("runs").split())
    answer = office.answer(sent, "people_to_crm")
    assert "It was created in crm as " in answer
    (record,) = [each for each in answer.split() if each.isdigit()]
    assert f"has {record} in the record's id" in " ".join(office.ok("why", record).split())
    assert "The run ended before its turn" in office.answer(unsent, "people_to_crm")
    sandbox.settings.change({"latency_ms": 0.0})
    sandbox.faults.clear()
    office.ok("run", "people_to_crm")
    assert office.answer(sent, "people_to_crm") == answer


@heavy
def test_an_undo_that_is_ended_says_how_far_it_came(office: Office, sandbox: Sandbox) -> None:
    office.sync("people_to_crm")
    office.build(*((f"p{i}@shop.example", f"P{i}", "Bern") for i in range(ROWS)))
    office.ok("run", "people_to_crm")
    (run,) = office.project.journal.history("people_to_crm")
    contacts = sandbox.hubspot.tables["contacts"]
    with started(office, sandbox, "undo", run.run_id, "--why", "prices") as process:
        until(lambda: len(contacts.live()) < ROWS or process.poll() is not None, pause=0.02)
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=60)
    assert process.returncode == 130, told
    gone = ROWS - len(contacts.live())
    assert 0 < gone < ROWS
    ended = f"ended by Ctrl-C; {gone:,} of 3,000 rows had gone out; the same again does the rest"
    words = " ".join(told.split())
    assert f"people_to_crm: {ended}" in words, words


@heavy
def test_earlier_runs_are_listed(office: Office) -> None:
    office.sync("people_to_crm")
    assert office.run("runs").exit_code == 1
    office.build(("ada@shop.example", "Ada", "Bern"))
    office.ok("run", "--all")
    office.build(("ada@shop.example", "Ada", "Rome"))
    office.ok("run", "--all")
    office.run("stop", "--all", "--why", "prices", "--who", "Kim")
    office.run("run", "--all")
    listed: list[dict[str, Any]] = office.json("runs", "people_to_crm")["runs"]
    assert [run["status"] for run in listed] == ["guarded", "done", "done"]
    said = office.ok("runs")
    assert all(run["run_id"] in said for run in listed)
    assert "kill_switch: stopped (all) by Kim: prices" in said
    assert "1 updated" in said
    assert len(office.json("runs", "--limit", "1")["runs"]) == 1
    assert office.run("runs", "people_to_cmr").exit_code == 2
