"""Reading Salesforce back: the query, parents, pages, jobs that put values back, and what a person does meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.base import JobState, Part
from reverse_etl_assets.destinations.salesforce import Salesforce
from reverse_etl_assets.destinations.salesforce.lookups import LONGEST_URL
from reverse_etl_assets.records import Batch, Current, FieldType, Operation, Outcome, Quota, Reason, Status, Target
from reverse_etl_assets.testing.builders import batch, record, target
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts

PARENT = "Account.External_Id__c"
TARGET = target(
    "Contact",
    "External_Id__c",
    *Operation,
    LastName=FieldType.TEXT,
    Lifetime_Value__c=FieldType.DECIMAL,
    Trial_Ends_At__c=FieldType.TIMESTAMP,
    **{PARENT: FieldType.TEXT},
)


@asynccontextmanager
async def opened(sandbox: Sandbox, to: Target = TARGET, **options: Any) -> AsyncIterator[Salesforce]:
    async with httpx.AsyncClient(timeout=5) as client:
        settings = accounts.salesforce(sandbox.url)
        yield Salesforce(settings, to, Salesforce.Options.model_validate(options), client)


async def only(salesforce: Salesforce, key: str) -> Current:
    [held] = (await salesforce.read_records([key]))[key]
    return held


async def by_job(salesforce: Salesforce, sent: Batch) -> list[Outcome]:
    job = await salesforce.open_job(sent)
    await salesforce.upload(job, sent, Part())
    while await salesforce.poll(job) is not JobState.DONE:
        pass
    return list(await salesforce.collect(job, sent))


def test_one_query_asks_for_what_is_written() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if "token" in request.url.path:
            return httpx.Response(200, json={"access_token": "t"})
        asked.append(request.url.params["q"])
        body = (
            b'{"done":true,"totalSize":1,"records":[{"attributes":{},"Id":"0035g00000ABCdeAAH","External_Id__c":"A-1",'
            b'"LastModifiedDate":"2026-01-31T12:00:00.000+0000","LastName":"Ray","Lifetime_Value__c":1234567890123.10,'
            b'"Trial_Ends_At__c":"2026-02-01T00:00:00.000+0000","Account":{"External_Id__c":"acme"},"AccountId":"001"}]}'
        )
        return httpx.Response(200, content=body)

    async def work() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            salesforce = Salesforce(accounts.salesforce("https://x.example"), TARGET, Salesforce.Options(), client)
            found = await salesforce.read_records(["a-1", "b"])
        fields = {
            "LastName": "Ray",
            "Lifetime_Value__c": Decimal("1234567890123.10"),
            "Trial_Ends_At__c": "2026-02-01T00:00:00.000Z",
            PARENT: "acme",
        }
        assert found == {
            "a-1": [Current("0035g00000ABCdeAAH", fields, datetime(2026, 1, 31, 12, tzinfo=UTC))],
            "b": [],
        }
        assert str(found["a-1"][0].fields["Lifetime_Value__c"]) == "1234567890123.10"

    asyncio.run(work())
    assert asked == [
        "SELECT Id,External_Id__c,LastModifiedDate,LastName,Lifetime_Value__c,Trial_Ends_At__c,"
        "Account.External_Id__c,AccountId FROM Contact WHERE External_Id__c IN ('a-1','b')"
    ]


def test_long_keys_take_several_queries_and_many_records_several_pages(sandbox: Sandbox) -> None:
    to = target("Lead", "Email", Operation.UPDATE, LastName=FieldType.TEXT)
    table = sandbox.salesforce.tables["Lead"]
    keys = [f"{'long.' * 20}{number}@example.com" for number in range(200)]
    for number in range(2_100):
        table.insert({"LastName": "Ray", "Company": "C", "Email": keys[number % 2]}, 1.0)
    table.insert({"LastName": "Lee", "Company": "C", "Email": keys[199]}, 1.0)

    async def work() -> None:
        async with opened(sandbox, to) as salesforce:
            found = await salesforce.read_records(keys)
        assert [len(found[key]) for key in (keys[0], keys[1], keys[2], keys[199])] == [1_050, 1_050, 0, 1]
        assert {held.fields["LastName"] for held in found[keys[0]]} == {"Ray"}

    asyncio.run(work())
    asked = [line for line in sandbox.log.lines("salesforce") if line.operation == "query"]
    assert len(asked) > 2
    assert {line.status for line in asked} == {200}
    assert LONGEST_URL < 16_384


def test_a_parent_that_somebody_chose_and_that_has_no_key_comes_back(sandbox: Sandbox) -> None:
    """Its key cannot name it, and writing no key would take it away."""
    chosen = sandbox.add("salesforce", "Account", {"Name": "No key"})
    sandbox.add("salesforce", "Account", {"Name": "Acme", "External_Id__c": "acme"})
    contact = sandbox.add("salesforce", "Contact", {"LastName": "R", "External_Id__c": "a", "AccountId": chosen})
    before = sandbox.snapshot("salesforce", "Contact")

    async def work() -> None:
        async with opened(sandbox) as salesforce:
            held = await only(salesforce, "a")
            assert held.fields[PARENT] == {"Id": chosen}
            assert not salesforce.same(PARENT, "acme", held.fields[PARENT])
            assert not salesforce.same(PARENT, None, held.fields[PARENT])
            ours = record("a", destination_id=contact, **{PARENT: "acme"})
            back = replace(ours, fields=held.fields)
            for operation in (Operation.UPSERT, Operation.UPDATE):
                for write in (salesforce.send, lambda sent: by_job(salesforce, sent)):
                    assert [each.status for each in await salesforce.send(batch(operation, ours))] == [Status.UPDATED]
                    assert sandbox.snapshot("salesforce", "Contact") != before
                    assert [each.error for each in await write(batch(operation, back))] == [None]
                    assert sandbox.snapshot("salesforce", "Contact") == before

    asyncio.run(work())


@pytest.mark.parametrize("operation", [Operation.UPSERT, Operation.UPDATE])
def test_a_job_puts_values_back_and_leaves_others_alone(sandbox: Sandbox, operation: Operation) -> None:
    to = target(
        "Account",
        "External_Id__c",
        *Operation,
        Name=FieldType.TEXT,
        NumberOfEmployees=FieldType.INTEGER,
        Arr__c=FieldType.DECIMAL,
        Health_Score__c=FieldType.FLOAT,
        Is_Customer__c=FieldType.BOOLEAN,
        Renewal_Date__c=FieldType.DATE,
        Last_Active_At__c=FieldType.TIMESTAMP,
        Description=FieldType.TEXT,
    )
    full: dict[str, Any] = {
        "Name": 'Acme, "Inc"',
        "NumberOfEmployees": 12,
        "Arr__c": Decimal("1200.50"),
        "Health_Score__c": 0.25,
        "Is_Customer__c": True,
        "Renewal_Date__c": "2026-12-31",
        "Last_Active_At__c": "2026-01-31T12:00:00.000000Z",
        "Description": None,
    }
    others: list[dict[str, Any]] = [
        {"Name": "x", "Arr__c": None},
        {"NumberOfEmployees": 0, "Is_Customer__c": False, "Description": "two\nlines"},
        {"Renewal_Date__c": None, "Last_Active_At__c": None, "Health_Score__c": None},
    ]

    async def work() -> None:
        async with opened(sandbox, to) as salesforce:
            made = await salesforce.send(batch(Operation.UPSERT, *(record(key, **full) for key in "abc")))
            before = sandbox.snapshot("salesforce", "Account")
            held = await salesforce.read_records(list("abc"))
            rows = [
                record(each.key, destination_id=each.destination_id, **fields)
                for each, fields in zip(made, others, strict=True)
            ]
            assert {each.status for each in await by_job(salesforce, batch(operation, *rows))} == {Status.UPDATED}
            assert [changed(full, entry.values) for entry in sandbox.salesforce.tables["Account"].live()] == [
                set(fields) for fields in others
            ]
            back = [replace(row, fields=held[row.key][0].fields) for row in rows]
            assert {each.status for each in await by_job(salesforce, batch(operation, *back))} == {Status.UPDATED}
            assert sandbox.snapshot("salesforce", "Account") == before

    asyncio.run(work())


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    known = before | {"Last_Active_At__c": "2026-01-31T12:00:00.000+0000"}
    return {name for name in before if after.get(name) != known[name]}


@pytest.mark.parametrize("text", ["2026-01-31 12:00", "2026-01-31T12:00:00+0000", "10:30", "soon", "1.50", "00012"])
@pytest.mark.parametrize("kind", [FieldType.TIMESTAMP, FieldType.TIME, FieldType.DECIMAL, FieldType.DATE])
def test_a_text_field_keeps_what_a_person_wrote(sandbox: Sandbox, kind: FieldType, text: str) -> None:
    to = target("Contact", "External_Id__c", *Operation, LastName=FieldType.TEXT, Title=kind)
    contact = sandbox.add("salesforce", "Contact", {"LastName": "R", "External_Id__c": "a", "Title": text})
    before = sandbox.snapshot("salesforce", "Contact")

    async def work() -> None:
        async with opened(sandbox, to) as first:
            await first.check()
            learned = first.learned()
        async with opened(sandbox, to) as salesforce:
            salesforce.recall(learned)
            held = await only(salesforce, "a")
            assert held.fields["Title"] == text
            assert salesforce.same("Title", text, text)
            sandbox.edit("salesforce", "Contact", contact, {"Title": "other"})
            back = batch(Operation.UPDATE, record("a", destination_id=contact, **held.fields))
            assert [each.error for each in await salesforce.send(back)] == [None]
        assert sandbox.snapshot("salesforce", "Contact") == before

    asyncio.run(work())


def test_what_a_person_does_is_read(sandbox: Sandbox) -> None:
    contact = sandbox.add("salesforce", "Contact", {"LastName": "R", "External_Id__c": "a"}, at=1_000_000_000)

    async def work() -> None:
        async with opened(sandbox) as salesforce:
            assert (await only(salesforce, "a")).changed_at == datetime.fromtimestamp(1_000_000_000, UTC)
            sandbox.edit("salesforce", "Contact", contact, {"LastName": "Lee"}, at=1_000_000_005.9)
            held = await only(salesforce, "a")
            assert (held.fields["LastName"], held.changed_at) == ("Lee", datetime.fromtimestamp(1_000_000_005, UTC))
            second = sandbox.duplicate("salesforce", "Contact", contact)
            found = (await salesforce.read_records(["A"]))["A"]
            assert {each.destination_id for each in found} == {contact, second}
            sandbox.remove("salesforce", "Contact", contact)
            assert (await only(salesforce, "a")).destination_id == second

    asyncio.run(work())


def test_a_record_that_was_deleted_meanwhile_is_skipped_by_jobs_too(sandbox: Sandbox) -> None:
    contact = sandbox.add("salesforce", "Contact", {"LastName": "R", "External_Id__c": "a"})
    sandbox.remove("salesforce", "Contact", contact)

    async def work() -> None:
        async with opened(sandbox) as salesforce:
            sent = batch(Operation.UPDATE, record("a", destination_id=contact, LastName="Lee"))
            for [outcome] in (await salesforce.send(sent), await by_job(salesforce, sent)):
                assert (outcome.status, outcome.reason) == (Status.SKIPPED, Reason.NOT_FOUND)
                assert outcome.error
                assert outcome.error.message == "entity is deleted"

    asyncio.run(work())


def test_a_parent_that_was_deleted_is_no_missing_record() -> None:
    salesforce = accounts.offline(Salesforce, accounts.salesforce("https://x.example"), TARGET)
    errors = [{"statusCode": "ENTITY_IS_DELETED", "message": "entity is deleted", "fields": ["AccountId"]}]
    sent = batch(Operation.UPDATE, record("a", destination_id="0035g00000ABCdeAAH"))
    answer = httpx.Response(200, json=[{"success": False, "errors": errors}])
    [outcome] = salesforce.read_response(sent, answer)
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.REJECTED)


@pytest.mark.parametrize(
    ("kind", "field", "sent", "held", "same"),
    [
        (FieldType.TIMESTAMP, "F", "2026-01-31T12:00:00.999999Z", "2026-01-31T12:00:00.000Z", True),
        (FieldType.TIMESTAMP, "F", "2026-01-31T12:00:01.000000Z", "2026-01-31T12:00:00.000Z", False),
        (FieldType.TIMESTAMP, "F", "2026-01-31T12:00:00Z", None, False),
        (FieldType.DECIMAL, "F", Decimal("1234567890123.45"), Decimal("1234567890123.46"), False),
        (FieldType.DECIMAL, "F", Decimal("12345678901234567.89"), Decimal("12345678901234568"), True),
        (FieldType.DECIMAL, "F", Decimal("0.3"), Decimal("0.30000000000000004"), True),
        (FieldType.DECIMAL, "F", Decimal("10.5"), {"Id": "001"}, False),
        (FieldType.TEXT, "AccountId", "0015g00000ABCde", "0015g00000ABCdeAAH", True),
        (FieldType.TEXT, "AccountId", "0015g00000ABCde", "0015g00000ABCDEAA1", False),
        (FieldType.TEXT, "External_Id__c", "A-1", "a-1", True),
        (FieldType.TEXT, "Account.External_Id__c", "ACME", "acme", True),
        (FieldType.TEXT, "Description", "A", "a", False),
        (FieldType.TEXT, "F", "Tea;coffee", "coffee;Tea", True),
    ],
)
def test_what_salesforce_holds_of_what_was_sent(kind: FieldType, field: str, sent: Any, held: Any, same: bool) -> None:
    to = target("Contact", "External_Id__c", **{field: kind})
    salesforce = accounts.offline(Salesforce, accounts.salesforce("https://x.example"), to)
    assert salesforce.same(field, sent, held) is same


def test_a_case_sensitive_key_is_compared_as_it_is() -> None:
    settings = accounts.salesforce("https://x.example")
    to = target("Contact", "External_Id__c", External_Id__c=FieldType.TEXT)
    salesforce = accounts.offline(Salesforce, settings, to, case_sensitive_key=True)
    assert not salesforce.same("External_Id__c", "A-1", "a-1")


@pytest.mark.parametrize(
    ("header", "quota"),
    [
        ("api-usage=18/100000", Quota(18, 100_000)),
        ("api-usage=10018/100000; api-bursts=1/750", Quota(10_018, 100_000)),
        ("api-usage=25/5000; per-app-api-usage=17/250(appName=sample)", Quota(25, 5_000)),
        ("per-app-api-usage=17/250(appName=sample)", None),
        ("api-usage=/100000", None),
        ("api-usage=18", None),
        ("api-usage=18/0", None),
        ("api-usage=-1/100", None),
        ("", None),
    ],
)
def test_quota(header: str, quota: Quota | None) -> None:
    assert Salesforce.quota(httpx.Response(200, headers={"Sforce-Limit-Info": header})) == quota


def test_every_answer_tells_what_is_left(sandbox: Sandbox) -> None:
    sandbox.settings.change({"salesforce_daily_requests": 50, "salesforce_other_requests": 40})

    async def work() -> None:
        async with opened(sandbox) as salesforce:
            told = []
            for key in "ab":
                sent = batch(Operation.UPSERT, record(key, LastName="Ray"))
                told.append(Salesforce.quota(await salesforce.exchange(salesforce.build_request(sent))))
            assert told == [Quota(41, 50), Quota(42, 50)]

    asyncio.run(work())
