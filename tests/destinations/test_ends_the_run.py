"""Refusals that are about the account or the API, and not about a row: the run ends, and nothing is halved."""

from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.base import HttpDestination
from reverse_etl_assets.destinations.google_ads import GoogleAds
from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.destinations.intercom import Intercom
from reverse_etl_assets.destinations.meta_ads import MetaAds
from reverse_etl_assets.destinations.salesforce import Salesforce
from reverse_etl_assets.destinations.slack import Slack
from reverse_etl_assets.destinations.stripe import Stripe
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.destinations.zendesk import Zendesk
from reverse_etl_assets.errors import AuthenticationFailed, Hopeless, TargetChanged
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.records import FieldType, Reason, Status
from reverse_etl_assets.testing.builders import target
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts
from tests.engine.shop import Shop, crm, crm_sync

URL = "https://api.example"
EVERY: list[tuple[type[HttpDestination[Any, Any]], Any, str, dict[str, Any]]] = [
    (Salesforce, accounts.salesforce(URL), "Contact", {}),
    (HubSpot, accounts.hubspot(URL), "contacts", {}),
    (Intercom, accounts.intercom(URL), "contacts", {}),
    (Stripe, accounts.stripe(URL), "customers", {}),
    (Slack, accounts.slack(URL), "#news", {"text": "hello"}),
    (Zendesk, accounts.zendesk(URL), "users", {}),
    (MetaAds, accounts.meta_ads(URL), "123", {}),
    (GoogleAds, accounts.google_ads(URL), "123", {"terms_of_service": "accepted"}),
    (Webhook, accounts.webhook(URL), "people", {"path": "/people"}),
]


def opened(each: tuple[type[HttpDestination[Any, Any]], Any, str, dict[str, Any]]) -> HttpDestination[Any, Any]:
    kind, connection, name, options = each
    return kind.unopened(connection, target(name, "email", email=FieldType.TEXT), kind.Options.model_validate(options))


@pytest.mark.parametrize("body", ["Payment Required", '{"message": "Your trial has ended."}'])
@pytest.mark.parametrize("each", EVERY, ids=lambda each: each[0].__name__)
def test_an_account_that_has_to_be_paid_for(each: Any, body: str) -> None:
    error = opened(each).error_for(httpx.Response(402, text=body))
    assert isinstance(error, Hopeless)
    assert "the account's plan or an unpaid bill is in the way." in str(error)


@pytest.mark.parametrize("status", [400, 403, 500])
@pytest.mark.parametrize("code", ["API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED", "TRIAL_EXPIRED"])
def test_an_org_without_the_api(status: int, code: str) -> None:
    said = [{"errorCode": code, "message": "The REST API is not enabled for this Organization."}]
    error = opened(EVERY[0]).error_for(httpx.Response(status, json=said))
    assert isinstance(error, AuthenticationFailed)
    assert f"{code}: The REST API is not enabled for this Organization: this org or user" in str(error)


@pytest.mark.parametrize("body", [{"error": "Gone"}, {"error": {"title": "Gone", "message": "It ended."}}, None])
def test_a_part_of_zendesk_that_is_gone(body: Any) -> None:
    answer = httpx.Response(410, json=body) if body else httpx.Response(410)
    error = opened(EVERY[5]).error_for(answer)
    assert isinstance(error, TargetChanged)
    assert "does not have this part of the API" in str(error)


def test_a_run_ends_at_the_first_request(shop: Shop, sandbox: Sandbox) -> None:
    sync, account = crm_sync(), crm(sandbox.url)
    shop.build("select 'p' || i || '@x.com' as email, 'Ada' as name, 'Bern' as city from range(30) r(i)")
    sandbox.fault("server_error", vendor="hubspot", path="batch", status=402)
    report = shop.run(sync, account)
    assert (report.status, report.counts["skipped"]) == (RunStatus.FAILED, 30)
    assert "unpaid bill" in (report.detail or "")
    assert {(each.status, each.reason) for each in shop.outcomes(sync, report.run_id)} == {
        (Status.SKIPPED, Reason.STOPPED)
    }
    assert sum("batch" in line.path for line in sandbox.log.lines("hubspot")) == 1
