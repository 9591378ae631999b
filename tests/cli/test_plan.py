"""`plan`: exactly what the next run does, and nothing done."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from reverse_etl_sandbox.server import Sandbox
from tests.cli.office import CONTACTS, EVENTS, Office
from tests.heavy import first, heavy

ADA, BOB, EVE = ("ada@shop.example", "Ada", "Bern"), ("bob@shop.example", "Bob", "Graz"), ("eve@shop.example", "E", "")


@pytest.fixture
def ran(office: Office) -> Office:
    office.sync("people_to_crm")
    office.build(ADA, BOB)
    office.ok("run", "--all")
    return office


def fingerprints(folder: Path) -> dict[str, str]:
    """Every file of state and journal."""
    files = [*folder.glob("state/*.duckdb*"), *folder.glob("journal.sqlite")]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_fields_before_and_after(ran: Office) -> None:
    ran.build((ADA[0], "Ada", "Rome"), EVE)
    found = ran.json("plan", "people_to_crm")
    rows = {row["key"]: row for row in found["rows"]}
    assert rows[ADA[0]] == {
        "key": ADA[0],
        "kind": "changed",
        "operation": "upsert",
        "reason": None,
        "message": None,
        "fields": {"city": {"before": "Bern", "after": "Rome"}},
    }
    assert rows[EVE[0]]["fields"]["firstname"] == {"before": None, "after": "E"}
    assert rows[BOB[0]]["operation"] == "delete"
    assert found["to_send"] == {"delete": 1, "upsert": 2}
    assert found["goes_out"] is True


def test_looks_like_a_diff(ran: Office) -> None:
    ran.build((ADA[0], "Ada", "Rome"), EVE, (None, "Nobody", "Oslo"))
    said = ran.ok("plan", "people_to_crm")
    assert "~ ada@shop.example  changed, upsert" in said
    assert "    city: Bern -> Rome" in said
    assert "+ eve@shop.example  added, upsert" in said
    assert "- bob@shop.example  removed, delete" in said
    assert "the primary key (email) is empty" in said
    assert "Would send 1 delete, 2 upsert in 2 requests." in said
    assert "All guards pass." in said


def test_limit(ran: Office) -> None:
    ran.build(*((f"p{n}@shop.example", "P", "Rome") for n in range(30)))
    assert len(ran.json("plan", "people_to_crm", "--limit", "3")["rows"]) == 3
    assert "3 of 32 rows" in ran.ok("plan", "people_to_crm", "--limit", "3")
    assert len(ran.json("plan", "people_to_crm", "--limit", "0")["rows"]) == 32


@heavy
@pytest.mark.parametrize("width", first(["80", "120"]))
def test_no_line_is_wider_than_the_terminal(ran: Office, monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    monkeypatch.setenv("COLUMNS", width)
    ran.build(*((f"{'long' * 12}{n}@shop.example", "Name " * 30, "Rome") for n in range(3)), (None, "N" * 200, ""))
    for words in (("plan", "people_to_crm"), ("run", "people_to_crm"), ("status",), ("why", ADA[0])):
        assert max(map(len, ran.run(*words).output.splitlines())) <= int(width)


@heavy
def test_sends_and_writes_nothing(ran: Office, sandbox: Sandbox) -> None:
    ran.build((ADA[0], "Ada", "Rome"))
    calls, before = len(sandbox.log.lines("", 0)), fingerprints(ran.home)
    ran.ok("plan", "people_to_crm")
    ran.ok("why", ADA[0])
    assert len(sandbox.log.lines("", 0)) == calls
    assert fingerprints(ran.home) == before
    assert before


@heavy
def test_before_the_first_run(office: Office) -> None:
    office.sync("people_to_crm")
    office.build(ADA, BOB)
    assert office.json("plan", "people_to_crm")["counts"]["added"] == 2
    assert not office.project.warehouse.state_file("people_to_crm").exists()


@heavy
def test_without_credentials(ran: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OFFICE_CRM_TOKEN")
    ran.build(ADA, BOB, EVE)
    found = ran.json("plan", "people_to_crm")
    assert (found["counts"]["added"], found["forecast"], found["plan"]) == (1, None, None)
    assert "Without credentials neither the plan's id nor its requests are known." in ran.ok("plan", "people_to_crm")


@heavy
def test_guard_and_kill_switch(ran: Office) -> None:
    ran.sync("people_to_crm", guards={"max_removed": {"rows": 0}})
    ran.build(ADA)
    ran.ok("stop", "--all", "--why", "Audit", "--who", "Kim")
    said = ran.ok("plan", "people_to_crm")
    assert "Stopped (all) by Kim: Audit" in said
    assert "Guard max_removed: 1 removed; the limit is 0 rows" in said
    assert "A run now would send nothing." in said
    assert ran.json("plan", "people_to_crm")["goes_out"] is False


@heavy
def test_a_file_that_means_something_else(ran: Office) -> None:
    ran.sync("people_to_crm", {**CONTACTS, "object": "companies", "external_id": "domain"})
    result = ran.run("plan", "people_to_crm")
    assert result.exit_code == 2
    assert "- object: contacts before, companies now" in result.stderr
    assert "raise `version` to 2" in result.stderr


CHANGES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a new field": {"mapping": {**CONTACTS["mapping"], "jobtitle": {"constant": "Boss"}}},
    "a field less": {"mapping": {"email": "email", "firstname": "name"}},
    "another type": {"mapping": {**CONTACTS["mapping"], "city": {"constant": 5}}},
    "update_only": {"sync_mode": "update_only"},
    "insert_only": {"sync_mode": "insert_only"},
    "full_refresh": {"sync_mode": "full_refresh"},
    "incremental": {"sync_mode": "incremental"},
}
MODELS = [
    (ADA, BOB),
    (ADA, EVE, (None, "x", "y")),
    ((ADA[0], None, "Bern"), EVE, ("EVE@shop.example", "E", "")),
    (BOB, ("not an address", "x", "y"), ("  ", "x", "y")),
]


@heavy
@pytest.mark.parametrize("change", first(CHANGES))
def test_a_run_does_what_the_plan_says(office: Office, sandbox: Sandbox, change: str) -> None:
    """Over tables that lose, gain, change and spoil rows, and with a mapping or a mode that changes on the way."""
    for number, rows in enumerate(MODELS):
        cutover = "restart" if change == "insert_only" else "resend"
        again: dict[str, Any] = (
            {} if change in ("nothing", "a new field") and number < 2 else {"version": number + 1, "cutover": cutover}
        )
        office.sync("people_to_crm", **(CHANGES[change] if number % 2 else {}), **again)
        office.build(*rows)
        planned = office.json("plan", "people_to_crm", "--limit", "0")
        written = sandbox.counts()["hubspot"]["rows"]
        (run,) = office.json("run", "people_to_crm")["runs"]
        counts = run["counts"]
        assert planned["counts"] == {name: counts[name] for name in planned["counts"]}
        assert len(planned["rows"]) == sum(planned["to_send"].values())
        sent = sum(counts[name] for name in ("created", "updated", "deleted", "skipped", "failed"))
        assert len(planned["rows"]) + len(planned["refused"]) == sent
        assert planned["plan"] == run["plan"]
        assert (planned["forecast"]["calls"] == 0) is (run["calls"] == 0)
        judged = {each["guard"] for each in planned["guards"]}
        assert judged >= {"row_count", "max_removed", "emptied_fields"}
        assert planned["guards"] == [each for each in run["guards"] if each["guard"] in judged]
        assert sandbox.counts()["hubspot"]["rows"] != written or not planned["rows"]


@heavy
def test_some_of_each_kind_are_listed(ran: Office) -> None:
    """Of many added rows and a few removed ones, the removed are those to look at."""
    ran.build(*((f"p{n}@shop.example", "P", "Rome") for n in range(30)), (ADA[0], "Ada", "Rome"))
    kinds = [row["kind"] for row in ran.json("plan", "people_to_crm", "--limit", "6")["rows"]]
    assert kinds == ["added", "added", "added", "added", "changed", "removed"]


@heavy
def test_fields_that_change_and_that_are_emptied(ran: Office) -> None:
    ran.build((ADA[0], "Ada", "Rome"), (BOB[0], None, "Linz"))
    found = ran.json("plan", "people_to_crm")
    assert found["fields"] == [
        {"field": "firstname", "changed": 1, "emptied": 1, "filled": 2},
        {"field": "city", "changed": 2, "emptied": 0, "filled": 0},
    ]
    said = " ".join(ran.ok("plan", "people_to_crm").split())
    assert "city 2 - firstname 1 1" in said


@heavy
def test_held_rows(office: Office, sandbox: Sandbox) -> None:
    office.sync("events", EVENTS)
    office.build(ADA)
    sandbox.fault("drop_after", vendor="rest", next=1)
    office.run("run", "--all")
    found = office.json("plan", "events")
    assert (found["counts"]["held"], found["rows"]) == (1, [])
    assert found["refused"][0]["reason"] == "held"


@heavy
def test_a_field_that_was_never_told(ran: Office) -> None:
    """HubSpot may hold anything there, so an empty value goes out too."""
    ran.sync("people_to_crm", mapping={**CONTACTS["mapping"], "jobtitle": {"constant": None}})
    assert ran.json("plan", "people_to_crm")["to_send"] == {"upsert": 2}
    assert "jobtitle: empty (not sent yet as the mapping has it now)" in ran.ok("plan", "people_to_crm")
    assert "crm does not have the model's jobtitle yet" in ran.answer(ADA[0], "people_to_crm")


@heavy
def test_a_sync_that_sends_every_row(ran: Office) -> None:
    ran.sync("people_to_crm", sync_mode="full_refresh", version=2, cutover="resend")
    ran.ok("run", "people_to_crm")
    assert "= ada@shop.example  unchanged, upsert" in ran.ok("plan", "people_to_crm")
    assert "this sync always sends every row" in ran.answer(ADA[0], "people_to_crm")
