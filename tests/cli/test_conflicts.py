"""Who won a field, told on the command line."""

import pytest

from reverse_etl_sandbox.server import Sandbox
from tests.cli.office import CONTACTS, Office
from tests.heavy import heavy

ANN = "ann@shop.example"
MAPPING = {"email": "email", "firstname": "name", "city": {"column": "city", "wins": "unless_edited"}}


@pytest.fixture
def edited(office: Office, sandbox: Sandbox) -> Office:
    """A person has changed Ann's city, and then the warehouse did."""
    office.sync("contacts", CONTACTS, mapping=MAPPING)
    office.build((ANN, "Ann", "Bern"), ("bob@shop.example", "Bob", "Basel"))
    office.ok("run", "contacts")
    (record,) = [
        each for each in sandbox.app.control.people.table("hubspot", "contacts").live() if each.values["email"] == ANN
    ]
    sandbox.edit("hubspot", "contacts", record.id, {"city": "Chur"})
    office.build((ANN, "Ann", "Biel"), ("bob@shop.example", "Bob", "Basel"))
    office.ok("run", "contacts")
    return office


def test_the_conflict_log(edited: Office) -> None:
    (entry,) = edited.json("conflicts", "contacts")
    assert (entry["field"], entry["base"], entry["ours"], entry["theirs"]) == ("city", "Bern", "Biel", "Chur")
    assert (entry["winner"], entry["rule"]) == ("destination", "unless_edited")
    said = edited.ok("conflicts", "contacts", "--key", ANN.upper())
    assert "somebody changed it since our last write" in " ".join(said.split())
    assert "no record that disagreed" in edited.ok("conflicts", "contacts", "--key", "bob@shop.example")


@heavy
def test_why_names_the_persons_value(edited: Office) -> None:
    assert "'Chur' stays, the warehouse has 'Biel'" in edited.answer(ANN, "contacts")
