"""`run --only`, `run --limit`, and the same in `plan`."""

import dagster as dg
import pytest

from reverse_etl_sandbox.server import Sandbox
from tests.cli.office import EVENTS, Office
from tests.heavy import heavy

ROWS = [(f"{name.lower()}@shop.example", name, "Bern") for name in ("Ada", "Bob", "Cid", "Dan")]


@pytest.fixture
def four(office: Office) -> Office:
    office.sync("people_to_crm")
    office.sync("events", EVENTS)
    office.build(*ROWS)
    return office


def records(sandbox: Sandbox) -> int:
    return int(sandbox.counts()["hubspot"]["objects"]["contacts"]["records"])


@heavy
def test_a_row_by_its_key(four: Office, sandbox: Sandbox) -> None:
    said = " ".join(four.ok("run", "people_to_crm", "--only", "CID@shop.example").split())
    assert "a trial of 1 row; the others are as they were, and the next run sends them" in said
    assert records(sandbox) == 1
    assert "done (trial)" in four.ok("status")
    assert "done (trial)" in four.ok("runs")
    assert four.json("runs")["runs"][0]["trial"] == 1
    assert four.json("run", "people_to_crm")["runs"][0]["counts"]["created"] == 3
    assert records(sandbox) == 4


def test_the_plan_of_a_trial_is_what_it_sends(four: Office, sandbox: Sandbox) -> None:
    planned = four.json("plan", "people_to_crm", "--trial", "2")
    assert (planned["trial"], planned["to_send"]) == ({"upsert": 2}, {"upsert": 4})
    for form in ((), ("--markdown",)):
        assert "A trial would send 2 upsert of it" in four.ok("plan", "people_to_crm", "--trial", "2", *form)
    (ran,) = four.json("run", "people_to_crm", "--limit", "2")["runs"]
    assert (ran["trial"], ran["status"], ran["plan"]) == (2, "done", planned["plan"])
    for row in planned["rows"]:
        assert "It was created in crm" in four.answer(row["key"], "people_to_crm")
    assert four.json("plan", "people_to_crm", "--only", ROWS[3][0])["rows"][0]["key"] == ROWS[3][0]


def test_a_key_that_would_not_go_out(four: Office, sandbox: Sandbox) -> None:
    result = four.run("run", "people_to_crm", "--only", "eve@shop.example")
    assert result.exit_code == 1
    said = " ".join(result.output.split())
    assert "eve@shop.example would not be sent: no row of the model people has this key" in said
    assert said.count("people_to_crm: ") == 1
    assert records(sandbox) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "events", "people_to_crm", "--only", "a"), "a key is a row of one sync"),
        (("run", "events", "--only", "a", "--limit", "1"), "give --only or --limit, not both"),
        (("plan", "events", "--only", "a", "--trial", "1"), "give --only or --trial, not both"),
        (("plan", "events", "--trial", "1", "--show", "waiting"), "a plan that was kept goes out as a whole"),
        (("run", "events", "--limit", "0"), "Invalid value"),
    ],
)
def test_what_does_not_go_together(four: Office, words: tuple[str, ...], said: str) -> None:
    result = four.run(*words)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


@heavy
def test_several_syncs_are_tried_at_once(four: Office) -> None:
    found = four.json("run", "--all", "--limit", "1")["runs"]
    assert [(run["trial"], run["counts"]["created"]) for run in found] == [(1, 1), (1, 1)]


@heavy
def test_dagster_sees_it_and_takes_nothing_for_fresh(four: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    home = four.home / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    four.ok("run", "people_to_crm", "--limit", "1")
    with dg.DagsterInstance.get() as instance:
        key = dg.AssetKey(["crm", "people_to_crm"])
        assert instance.get_latest_materialization_event(key) is None
        (seen,) = instance.fetch_observations(key, limit=5).records
    assert seen.asset_observation is not None
    assert seen.asset_observation.metadata["rows of a trial"].value == 1
