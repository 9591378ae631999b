"""`quarantine` lists rows that were refused too often, `retry` lets them be sent once more, `why` explains them."""

import json
from pathlib import Path

import pytest

from reverse_etl_sandbox.server import Sandbox
from tests.cli.office import CONTACTS, Office
from tests.heavy import heavy

ADA, BOB, EVE = ("ada@shop.example", "Ada", "Bern"), ("bob@shop.example", "Bob", "Graz"), ("no address", "Eve", "Oslo")
POLICY = {"after": 1, "apart": "0 seconds", "hint": "Ask sales ops."}


@pytest.fixture
def strict(office: Office) -> Office:
    """Eve's address is refused, and once is enough."""
    office.sync("people_to_crm", quarantine=POLICY, owners=["team:sales"])
    office.build(ADA, EVE)
    office.ok("run", "--all")
    return office


def flat(text: str) -> str:
    return " ".join(text.split())


def test_the_list(strict: Office) -> None:
    said = flat(strict.ok("quarantine"))
    assert "people_to_crm no address 1 20" in said
    assert "INVALID_EMAIL: Email address no address is invalid" in said
    assert "people_to_crm: team:sales; Ask sales ops." in said
    assert "`reverse-etl retry KEY --sync SYNC`" in said


def test_the_list_for_programs(strict: Office) -> None:
    strict.sync("other", object="companies", primary_key="name", external_id="domain", mapping={"city": "city"})
    found = strict.json("quarantine")
    assert found["counts"] == {"other": 0, "people_to_crm": 1}
    (row,) = found["rows"]
    assert (row["sync"], row["key"], row["times"], row["code"]) == ("people_to_crm", "no address", 1, "INVALID_EMAIL")
    assert (row["owners"], row["hint"]) == (["team:sales"], "Ask sales ops.")
    assert strict.json("quarantine", "other")["rows"] == []


@heavy
def test_nothing_in_quarantine(office: Office) -> None:
    office.sync("people_to_crm")
    office.build(ADA)
    assert office.ok("quarantine") == "No row is in quarantine.\n"
    result = office.run("retry", ADA[0], "--sync", "people_to_crm")
    assert result.exit_code == 1
    assert "has not 'ada@shop.example' in quarantine" in result.output
    office.ok("run", "--all")
    assert office.run("retry", "--all", "--sync", "people_to_crm").exit_code == 1


@heavy
def test_a_long_list_is_cut_and_says_so(strict: Office) -> None:
    strict.build(EVE, ("nor this", "Kim", "Rome"))
    strict.ok("run", "--all")
    said = flat(strict.ok("quarantine", "--limit", "1"))
    assert "1 of 2 rows; --limit 0 lists all" in said
    assert len(strict.json("quarantine", "--limit", "0")["rows"]) == 2


@heavy
def test_retry(strict: Office) -> None:
    assert "sends 'NO ADDRESS' once more" in strict.ok("retry", "NO ADDRESS", "--sync", "people_to_crm")
    assert strict.run("retry", EVE[0], "--sync", "people_to_crm").exit_code == 1, "it is free already"
    strict.ok("run", "--all")
    assert strict.json("quarantine")["rows"][0]["times"] == 2
    assert "sends 1 row once more" in strict.ok("retry", "--all", "--sync", "people_to_crm")
    assert [row["key"] for row in strict.json("plan", "people_to_crm")["rows"]] == [EVE[0]]


@pytest.mark.parametrize("words", [(), (EVE[0], "--all")])
def test_retry_takes_a_key_or_all(office: Office, words: tuple[str, ...]) -> None:
    result = office.run("retry", *words, "--sync", "people_to_crm")
    assert result.exit_code == 2
    assert "give a key, or --all" in result.output


@heavy
def test_plan_and_run_show_it(strict: Office) -> None:
    said = flat(strict.ok("plan", "people_to_crm"))
    assert "rejected 0 held 0 quarantined 1" in said
    assert "no address quarantined refused 1 time with these values since" in said
    assert "1 skipped quarantined: INVALID_EMAIL refused 1 time" in flat(strict.ok("run", "--all"))


@heavy
def test_why(strict: Office) -> None:
    said = strict.answer(EVE[0], "people_to_crm")
    assert "crm refused it at" in said
    assert "It goes into quarantine (refused 1 time with these values since" in said
    assert "it is not sent until its values or the mapping change" in said
    strict.ok("run", "--all")
    said = strict.answer(EVE[0], "people_to_crm")
    assert "It was in quarantine at" in said
    assert "INVALID_EMAIL: Email address no address is invalid" in said
    assert "It stays in quarantine: it is not sent until" in said
    assert "`reverse-etl retry KEY --sync people_to_crm` lets it be sent once more." in said
    strict.ok("retry", EVE[0], "--sync", "people_to_crm")
    assert "the next run tries it again (upsert)" in strict.answer(EVE[0], "people_to_crm")


@heavy
def test_why_of_a_key_that_stands_in_several_rows(office: Office) -> None:
    office.sync("people_to_crm", on_duplicate_key="latest by city")
    office.build(ADA, (ADA[0], "Ada the elder", "Aarau"), BOB)
    office.ok("run", "--all")
    said = office.answer(ADA[0], "people_to_crm")
    assert "It was created in crm" in said
    assert "Rows of this key that are left out, because their `city` is not the greatest: 1." in said
    assert "superseded 1" in flat(office.ok("plan", "people_to_crm"))
    office.build(ADA, (ADA[0], "Ada the elder", "Aarau"), (ADA[0], "Her twin", "Bern"), BOB)
    office.run("run", "--all")
    said = office.answer(ADA[0], "people_to_crm")
    assert "2 rows of the model share this primary key, and none of them alone has the greatest `city`" in said


@heavy
def test_personal_data_is_masked(office: Office, sandbox: Sandbox) -> None:
    manifest = Path(office.dbt_folder / "target" / "manifest.json")
    found = json.loads(manifest.read_text())
    found["nodes"]["model.shop.people"]["columns"]["email"]["meta"] = {"pii": "email"}
    manifest.write_text(json.dumps(found))
    office.sync("people_to_crm", CONTACTS, allow_pii={"email": "It is the key."}, quarantine={"after": 1})
    office.build(EVE)
    office.ok("run", "--all")
    said = flat(office.ok("quarantine"))
    assert "people_to_crm n*** 1 20" in said
    assert "Email address *** is invalid" in said
    assert "no address" not in said
    assert "people_to_crm no address 1 20" in flat(office.ok("quarantine", "--reveal"))
