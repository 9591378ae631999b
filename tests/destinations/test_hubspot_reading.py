"""Reading HubSpot back: the request, additional addresses, what a person does meanwhile, and the daily allowance."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.records import Current, FieldType, Operation, Quota, Reason, Status, Target
from reverse_etl_assets.testing.builders import batch, record, target
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts

TARGET = target("contacts", "external_id", *Operation, city=FieldType.TEXT, lead_score=FieldType.DECIMAL)
BY_EMAIL = target("contacts", "email", *Operation, city=FieldType.TEXT)


@asynccontextmanager
async def opened(sandbox: Sandbox, to: Target = TARGET) -> AsyncIterator[HubSpot]:
    async with httpx.AsyncClient(timeout=5) as client:
        yield HubSpot(accounts.hubspot(sandbox.url), to, HubSpot.Options(), client)


@pytest.mark.parametrize(
    ("to", "asked"),
    [
        (TARGET, {"idProperty": "external_id", "properties": ["external_id", "city", "lead_score"]}),
        (BY_EMAIL, {"idProperty": "email", "properties": ["email", "hs_additional_emails", "city"]}),
        (target("deals", "hs_object_id", amount=FieldType.DECIMAL), {"properties": ["hs_object_id", "amount"]}),
    ],
)
def test_one_request_asks_for_what_is_written(to: Target, asked: dict[str, Any]) -> None:
    bodies: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(207, json={"status": "COMPLETE", "results": [], "errors": []})

    async def work() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            hubspot = HubSpot(accounts.hubspot("https://api.example"), to, HubSpot.Options(), client)
            assert await hubspot.read_records(["1", "2"]) == {"1": [], "2": []}

    asyncio.run(work())
    assert bodies == [asked | {"inputs": [{"id": "1"}, {"id": "2"}], "propertiesWithHistory": []}]


def test_a_recorded_answer() -> None:
    """Properties without a value may be null, empty or absent."""
    held = {"external_id": "A-1", "city": "", "hs_object_id": "101"}
    result = {"id": "101", "properties": held, "updatedAt": "2026-01-31T12:00:00.123Z", "archived": False}
    missing = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "gone", "context": {"ids": ["b"]}}
    body = {"status": "COMPLETE", "results": [result], "numErrors": 1, "errors": [missing]}

    async def work() -> None:
        transport = httpx.MockTransport(lambda request: httpx.Response(207, json=body))
        async with httpx.AsyncClient(transport=transport) as client:
            hubspot = HubSpot(accounts.hubspot("https://api.example"), TARGET, HubSpot.Options(), client)
            changed_at = datetime(2026, 1, 31, 12, 0, 0, 123_000, tzinfo=UTC)
            assert await hubspot.read_records(["a-1", "b"]) == {
                "a-1": [Current("101", dict.fromkeys(TARGET.fields), changed_at, ["a-1"])],
                "b": [],
            }

    asyncio.run(work())


def test_a_contact_is_read_by_another_of_its_addresses(sandbox: Sandbox) -> None:
    held = {"email": "ann@x.com", "hs_additional_emails": "old@x.com;Ann.Old@x.com", "city": "Bern"}
    contact = sandbox.add("hubspot", "contacts", held)

    async def work() -> None:
        async with opened(sandbox, BY_EMAIL) as hubspot:
            assert await hubspot.find(["ANN.OLD@x.com", "bob@x.com"]) == {"ANN.OLD@x.com": [contact], "bob@x.com": []}
            found = await hubspot.read_records(["old@x.com", "ANN@x.com"])
            assert [(key, [each.destination_id for each in several]) for key, several in found.items()] == [
                ("old@x.com", [contact]),
                ("ANN@x.com", [contact]),
            ]
            sent = batch(Operation.UPSERT, record("7", external_id="old@x.com", city="Basel"))
            assert [each.status for each in await hubspot.send(sent)] == [Status.UPDATED]
        [entry] = sandbox.hubspot.tables["contacts"].live()
        assert (entry.values["email"], entry.values["city"]) == ("ann@x.com", "Basel")

    asyncio.run(work())


def test_what_a_person_does_is_read(sandbox: Sandbox) -> None:
    contact = sandbox.add("hubspot", "contacts", {"external_id": "a", "city": "Bern"}, at=1_000_000_000)

    async def work() -> None:
        async with opened(sandbox) as hubspot:
            [held] = (await hubspot.read_records(["a"]))["a"]
            assert (held.fields["city"], held.changed_at) == ("Bern", datetime.fromtimestamp(1_000_000_000, UTC))
            sandbox.edit("hubspot", "contacts", contact, {"city": "Basel"}, at=1_000_000_005.25)
            [held] = (await hubspot.read_records(["a"]))["a"]
            assert (held.fields["city"], held.changed_at) == ("Basel", datetime.fromtimestamp(1_000_000_005.25, UTC))
            sandbox.remove("hubspot", "contacts", contact)
            assert await hubspot.read_records(["a"]) == {"a": []}
            sent = batch(Operation.UPDATE, record("a", destination_id=contact, city="Ulm"))
            [outcome] = await hubspot.send(sent)
            assert (outcome.status, outcome.reason) == (Status.SKIPPED, Reason.NOT_FOUND)
            assert outcome.error
            assert "they may be deleted or not exist" in outcome.error.message

    asyncio.run(work())


def test_which_writes_may_be_partial() -> None:
    settings = accounts.hubspot("https://api.example")
    both = {Operation.UPDATE, Operation.UPSERT}
    assert accounts.offline(HubSpot, settings, TARGET).capabilities.partial == both
    assert accounts.offline(HubSpot, settings, BY_EMAIL).capabilities.partial == {Operation.UPDATE}
    assert accounts.offline(HubSpot, settings, target("0-1", "email")).capabilities.partial == {Operation.UPDATE}
    assert accounts.offline(HubSpot, settings, target("companies", "email")).capabilities.partial == both


@pytest.mark.parametrize(
    ("field", "sent", "held", "same"),
    [
        ("email", "Ann@X.com", "ann@x.com", True),
        ("external_id", "A-1", "a-1", True),
        ("city", "Bern", "bern", False),
        ("interests", ";tea", "coffee;tea", True),
        ("interests", ";tea;coffee", "coffee;tea", True),
        ("interests", ";tea", "coffee", False),
        ("interests", ";tea", None, False),
        ("lead_score", 10, "10.00", True),
    ],
)
def test_what_hubspot_holds_of_what_was_sent(field: str, sent: Any, held: Any, same: bool) -> None:
    assert accounts.offline(HubSpot, accounts.hubspot("https://api.example"), TARGET).same(field, sent, held) is same


@pytest.mark.parametrize(
    ("daily", "remaining", "quota"),
    [
        ("625000", "624000", Quota(1_000, 625_000)),
        ("625000", "0", Quota(625_000, 625_000)),
        ("625000", "625001", None),
        ("0", "0", None),
        ("625000", "", None),
        ("", "10", None),
        ("many", "10", None),
        ("625000", "-1", None),
        ("٦٢٥", "1", None),
    ],
)
def test_quota(daily: str, remaining: str, quota: Quota | None) -> None:
    names = (b"X-HubSpot-RateLimit-Daily", b"X-HubSpot-RateLimit-Daily-Remaining")
    headers = list(zip(names, (daily.encode(), remaining.encode()), strict=True))
    assert HubSpot.quota(httpx.Response(200, headers=headers)) == quota


def test_every_answer_tells_what_is_left(sandbox: Sandbox) -> None:
    sandbox.settings.change({"hubspot_daily_requests": 50, "hubspot_other_requests": 40})

    async def work() -> None:
        async with opened(sandbox) as hubspot:
            sent = hubspot.build_request(batch(Operation.UPSERT, record("a", city="Bern")))
            told = [HubSpot.quota(await hubspot.exchange(sent)) for _ in range(2)]
            assert told == [Quota(41, 50), Quota(42, 50)]

    asyncio.run(work())
