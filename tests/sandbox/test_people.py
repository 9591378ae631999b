"""A person in the vendors' own interfaces, and snapshots of what a vendor holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from reverse_etl_sandbox import RemoteSandbox, Sandbox

from .conftest import Clock


@pytest.fixture(scope="module")
def remote() -> Iterator[RemoteSandbox]:
    with Sandbox.spawn() as remote:
        yield remote


@pytest.fixture(params=["here", "remote"])
def crm(request: pytest.FixtureRequest, sandbox: Sandbox, remote: RemoteSandbox) -> Sandbox | RemoteSandbox:
    remote.reset()
    return sandbox if request.param == "here" else remote


RECORDS: dict[str, tuple[str, dict[str, Any]]] = {
    "salesforce": ("Contact", {"LastName": "Ray", "External_Id__c": "a", "Orders__c": 5, "Description": "Zo\u00eb"}),
    "hubspot": ("contacts", {"email": "ann@example.com", "external_id": "a", "lead_score": "5.0"}),
    "rest": ("people", {"id": "a", "note": None}),
}


def lines(snapshot: bytes) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in snapshot.splitlines()]


def start(crm: Sandbox | RemoteSandbox, vendor: str) -> tuple[str, str]:
    name, values = RECORDS[vendor]
    if vendor == "rest":
        httpx.post(f"{crm.url}/rest/{name}", json=[], trust_env=False)
    return name, crm.add(vendor, name, values)


@pytest.mark.parametrize("vendor", RECORDS)
def test_a_person_adds_edits_and_removes(crm: Sandbox | RemoteSandbox, vendor: str) -> None:
    name, made = start(crm, vendor)
    field = {"salesforce": "LastName", "hubspot": "city", "rest": "note"}[vendor]
    crm.edit(vendor, name, made, {field: "Lee"})
    assert [line["values"][field] for line in lines(crm.snapshot(vendor, name))] == ["Lee"]
    crm.remove(vendor, name, made)
    assert crm.snapshot(vendor, name) == b""


@pytest.mark.parametrize("vendor", ["salesforce", "hubspot"])
def test_a_duplicate_has_the_same_values_and_another_id(crm: Sandbox | RemoteSandbox, vendor: str) -> None:
    name, made = start(crm, vendor)
    second = crm.duplicate(vendor, name, made)
    both = lines(crm.snapshot(vendor, name))
    assert {line["id"] for line in both} == {made, second}
    assert both[0]["values"] == both[1]["values"]
    crm.remove(vendor, name, made)
    assert [line["id"] for line in lines(crm.snapshot(vendor, name))] == [second]


def test_what_a_person_cannot_do(crm: Sandbox | RemoteSandbox) -> None:
    name, made = start(crm, "rest")
    with pytest.raises((LookupError, ValueError), match="no vendor 'sap'"):
        crm.edit("sap", "Contact", "1", {})
    with pytest.raises((LookupError, ValueError), match="no object 'Nope'"):
        crm.add("salesforce", "Nope", {})
    with pytest.raises((LookupError, ValueError), match="Contact has no record 1"):
        crm.remove("salesforce", "Contact", "1")
    with pytest.raises((LookupError, ValueError), match="contacts has no record 1"):
        crm.duplicate("hubspot", "contacts", "1")
    with pytest.raises(ValueError, match="is its key"):
        crm.duplicate("rest", name, made)
    with pytest.raises(ValueError, match="Required fields are missing"):
        crm.add("salesforce", "Contact", {})


def test_a_snapshot_tells_values_and_no_times(crm: Sandbox | RemoteSandbox) -> None:
    _, made = start(crm, "salesforce")
    first = crm.snapshot("salesforce", "Contact")
    assert first.decode() == (
        f'{{"id":"{made}","values":{{"Description":"Zo\u00eb","External_Id__c":"a","HasOptedOutOfEmail":false,'
        '"LastName":"Ray","Marketing_Opt_In__c":false,"Orders__c":5.0}}\n'
    )
    crm.edit("salesforce", "Contact", made, {"Description": "x", "Title": "y"})
    assert crm.snapshot("salesforce", "Contact") != first
    crm.edit("salesforce", "Contact", made, {"Description": "Zo\u00eb", "Title": None})
    assert crm.snapshot("salesforce", "Contact") == first


def test_a_snapshot_without_ids_knows_a_record_that_was_made_again(crm: Sandbox | RemoteSandbox) -> None:
    name, made = start(crm, "hubspot")
    crm.add("hubspot", name, {"external_id": "b"})
    first, without = crm.snapshot("hubspot", name), crm.snapshot("hubspot", name, ids=False)
    crm.remove("hubspot", name, made)
    start(crm, "hubspot")
    assert crm.snapshot("hubspot", name) != first
    assert crm.snapshot("hubspot", name, ids=False) == without


def test_when_a_person_did_it(sandbox: Sandbox, hubspot_http: httpx.Client, clock: Clock) -> None:
    made = sandbox.add("hubspot", "contacts", {"city": "Bern"})
    url = f"/crm/v3/objects/contacts/{made}"
    before = hubspot_http.get(url).json()["updatedAt"]
    clock.now += 1
    sandbox.edit("hubspot", "contacts", made, {"city": "Basel"})
    assert hubspot_http.get(url).json()["updatedAt"] > before
    sandbox.edit("hubspot", "contacts", made, {"city": "Ulm"}, at=1_000_000_000.5)
    assert hubspot_http.get(url).json()["updatedAt"] == "2001-09-09T01:46:40.500Z"
    control = f"{sandbox.url}/_sandbox/records/hubspot/contacts/{made}"
    assert hubspot_http.patch(f"{control}?at=soon", json={"city": "x"}).status_code == 400
    record = hubspot_http.patch(f"{control}?at=1000000001", json={"city": "Chur"}).json()
    assert (record["updated_at"], record["written"]["city"]) == (1_000_000_001, {"at": 1_000_000_001, "by": "person"})
