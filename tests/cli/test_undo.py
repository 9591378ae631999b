"""`reverse-etl undo`: a look first, then what came of it in words."""

import json
from typing import Any

import duckdb
import pytest

from reverse_etl_sandbox.server import Sandbox
from tests.cli.office import CONTACTS, Office
from tests.heavy import heavy

ANN, BOB, CEM = "ann@x.example", "bob@x.example", "cem@x.example"


@pytest.fixture
def ran(office: Office) -> str:
    """The id of a run that changed Ann, deleted Bob and made Cem."""
    office.sync("people_to_crm")
    office.build((ANN, "Ann", "Ulm"), (BOB, "Bob", "Bonn"))
    office.ok("run", "people_to_crm")
    office.build((ANN, "Anna", "Ulm"), (CEM, "Cem", "Kiel"))
    return run_of(office)


def run_of(office: Office) -> str:
    return str(office.json("run", "people_to_crm")["runs"][0]["run"])


def contacts(sandbox: Sandbox) -> dict[str, Any]:
    return {entry.values["email"]: entry for entry in sandbox.hubspot.tables["contacts"].live()}


def names(sandbox: Sandbox) -> dict[str, str]:
    return {email: entry.values["firstname"] for email, entry in contacts(sandbox).items()}


def state(office: Office) -> list[Any]:
    """All that the sync remembers."""
    with duckdb.connect(str(office.home / "state" / "people_to_crm.duckdb"), read_only=True) as con:
        tables = con.execute("select table_name from duckdb_tables() order by all").fetchall()
        return [con.execute(f"from {name}").fetchall() for (name,) in tables]


@heavy
def test_a_look_at_what_would_be_put_back(office: Office, sandbox: Sandbox, ran: str) -> None:
    sandbox.edit("hubspot", "contacts", contacts(sandbox)[CEM].id, {"city": "Jena"})
    here, remembered = names(sandbox), state(office)
    sandbox.log.clear()
    shown = office.ok("undo", ran, "--dry-run")
    for words in (
        f"undo of run {ran}",
        "to set back 1  to delete 1  to make again 1  left alone 0  not possible 0",
        "1 of them would stay as they are",
        "2 rows get back what the record held just before the run",
        "A record that is made again has a new id",
        f"~ {ANN}  to be set back, from destination",
        "firstname: Anna -> Ann",
        f"+ {BOB}  to be made again",
        "somebody changed `city` (now 'Jena') since",
        "All guards pass.",
    ):
        assert words in shown
    assert f"- {CEM}" not in shown
    found = office.json("undo", ran, "--dry-run", "--limit", "1")
    assert (len(found["rows"]), found["counts"]["from_destination"]) == (1, 2)
    assert [(row["key"], row["reason"]) for row in found["left_alone"]] == [(CEM, "edited")]
    assert {line.operation for line in sandbox.log.lines("hubspot")} == {"describe", "read"}
    assert (names(sandbox), state(office)) == (here, remembered)
    assert office.project.journal.stops() == []


def test_a_run_is_put_back_and_the_sync_is_stopped(office: Office, sandbox: Sandbox, ran: str) -> None:
    said = office.ok("undo", ran, "--why", "wrong names", "--who", "ada")
    assert names(sandbox) == {ANN: "Ann", BOB: "Bob"}
    for words in (
        "3 of 3 rows were put back: 1 set back, 1 deleted, 1 made again.",
        "Values put back: of 2 rows what the record held just before the run, of 0 our last write.",
        f"The sync is stopped (sync:people_to_crm) by ada, so that no run sends the same again: run {ran} was undone:"
        " wrong names. `reverse-etl resume --sync people_to_crm` lets it run.",
    ):
        assert words in said
    assert office.run("run", "people_to_crm").exit_code == 1
    assert "undo" in office.ok("status")
    again = office.run("undo", ran, "--why", "again")
    assert again.exit_code == 2
    assert "was undone already" in again.output
    office.ok("resume", "--sync", "people_to_crm")
    office.ok("run", "people_to_crm")
    assert names(sandbox) == {ANN: "Anna", CEM: "Cem"}


@heavy
def test_what_is_left_alone_is_said_and_is_no_success(office: Office, sandbox: Sandbox, ran: str) -> None:
    sandbox.edit("hubspot", "contacts", contacts(sandbox)[ANN].id, {"firstname": "Anne"})
    result = office.run("undo", ran, "--why", "wrong names")
    assert result.exit_code == 1
    assert "2 of 3 rows were put back: 1 deleted, 1 made again." in result.output
    assert "somebody changed `firstname` (now 'Anne') since" in result.output
    assert names(sandbox) == {ANN: "Anne", BOB: "Bob"}
    assert f"Run {ran} was put back" in office.answer(ANN, "people_to_crm")
    assert "but for this row: somebody changed `firstname` (now 'Anne') since" in office.answer(ANN, "people_to_crm")
    assert f"What run {ran} did to it in crm was put back" in office.answer(BOB, "people_to_crm")


@heavy
def test_personal_data_is_masked_in_the_look(office: Office, sandbox: Sandbox) -> None:
    manifest = office.dbt_folder / "target" / "manifest.json"
    found = json.loads(manifest.read_text())
    for column in ("email", "name"):
        found["nodes"]["model.shop.people"]["columns"][column]["meta"] = {"pii": column}
    manifest.write_text(json.dumps(found))
    office.sync("people_to_crm", CONTACTS, allow_pii={"email": "They asked", "name": "They asked"})
    office.build((ANN, "Ann", "Ulm"))
    office.ok("run", "people_to_crm")
    office.build((ANN, "Hannah", "Jena"))
    run = run_of(office)
    shown = office.ok("undo", run, "--dry-run")
    assert "firstname: H*** -> A***" in shown
    assert "city: Jena -> Ulm" in shown
    assert not any(word in shown for word in (ANN, "Hannah"))
    assert "firstname: Hannah -> Ann" in office.ok("undo", run, "--dry-run", "--reveal")
    sandbox.edit("hubspot", "contacts", contacts(sandbox)[ANN].id, {"firstname": "Johanna"})
    for words in (("--dry-run",), ("--why", "wrong")):
        said = office.run("undo", run, *words).output
        assert "(now 'J***')" in said
        assert not any(word in said for word in (ANN, "Johanna"))


@heavy
def test_a_plan_that_waits(office: Office, sandbox: Sandbox, ran: str) -> None:
    office.sync("people_to_crm", CONTACTS, approval="always")
    shown = office.ok("undo", ran, "--dry-run")
    assert "An undo now would send nothing." in shown
    assert "Guard approval: the plan waits for a person's approval\n" in shown
    waits = office.json("undo", ran, "--why", "wrong names")
    assert (waits["status"], waits["waits"]) == ("guarded", True)
    assert shown.count(waits["plan"]) == 1
    assert office.run("undo", ran, "--why", "wrong names").output.count(waits["plan"]) == 1
    assert office.ok("status").count(waits["plan"]) == 1
    look = office.run("plan", "people_to_crm", "--show", waits["plan"])
    assert f"`reverse-etl undo {ran}`" in look.output
    assert f"Another `reverse-etl undo {ran}` sends it" in office.ok(
        "approve", waits["plan"], "--why", "they are wrong"
    )
    office.ok("undo", ran, "--why", "wrong names")
    assert names(sandbox) == {ANN: "Ann", BOB: "Bob"}


@heavy
def test_the_command_itself(office: Office, ran: str) -> None:
    for words, said in (
        (("undo", ran), "say why"),
        (("undo", "nonsense", "--why", "x"), "there is no run nonsense"),
        (("undo", "nonsense", "--dry-run"), "there is no run nonsense"),
    ):
        result = office.run(*words)
        assert result.exit_code == 2
        assert said in result.output
    (office.syncs_folder / "people_to_crm.yml").unlink()
    office.forget()
    result = office.run("undo", ran, "--why", "x")
    assert result.exit_code == 2
    assert "there is no sync `people_to_crm`" in result.output


@heavy
def test_without_credentials_the_plan_is_shown_all_the_same(
    office: Office, ran: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OFFICE_CRM_TOKEN")
    shown = office.ok("undo", ran, "--dry-run")
    assert "crm cannot be read, so nobody knows who has edited a record since." in shown
    assert office.run("undo", ran, "--why", "x").exit_code == 2


@heavy
def test_a_run_by_the_beginning_of_its_id(office: Office) -> None:
    """As `status` shows it; of more than one that begins so, nothing is guessed."""
    office.sync("people_to_crm")
    office.build(("ada@shop.example", "Ada", "Bern"))
    office.ok("run", "people_to_crm")
    run = office.json("status")["syncs"][0]["run"]
    assert run not in office.ok("status")
    assert run[:8] in office.ok("status")
    assert office.json("undo", run[:8], "--dry-run")["undoes"] == run
    for number in (1, 2):
        office.project.journal.start_run(f"{run[:8]}/{number}", "people_to_crm", "crm")
    result = office.run("undo", run[:8], "--dry-run")
    assert result.exit_code == 2
    assert f"more than one run begins with {run[:8]}: {run[:8]}/2, {run[:8]}/1, {run}." in " ".join(
        result.stderr.split()
    )
    assert "there is no run abc" in " ".join(office.run("undo", "abc", "--dry-run").stderr.split())
    assert "there is no run %%%%%%%%" in " ".join(office.run("undo", "%" * 8, "--dry-run").stderr.split())
