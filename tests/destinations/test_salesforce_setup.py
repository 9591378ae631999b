"""What an org asks of those who write to it: ways to sign in, record types, picklists, duplicate rules, locks."""

import asyncio
import itertools
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr, ValidationError

from reverse_etl_assets.destinations.base import Account, JobState, Part
from reverse_etl_assets.destinations.salesforce import Salesforce
from reverse_etl_assets.destinations.salesforce.answers import request_error
from reverse_etl_assets.destinations.salesforce.options import SalesforceConnection
from reverse_etl_assets.errors import AuthenticationFailed, CheckFailed
from reverse_etl_assets.records import FieldType, Operation, Outcome, Reason, Record, Status, Target
from reverse_etl_assets.testing.builders import batch, record, target
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts
from tests.engine.shop import Shop, crm_sync

ACCOUNT = target("Account", "External_Id__c", Name=FieldType.TEXT, RecordTypeId=FieldType.TEXT)
CONTACT = target("Contact", "External_Id__c", LastName=FieldType.TEXT, Email=FieldType.TEXT, Segment__c=FieldType.TEXT)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey) -> str:
    kind, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, kind, plain).decode()


def public_pem(key: rsa.RSAPrivateKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def send(
    sandbox: Sandbox, to: Target, *records: Record, connection: SalesforceConnection | None = None, **options: Any
) -> dict[str, Outcome]:
    async def work() -> dict[str, Outcome]:
        async with httpx.AsyncClient(timeout=10) as client:
            settings = connection or accounts.salesforce(sandbox.url)
            org = Salesforce(settings, to, Salesforce.Options.model_validate(options), client)
            await org.check()
            fresh = Salesforce(settings, to, org.options, client)
            fresh.recall(org.learned())  # as a run of the same day does
            return {outcome.key: outcome for outcome in await fresh.send(batch(Operation.UPSERT, *records))}

    return asyncio.run(work())


def by_key(sandbox: Sandbox, private_key: str, **changes: str) -> SalesforceConnection:
    given = {"client_id": "sandbox", "username": "sync@acme.example", "private_key": private_key, **changes}
    return SalesforceConnection.model_validate({"base_url": f"{sandbox.url}/salesforce", **given})


def test_a_private_key_signs_in(sandbox: Sandbox, key: rsa.RSAPrivateKey) -> None:
    sandbox.salesforce.public_key = public_pem(key)
    row = record("a", Name="Acme")
    assert send(sandbox, ACCOUNT, row, connection=by_key(sandbox, pem(key)))["a"].status is Status.CREATED


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"client_id": "another"}, "client identifier invalid"),
        ({"audience": "https://acme.example"}, "audience is invalid"),
        ({"private_key": "no key at all"}, "no RSA key in PEM"),
    ],
)
def test_a_refused_assertion_stops_the_run(
    sandbox: Sandbox, key: rsa.RSAPrivateKey, changes: dict[str, str], said: str
) -> None:
    sandbox.salesforce.public_key = public_pem(key)
    with pytest.raises(AuthenticationFailed, match=said) as error:
        send(
            sandbox,
            ACCOUNT,
            record("a", Name="Acme"),
            connection=by_key(sandbox, **{"private_key": pem(key), **changes}),
        )
    assert "PRIVATE" not in str(error.value).replace("BEGIN PRIVATE KEY", "")


def test_the_key_of_somebody_else_is_refused(sandbox: Sandbox, key: rsa.RSAPrivateKey) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    sandbox.salesforce.public_key = public_pem(other)
    with pytest.raises(AuthenticationFailed, match="invalid assertion"):
        send(sandbox, ACCOUNT, record("a", Name="Acme"), connection=by_key(sandbox, pem(key)))


def test_the_assertion_says_who_asks_for_whom_and_for_how_long(key: rsa.RSAPrivateKey) -> None:
    forms: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        forms.append(request.content)
        return httpx.Response(400, json={"error": "invalid_grant"})

    async def work() -> None:
        settings = SalesforceConnection(
            base_url="https://acme.example", client_id="app", username="u@acme.example", private_key=SecretStr(pem(key))
        )
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            org = Salesforce(settings, ACCOUNT, Salesforce.Options(), client)
            with pytest.raises(AuthenticationFailed):
                await org.send(batch(Operation.UPSERT, record("a", Name="Acme")))

    asyncio.run(work())
    form = dict(httpx.QueryParams(forms[0].decode()))
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    claims = jwt.decode(
        form["assertion"], public_pem(key), algorithms=["RS256"], audience="https://login.salesforce.com"
    )
    assert (claims["iss"], claims["sub"]) == ("app", "u@acme.example")
    assert 0 < claims["exp"] - claims["iat"] <= 180


@pytest.mark.parametrize(
    "given", [{}, {"client_secret": "s", "private_key": "k", "username": "u"}, {"private_key": "k"}]
)
def test_there_is_one_way_to_sign_in(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=r"either `client_secret`|needs the `username`"):
        SalesforceConnection.model_validate({"base_url": "https://acme.example", "client_id": "app", **given})


def test_record_types_by_developer_name_or_id(sandbox: Sandbox) -> None:
    rows = [
        record("a", Name="A", RecordTypeId="Partner"),
        record("b", Name="B", RecordTypeId="0125g000000Bus1AAC"),
        record("c", Name="C", RecordTypeId="Reseller"),
    ]
    found = send(sandbox, ACCOUNT, *rows)
    assert {key: outcome.status for key, outcome in found.items()} == {
        "a": Status.CREATED,
        "b": Status.CREATED,
        "c": Status.FAILED,
    }
    held = {e.values["External_Id__c"]: e.values["RecordTypeId"] for e in sandbox.salesforce.tables["Account"].live()}
    assert held == {"a": "0125g000000Par1AAC", "b": "0125g000000Bus1AAC"}


def test_a_record_type_that_is_read_back_is_what_was_sent(sandbox: Sandbox) -> None:
    async def work() -> bool:
        async with httpx.AsyncClient() as client:
            org = Salesforce(accounts.salesforce(sandbox.url), ACCOUNT, Salesforce.Options(), client)
            await org.check()
            await org.send(batch(Operation.UPSERT, record("a", Name="A", RecordTypeId="Partner")))
            [held] = (await org.read_records(["a"]))["a"]
            assert not org.same("RecordTypeId", "Business", held.fields["RecordTypeId"])
            return org.same("RecordTypeId", "Partner", held.fields["RecordTypeId"])

    assert asyncio.run(work())


def test_a_value_that_a_picklist_does_not_know_is_refused_with_those_it_does(sandbox: Sandbox) -> None:
    found = send(sandbox, CONTACT, record("a", LastName="A", Segment__c="vip"))["a"]
    assert found.error is not None
    assert found.error.code == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
    assert "bad value for restricted picklist field: vip" in found.error.message
    assert "Segment__c takes champion, loyal, new, at_risk" in found.error.message


def test_a_duplicate_rule_speaks_unless_duplicates_are_allowed(sandbox: Sandbox) -> None:
    sandbox.settings.change({"salesforce_duplicate_rule": True})
    send(sandbox, CONTACT, record("a", LastName="A", Email="a@example.com"))
    twin = record("b", LastName="B", Email="a@example.com")
    refused = send(sandbox, CONTACT, twin)["b"]
    assert refused.error is not None
    assert (refused.status, refused.error.code) == (Status.FAILED, "DUPLICATES_DETECTED")
    assert send(sandbox, CONTACT, twin, allow_duplicates=True)["b"].status is Status.CREATED
    org = accounts.offline(Salesforce, accounts.salesforce("https://acme.example"), CONTACT, allow_duplicates=True)
    assert org.capabilities.jobs is None


def test_an_org_without_bulk_access_says_what_to_set() -> None:
    answer = [{"errorCode": "FUNCTIONALITY_NOT_ENABLED", "message": "[BulkApi] is not enabled"}]
    error = request_error(httpx.Response(400, json=answer))
    assert isinstance(error, AuthenticationFailed)
    assert "bulk_threshold: null" in str(error)


def test_the_page_of_a_record() -> None:
    link = Salesforce.record_link("https://acme.my.salesforce.com/", CONTACT, "0035g00000AAAAAAAA", {})
    assert link == "https://acme.my.salesforce.com/lightning/r/Contact/0035g00000AAAAAAAA/view"


def test_rows_that_met_a_lock_are_sent_again_one_batch_at_a_time(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select 'k' || i as id, 'name' as name, i::int as score from range(600) t(i)")
    sandbox.settings.change({"latency_ms": 20.0})
    sandbox.fault("lock_rows", vendor="salesforce", percent=60)
    sync = crm_sync(
        object="Contact",
        external_id="External_Id__c",
        primary_key="id",
        mapping={"LastName": "name"},
        verify={"sample": 0},
    )
    report = shop.run(sync, Account("crm", Salesforce, accounts.salesforce(sandbox.url)))
    assert (report.counts["created"], report.counts["failed"]) == (600, 0)
    sent = [line for line in sandbox.log.lines("salesforce") if line.operation == "upsert"]
    again = [(line.at - line.ms / 1_000, line.at) for line in sent[3:]]
    assert len(again) >= 2
    assert all(begun >= ended for (_, ended), (begun, _) in itertools.pairwise(again)), again


# Multi-select picklists

INTERESTS = target("Contact", "External_Id__c", *Operation, LastName=FieldType.TEXT, Interests__c=FieldType.JSON)
LISTS = {
    "a": ["tea", "coffee"],
    "b": [],
    "c": None,
    "d": ["tea;coffee"],
    "e": {"tea": 1},
    "f": ["tea", None],
    "g": ["", "tea"],
}


def test_a_list_that_is_no_choice_is_refused_before_it_is_sent(sandbox: Sandbox) -> None:
    rows = [record(key, LastName="Ray", Interests__c=value) for key, value in LISTS.items()]
    outcomes = send(sandbox, INTERESTS, *rows)
    assert {key for key, each in outcomes.items() if each.status is Status.CREATED} == {"a", "b", "c"}
    assert {(each.reason, each.error and each.error.field) for key, each in outcomes.items() if key in "defg"} == {
        (Reason.INVALID, "Interests__c")
    }


def test_a_list_in_a_job_that_is_no_choice_is_refused(sandbox: Sandbox) -> None:
    rows = [record(key, LastName="Ray", Interests__c=value) for key, value in LISTS.items()]

    async def work() -> dict[str, Outcome]:
        async with httpx.AsyncClient(timeout=10) as client:
            org = Salesforce(accounts.salesforce(sandbox.url), INTERESTS, Salesforce.Options(), client)
            await org.check()
            sent = batch(Operation.UPSERT, *rows)
            job = await org.open_job(sent)
            await org.upload(job, sent, Part())
            while await org.poll(job) is not JobState.DONE:
                pass
            return {each.key: each for each in await org.collect(job, sent)}

    outcomes = asyncio.run(work())
    assert {key for key, each in outcomes.items() if each.status is Status.CREATED} == {"a", "b", "c"}
    assert {each.reason for key, each in outcomes.items() if key in "defg"} == {Reason.INVALID}


def test_a_version_that_is_retired_is_told_once(sandbox: Sandbox) -> None:
    sandbox.settings.change({"salesforce_oldest_version": 68, "salesforce_newest_version": 70})
    with pytest.raises(CheckFailed) as caught:
        send(sandbox, ACCOUNT, record("a", Name="Acme"))
    assert str(caught.value) == (
        "- This org does not have version 67.0 of the API: set `api_version` to one from 68.0 to 70.0."
    )
