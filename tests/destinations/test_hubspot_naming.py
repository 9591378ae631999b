"""Which row a result of HubSpot means: results carry no trace id, and only what was written."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.records import FieldType, Operation, Outcome, Reason, Record, Status, Target
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.testing.builders import batch, record, target
from reverse_etl_sandbox.server import Sandbox
from reverse_etl_sandbox.store import Entry
from tests.destinations import accounts
from tests.engine.shop import Shop, crm, crm_sync
from tests.heavy import first_rows, heavy

ROWS = "select 'A-' || i as id, 'name {} ' || i as name, 'closedwon' as stage, '1' as step from range(60) r(i)"
BY_EMAIL = target("contacts", "email", *Operation, city=FieldType.TEXT)


def counted(report: Report) -> dict[str, int]:
    return {status: report.counts[status] for status in Status if report.counts[status]}


@heavy
@pytest.mark.parametrize(
    ("name", "mapping"),
    first_rows(
        [
            ("companies", {"name": "name"}),
            ("deals", {"dealname": "name", "dealstage": "stage"}),
            ("tickets", {"subject": "name", "hs_pipeline_stage": "step"}),
            ("2-1001", {"product": "name"}),
            ("contacts", {"firstname": "name"}),
        ]
    ),
)
def test_changes_by_a_unique_property_are_answered(
    shop: Shop, sandbox: Sandbox, name: str, mapping: dict[str, str]
) -> None:
    """Also if the property is not mapped, and if nothing but other fields changed."""
    for mapped in ({}, {"external_id": "id"}):
        sandbox.reset()
        sync = crm_sync(
            sync=f"rows_{len(mapped)}",
            object=name,
            primary_key="id",
            external_id="external_id",
            mapping=mapping | mapped,
        )
        for word, status in (("old", "created"), ("new", "updated")):
            shop.build(ROWS.format(word))
            report = shop.run(sync, crm(sandbox.url))
            assert (report.status, counted(report)) == (RunStatus.DONE, {status: 60})


@heavy
def test_changes_of_contacts_by_any_address_are_answered(shop: Shop, sandbox: Sandbox) -> None:
    """HubSpot tells the primary address of each; the others are asked for once, when they are new."""
    for number in range(4):
        others = f"old{number}@x.com;older{number}@x.com"
        sandbox.add("hubspot", "contacts", {"email": f"p{number}@x.com", "hs_additional_emails": others})
    rows = "select unnest(['p0@x.com', 'Old1@x.com', 'older1@x.com', 'OLD2@x.com', 'new@x.com']) as email, '{}' as name"
    for mapped in ({}, {"email": "email"}):
        sync = crm_sync(sync=f"people_{len(mapped)}", external_id="email", mapping={"firstname": "name"} | mapped)
        for word in ("one", "two"):
            shop.build(rows.format(f"{word} {len(mapped)}"))
            report = shop.run(sync, crm(sandbox.url))
            new = {"created": 1, "updated": 4} if (word, mapped) == ("one", {}) else {"updated": 5}
            assert (report.status, counted(report)) == (RunStatus.DONE, new)
            assert not any(row.inferred for row in shop.by_key(sync, report).values())
    held = {each.values["email"]: each.values.get("firstname") for each in sandbox.hubspot.tables["contacts"].live()}
    changed = dict.fromkeys(["p0@x.com", "p1@x.com", "p2@x.com", "new@x.com"], "two 1")
    assert held == changed | {"p3@x.com": None}


def outcomes(answer: Callable[[httpx.Request], httpx.Response], rows: list[Record], to: Target) -> list[Outcome]:
    async def work() -> list[Outcome]:
        async with opened(answer, to) as hubspot:
            return list(await hubspot.send(batch(Operation.UPSERT, *rows)))

    return asyncio.run(work())


@asynccontextmanager
async def opened(answer: Callable[[httpx.Request], httpx.Response], to: Target) -> AsyncIterator[HubSpot]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        yield HubSpot(accounts.hubspot("https://api.example"), to, HubSpot.Options(), client)


def two_contacts(read: httpx.Response) -> Callable[[httpx.Request], httpx.Response]:
    """The answers to an upsert of two contacts, and to whatever is read after it."""
    told = [{"id": each, "properties": {"city": "Bern"}, "new": False} for each in ("101", "102")]

    def answer(request: httpx.Request) -> httpx.Response:
        return read if request.url.path.endswith("/read") else httpx.Response(200, json={"results": told})

    return answer


PEOPLE = [record(each, external_id=f"{each}@x.com", city="Bern") for each in ("ann", "bob")]


@pytest.mark.parametrize(
    ("held", "named"),
    [
        ([("101", "ann@x.com", ""), ("102", "rob@x.com", "bob@x.com")], {"ann": "101", "bob": "102"}),
        ([("101", "ann@x.com", "")], {"ann": "101"}),
        ([("777", "ann@x.com", ""), ("102", "bob@x.com", "")], {"bob": "102"}),
        ([("101", "ann@x.com", ""), ("102", "ann@x.com", "")], {}),
        ([], {}),
    ],
)
def test_a_row_is_named_by_the_record_that_carries_its_address(
    held: list[tuple[str, str, str]], named: dict[str, str]
) -> None:
    """Of any other record nobody knows which row it means: the row stays without an outcome."""
    records = [
        {"id": each, "properties": {"email": email, "hs_additional_emails": others}} for each, email, others in held
    ]
    found = outcomes(two_contacts(httpx.Response(207, json={"results": records})), PEOPLE, BY_EMAIL)
    assert {each.key: each.destination_id for each in found} == named


def test_a_record_that_is_known_from_earlier_names_its_row() -> None:
    """Also by a key that is not told; nothing more is asked."""
    told = [{"id": each, "properties": {}, "new": False} for each in ("102", "101", "103")]
    known = [
        record(each, external_id=f"{each}@x.com", destination_id=number, city="Bern")
        for each, number in (("ann", "101"), ("bob", "102"), ("eve", "104"))
    ]
    for to in (BY_EMAIL, target("companies", "external_id", city=FieldType.TEXT)):
        found = outcomes(lambda _: httpx.Response(200, json={"results": told}), known, to)
        assert {each.key: each.destination_id for each in found} == {"ann": "101", "bob": "102"}


@pytest.mark.parametrize(
    ("kind", "key", "told"),
    [
        (FieldType.DECIMAL, "7.00", "7"),
        (FieldType.FLOAT, "7.0", "7"),
        (FieldType.INTEGER, "7", "7.0"),
        (FieldType.TIMESTAMP, "2026-01-31T12:00:00.000000Z", "2026-01-31T12:00:00Z"),
        (FieldType.TIMESTAMP, "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"),
    ],
)
def test_a_key_that_is_told_in_another_form_names_its_row(kind: FieldType, key: str, told: str) -> None:
    """Of what was written and of what was looked up: a record that is not found would count as gone."""
    to = replace(target("companies", "number", city=FieldType.TEXT), key_type=kind)
    result = {"id": "101", "properties": {"number": told, "city": "Bern"}}

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"results": [result]})

    async def look() -> list[object]:
        async with opened(answer, to) as hubspot:
            return [
                await hubspot.find([key]),
                {each: len(held) for each, held in (await hubspot.read_records([key])).items()},
            ]

    assert [each.destination_id for each in outcomes(answer, [record(key, city="Bern")], to)] == ["101"]
    assert asyncio.run(look()) == [{key: ["101"]}, {key: 1}]


@pytest.mark.parametrize("status", [200, 403, 429, 500])
def test_a_look_that_fails_leaves_the_rows_without_an_outcome(status: int) -> None:
    assert outcomes(two_contacts(httpx.Response(status, content=b"<html>")), PEOPLE, BY_EMAIL) == []


def test_additional_addresses_that_are_told_name_the_row() -> None:
    """Then nothing more is asked."""
    properties = {"email": "ann@x.com", "hs_additional_emails": "old@x.com;Older@x.com", "city": "Bern"}
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json={"results": [{"id": "101", "properties": properties, "new": False}]})

    [found] = outcomes(answer, [record("k", external_id="OLDER@x.com", city="Bern")], BY_EMAIL)
    assert (found.key, found.destination_id, len(asked)) == ("k", "101", 1)


@pytest.mark.parametrize("name", ["companies", "contacts"])
def test_a_result_that_names_nobody_is_no_success(name: str) -> None:
    to = target(name, "external_id", city=FieldType.TEXT)
    told = [{"id": "101", "properties": properties, "new": False} for properties in ({}, {"external_id": "zz"}, None)]
    found = outcomes(lambda _: httpx.Response(200, json={"results": told}), [record("a", city="Bern")], to)
    assert found == []


def properties_of(to: Target, row: Record) -> Any:
    hubspot = accounts.offline(HubSpot, accounts.hubspot("https://api.example"), to)
    return json.loads(hubspot.build_request(batch(Operation.UPSERT, row)).content)["inputs"][0]["properties"]


def test_the_key_is_among_the_properties_of_an_upsert() -> None:
    """Mapped or not, and as the row is found by it."""
    to = target("companies", "external_id", city=FieldType.TEXT)
    assert properties_of(to, record("A-1", city="Bern")) == {"city": "Bern", "external_id": "A-1"}
    contact = record("k", external_id="a@x.com", city="Bern")
    assert properties_of(BY_EMAIL, contact) == {"city": "Bern", "email": "a@x.com"}
    mapped = record("k", external_id="a@x.com", city="Bern", email="A@x.com")
    assert properties_of(BY_EMAIL, mapped) == {"city": "Bern", "email": "a@x.com"}


def company(sandbox: Sandbox, key: str) -> Entry:
    table = sandbox.hubspot.tables["companies"]
    return table.entries[sandbox.add("hubspot", "companies", {"name": key, "external_id": key})]


def merge(sandbox: Sandbox, primary: Entry, other: Entry) -> Entry:
    return sandbox.hubspot.records.merge(sandbox.hubspot.records.objects["companies"], primary, other)


@heavy
def test_a_change_of_a_record_that_was_merged_into_another_is_answered(shop: Shop, sandbox: Sandbox) -> None:
    """The key of the one is on no record any more; its id points to the other, whose id is kept from then on."""
    one, two = company(sandbox, "c-1"), company(sandbox, "c-2")
    sync = crm_sync(
        object="companies",
        primary_key="id",
        external_id="external_id",
        mapping={"name": "name"},
        sync_mode="update_only",
        before_images="synced",
    )
    rows = "select unnest(['c-1', 'c-2']) as id, '{}' as name"
    shop.build(rows.format("old"))
    assert counted(shop.run(sync, crm(sandbox.url))) == {"updated": 2}
    merged = merge(sandbox, one, two)
    shop.build(rows.format("new"))
    report = shop.run(sync, crm(sandbox.url))
    assert counted(report) == {"updated": 2}
    assert {row.destination_id for row in shop.by_key(sync, report).values()} == {merged.id}
    assert merged.values["name"] == "new"


def test_a_result_of_another_record_is_that_of_no_row(sandbox: Sandbox) -> None:
    """One row's record was merged, one's is gone: the answer means the first, as HubSpot says when it is asked."""
    one, two, gone = (company(sandbox, f"c-{number}") for number in range(3))
    merged = merge(sandbox, one, two)
    sandbox.remove("hubspot", "companies", gone.id)
    to = target("companies", "external_id", Operation.UPDATE, name=FieldType.TEXT)

    async def work() -> list[Outcome]:
        async with httpx.AsyncClient(timeout=5) as client:
            destination = HubSpot(accounts.hubspot(sandbox.url), to, HubSpot.Options(), client)
            rows = [record(each.values["external_id"], destination_id=each.id, name="x") for each in (one, gone)]
            return list(await destination.send(batch(Operation.UPDATE, *rows)))

    found = {each.key: each for each in asyncio.run(work())}
    assert (found["c-0"].status, found["c-0"].destination_id) == (Status.UPDATED, merged.id)
    assert found["c-2"].reason is Reason.NOT_FOUND
