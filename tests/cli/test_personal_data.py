"""What the commands print of rows whose e-mail addresses and names dbt marks as personal data."""

import json
from typing import Any

import pytest

from reverse_etl_sandbox.server import Sandbox
from tests.cli.office import CONTACTS, EVENTS, Office
from tests.heavy import heavy

ZOE, BAD = ("zoe17@shop.example", "Zoe-Maria", "Bern"), ("zoltan at shop", "Zoltan-Peter", "Graz")
SECRETS = ("zoe17", "zoe-maria", "zoltan", "shop.example", "at shop")
ALLOW = {"email": "They are matched by it.", "name": "They are greeted by it."}


@pytest.fixture
def marked(office: Office) -> Office:
    manifest = office.dbt_folder / "target" / "manifest.json"
    found = json.loads(manifest.read_text())
    for column in ALLOW:
        found["nodes"]["model.shop.people"]["columns"][column]["meta"] = {"pii": column}
    manifest.write_text(json.dumps(found))
    office.sync("people_to_crm", CONTACTS, allow_pii=ALLOW)
    office.build(ZOE, BAD)
    return office


def leaks(said: Any) -> list[str]:
    """Personal data in what was printed."""
    text = (said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)).lower()
    return [secret for secret in SECRETS if secret in text]


def test_without_a_permission_nothing_goes(marked: Office) -> None:
    marked.sync("people_to_crm", CONTACTS, allow_pii={"email": ALLOW["email"]})
    result = marked.run("run", "--all")
    assert result.exit_code == 2
    assert "`name` of `people` is personal data (name)" in result.output


def test_plan(marked: Office) -> None:
    said = marked.ok("plan", "people_to_crm")
    assert leaks(said) == leaks(marked.json("plan", "people_to_crm")) == []
    assert "+ z***@***  added, upsert" in said
    assert "firstname: Z***" in said
    assert "city: Bern" in said
    revealed = marked.ok("plan", "people_to_crm", "--reveal")
    assert "+ zoe17@shop.example  added, upsert" in revealed
    assert marked.json("plan", "people_to_crm", "--reveal")["rows"][0]["fields"]["firstname"]["after"] == "Zoe-Maria"


@heavy
def test_plan_of_rows_that_cannot_be_sent(marked: Office) -> None:
    marked.build(ZOE, (ZOE[0].upper(), None, ""))
    found = marked.json("plan", "people_to_crm")
    assert leaks(found) == []
    assert {row["key"] for row in found["refused"]} == {"z***@***"}


@heavy
def test_why(marked: Office) -> None:
    marked.run("run", "--all")
    said = marked.ok("why", ZOE[0])
    assert leaks(said) == []
    assert "email: z***@***" in said
    assert "city: Bern" in said
    found = marked.json("why", ZOE[0])
    assert found["key"] == ZOE[0]
    assert leaks(found["answers"][0]["sent"]) == []
    assert "firstname: Zoe-Maria" in marked.ok("why", ZOE[0], "--reveal")


@heavy
def test_why_it_was_refused(marked: Office) -> None:
    """The vendor says what it did not like; a missing value is seen."""
    marked.build((BAD[0], None, "Graz"))
    marked.run("run", "--all")
    said = marked.ok("why", BAD[0])
    assert leaks(said) == []
    assert "INVALID_EMAIL: Email address *** is invalid" in " ".join(said.split())
    assert "firstname: empty" in said
    (answer,) = marked.json("why", BAD[0])["answers"]
    assert leaks({**answer, "outcomes": [{**outcome, "key": ""} for outcome in answer["outcomes"]]}) == []
    revealed = " ".join(marked.ok("why", BAD[0], "--reveal").split())
    assert "email: zoltan at shop" in revealed
    assert "Email address *** is invalid" in revealed, "what was never kept cannot be revealed"


@heavy
def test_run(marked: Office) -> None:
    result = marked.run("run", "--all")
    assert leaks(result.output) == []
    assert "Email address *** is invalid" in " ".join(result.output.split())
    assert "e.g. z***" in result.output


def test_a_held_row(marked: Office, sandbox: Sandbox) -> None:
    marked.sync("events", EVENTS, allow_pii={"email": ALLOW["email"]})
    sandbox.fault("drop_after", vendor="rest", next=2)
    marked.run("run", "events")
    assert leaks(marked.json("plan", "events")) == []
    assert "z***@***|Bern" in marked.ok("plan", "events")
    key = f"{ZOE[0]}|{ZOE[2]}"
    assert leaks(marked.ok("why", key, "--sync", "events")) == []


@heavy
def test_release(marked: Office, sandbox: Sandbox) -> None:
    marked.sync("events", EVENTS, allow_pii={"email": ALLOW["email"]})
    sandbox.fault("drop_after", vendor="rest")
    marked.run("run", "events")
    assert leaks(marked.json("release", "--sync", "events")) == leaks(marked.ok("release", "--sync", "events")) == []
    assert "zoe17@shop.example|Bern" in marked.ok("release", "--sync", "events", "--reveal")
