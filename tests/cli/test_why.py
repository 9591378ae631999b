"""`why`: every way a row can have gone, in words."""

import duckdb
import pytest

from reverse_etl_assets.sandbox.server import Sandbox
from tests.cli.office import EVENTS, Office

ADA, BOB = ("ada@shop.example", "Ada", "Bern"), ("bob@shop.example", "Bob", "Graz")


@pytest.fixture
def ran(office: Office) -> Office:
    """Ada and Bob were sent."""
    office.sync("people_to_crm")
    office.build(ADA, BOB)
    office.ok("run", "--all")
    return office


def test_delivered_and_unchanged(ran: Office) -> None:
    said = ran.answer("ADA@shop.example", "people_to_crm")
    assert "It was created in crm as " in said
    assert "It has not changed since, so there is nothing to send." in said


def test_values_are_shown(ran: Office) -> None:
    said = ran.ok("why", ADA[0])
    assert "firstname: Ada" in said
    assert "city: Bern" in said


def test_changed_since(ran: Office) -> None:
    ran.build((ADA[0], "Ada", "Rome"), BOB)
    assert "crm does not have the model's city yet; the next run sends it." in ran.answer(ADA[0], "people_to_crm")


def test_left_the_model_and_deleted(ran: Office) -> None:
    ran.build(BOB)
    assert "It has left the model; the next run deletes it." in ran.answer(ADA[0], "people_to_crm")
    ran.ok("run", "--all")
    said = ran.answer(ADA[0], "people_to_crm")
    assert "It was deleted in crm" in said
    assert "because the row had left the model" in said


def test_earlier_runs_are_listed(ran: Office) -> None:
    ran.build((ADA[0], "Ada", "Rome"), BOB)
    ran.ok("run", "--all")
    (answer,) = ran.json("why", ADA[0])["answers"]
    assert [outcome["status"] for outcome in answer["outcomes"]] == ["updated", "created"]
    assert "before, " in ran.ok("why", ADA[0])


def test_refused_by_the_destination(ran: Office) -> None:
    ran.build(ADA, BOB, ("no address", "Eve", "Oslo"))
    ran.ok("run", "--all")
    said = ran.answer("no address", "people_to_crm")
    assert "crm refused it" in said
    assert "INVALID_EMAIL: Email address no address is invalid" in said
    assert "the next run tries it again" in said


def test_key_in_two_rows(ran: Office) -> None:
    ran.build(ADA, BOB, ("BOB@shop.example", "Robert", "Graz"))
    ran.ok("run", "--all")
    said = ran.answer(BOB[0], "people_to_crm")
    assert "It was not sent" in said
    assert "2 rows of the model share this primary key" in said
    assert "It cannot be sent as it stands in the model now" in said


def test_a_value_that_json_has_no_word_for(office: Office) -> None:
    office.sync("people_to_crm")
    office.build()
    with duckdb.connect(str(office.home / "warehouse.duckdb")) as con:
        con.execute(
            "create or replace table marts.people as select 'a@b.example' email, 'Ada' name, 'nan'::double city"
        )
    office.ok("run", "--all")
    assert "is not a finite number or time" in office.answer("a@b.example", "people_to_crm")
    assert "city: NaN" in office.ok("why", "a@b.example")


def test_sync_never_ran(office: Office) -> None:
    office.sync("people_to_crm")
    office.build(ADA)
    said = office.answer(ADA[0], "people_to_crm")
    assert said == "This sync has not run yet. It is in the model; the next run sends it (upsert)."


def test_came_after_the_last_run(ran: Office) -> None:
    ran.build(ADA, BOB, ("eve@shop.example", "Eve", "Oslo"))
    said = ran.answer("eve@shop.example", "people_to_crm")
    assert said == "It was never sent. It is in the model; the next run sends it (upsert)."


def test_model_not_built(office: Office) -> None:
    office.sync("people_to_crm")
    assert "does not exist yet; build the models with dbt" in office.answer("x", "people_to_crm")


def test_a_guard_stopped_the_last_run(ran: Office) -> None:
    ran.sync("people_to_crm", guards={"max_added": {"rows": 0}})
    ran.build(ADA, BOB, ("eve@shop.example", "Eve", "Oslo"))
    assert ran.run("run", "--all").exit_code == 1
    said = ran.answer("eve@shop.example", "people_to_crm")
    assert "sent nothing at all: max_added: 1 added; the limit is 0 rows" in said


def test_failed_test_of_the_model(ran: Office) -> None:
    ran.project.journal.record_model_results("people", {"unique_email": "fail"})
    ran.build(ADA, BOB, ("eve@shop.example", "Eve", "Oslo"))
    said = ran.answer("eve@shop.example", "people_to_crm")
    assert "But a guard stops the next run: failed on the model's last build: unique_email" in said


def test_kill_switch(ran: Office) -> None:
    ran.ok("stop", "--all", "--why", "Wrong prices", "--who", "Kim")
    ran.build((ADA[0], "Ada", "Rome"), BOB)
    assert "But everything is stopped (all) by Kim: Wrong prices" in ran.answer(ADA[0], "people_to_crm")


def test_only_updates(office: Office) -> None:
    office.sync("people_to_crm", sync_mode="update_only")
    office.build(ADA)
    office.ok("run", "--all")
    said = office.answer(ADA[0], "people_to_crm")
    assert "There is no such record in crm, and this sync only updates" in said
    assert "the next run tries it again (update)" in said


def test_held_until_released(office: Office, sandbox: Sandbox) -> None:
    """An answer that never came to an event that must not be sent twice."""
    office.sync("events", EVENTS)
    office.build(ADA)
    sandbox.fault("drop_after", vendor="rest", next=1)
    office.run("run", "--all")
    key = f"{ADA[0]}|{ADA[2]}"
    said = office.answer(key, "events")
    assert "nobody can know if it arrived" in said
    assert "It is kept back until somebody has looked in hook" in said
    office.run("run", "--all")
    assert sandbox.counts()["rest"]["objects"]["events"]["created"] == 1
    assert "Released" in office.ok("release", key.upper(), "--sync", "events")
    assert "the next run" in office.answer(key, "events")
    assert office.run("release", key, "--sync", "events").exit_code == 1


def test_held_until_somebody_says_that_it_arrived(office: Office, sandbox: Sandbox) -> None:
    office.sync("events", EVENTS)
    office.build(ADA)
    sandbox.fault("drop_after", vendor="rest", next=1)
    office.run("run", "--all")
    office.ok("run", "--all")
    key = f"{ADA[0]}|{ADA[2]}"
    assert "Noted" in office.ok("release", key, "--sync", "events", "--arrived", "e-1")
    said = office.answer(key, "events")
    assert "somebody has looked since and said that it did arrive in hook as e-1" in said
    assert "kept back" not in said
    assert "values that were not taken" not in office.ok("why", key)


def test_a_held_row_says_nothing_of_another(office: Office, sandbox: Sandbox) -> None:
    office.sync("events", EVENTS)
    office.build(ADA)
    sandbox.fault("drop_after", vendor="rest", next=1)
    office.run("run", "--all")
    office.build(ADA, BOB)
    said = office.answer(f"{BOB[0]}|{BOB[2]}", "events")
    assert "the next run sends it" in said
    office.ok("run", "--all")
    said = office.answer(f"{BOB[0]}|{BOB[2]}", "events")
    assert "nothing to send" in said
    assert "cannot be sent" not in said


def test_the_state_was_lost_and_a_run_refused(ran: Office) -> None:
    ran.project.warehouse.state_file("people_to_crm").unlink()
    assert ran.run("run", "--all").exit_code != 0
    said = ran.answer(ADA[0], "people_to_crm")
    assert "is empty, though the journal knows that the sync wrote" in said
    assert "recover-state people_to_crm" in said


def test_rows_that_share_a_record(office: Office, sandbox: Sandbox) -> None:
    sandbox.add("hubspot", "contacts", {"email": ADA[0], "hs_additional_emails": BOB[0]})
    office.sync("people_to_crm")
    office.build(ADA, BOB)
    said = " ".join(office.ok("run", "--all").split())
    assert "people_to_crm: 2 rows share a record with another row" in said
    assert f"takes it for the same record as {BOB[0]}" in office.answer(ADA[0], "people_to_crm")


def test_composite_key(office: Office) -> None:
    office.sync("events", EVENTS)
    office.build(ADA)
    office.ok("run", "--all")
    assert "It was created in hook" in office.answer("ada@shop.example|bern", "events")


def test_unknown_key(ran: Office) -> None:
    result = ran.run("why", "nobody")
    assert result.exit_code == 1
    assert "No sync knows the key nobody" in result.output
    assert "Keys are email (people_to_crm)." in result.output
    assert (
        "It is not in the model people, so it was never sent."
        in ran.run("why", "nobody", "--sync", "people_to_crm").output
    )


def test_without_credentials(ran: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OFFICE_CRM_TOKEN")
    assert "It was created in crm" in ran.answer(ADA[0], "people_to_crm")


def test_mistakes_in_names(ran: Office) -> None:
    result = ran.run("why", ADA[0], "--sync", "people_to_cmr")
    assert result.exit_code == 2
    assert "did you mean `people_to_crm`?" in result.output
