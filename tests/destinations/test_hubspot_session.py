"""Checks, look-ups and faults against the sandbox."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.errors import Ambiguous, AuthenticationFailed, CheckFailed, QuotaExhausted, RetryLater
from reverse_etl_assets.records import FieldType, Operation, Reason, Status, Target
from reverse_etl_assets.testing.builders import batch, record, target
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts

TARGET = target("contacts", "external_id", *Operation, segment=FieldType.TEXT, lifecyclestage=FieldType.TEXT)


@asynccontextmanager
async def opened(sandbox: Sandbox, to: Target = TARGET, token: str = "pat-sandbox") -> AsyncIterator[HubSpot]:
    async with httpx.AsyncClient(timeout=5) as client:
        yield HubSpot(accounts.hubspot(sandbox.url, token), to, HubSpot.Options(), client)


def test_a_wrong_token_stops_the_run_without_being_shown(sandbox: Sandbox) -> None:
    async def work() -> None:
        async with opened(sandbox, token="pat-wrong") as hubspot:
            with pytest.raises(AuthenticationFailed) as caught:
                await hubspot.check()
            assert "pat-wrong" not in f"{caught.value!r} {hubspot!r} {hubspot.connection!r}"

    asyncio.run(work())


@pytest.mark.parametrize(
    ("fault", "error", "wrote"),
    [
        ({"kind": "drop_before"}, Ambiguous, False),
        ({"kind": "drop_after"}, Ambiguous, True),
        ({"kind": "malformed"}, Ambiguous, True),
        ({"kind": "rate_limit"}, RetryLater, False),
        ({"kind": "rate_limit", "retry_after": 4}, RetryLater, False),
        ({"kind": "rate_limit", "daily": True}, QuotaExhausted, False),
        ({"kind": "server_error", "status": 502}, Ambiguous, False),
    ],
)
def test_faults_on_the_way(sandbox: Sandbox, fault: dict[str, Any], error: type[Exception], wrote: bool) -> None:
    async def work() -> None:
        async with opened(sandbox) as hubspot:
            sandbox.fault(vendor="hubspot", next=1, **fault)
            rows = batch(Operation.UPSERT, record("a", segment="loyal"))
            with pytest.raises(error):
                await hubspot.send(rows)
            assert [each.status for each in await hubspot.send(rows)] == [Status.UPDATED if wrote else Status.CREATED]

    asyncio.run(work())


def bad(sandbox: Sandbox, fields: dict[str, Any]) -> tuple[Reason | None, str | None, str | None]:
    async def work() -> tuple[Reason | None, str | None, str | None]:
        async with opened(sandbox) as hubspot:
            good, wrong = record("a", segment="loyal"), record("b", **fields)
            outcomes = {each.key: each for each in await hubspot.send(batch(Operation.UPSERT, good, wrong))}
            assert outcomes["a"].status is Status.CREATED
            error = outcomes["b"].error
            assert error is not None
            return outcomes["b"].reason, error.code, error.field

    return asyncio.run(work())


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"segment": "no such option"}, "INVALID_OPTION"),
        ({"firstname": "x" * 65_537}, "PROPERTY_TOO_LARGE"),
        ({"num_associated_deals": 1}, "READ_ONLY_VALUE"),
        ({"no_such_property": "x"}, "PROPERTY_DOESNT_EXIST"),
        ({"email": "no address"}, "INVALID_EMAIL"),
        ({"lead_score": "many"}, "INVALID_LONG"),
    ],
)
def test_a_value_that_hubspot_refuses(sandbox: Sandbox, fields: dict[str, Any], code: str) -> None:
    assert bad(sandbox, fields) == (Reason.REJECTED, code, next(iter(fields)))


@pytest.mark.parametrize("scope", ["crm.schemas.contacts.read", "crm.objects.contacts.write"])
def test_a_missing_scope_is_named(sandbox: Sandbox, scope: str) -> None:
    sandbox.settings.change({"hubspot_missing_scope": scope})

    async def work() -> None:
        async with opened(sandbox) as hubspot:
            writes = hubspot.send(batch(Operation.UPSERT, record("a", segment="loyal")))
            with pytest.raises(AuthenticationFailed, match=f"Scopes that are needed: {scope}"):
                await (writes if scope.endswith("write") else hubspot.check())
            writes.close()

    asyncio.run(work())


def test_an_archived_record_is_not_restored(sandbox: Sandbox) -> None:
    """Its key makes a new record; its id is no record any more."""
    old = sandbox.add("hubspot", "contacts", {"external_id": "a"})
    sandbox.remove("hubspot", "contacts", old)

    async def work() -> None:
        async with opened(sandbox) as hubspot:
            assert await hubspot.find(["a"]) == {"a": []}
            stale = record("a", destination_id=old, segment="loyal")
            assert [each.reason for each in await hubspot.send(batch(Operation.UPDATE, stale))] == [Reason.NOT_FOUND]
            [gone] = await hubspot.send(batch(Operation.DELETE, stale))
            assert (gone.status, gone.inferred) == (Status.DELETED, True)
            [made] = await hubspot.send(batch(Operation.UPSERT, record("a", segment="loyal")))
            assert (made.status, made.destination_id != old) == (Status.CREATED, True)

    asyncio.run(work())


@pytest.mark.parametrize(
    ("name", "learned", "destination_id", "page"),
    [
        ("contacts", {}, "7", "0-1/7"),
        ("2-1001", {}, "7", "2-1001/7"),
        ("product_usage", {}, "7", None),
        ("lists/1", {"objectTypeId": ["0-2"]}, "7", "0-2/7"),
        ("associations/deals/companies", {}, "7:8", "0-3/7"),
    ],
)
def test_a_record_has_a_page(name: str, learned: dict[str, list[str]], destination_id: str, page: str | None) -> None:
    known = {"portal": ["123", "app-eu1.hubspot.com"], **learned}
    to = target(name, "external_id")
    expected = f"https://app-eu1.hubspot.com/contacts/123/record/{page}" if page else None
    assert HubSpot.record_link("https://api.hubapi.com", to, destination_id, known) == expected
    assert HubSpot.record_link("https://api.hubapi.com", to, destination_id, {}) is None


@pytest.mark.parametrize(
    ("version", "status", "learned"),
    [("v3", 200, ["7", "app.hubspot.com"]), ("2026-03", 200, ["7", "app.hubspot.com"]), ("v3", 403, None)],
)
def test_the_portal_is_learned_if_the_token_may_see_it(version: str, status: int, learned: list[str] | None) -> None:
    properties = [{"name": "email", "type": "string"}]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == f"/account-info/{version}/details":
            return httpx.Response(status, json={"portalId": 7, "message": "no scope"})
        return httpx.Response(200, json={"results": properties})

    async def work() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            settings = HubSpot.Connection(access_token="pat-x", api_version=version)
            hubspot = HubSpot(settings, target("contacts", "email"), HubSpot.Options(), client)
            await hubspot.check()
            assert hubspot.learned().get("portal") == learned

    asyncio.run(work())


def test_a_lifecycle_stage_does_not_move_backwards(sandbox: Sandbox) -> None:
    async def work() -> None:
        async with opened(sandbox) as hubspot:
            for stage, reason in (("customer", None), ("lead", Reason.REJECTED), ("customer", None)):
                rows = batch(Operation.UPSERT, record("a", lifecyclestage=stage, segment="loyal"))
                assert [each.reason for each in await hubspot.send(rows)] == [reason]

    asyncio.run(work())


def test_a_contact_is_found_by_another_of_its_addresses() -> None:
    """A recorded answer: the address that matched is among the additional ones."""

    async def work() -> None:
        found = {"email": "ann@x.com", "hs_additional_emails": "old@x.com;Ann.Old@x.com"}
        body = {"status": "COMPLETE", "results": [{"id": "101", "properties": found}]}
        transport = httpx.MockTransport(lambda request: httpx.Response(207, json=body))
        async with httpx.AsyncClient(transport=transport) as client:
            settings = accounts.hubspot("https://api.example")
            hubspot = HubSpot(settings, target("contacts", "email"), HubSpot.Options(), client)
            assert await hubspot.find(["ANN.OLD@x.com", "bob@x.com"]) == {"ANN.OLD@x.com": ["101"], "bob@x.com": []}

    asyncio.run(work())


def problems(sandbox: Sandbox, to: Target) -> str:
    async def work() -> str:
        async with opened(sandbox, to) as hubspot:
            try:
                await hubspot.check()
            except CheckFailed as error:
                return str(error)
        return ""

    return asyncio.run(work())


@pytest.mark.parametrize(
    ("to", "said"),
    [
        (TARGET, ""),
        (target("0-1", "email"), ""),
        (target("contacs", "email"), "no object `contacs`"),
        (target("contacts", "external_ids"), "the nearest is `external_id`"),
        (target("contacts", "firstname"), "Property `firstname` is not unique"),
        (target("contacts", "hs_object_id"), "`hs_object_id` cannot be set on create"),
        (target("contacts", "hs_object_id", Operation.UPDATE, segment=FieldType.TEXT), ""),
        (target("deals", "external_id", dealname=FieldType.TEXT), "`dealstage` is required on create and not mapped"),
        (target("companies", "external_id"), "`name` or `domain` is required on create"),
        (target("companies", "external_id", domain=FieldType.TEXT), ""),
        (target("deals", "external_id", Operation.UPDATE), ""),
        (target("contacts", "email", lead_scores=FieldType.INTEGER), "`lead_scores`; the nearest is `lead_score`"),
        (target("contacts", "email", lead_score=FieldType.TEXT), "cast the column to integer or decimal or float."),
        (target("contacts", "email", lead_score=FieldType.BOOLEAN), "of type number, and the model sends boolean"),
        (target("contacts", "email", marketing_opt_in=FieldType.BOOLEAN), ""),
        (target("contacts", "email", marketing_opt_in=FieldType.TEXT), "cast the column to boolean."),
        (target("contacts", "email", segment=FieldType.BOOLEAN), "none of its options is one (champion, loyal, new,"),
        (target("contacts", "email", lead_grade=FieldType.INTEGER), "none of its options is one (hot, warm, cold)"),
        (target("contacts", "email", interests=FieldType.DECIMAL), "none of its options is one (coffee, tea, "),
        (target("contacts", "external_id", hs_additional_emails=FieldType.DATE), "is of type email, and the model"),
        (target("tickets", "external_id", Operation.UPDATE, hs_pipeline_stage=FieldType.INTEGER), ""),
        (target("contacts", "email", last_order_date=FieldType.TIMESTAMP), "cast the column to date."),
        (target("contacts", "email", trial_ends_at=FieldType.DATE), ""),
        (target("contacts", "email", firstname=FieldType.DECIMAL), ""),
        (target("contacts", "email", num_associated_deals=FieldType.INTEGER), "is read-only (it is calculated)"),
        (target("contacts", "email", createdate=FieldType.TIMESTAMP), "is read-only (HubSpot sets it)"),
    ],
)
def test_check(sandbox: Sandbox, to: Target, said: str) -> None:
    found = problems(sandbox, to)
    assert said in found
    assert bool(found) == bool(said)
