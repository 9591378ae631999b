"""`run` and `why` of syncs that come after another."""

import pytest

from reverse_etl_sandbox.server import Sandbox
from tests.cli.office import EVENTS, Office
from tests.heavy import heavy

ADA, BOB = ("ada@shop.example", "Ada", "Bern"), ("bob@shop.example", "Bob", "Graz")


@pytest.fixture
def three(office: Office) -> Office:
    """Contacts, then their events, then what follows these; by name they would come the other way round."""
    office.sync("people_to_crm")
    office.sync("events", EVENTS, after=[{"sync": "people_to_crm", "key": "email"}])
    office.sync("a_digest", EVENTS, object="digests", after="events")
    office.build(ADA, BOB)
    return office


def test_they_run_in_order_whatever_order_they_are_named_in(three: Office) -> None:
    assert [run["sync"] for run in three.json("run", "--all")["runs"]] == ["people_to_crm", "events", "a_digest"]
    assert [run["sync"] for run in three.json("run", "a_digest", "people_to_crm")["runs"]] == [
        "people_to_crm",
        "a_digest",
    ]
    assert list(three.json("check")["problems"]) == ["people_to_crm", "events", "a_digest"]


def test_what_follows_a_sync_that_a_guard_stopped_is_not_run(three: Office, sandbox: Sandbox) -> None:
    three.ok("run", "--all")
    three.sync("people_to_crm", guards={"max_added": {"rows": 0}})
    three.build(ADA, BOB, ("eve@shop.example", "Eve", "Oslo"))
    sent = len(sandbox.log.lines("rest", 0))
    result = three.run("run", "--all")
    (parent, *_) = three.json("runs", "people_to_crm")["runs"]
    assert result.exit_code == 1
    assert result.output.count("not run") == 2
    said = " ".join(result.output.split())
    assert f"people_to_crm comes first, and its last run was stopped by a guard (run {parent['run_id']})" in said
    assert "a_digest: parents: events comes first" in said
    assert len(sandbox.log.lines("rest", 0)) == sent
    assert three.run("run", "events").exit_code == 1


@heavy
def test_what_follows_a_sync_with_an_error_is_not_run(
    three: Office, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if its runs before were good: then the journal has nothing against it."""
    three.ok("run", "--all")
    sent = len(sandbox.log.lines("rest", 0))
    three.build(ADA, BOB, ("eve@shop.example", "Eve", "Oslo"))
    monkeypatch.delenv("OFFICE_CRM_TOKEN")
    found = three.json("run", "--all")
    assert found["runs"] == []
    assert found["errors"]["events"] == "not run: it comes after people_to_crm, which did not run"
    assert found["errors"]["a_digest"] == "not run: it comes after events, which did not run"
    assert len(sandbox.log.lines("rest", 0)) == sent


@heavy
def test_why_names_the_row_that_is_waited_for(three: Office) -> None:
    three.build(ADA, ("no address", "Joe", "Rome"))
    three.run("run", "people_to_crm", "events")
    said = three.answer("no address|Rome", "events")
    assert "It was kept back at" in said
    assert "its row of people_to_crm has not arrived" in said
    assert "It waits for the row no address of people_to_crm" in said
    assert '`reverse-etl why "no address" --sync people_to_crm`' in said
    assert "waiting" in three.ok("plan", "events")
