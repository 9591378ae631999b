"""`why`: every way a row can have gone, in words."""

import json
from collections.abc import Mapping
from typing import Any

import duckdb
import pytest

from reverse_etl_assets.records import Reason
from reverse_etl_sandbox.server import Sandbox
from tests.cli.office import CONTACTS, EVENTS, Office
from tests.heavy import heavy
from tests.journal_entries import record_model_results

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


@heavy
def test_changed_since(ran: Office) -> None:
    ran.build((ADA[0], "Ada", "Rome"), BOB)
    assert "crm does not have the model's city yet; the next run sends it." in ran.answer(ADA[0], "people_to_crm")


@heavy
def test_left_the_model_and_deleted(ran: Office) -> None:
    ran.build(BOB)
    assert "It has left the model; the next run deletes it." in ran.answer(ADA[0], "people_to_crm")
    ran.ok("run", "--all")
    said = ran.answer(ADA[0], "people_to_crm")
    assert "It was deleted in crm" in said
    assert "because the row had left the model" in said


@heavy
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


@heavy
def test_key_in_two_rows(ran: Office) -> None:
    ran.build(ADA, BOB, ("BOB@shop.example", "Robert", "Graz"))
    ran.ok("run", "--all")
    said = ran.answer(BOB[0], "people_to_crm")
    assert "It was not sent" in said
    assert "2 rows of the model share this primary key" in said
    assert "It cannot be sent as it stands in the model now" in said


@heavy
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


@heavy
def test_came_after_the_last_run(ran: Office) -> None:
    ran.build(ADA, BOB, ("eve@shop.example", "Eve", "Oslo"))
    said = ran.answer("eve@shop.example", "people_to_crm")
    assert said.startswith("It was never sent, as far as this sync remembers. It is in the model; the next run sends")


def test_model_not_built(office: Office) -> None:
    office.sync("people_to_crm")
    assert "does not exist yet; build the models with dbt" in office.answer("x", "people_to_crm")


@heavy
def test_a_guard_stopped_the_last_run(ran: Office) -> None:
    ran.sync("people_to_crm", guards={"max_added": {"rows": 0}})
    ran.build(ADA, BOB, ("eve@shop.example", "Eve", "Oslo"))
    assert ran.run("run", "--all").exit_code == 1
    said = ran.answer("eve@shop.example", "people_to_crm")
    assert "sent nothing at all: max_added: 1 added; the limit is 0 rows" in said


@heavy
def test_failed_test_of_the_model(ran: Office) -> None:
    record_model_results(ran.project.journal, "model.shop.people", {"unique_email": "fail"})
    ran.build(ADA, BOB, ("eve@shop.example", "Eve", "Oslo"))
    said = ran.answer("eve@shop.example", "people_to_crm")
    assert "But a guard stops the next run: failed on the model's last build: unique_email" in said


@heavy
def test_kill_switch(ran: Office) -> None:
    ran.ok("stop", "--all", "--why", "Wrong prices", "--who", "Kim")
    ran.build((ADA[0], "Ada", "Rome"), BOB)
    assert "But everything is stopped (all) by Kim: Wrong prices" in ran.answer(ADA[0], "people_to_crm")


@heavy
def test_only_updates(office: Office) -> None:
    office.sync("people_to_crm", sync_mode="update_only")
    office.build(ADA)
    office.ok("run", "--all")
    said = office.answer(ADA[0], "people_to_crm")
    assert "There is no such record in crm, and this sync only updates" in said
    assert "the next run tries it again (update)" in said


@heavy
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


@heavy
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


@heavy
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


@heavy
def test_the_state_was_lost_and_a_run_refused(ran: Office) -> None:
    ran.project.warehouse.state_file("people_to_crm").unlink()
    assert ran.run("run", "--all").exit_code != 0
    said = ran.answer(ADA[0], "people_to_crm")
    assert "What this sync remembers has no send of it." in said
    assert "is empty, though the journal knows that the sync wrote" in said
    assert "recover-state people_to_crm" in said


@heavy
def test_rows_that_share_a_record(office: Office, sandbox: Sandbox) -> None:
    sandbox.add("hubspot", "contacts", {"email": ADA[0], "hs_additional_emails": BOB[0]})
    office.sync("people_to_crm")
    office.build(ADA, BOB)
    said = " ".join(office.ok("run", "--all").split())
    assert "people_to_crm: 2 rows share a record with another row" in said
    assert f"takes it for the same record as {BOB[0]}" in office.answer(ADA[0], "people_to_crm")


@heavy
def test_composite_key(office: Office) -> None:
    office.sync("events", EVENTS)
    office.build(ADA)
    office.ok("run", "--all")
    assert "It was created in hook" in office.answer("ada@shop.example|bern", "events")


@heavy
def test_unknown_key(ran: Office) -> None:
    result = ran.run("why", "nobody")
    assert result.exit_code == 1
    said = " ".join(result.output.split())
    assert said == (
        "No row is found by nobody. people_to_crm: No row of the model, or that this sync remembers, has it as its key"
        " (email), in a mapped field (email, firstname, city) or as the id of its record."
    )
    assert " ".join(ran.run("why", "nobody", "--sync", "people_to_crm").output.split()) == said


def test_what_is_nowhere_is_said_once_of_all_syncs(office: Office) -> None:
    for name in ("people_to_crm", "events", "more_events"):
        office.sync(name, **({} if name == "people_to_crm" else {"spec": {**EVENTS, "object": name}}))
    office.build(ADA)
    said = " ".join(office.run("why", "nobody").output.split())
    assert said == (
        "No row is found by nobody. events, more_events, people_to_crm: No row of their models, or that they remember,"
        " has it as its key, in a mapped field or as the id of its record."
    )
    assert len(office.json("why", "nobody")["answers"]) == 3


@heavy
def test_without_credentials(ran: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OFFICE_CRM_TOKEN")
    assert "It was created in crm" in ran.answer(ADA[0], "people_to_crm")


@heavy
def test_mistakes_in_names(ran: Office) -> None:
    result = ran.run("why", ADA[0], "--sync", "people_to_cmr")
    assert result.exit_code == 2
    assert "did you mean `people_to_crm`?" in result.output


LEADS: Mapping[str, Any] = {
    **CONTACTS,
    "primary_key": "name",
    "external_id": "external_id",
    "mapping": {"external_id": "name", "email": "email", "city": "city"},
}


class TestByAnyValue:
    """Who asks by an e-mail address, a name or the vendor's id gets the answer of the row that has it."""

    @heavy
    def test_an_address_that_is_not_the_key_and_was_refused(self, office: Office) -> None:
        office.sync("leads", LEADS)
        office.build(ADA, ("no address", "Eve", "Oslo"))
        for _ in range(2):
            office.run("run", "--all")
        said = " ".join(office.ok("why", "NO ADDRESS", "--sync", "leads").split())
        assert "The row Eve has NO ADDRESS in `email`." in said
        assert "crm refused it" in said
        assert "INVALID_EMAIL" in said
        assert "never sent" not in said
        (found,) = office.json("why", "no address")["answers"]
        assert (found["key"], found["found_in"], found["known"]) == ("Eve", ["email"], True)

    @heavy
    def test_the_id_of_the_record(self, ran: Office) -> None:
        (before,) = ran.json("why", ADA[0])["answers"]
        record = before["outcomes"][0]["destination_id"]
        said = " ".join(ran.ok("why", record).split())
        assert f"The row {ADA[0]} has {record} in the record's id." in said
        assert "It was created in crm" in said

    @heavy
    def test_a_name_and_what_only_the_model_has_yet(self, ran: Office) -> None:
        assert f"The row {ADA[0]} has ada in `firstname`." in ran.ok("why", "ada")
        ran.build(ADA, BOB, ("eve@shop.example", "Eve", "Oslo"))
        said = " ".join(ran.ok("why", " eve ").split())
        assert "The row eve@shop.example has eve in `firstname`. It was never sent, as far as this" in said

    @heavy
    def test_what_only_the_state_has_still(self, ran: Office) -> None:
        ran.build(BOB)
        ran.ok("run", "--all")
        ran.build(BOB, ADA)
        ran.ok("run", "--all")
        ran.build(BOB)
        said = " ".join(ran.ok("why", "Ada").split())
        assert "It has left the model; the next run deletes it." in said

    @heavy
    def test_a_part_of_a_key_of_several_columns(self, office: Office) -> None:
        office.sync("events", {**EVENTS, "mapping": {"where": "city"}, "options": {"body": {"id": "{{ key }}"}}})
        office.build(ADA)
        office.ok("run", "--all")
        assert "has ada@shop.example in the key" in " ".join(office.ok("why", ADA[0]).split())

    @heavy
    def test_many_rows_are_named(self, office: Office) -> None:
        office.sync("people_to_crm")
        office.build(*((f"p{i:02}@shop.example", f"P{i}", "Bern") for i in range(30)))
        said = " ".join(office.ok("why", "bern").split())
        assert said.count("has bern in `city`") == 3
        assert "30 rows of people_to_crm have it. Ask for one by its key: p03@shop.example, p04" in said
        assert said.endswith("and 7 more.")

    @heavy
    def test_more_rows_than_are_counted(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("reverse_etl_assets.state.row_search.MOST", 10)
        office.sync("people_to_crm")
        office.build(*((f"p{i:02}@shop.example", "Bern", "Bern") for i in range(11)))
        said = " ".join(office.ok("why", "bern").split())
        assert "10 rows or more of people_to_crm have it. Ask for one by its key: p03@shop.example, p04" in said
        assert office.json("why", "bern")["more"]["people_to_crm"].startswith("10 rows or more")

    @heavy
    @pytest.mark.parametrize("value", ["mu\u0308ller", "M\u00dcLLER", "\u00a0m\u00fcller\t"])
    def test_accents_and_blanks_however_they_are_written(self, office: Office, value: str) -> None:
        office.sync("people_to_crm")
        for name in ("M\u00fcller", "Mu\u0308ller", "\tM\u00fcller\u00a0"):
            office.build((ADA[0], name, "Bern"))
            assert f"The row {ADA[0]} has" in " ".join(office.ok("why", value).split()), name

    @heavy
    @pytest.mark.parametrize("value", ["", "  ", "\t"])
    def test_nothing_is_no_value(self, ran: Office, value: str) -> None:
        """Nobody looks for it, so nothing is said of it."""
        result = ran.run("why", value)
        assert result.exit_code == 2
        assert "give a key" in result.output

    @heavy
    @pytest.mark.parametrize("words", [("why", "a\udcff"), ("stop", "--all", "--why", "a\udcff"), ("run", "a\udcff")])
    def test_bytes_that_are_no_text(self, ran: Office, words: tuple[str, ...]) -> None:
        result = ran.run(*words)
        assert result.exit_code == 2
        assert r"a\udcff is not written in UTF-8" in result.output

    @heavy
    def test_numbers_and_times_however_they_are_written(self, office: Office) -> None:
        office.sync("people_to_crm")
        office.build()
        with duckdb.connect(str(office.home / "warehouse.duckdb")) as con:
            con.execute(
                "create or replace table marts.people as select 'a@b.example' email, 1234.50::decimal(9, 2) name,"
                " timestamp '2026-01-31 10:00:00' city"
            )
        for value in ("1234.5", "1234.50", "2026-01-31 10:00", "2026-01-31T10:00:00.000000Z"):
            assert "a@b.example has" in office.ok("why", value), value

    def test_a_model_that_cannot_be_searched_is_not_said_to_lack_it(self, ran: Office) -> None:
        (ran.home / "warehouse.duckdb").unlink()
        result = ran.run("why", "nobody")
        said = " ".join(result.output.split())
        assert "No row that this sync remembers has it" in said
        assert "The model cannot be searched: the warehouse" in said
        assert "never" not in said

    @heavy
    def test_a_sync_that_cannot_be_asked_hides_no_other(self, ran: Office) -> None:
        ran.sync("second", EVENTS)
        ran.run("run", "second")
        ran.project.warehouse.state_file("second").write_text("not a database " * 1_000)
        said = " ".join(ran.ok("why", ADA[0]).split())
        assert "It was created in crm" in said
        assert "second.duckdb is damaged" in said
        assert ran.run("why", "nobody").exit_code == 2

    @heavy
    def test_keys_of_rows_that_are_found_are_masked(self, office: Office) -> None:
        manifest = office.dbt_folder / "target" / "manifest.json"
        found = json.loads(manifest.read_text())
        found["nodes"]["model.shop.people"]["columns"]["email"]["meta"] = {"pii": "email"}
        manifest.write_text(json.dumps(found))
        office.sync("people_to_crm", allow_pii={"email": "They are matched by it."})
        office.build(ADA, BOB)
        office.ok("run", "--all")
        said = office.ok("why", "Ada")
        assert "The row a***@*** has Ada" in said
        assert ADA[0] not in said + json.dumps(office.json("why", "Ada"))
        assert ADA[0] in office.ok("why", "Ada", "--reveal")
        office.build(*((f"p{i}@shop.example", "Eve", "Bern") for i in range(5)))
        said = " ".join(office.ok("why", "Eve").split())
        assert "5 rows of people_to_crm have it. Their keys are personal data: `--reveal` names them." in said
        assert "Ask for one by its key: p3@shop.example, p4@shop.example." in office.ok("why", "Eve", "--reveal")

    @heavy
    def test_a_field_that_goes_out_as_a_hash(self, office: Office) -> None:
        mapping = {"email": "email", "city": {"column": "city", "transform": "sha256_name"}}
        office.sync("people_to_crm", {**LEADS, "mapping": {"external_id": "name", **mapping}})
        office.build(ADA)
        assert "has bern in `city`" in " ".join(office.ok("why", "bern").split())
        said = " ".join(office.run("why", "nobody").output.split())
        assert "in a mapped field (external_id, email, city before it is hashed)" in said


@heavy
def test_every_reason_has_its_sentence(ran: Office) -> None:
    for reason in sorted(Reason, key=lambda each: each is Reason.AMBIGUOUS):  # which takes the synced rows
        with ran.project.warehouse.open("people_to_crm", write=True) as con:
            status = "failed" if reason in (Reason.INVALID, Reason.REJECTED, Reason.AMBIGUOUS) else "skipped"
            if reason is Reason.AMBIGUOUS:  # else somebody said that it arrived
                con.execute("delete from state.synced")
            con.execute(
                "update state.outcomes set status = $status, reason = $reason, message = 'these words'",
                {"status": status, "reason": reason.value},
            )
            query = "select strftime(min(answered_at), '%Y-%m-%d %H:%M:%S') from state.outcomes"
            ((at,),) = con.execute(query).fetchall()
        past = ran.answer(ADA[0], "people_to_crm").partition(" See ")[0]
        assert at in past, reason
        assert "these words" in past or reason in (Reason.ALREADY_GONE, Reason.UNANSWERED), reason
