"""`reverse-etl recover-state`: a person's word on a state that is not the one that wrote."""

import pytest

from tests.cli.office import Office
from tests.heavy import heavy

ADA, EVE = ("ada@shop.example", "Ada", "Bern"), ("eve@shop.example", "Eve", "Biel")


@pytest.fixture
def lost(office: Office) -> Office:
    """Two contacts are in the CRM, and the state that knows them is gone."""
    office.sync("people_to_crm")
    office.build(ADA, EVE)
    office.ok("run", "--all")
    office.project.warehouse.state_file("people_to_crm").unlink()
    return office


def test_a_run_says_what_to_do_and_the_word_lets_it_go_on(lost: Office) -> None:
    refused = lost.run("run", "people_to_crm")
    assert refused.exit_code != 0
    assert "reverse-etl recover-state people_to_crm --why" in " ".join(refused.output.split())
    said = lost.ok("recover-state", "people_to_crm", "--adopt", "--why", "the disk was lost", "--who", "ada")
    assert "is empty, though the journal knows that the sync wrote" in said
    lost.ok("run", "people_to_crm")
    assert lost.json("status")["syncs"][0]["counts"]["unchanged"] == 2
    (entry,) = lost.json("status")["kill_switch_log"]
    assert (entry["action"], entry["who"]) == ("recover-state", "ada")
    assert entry["why"].startswith("the disk was lost (--adopt: ")


@heavy
@pytest.mark.parametrize("words", [(), ("--adopt", "--keep"), ("--adopt",)])
def test_one_way_and_a_reason(lost: Office, words: tuple[str, ...]) -> None:
    refused = lost.run("recover-state", "people_to_crm", *words)
    assert refused.exit_code == 2


@heavy
def test_nothing_to_recover(office: Office) -> None:
    office.sync("people_to_crm")
    office.build(ADA)
    office.ok("run", "--all")
    refused = office.run("recover-state", "people_to_crm", "--restart", "--why", "to see")
    assert refused.exit_code != 0
    assert "there is nothing to recover" in refused.output
