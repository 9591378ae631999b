"""`reverse-etl forget`: what it says, asks and does. What goes is proved in tests/engine/test_forget.py."""

import json

import pytest
from typer.testing import CliRunner

from reverse_etl_assets.cli import app
from reverse_etl_assets.journal import RunStatus
from reverse_etl_sandbox.server import Sandbox
from tests.cli.office import CONTACTS, EVENTS, Office
from tests.heavy import heavy

COMPANIES = {
    **CONTACTS,
    "object": "companies",
    "external_id": "external_id",
    "mapping": {"external_id": "email", "name": "name"},
    "sync_mode": "incremental",
}
ZOE, ADA = ("zoe17@shop.example", "Zoe-Maria", "Bern"), ("ada@shop.example", "Ada", "Graz")


@pytest.fixture
def told(office: Office) -> Office:
    """Zoe is in HubSpot and has left the model."""
    office.sync("people_to_crm", CONTACTS)
    office.build(ZOE, ADA)
    office.ok("run", "--all")
    office.build(ADA)
    return office


def ids(sandbox: Sandbox) -> dict[str, str]:
    return {entry.values["email"]: entry.id for entry in sandbox.hubspot.tables["contacts"].live()}


def contacts(sandbox: Sandbox) -> list[str]:
    return sorted(ids(sandbox))


def knows(office: Office, key: str = ZOE[0]) -> bool:
    return office.run("why", key, "--sync", "people_to_crm").exit_code == 0


@heavy
def test_it_lists_what_there_is_and_asks(told: Office, sandbox: Sandbox) -> None:
    words = ["forget", ZOE[0].upper()]
    declined = CliRunner().invoke(app, words, input="n\n")
    assert declined.exit_code == 1
    assert [line.split()[:2] for line in declined.output.splitlines() if "people_to_crm" in line] == [
        ["people_to_crm", "outbox"],
        ["people_to_crm", "outcomes"],
        ["people_to_crm", "synced"],
        ["people_to_crm", "runs"],
    ]
    assert "Purge all of this for good? [y/N]" in declined.output
    assert CliRunner().invoke(app, words, input="").exit_code == 1, "nobody is there to say yes"
    assert knows(told)
    agreed = CliRunner().invoke(app, words, input="y\n")
    assert agreed.exit_code == 0
    assert "people_to_crm: purged 3 rows of its state, and what its runs kept in the journal." in agreed.output
    assert not knows(told)
    assert knows(told, ADA[0])
    assert contacts(sandbox) == [ADA[0], ZOE[0]], "which nobody asked to be deleted"
    assert ZOE[0] not in (declined.output + agreed.output).lower()


@heavy
def test_at_the_destinations_first(told: Office, sandbox: Sandbox) -> None:
    record = ids(sandbox)[ZOE[0]]
    said = told.ok("forget", ZOE[0], "--at-destinations", "--yes", "--why", "letter of May", "--who", "ann")
    assert contacts(sandbox) == [ADA[0]]
    assert f"people_to_crm: the record ({record}) was deleted." in said
    assert "can restore it for 90 days. A contact is deleted for good, as the GDPR asks, by" in said
    assert not knows(told)
    status = told.json("status")
    (entry,) = status["kill_switch_log"]
    assert (entry["action"], entry["scope"], entry["who"]) == ("forget", "sync:people_to_crm", "ann")
    assert entry["why"].startswith("letter of May (SHA-256 of the key: ")
    assert [(each["kind"], each["counts"]["deleted"]) for each in status["syncs"]] == [("forget", 1)]
    assert told.ok("run", "--all")
    assert contacts(sandbox) == [ADA[0]]


def test_for_good(told: Office, sandbox: Sandbox) -> None:
    """HubSpot has nothing left to restore, and bars no address; the question says that nobody can undo it."""
    record = ids(sandbox)[ZOE[0]]
    words = ["forget", ZOE[0], "--permanently"]
    declined = CliRunner().invoke(app, words, input="n\n")
    assert "neither `reverse-etl undo` nor the destination itself can bring them back" in " ".join(
        declined.output.split()
    )
    assert (declined.exit_code, contacts(sandbox)) == (1, [ADA[0], ZOE[0]])
    said = told.ok(*words, "--yes", "--why", "asked by the person")
    assert f"people_to_crm: the record ({record}) was deleted for good." in said
    assert "HubSpot deletes a contact for good with all that belongs to it; nobody can restore it." in said
    assert "90 days" not in said
    assert record not in sandbox.hubspot.tables["contacts"].entries
    assert not sandbox.hubspot.records.barred
    assert contacts(sandbox) == [ADA[0]]
    assert not knows(told)


@heavy
@pytest.mark.parametrize("by", ["a run", "a person"])
def test_for_good_where_somebody_has_deleted_it_before(told: Office, sandbox: Sandbox, by: str) -> None:
    """By hand, or by a sync that mirrors: what HubSpot keeps of it cannot be reached, and its id is said."""
    record = ids(sandbox)[ZOE[0]]
    if by == "a run":
        told.ok("run", "--all")
    else:
        sandbox.remove("hubspot", "contacts", record)
    assert contacts(sandbox) == [ADA[0]]
    result = told.run("forget", ZOE[0], "--permanently", "--yes")
    assert result.exit_code == 1, "a record is still at a destination"
    assert f"people_to_crm: the record ({record}) was gone already." in result.output
    assert "Who deleted it before may have left something to restore. HubSpot keeps an archived record" in result.output
    assert f"`crm` may still hold contacts {record}, deleted before in a way that can be undone there" in result.output
    assert "for good, as" not in result.output.replace("is deleted for good, as the GDPR asks", "")
    assert not knows(told), "what is here is purged all the same"


@heavy
def test_for_good_of_a_record_that_stands_beside_one_that_was_deleted(told: Office, sandbox: Sandbox) -> None:
    old = ids(sandbox)[ZOE[0]]
    told.ok("run", "--all")
    told.build(ZOE, ADA)
    told.ok("run", "--all")
    new = ids(sandbox)[ZOE[0]]
    told.build(ADA)
    result = told.run("forget", ZOE[0], "--permanently", "--yes", "--json")
    (done,) = json.loads(result.stdout)["syncs"]
    assert result.exit_code == 1
    assert (done["purged"], done["may_be_left"]) == (True, [old])
    assert [each["destination_id"] for each in done["records"]] == [new]
    assert contacts(sandbox) == [ADA[0]]


def test_for_good_is_refused_where_it_cannot_be(told: Office, sandbox: Sandbox) -> None:
    told.sync("companies", COMPANIES)
    told.build(ZOE, ADA)
    told.ok("run", "companies")
    told.build(ADA)
    refused = told.run("forget", ZOE[0], "--permanently", "--yes")
    assert refused.exit_code == 1
    said = (
        "Nothing was purged.\n- sync companies: `crm` cannot delete for good what is in `companies`. HubSpot keeps an"
    )
    assert said in refused.stderr
    assert contacts(sandbox) == [ADA[0], ZOE[0]], "also of the sync that could"
    assert knows(told)
    assert "was deleted for good" in told.ok("forget", ZOE[0], "--permanently", "--yes", "--sync", "people_to_crm")


@heavy
def test_json(told: Office, sandbox: Sandbox) -> None:
    looked = told.run("forget", ZOE[0], "--json")
    assert looked.exit_code == 1
    (found,) = json.loads(looked.stdout)["syncs"]
    assert (found["sync"], found["rows"]) == ("people_to_crm", {"outbox": 1, "outcomes": 1, "synced": 1})
    assert knows(told)
    record = {"status": "deleted", "reason": None, "destination_id": ids(sandbox)[ZOE[0]]}
    (done,) = told.json("forget", ZOE[0], "--yes", "--at-destinations")["syncs"]
    assert (done["purged"], done["problem"], done["records"]) == (True, None, [record])
    assert json.loads(told.run("forget", ZOE[0], "--json", "--yes").stdout) == {"syncs": [], "refused": []}


@heavy
def test_a_key_that_nobody_knows(told: Office) -> None:
    result = told.run("forget", "nobody@shop.example", "--yes")
    assert result.exit_code == 1
    assert result.output == "No sync knows the key: it is in no state, and in no model.\n"


@heavy
def test_a_key_that_the_model_holds(told: Office, sandbox: Sandbox) -> None:
    told.build(ZOE, ADA)
    refused = told.run("forget", ZOE[0], "--yes", "--at-destinations")
    assert refused.exit_code == 1
    assert "Nothing was purged: the model of people_to_crm still holds the key: its next run would" in refused.stderr
    assert knows(told)
    assert contacts(sandbox) == [ADA[0], ZOE[0]]
    purged = told.ok("forget", ZOE[0], "--yes", "--even-if-in-model")
    assert "people_to_crm: its model still holds the key, and the next run sends the person again." in purged


@heavy
def test_only_the_named_syncs(told: Office) -> None:
    told.sync("events", EVENTS)
    told.build(ZOE, ADA)
    told.ok("run", "events")
    told.build(ADA)
    key = f"{ZOE[0]}|{ZOE[2]}"
    assert "No sync knows the key" in told.run("forget", key, "--sync", "people_to_crm").output
    refused = told.run("forget", key, "--yes", "--at-destinations")
    assert refused.exit_code == 1
    assert "Nothing was purged.\n- sync events: `hook` cannot delete records as it is set up" in refused.stderr
    assert "events: purged 3 rows" in told.ok("forget", key, "--yes", "--sync", "events")
    assert knows(told)


@heavy
def test_a_sync_that_was_removed(told: Office) -> None:
    (told.syncs_folder / "people_to_crm.yml").unlink()
    told.sync("events", EVENTS)
    assert "people_to_crm: purged 3 rows" in told.ok("forget", ZOE[0], "--yes", "--sync", "people_to_crm")
    assert "No sync knows the key" in told.run("forget", ZOE[0], "--yes").output


@heavy
def test_a_reason_that_names_the_key(told: Office) -> None:
    result = told.run("forget", ZOE[0], "--yes", "--why", f"{ZOE[0]} has written")
    assert result.exit_code == 2
    assert "the log keeps the reason" in result.output
    assert knows(told)


@heavy
def test_missing_credentials_matter_for_a_deletion_alone(told: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OFFICE_CRM_TOKEN")
    refused = told.run("forget", ZOE[0], "--yes", "--at-destinations")
    assert refused.exit_code == 2
    assert "OFFICE_CRM_TOKEN; it is not set" in refused.stderr
    assert knows(told)
    told.ok("forget", ZOE[0], "--yes")


@heavy
def test_what_dagster_keeps_of_a_key_that_is_not_masked(told: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = told.project.journal
    journal.start_run("5a1c-dagster/people_to_crm/1", "people_to_crm", "crm")
    journal.end_run("5a1c-dagster/people_to_crm/1", RunStatus.DONE, counts={})
    with told.project.warehouse.open("people_to_crm", write=True) as con:
        con.execute("update state.outcomes set run_id = '5a1c-dagster/people_to_crm/1' where key = ?", [ZOE[0]])
    said = told.ok("forget", ZOE[0], "--yes").splitlines()
    assert "people_to_crm:   dagster run delete 5a1c-dagster" in said
    assert said[-1] == "people_to_crm:   dagster asset wipe crm/people_to_crm"
