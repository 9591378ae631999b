"""What is wrong with an account of HubSpot: its token, its version of the API, its rules, a property that is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.errors import AuthenticationFailed, CheckFailed, ConfigurationError, ReverseEtlError
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.records import FieldType, Operation, Reason, Status, Target
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.testing.builders import target
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts
from tests.engine.shop import Shop, crm, crm_sync
from tests.heavy import first, heavy

PEOPLE = "select 'p' || i || '@x.com' as email, '{} ' || i as name from range({}) r(i)"
CONTACTS = target("contacts", "email", *Operation, firstname=FieldType.TEXT)
LIST = target("lists/1", "email", Operation.UPSERT, Operation.DELETE, email=FieldType.TEXT)


@asynccontextmanager
async def opened(sandbox: Sandbox, to: Target, token: str = "pat-sandbox", **settings: Any) -> AsyncIterator[HubSpot]:
    async with httpx.AsyncClient(timeout=5) as client:
        connection = accounts.hubspot(sandbox.url, token).model_copy(update=settings)
        yield HubSpot(connection, to, HubSpot.Options(), client)


def refused(sandbox: Sandbox, to: Target = CONTACTS, **settings: Any) -> ReverseEtlError:
    async def work() -> ReverseEtlError:
        async with opened(sandbox, to, **settings) as hubspot:
            with pytest.raises(ReverseEtlError) as caught:
                await hubspot.check()
            return caught.value

    return asyncio.run(work())


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        (
            "6f18f21e-a743-4509-b7fd-1a5e632fffa1",
            "a developer API key, an API key of before 2022, a client secret or an",
        ),
        ("eu1-c40c-676d-466c-8b66-0d18699b84d1", "a developer API key"),
        ("na2-6f18f21e-a743-4509-b7fd-1a5e632fffa1", "OAuth refresh token"),
        ("CJSP5qf1KhICAQEYs-gDIIGOBii1hQIyGQAf3xBKmlwHjX7OIpuIFEavB2-qYAGQsF4", "an OAuth access token"),
        ("Bearer pat-na1-1234", "a header: leave `Bearer ` out"),
        ("rk_live_abcdefgh", "a key of Stripe"),
        ("xoxb-12-34-abcdef", "a token of Slack"),
        ("EAABwzLixnjYBO", "an access token of Meta"),
        ("s3cret", "nothing that is known of HubSpot"),
    ],
)
def test_a_token_of_another_kind_is_named_and_never_shown(sandbox: Sandbox, token: str, kind: str) -> None:
    error = refused(sandbox, token=token)
    assert isinstance(error, AuthenticationFailed)
    assert kind in str(error)
    assert "Make a service key in HubSpot (Development, Keys, Service keys)" in str(error)
    assert token not in f"{error} {error!r}"


@pytest.mark.parametrize("token", ["pat-na1-1234\n", " pat-na1-1234", "pat-na1\n-1234", "pat-ná1", ""])
def test_a_token_that_no_header_can_hold_is_a_wrong_setting(sandbox: Sandbox, token: str) -> None:
    """And no fault of a row or an object."""
    error = refused(sandbox, token=token)
    assert isinstance(error, ConfigurationError)
    assert "give it alone" in str(error)
    assert not token or token not in str(error)


def test_a_key_that_is_not_taken_any_more(sandbox: Sandbox) -> None:
    said = str(refused(sandbox, token="pat-na1-" + "6f18f21e-a743-4509-b7fd-1a5e632fffa1"))
    assert "Was the key rotated, deleted or switched off" in said
    sandbox.settings.change({"hubspot_key_expired": True})
    assert "EXPIRED_AUTHENTICATION: The access token is expired. The key has expired" in str(refused(sandbox))


def counted(report: Report) -> dict[str, int]:
    return {status: report.counts[status] for status in Status if report.counts[status]}


def test_a_key_that_expires_between_two_runs_stops_the_second(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(PEOPLE.format("a", 5))
    shop.run(crm_sync(), crm(sandbox.url))
    sandbox.settings.change({"hubspot_key_expired": True})
    shop.build(PEOPLE.format("b", 5))
    report = shop.run(crm_sync(), crm(sandbox.url))
    assert (report.status, counted(report)) == (RunStatus.FAILED, {"skipped": 5})
    assert "The key has expired" in (report.detail or "")


@pytest.mark.parametrize("to", [CONTACTS, LIST, target("associations/contacts/companies", "k", Operation.UPSERT)])
def test_a_version_that_the_account_does_not_have_is_named(sandbox: Sandbox, to: Target) -> None:
    error = refused(sandbox, to, api_version="2031-03")
    assert isinstance(error, CheckFailed)
    assert error.problems == (
        "HubSpot has no version `2031-03` of its API for this account: set `api_version` to `2026-09`.",
    )


def test_an_object_that_is_not_there_is_still_named_as_that(sandbox: Sandbox) -> None:
    assert "There is no object `contacs`" in str(refused(sandbox, target("contacs", "email")))


@heavy
@pytest.mark.parametrize("status", first([404, 410]))
def test_a_version_that_is_switched_off_stops_the_run_at_once(shop: Shop, sandbox: Sandbox, status: int) -> None:
    shop.build(PEOPLE.format("a", 60))
    shop.run(crm_sync(), crm(sandbox.url))
    sandbox.fault(vendor="hubspot", kind="server_error", path="batch/upsert", status=status)
    shop.build(PEOPLE.format("b", 60))
    report = shop.run(crm_sync(), crm(sandbox.url))
    assert (report.status, counted(report)) == (RunStatus.FAILED, {"skipped": 60})
    assert "`reverse-etl check` names what is not" in (report.detail or "")
    assert sum(line.fault != "" for line in sandbox.log.lines("hubspot")) == 1  # not halved


@heavy
def test_a_property_that_was_renamed_since_the_check_stops_the_run(shop: Shop, sandbox: Sandbox) -> None:
    sync = crm_sync(mapping={"email": "email", "favourite_product": "name"})
    shop.build(PEOPLE.format("a", 60))
    assert counted(shop.run(sync, crm(sandbox.url))) == {"created": 60}
    properties = sandbox.hubspot.records.objects["contacts"].properties
    properties["best_product"] = replace(properties.pop("favourite_product"), name="best_product")
    shop.build(PEOPLE.format("b", 60))
    report = shop.run(sync, crm(sandbox.url))
    assert (report.status, counted(report)) == (RunStatus.FAILED, {"skipped": 60})
    assert 'Property "favourite_product" does not exist' in (report.detail or "")
    with pytest.raises(CheckFailed, match="`favourite_product`"):  # the next run looks before it sends
        shop.run(sync, crm(sandbox.url))


@heavy
@pytest.mark.parametrize(("version", "enforced"), [("2026-09", True), ("2026-03", False), ("v3", False)])
def test_rules_of_the_account_hold_for_writes_from_2026_09_on(
    shop: Shop, sandbox: Sandbox, version: str, enforced: bool
) -> None:
    sandbox.settings.change({"hubspot_rule": "lifecyclestage=customer:company"})
    sync = crm_sync(mapping={"email": "email", "lifecyclestage": "stage", "company": "company"})
    rows = "('a@x.com', 'customer', null), ('b@x.com', 'customer', 'Acme'), ('c@x.com', 'lead', null)"
    shop.build(f"select * from (values {rows}) rows(email, stage, company)")
    report = shop.run(sync, crm(sandbox.url, api_version=version))
    assert counted(report) == ({"created": 2, "failed": 1} if enforced else {"created": 3})
    if enforced:
        row = shop.by_key(sync, report)["a@x.com"]
        assert (row.reason, row.code, row.field) == (Reason.REJECTED, "REQUIRED_FIELD", "company")


def test_the_default_version_is_the_one_that_is_described() -> None:
    assert HubSpot.Connection(access_token="pat-x").api_version == "2026-09"
