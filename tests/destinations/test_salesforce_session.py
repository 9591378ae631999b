"""Tokens, checks, look-ups and jobs against the sandbox, with its faults."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.base import JobState, Part
from reverse_etl_assets.destinations.salesforce import Salesforce
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    CheckFailed,
    JobRefused,
    QuotaExhausted,
    RetryLater,
)
from reverse_etl_assets.records import FieldType, Operation, Status, Target
from reverse_etl_assets.testing.builders import batch, record, target
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts

TARGET = target("Contact", "External_Id__c", *Operation, LastName=FieldType.TEXT, Email=FieldType.TEXT)


@asynccontextmanager
async def opened(
    sandbox: Sandbox, to: Target = TARGET, secret: str = "sandbox-secret", **options: Any
) -> AsyncIterator[Salesforce]:
    async with httpx.AsyncClient(timeout=5) as client:
        settings = accounts.salesforce(sandbox.url, secret)
        yield Salesforce(settings, to, Salesforce.Options.model_validate(options), client)


def upsert(*keys: str) -> Any:
    return batch(Operation.UPSERT, *(record(key, LastName="Ray") for key in keys))


def token_requests(sandbox: Sandbox) -> int:
    return len([line for line in sandbox.log.lines() if line.path.endswith("/oauth2/token")])


def test_requests_at_the_same_time_share_one_token_and_renew_it_once(sandbox: Sandbox) -> None:
    async def work() -> None:
        async with opened(sandbox) as salesforce:
            await asyncio.gather(*(salesforce.send(upsert(f"a{n}")) for n in range(8)))
            assert token_requests(sandbox) == 1
            sandbox.salesforce.expire_tokens()
            answers = await asyncio.gather(*(salesforce.send(upsert(f"b{n}")) for n in range(8)))
            assert {outcome.status for outcomes in answers for outcome in outcomes} == {Status.CREATED}
            assert token_requests(sandbox) == 2

    asyncio.run(work())


def test_a_wrong_secret_stops_the_run_without_being_shown(sandbox: Sandbox) -> None:
    async def work() -> None:
        async with opened(sandbox, secret="very-secret") as salesforce:
            with pytest.raises(AuthenticationFailed, match="invalid_client") as caught:
                await salesforce.send(upsert("a"))
            assert "very-secret" not in f"{caught.value!r} {salesforce!r} {salesforce.connection!r}"

    asyncio.run(work())


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "drop_before", "path": "oauth2"}, RetryLater),
        ({"kind": "server_error", "path": "oauth2", "status": 500}, RetryLater),
        ({"kind": "server_error", "path": "oauth2", "status": 408}, RetryLater),
        ({"kind": "server_error", "path": "oauth2", "status": 425}, RetryLater),
        ({"kind": "server_error", "path": "oauth2", "status": 429}, RetryLater),
        ({"kind": "malformed", "path": "oauth2"}, AuthenticationFailed),
        ({"kind": "drop_before", "path": "composite"}, Ambiguous),
        ({"kind": "drop_after", "path": "composite"}, Ambiguous),
        ({"kind": "malformed", "path": "composite"}, Ambiguous),
        ({"kind": "empty", "path": "composite"}, Ambiguous),
        ({"kind": "rate_limit", "path": "composite"}, RetryLater),
        ({"kind": "rate_limit", "path": "composite", "daily": True}, QuotaExhausted),
        ({"kind": "server_error", "path": "composite", "status": 503}, RetryLater),
    ],
)
def test_faults_on_the_way(sandbox: Sandbox, fault: dict[str, Any], error: type[Exception]) -> None:
    async def work() -> None:
        async with opened(sandbox) as salesforce:
            sandbox.fault(vendor="salesforce", next=1, **fault)
            with pytest.raises(error):
                await salesforce.send(upsert("a"))
            [outcome] = await salesforce.send(upsert("a"))
            wrote = fault["kind"] in ("drop_after", "malformed", "empty") and fault["path"] == "composite"
            assert outcome.status is (Status.UPDATED if wrote else Status.CREATED)

    asyncio.run(work())


def test_locked_rows_are_to_be_sent_again(sandbox: Sandbox) -> None:
    async def work() -> None:
        async with opened(sandbox) as salesforce:
            sandbox.fault("lock_rows", vendor="salesforce", percent=50)
            first = await salesforce.send(upsert(*(f"k{n}" for n in range(20))))
            locked = [outcome for outcome in first if outcome.retry]
            assert 0 < len(locked) < 20
            assert {outcome.error.code for outcome in locked if outcome.error} == {"UNABLE_TO_LOCK_ROW"}
            again = await salesforce.send(upsert(*(outcome.key for outcome in locked)))
            assert {outcome.status for outcome in again} == {Status.CREATED}

    asyncio.run(work())


def problems(sandbox: Sandbox, to: Target, **options: Any) -> str:
    async def work() -> str:
        async with opened(sandbox, to, **options) as salesforce:
            try:
                await salesforce.check()
            except CheckFailed as error:
                return str(error)
        return ""

    return asyncio.run(work())


@pytest.mark.parametrize(
    ("to", "options", "said"),
    [
        (TARGET, {}, ""),
        (TARGET, {"case_sensitive_key": True}, "set `case_sensitive_key: false`"),
        (target("Contct", "External_Id__c"), {}, "no object `Contct` that this user can see; the nearest is `Contact`"),
        (target("Contact", "External_ID__c", LastName=FieldType.TEXT), {}, "the nearest is `External_Id__c`"),
        (target("Contact", "Phone", LastName=FieldType.TEXT), {}, "Field `Phone` is no external id"),
        (target("Contact", "Email", Operation.INSERT, LastName=FieldType.TEXT), {}, "`Email` is not unique"),
        (target("Contact", "Id", LastName=FieldType.TEXT), {}, "`Id` cannot be set on create"),
        (target("Contact", "Id", Operation.UPDATE, LastName=FieldType.TEXT), {}, ""),
        (target("Contact", "External_Id__c"), {}, "Field `LastName` is required on create and not mapped"),
        (target("Contact", "External_Id__c", Operation.UPDATE), {}, ""),
        (
            target("Contact", "External_Id__c", Operation.UPDATE, Greeting__c=FieldType.TEXT),
            {},
            "Field `Greeting__c` is read-only (it is calculated)",
        ),
        (
            target("Contact", "External_Id__c", Operation.UPDATE, Last_Order_Date__c=FieldType.TIMESTAMP),
            {},
            "`Last_Order_Date__c` is of type date, and the model sends timestamp: cast the column to date.",
        ),
        (
            target("Contact", "External_Id__c", Operation.UPDATE, Segment__c=FieldType.BOOLEAN),
            {},
            "`Segment__c` is of type picklist, the model sends boolean, and none of its options is one (champion, ",
        ),
        (
            target("Contact", "External_Id__c", Operation.UPDATE, Interests__c=FieldType.DATE),
            {},
            "none of its options is one (coffee, tea, ",
        ),
        (
            target("Contact", "External_Id__c", Operation.UPDATE, Segment__c=FieldType.TIMESTAMP),
            {},
            "none of its options is one (champion, ",
        ),
        (target("Contact", "External_Id__c", Operation.UPDATE, LeadSource=FieldType.BOOLEAN), {}, ""),
        (
            target("Contact", "External_Id__c", Operation.UPDATE, HasOptedOutOfEmail=FieldType.TEXT),
            {},
            "cast the column to boolean.",
        ),
    ],
)
def test_check(sandbox: Sandbox, to: Target, options: dict[str, Any], said: str) -> None:
    found = problems(sandbox, to, **options)
    assert said in found
    assert bool(found) == bool(said)


def test_a_number_for_a_text_field_goes_as_text(sandbox: Sandbox) -> None:
    to = target("Contact", "External_Id__c", LastName=FieldType.TEXT, Title=FieldType.DECIMAL)

    async def work() -> None:
        async with opened(sandbox, to) as salesforce:
            await salesforce.check()
            rows = batch(Operation.UPSERT, record("a", LastName="Ray", Title=Decimal("10.50")))
            assert [outcome.status for outcome in await salesforce.send(rows)] == [Status.CREATED]
        [entry] = sandbox.salesforce.tables["Contact"].live()
        assert entry.values["Title"] == "10.50"

    asyncio.run(work())


def test_every_record_that_carries_a_key_is_found(sandbox: Sandbox) -> None:
    to = target("Contact", "Email", Operation.UPDATE, LastName=FieldType.TEXT)
    table = sandbox.salesforce.tables["Contact"]
    ids = [sandbox.salesforce.add(table, {"LastName": "Ray", "Email": "Ann@x.com"}) for _ in range(3)]

    async def work() -> None:
        async with opened(sandbox, to) as salesforce:
            found = await salesforce.find(["ANN@x.com", "bob@x.com"])
            assert {key: sorted(each) for key, each in found.items()} == {"ANN@x.com": sorted(ids), "bob@x.com": []}

    asyncio.run(work())


def test_a_job_with_an_unknown_column_is_refused_as_a_whole(sandbox: Sandbox) -> None:
    to = target("Contact", "External_Id__c", LastName=FieldType.TEXT, Nope__c=FieldType.TEXT)

    async def work() -> None:
        async with opened(sandbox, to) as salesforce:
            rows = batch(Operation.UPSERT, record("a", LastName="Ray", Nope__c="x"))
            job = await salesforce.open_job(rows)
            await salesforce.upload(job, rows, Part())
            while await salesforce.poll(job) is not JobState.DONE:
                pass
            with pytest.raises(JobRefused, match="Nope__c"):
                await salesforce.collect(job, rows)

    asyncio.run(work())


@pytest.mark.parametrize("operation", [Operation.UPDATE, Operation.DELETE])
def test_jobs_by_id(sandbox: Sandbox, operation: Operation) -> None:
    async def work() -> None:
        async with opened(sandbox) as salesforce:
            made = await salesforce.send(upsert("a", "b"))
            rows = [record(each.key, destination_id=each.destination_id, LastName="New") for each in made]
            sent = batch(operation, *rows)
            job = await salesforce.open_job(sent)
            await salesforce.upload(job, sent, Part())
            while await salesforce.poll(job) is not JobState.DONE:
                pass
            expected = Status.UPDATED if operation is Operation.UPDATE else Status.DELETED
            assert {each.key: each.status for each in await salesforce.collect(job, sent)} == dict.fromkeys(
                "ab", expected
            )

    asyncio.run(work())


def test_reading_a_job_is_never_ambiguous(sandbox: Sandbox) -> None:
    async def work() -> None:
        async with opened(sandbox) as salesforce:
            job = await salesforce.open_job(upsert("a"))
            await salesforce.upload(job, upsert("a"), Part())
            for kind in ("drop_before", "malformed", "empty"):
                sandbox.fault(kind, vendor="salesforce", method="GET", next=1)
                with pytest.raises(RetryLater):
                    await salesforce.poll(job)

    asyncio.run(work())


def with_account(field: str, kind: FieldType = FieldType.TEXT) -> Target:
    return target("Contact", "External_Id__c", LastName=FieldType.TEXT, **{field: kind})


def test_a_parent_is_named_by_its_external_id(sandbox: Sandbox) -> None:
    to = with_account("Account.External_Id__c", FieldType.INTEGER)
    tables = sandbox.salesforce.tables
    account = sandbox.salesforce.add(tables["Account"], {"Name": "Acme", "External_Id__c": "77"})

    async def work() -> None:
        async with opened(sandbox, to) as salesforce:
            await salesforce.check()
            for value, held in ((77, account), (None, None)):
                rows = batch(Operation.UPSERT, record("a", {"Account.External_Id__c": value}, LastName="Ray"))
                assert [outcome.error for outcome in await salesforce.send(rows)] == [None]
                assert [entry.values["AccountId"] for entry in tables["Contact"].live()] == [held]
            rows = batch(Operation.UPSERT, record("a", {"Account.External_Id__c": 77}))
            job = await salesforce.open_job(rows)
            await salesforce.upload(job, rows, Part())
            while await salesforce.poll(job) is not JobState.DONE:
                pass
            assert [outcome.status for outcome in await salesforce.collect(job, rows)] == [Status.UPDATED]
            assert [entry.values["AccountId"] for entry in tables["Contact"].live()] == [account]

    asyncio.run(work())


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("Lead", "`Owner` of `Lead` may be a Group or a User, .*map `OwnerId` to a column with the parent's Id"),
        ("Contact", "`Owner` leads to `User`, which this user cannot see .*map `OwnerId`"),
    ],
)
def test_check_of_parents_that_no_key_names(sandbox: Sandbox, kind: str, said: str) -> None:
    fields = {"LastName": FieldType.TEXT, "Company": FieldType.TEXT, "Owner.External_Id__c": FieldType.TEXT}

    async def work() -> None:
        async with opened(sandbox, target(kind, "External_Id__c", **fields)) as salesforce:
            with pytest.raises(CheckFailed, match=said):
                await salesforce.check()

    asyncio.run(work())


def test_a_bare_describe_is_enough_for_a_check(sandbox: Sandbox) -> None:
    """Also of a restricted picklist whose values are not told."""
    sandbox.settings.change({"sparse": True})
    to = target("Contact", "External_Id__c", LastName=FieldType.TEXT, Segment__c=FieldType.TEXT)

    async def work() -> None:
        async with opened(sandbox, to) as salesforce:
            await salesforce.check()

    asyncio.run(work())


def test_an_owner_is_written_by_its_id(sandbox: Sandbox) -> None:
    to = target("Lead", "External_Id__c", LastName=FieldType.TEXT, Company=FieldType.TEXT, OwnerId=FieldType.TEXT)

    async def work() -> None:
        async with opened(sandbox, to) as salesforce:
            await salesforce.check()
            row = record("a", LastName="Ray", Company="Acme", OwnerId="00G5g000000ABCd")
            [outcome] = await salesforce.send(batch(Operation.UPSERT, row))
            assert outcome.status is Status.CREATED
            [held] = (await salesforce.read_records(["a"]))["a"]
            assert salesforce.same("OwnerId", "00G5g000000ABCd", held.fields["OwnerId"])

    asyncio.run(work())


@pytest.mark.parametrize(
    ("to", "said"),
    [
        (with_account("Acount.External_Id__c"), "no relationship `Acount`; the nearest is `Account`"),
        (with_account("Account.Name"), "`Name` of `Account` is no external id: a parent is named by one of"),
        (with_account("Account.Id", FieldType.BOOLEAN), "and the model sends boolean"),
    ],
)
def test_check_of_parents(sandbox: Sandbox, to: Target, said: str) -> None:
    assert said in problems(sandbox, to)


def test_a_number_is_the_key_of_a_field_of_text(sandbox: Sandbox) -> None:
    """In every way that a key travels: in a request, in a query, in a job's file, and in its results."""
    to = replace(TARGET, key_type=FieldType.INTEGER)

    async def work() -> None:
        async with opened(sandbox, to, bulk_threshold=2) as checked:
            await checked.check()
            [first] = await checked.send(upsert("7"))
        async with opened(sandbox, to) as recalled:
            recalled.recall(checked.learned())
            sent = upsert("7", "8")
            job = await recalled.open_job(sent)
            await recalled.upload(job, sent, Part())
            while await recalled.poll(job) is not JobState.DONE:
                pass
            outcomes = {outcome.key: outcome for outcome in await recalled.collect(job, sent)}
            assert (first.status, outcomes["7"].status, outcomes["8"].status) == (
                Status.CREATED,
                Status.UPDATED,
                Status.CREATED,
            )
            assert await recalled.find(["7"]) == {"7": [first.destination_id]}
            [held] = (await recalled.read_records(["8"]))["8"]
            assert held.destination_id == outcomes["8"].destination_id

    asyncio.run(work())


def test_a_whole_decimal_goes_into_a_whole_number(sandbox: Sandbox) -> None:
    to = target("Account", "External_Id__c", *Operation, Name=FieldType.TEXT, NumberOfEmployees=FieldType.DECIMAL)

    async def work() -> None:
        async with opened(sandbox, to) as salesforce:
            await salesforce.check()
            rows = [record(text, Name="Acme", NumberOfEmployees=Decimal(text)) for text in ("12.00", "12.5")]
            whole, broken = await salesforce.send(batch(Operation.UPSERT, *rows))
            assert whole.status is Status.CREATED
            assert broken.error is not None
            assert broken.error.code == "JSON_PARSER_ERROR"

    asyncio.run(work())
