"""The exact request of every HubSpot operation."""

import asyncio
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.errors import ContractViolation
from reverse_etl_assets.records import FieldType, Operation, Status, Target
from reverse_etl_assets.testing.builders import batch, record, target
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts

TARGET = target("contacts", "email", *Operation, firstname=FieldType.TEXT, seen_at=FieldType.TIMESTAMP)


def hubspot(to: Target = TARGET, **connection: Any) -> HubSpot:
    settings = accounts.hubspot("https://eu.example").model_copy(update=connection)
    return accounts.offline(HubSpot, settings, to)


def test_upsert() -> None:
    request = hubspot().build_request(batch(Operation.UPSERT, record("7", external_id="Ann@x.com", firstname="Ann")))
    assert (request.method, str(request.url)) == (
        "POST",
        "https://eu.example/hubspot/crm/objects/2026-09/contacts/batch/upsert",
    )
    assert request.headers["Content-Type"] == "application/json"
    assert request.content == (
        b'{"inputs":[{"id":"Ann@x.com","idProperty":"email","objectWriteTraceId":"7",'
        b'"properties":{"firstname":"Ann","email":"Ann@x.com"}}]}'
    )


def test_insert_sends_the_key_as_a_property() -> None:
    request = hubspot().build_request(batch(Operation.INSERT, record("7", external_id="ann@x.com", firstname="Ann")))
    assert request.url.path.endswith("/contacts/batch/create")
    assert json.loads(request.content) == {
        "inputs": [
            {
                "objectWriteTraceId": "7",
                "properties": {"firstname": "Ann", "email": "ann@x.com"},
                "associations": [],
            }
        ]
    }


def test_update_is_by_id_and_leaves_the_key_alone() -> None:
    row = record("7", external_id="ann@x.com", destination_id="101", firstname="Ann", email="ann@x.com")
    request = hubspot().build_request(batch(Operation.UPDATE, row))
    assert request.url.path.endswith("/contacts/batch/update")
    assert json.loads(request.content) == {
        "inputs": [{"id": "101", "objectWriteTraceId": "7", "properties": {"firstname": "Ann"}}]
    }


def test_delete_is_by_id() -> None:
    request = hubspot().build_request(batch(Operation.DELETE, record("7", destination_id="101")))
    assert request.url.path.endswith("/contacts/batch/archive")
    assert request.content == b'{"inputs":[{"id":"101"}]}'


def test_a_delete_for_good_is_of_one_contact_by_its_id() -> None:
    """Never by an address: one that HubSpot does not know would be barred."""
    for_good = hubspot(replace(TARGET, for_good=True))
    assert (for_good.capabilities.max_rows, for_good.capabilities.erases) == (1, True)
    request = for_good.build_request(
        batch(Operation.DELETE, record("7", external_id="ann@x.com", destination_id="101"))
    )
    assert request.url.path.endswith("/crm/objects/2026-09/contacts/gdpr-delete")
    assert request.content == b'{"objectId":"101"}'
    assert not hubspot(replace(TARGET, object="companies", for_good=True)).capabilities.erases


@pytest.mark.parametrize("operation", [Operation.UPDATE, Operation.DELETE])
def test_a_row_without_its_id_is_our_own_mistake(operation: Operation) -> None:
    with pytest.raises(ContractViolation, match="no record id"):
        hubspot().build_request(batch(operation, record("7")))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (12, "12"),
        (10**20, "100000000000000000000"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        (1e22, "10000000000000000000000"),
        (Decimal("12345678901234567.890"), "12345678901234567.890"),
        (Decimal("1E+3"), "1000"),
        ("2026-01-31", "2026-01-31"),
        ({"a": [1]}, '{"a":[1]}'),
    ],
)
def test_every_value_is_text(value: Any, text: str) -> None:
    request = hubspot().build_request(batch(Operation.UPSERT, record("7", value=value)))
    assert json.loads(request.content)["inputs"][0]["properties"]["value"] == text


def test_times_are_utc_with_milliseconds() -> None:
    row = record("7", seen_at="2026-01-31T12:00:00.987654+01:00", firstname="2026-01-31T12:00:00+01:00")
    request = hubspot().build_request(batch(Operation.UPSERT, row))
    properties = json.loads(request.content)["inputs"][0]["properties"]
    assert properties["seen_at"] == "2026-01-31T11:00:00.987Z"
    assert properties["firstname"] == "2026-01-31T12:00:00+01:00"


@pytest.mark.parametrize("version", ["v3", "2026-03", "2026-09"])
def test_versions_differ_in_their_paths(version: str, sandbox: Sandbox) -> None:
    """Checked, written, found and read in each."""
    to = target("product_usage", "external_id", *Operation, active_users=FieldType.INTEGER)
    settings = accounts.hubspot(sandbox.url).model_copy(update={"api_version": version})

    async def work() -> None:
        async with httpx.AsyncClient(timeout=5) as client:
            destination = HubSpot(settings, to, HubSpot.Options(), client)
            await destination.check()
            row = record("u1", active_users=5)
            assert [each.status for each in await destination.send(batch(Operation.UPSERT, row))] == [Status.CREATED]
            [held] = (await destination.read_records(["u1"]))["u1"]
            assert (held.fields, await destination.find(["u1"])) == (
                {"active_users": "5"},
                {"u1": [held.destination_id]},
            )

    asyncio.run(work())
    roots = {line.path.split("/product_usage")[0] for line in sandbox.log.lines("hubspot")}
    names = {f"/crm/{api}/{version}" for api in ("properties", "objects")}
    assert roots == ({"/crm/v3/properties", "/crm/v3/objects"} if version == "v3" else names)


def test_the_address_of_hubspot_is_the_default() -> None:
    assert HubSpot.Connection(access_token="pat-x").base_url == "https://api.hubapi.com"
