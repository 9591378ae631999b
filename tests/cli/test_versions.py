"""What the commands say of a sync that begins a new version, and of what earlier versions left."""

import json
from typing import Any

import pytest

from tests.cli.office import CONTACTS, Office
from tests.heavy import heavy

ADA, BOB, EVE = ("ada@shop.example", "Ada", "Bern"), ("bob@shop.example", "Bob", "Graz"), ("eve@shop.example", "E", "")
AGAIN: dict[str, Any] = {"version": 2, "cutover": "resend", "mapping": {"email": "email", "firstname": "city"}}
COMPANIES: dict[str, Any] = {
    "version": 2,
    "cutover": "restart",
    "object": "companies",
    "external_id": "external_id",
    "mapping": {"name": "name"},
}


@pytest.fixture
def ran(office: Office) -> Office:
    office.sync("people_to_crm")
    office.build(ADA, BOB)
    office.ok("run", "--all")
    office.build(ADA, EVE)
    return office


@heavy
def test_plan_and_run_say_how_a_version_begins(ran: Office) -> None:
    ran.sync("people_to_crm", **AGAIN)
    begins = "ersion 2 begins with `cutover: resend`; rows of version 1 that it does not follow: 1"
    expected = {"version": 2, "cutover": "resend", "left": 1, "set_aside": 1, "adopted": 0}
    assert begins in ran.ok("plan", "people_to_crm")
    assert ran.json("plan", "people_to_crm")["cutover"] == expected
    assert begins in ran.ok("run", "people_to_crm")
    assert ran.json("plan", "people_to_crm")["cutover"] is None
    ran.sync("people_to_crm", **{**AGAIN, "version": 3})
    (run,) = ran.json("run", "people_to_crm")["runs"]
    assert run["cutover"] == {"version": 3, "cutover": "resend", "left": 2, "set_aside": 0, "adopted": 0}


@heavy
def test_status_counts_what_is_not_followed_any_more(ran: Office) -> None:
    assert [each["versions"] for each in ran.json("status")["syncs"]] == [[]]
    ran.sync("people_to_crm", **AGAIN)
    ran.ok("run", "people_to_crm")
    assert "people_to_crm: rows written by version 1 and not followed any more: 1, since 20" in ran.ok("status")
    first, second = ran.json("status")["syncs"][0]["versions"]
    assert (first["version"], first["leaves"], first["cutover"]) == (1, None, None)
    assert (second["version"], second["leaves"], second["set_aside"]) == (2, 1, 1)


@heavy
def test_why_answers_for_rows_that_an_earlier_version_wrote(ran: Office) -> None:
    ran.sync("people_to_crm", **AGAIN)
    ran.ok("run", "people_to_crm")
    said = ran.answer(BOB[0], "people_to_crm")
    assert "It was created in crm as " in said
    assert " by version 1, last in run " in said
    assert "and is not followed any more." in said
    assert "followed" not in ran.answer(ADA[0], "people_to_crm")


@heavy
def test_why_names_the_object_that_the_record_is_in(ran: Office) -> None:
    ran.sync("people_to_crm", **COMPANIES)
    ran.ok("run", "people_to_crm")
    said = ran.answer(ADA[0], "people_to_crm")  # it is in both
    assert "It was written in crm contacts as " in said
    ran.build(ADA)
    ran.ok("run", "people_to_crm")
    assert "It was deleted in crm" in ran.answer(EVE[0], "people_to_crm")
    assert "followed" not in ran.answer(EVE[0], "people_to_crm")


@heavy
def test_why_of_a_row_that_was_there_before_us(office: Office) -> None:
    office.sync("people_to_crm")
    office.build(ADA)
    office.ok("run", "--all")
    office.project.warehouse.state_file("people_to_crm").unlink()
    office.sync("people_to_crm", cutover="adopt")
    office.ok("run", "--all")
    assert "It was in crm already when this version of the sync began" in office.answer(ADA[0], "people_to_crm")


@heavy
def test_check_names_what_needs_a_version(ran: Office) -> None:
    ran.sync("people_to_crm", mapping={"email": "email", "firstname": "name", "city": "name"})
    problems = ran.json("check", "people_to_crm")["problems"]["people_to_crm"]
    assert "- mapping.city: column city before, column name now" in problems


@heavy
def test_what_was_personal_once_stays_masked(ran: Office) -> None:
    """A field's values of the version before may be shown, and dbt's marks are of the column that it has now."""
    manifest = ran.dbt_folder / "target" / "manifest.json"
    found = json.loads(manifest.read_text())
    found["nodes"]["model.shop.people"]["columns"]["name"]["meta"] = {"pii": "name"}
    manifest.write_text(json.dumps(found))
    for part in ("models", "environment"):  # they were read before the marks
        ran.project.__dict__.pop(part)
    ran.sync("people_to_crm", allow_pii={"name": "They are greeted by it."})
    ran.build(("ada@shop.example", "Ada-Augusta", "Bern"))
    ran.ok("run", "people_to_crm")
    ran.sync("people_to_crm", CONTACTS, **AGAIN)
    (row,) = ran.json("plan", "people_to_crm")["rows"]
    assert row["fields"]["firstname"]["before"] == "A***"
    assert "Ada-Augusta" not in ran.ok("plan", "people_to_crm") + ran.ok("why", ADA[0])
    assert ran.json("plan", "people_to_crm", "--reveal")["rows"][0]["fields"]["firstname"]["before"] == "Ada-Augusta"
