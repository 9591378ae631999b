"""`reverse-etl verify`, and what `reverse-etl run` says of rows that it read back."""

import json
from typing import Any

from reverse_etl_sandbox.server import Sandbox
from tests.cli.office import CONTACTS, EVENTS, Office
from tests.heavy import heavy

ANN, BOB = ("ann@shop.example", "Ann", "Bern"), ("bob@shop.example", "Bob", "Graz")
RULED = {**CONTACTS["mapping"], "city": {"column": "city", "wins": "unless_edited"}}


def edit(sandbox: Sandbox, email: str, **values: str) -> None:
    (entry,) = sandbox.hubspot.tables["contacts"].find("email", email)
    sandbox.edit("hubspot", "contacts", entry.id, values)


def synced(office: Office, **changes: Any) -> None:
    office.sync("people_to_crm", **changes)
    office.build(ANN, BOB)
    office.ok("run", "people_to_crm")


def test_a_look_that_finds_nothing(office: Office) -> None:
    synced(office)
    assert office.ok("verify", "people_to_crm").strip() == "people_to_crm: 2 rows looked at: each is as it should be"


def test_edits_are_shown_side_by_side(office: Office, sandbox: Sandbox) -> None:
    synced(office, mapping=RULED)
    edit(sandbox, ANN[0], firstname="Anna", city="Basel")
    result = office.run("verify", "people_to_crm", "--all")
    assert result.exit_code == 1
    said = result.output
    assert "2 rows looked at: 1 differing; fields edited, as they may be: 1" in said
    assert "--repair lets the next run send what differs" in said
    (line,) = [line for line in said.splitlines() if "ann@shop.example" in line]
    assert line.split() == ["ann@shop.example", "differs", "firstname", "Ann", "Anna"]
    found = office.json("verify", "people_to_crm", "--all")
    assert (found["looked_at"], found["differing"], found["allowed"], found["resent"]) == (2, 1, 1, 0)
    assert found["differences"] == [
        {"key": "ann@shop.example", "what": "differs", "field": "firstname", "sent": "Ann", "held": "Anna"}
    ]


@heavy
def test_a_repair_is_sent_by_the_next_run(office: Office, sandbox: Sandbox) -> None:
    synced(office)
    edit(sandbox, ANN[0], firstname="Anna")
    assert "the next run mends 1 and makes 0 anew" in office.run("verify", "people_to_crm", "--repair").output
    assert office.json("run", "people_to_crm")["runs"][0]["counts"]["updated"] == 1
    office.ok("verify", "people_to_crm", "--sample", "1")


@heavy
def test_what_cannot_be_verified(office: Office) -> None:
    office.sync("events", EVENTS)
    office.build(ANN)
    office.ok("run", "events")
    result = office.run("verify", "events")
    assert result.exit_code == 2
    assert "sync events writes to `hook`, which cannot be read back" in result.output
    assert office.run("verify", "events", "--all", "--sample", "3").exit_code == 2


@heavy
def test_a_run_says_what_did_not_arrive(office: Office, sandbox: Sandbox) -> None:
    synced(office, before_images="synced")
    sandbox.fault("lose_writes", vendor="hubspot", percent=100)
    office.build(("ann@shop.example", "Anna", "Bern"), BOB)
    result = office.run("run", "people_to_crm")
    assert result.exit_code == 1
    assert "not every row arrived as it was sent. 1 rows looked at: 1 differing" in result.output
    assert [line.split() for line in result.output.splitlines() if "ann@shop.example" in line] == [
        ["ann@shop.example", "differs", "firstname", "Anna", "Ann"]
    ]
    office.build(("ann@shop.example", "Annabel", "Bern"), BOB)
    (run,) = office.json("run", "people_to_crm")["runs"]
    assert run["status"] == "done"
    assert run["problem"].startswith("not every row arrived")
    assert run["verified"]["differences"][0]["held"] == "Ann"


@heavy
def test_a_look_that_failed_is_said(office: Office, sandbox: Sandbox) -> None:
    sandbox.fault("expire_token", vendor="hubspot", path="batch/read")
    office.sync("people_to_crm", before_images="synced")
    office.build(ANN, BOB)
    assert "people_to_crm: read back: nothing was looked at: " in office.ok("run", "people_to_crm")


@heavy
def test_personal_data_is_shown_only_when_asked_for(office: Office, sandbox: Sandbox) -> None:
    manifest = office.dbt_folder / "target" / "manifest.json"
    found = json.loads(manifest.read_text())
    for column in ("email", "name"):
        found["nodes"]["model.shop.people"]["columns"][column]["meta"] = {"pii": column}
    manifest.write_text(json.dumps(found))
    synced(office, allow_pii={"email": "They are matched by it.", "name": "They are greeted by it."})
    edit(sandbox, ANN[0], firstname="Zoe-Maria")
    said = office.run("verify", "people_to_crm").output
    assert "ann@shop.example" not in said
    assert "Zoe" not in said
    assert "a***@***" in said
    assert "Z***" in said
    assert "Zoe-Maria" in office.run("verify", "people_to_crm", "--reveal").output
