"""The three vendors' accounts in the sandbox, as a user would set them up."""

from typing import Any, TypeVar

import httpx
from pydantic import SecretStr

from reverse_etl_assets.destinations.base import ConnectionSettings, HttpDestination
from reverse_etl_assets.destinations.google_ads.options import GoogleAdsConnection
from reverse_etl_assets.destinations.hubspot.options import HubSpotConnection
from reverse_etl_assets.destinations.intercom.api import IntercomConnection
from reverse_etl_assets.destinations.meta_ads import MetaAdsConnection
from reverse_etl_assets.destinations.salesforce import SalesforceConnection
from reverse_etl_assets.destinations.slack import SlackConnection
from reverse_etl_assets.destinations.stripe.options import StripeConnection
from reverse_etl_assets.destinations.webhook.options import WebhookConnection
from reverse_etl_assets.destinations.zendesk.options import ZendeskConnection
from reverse_etl_assets.records import Target

D = TypeVar("D", bound=HttpDestination[Any, Any])


def salesforce(url: str, secret: str = "sandbox-secret") -> SalesforceConnection:
    return SalesforceConnection(base_url=f"{url}/salesforce", client_id="sandbox", client_secret=SecretStr(secret))


def hubspot(url: str, token: str = "pat-sandbox") -> HubSpotConnection:
    return HubSpotConnection(base_url=f"{url}/hubspot", access_token=SecretStr(token))


def webhook(url: str, token: str = "hook-secret") -> WebhookConnection:
    return WebhookConnection(base_url=f"{url}/rest", token=SecretStr(token), allow_private=True)


def slack(url: str, token: str = "xoxb-sandbox") -> SlackConnection:
    return SlackConnection(base_url=f"{url}/slack/api", token=SecretStr(token))


def stripe(url: str, key: str = "sk_test_sandbox", **settings: Any) -> StripeConnection:
    base = f"{url}/stripe"
    return StripeConnection(base_url=base, meter_events_url=base, secret_key=SecretStr(key), **settings)


def zendesk(url: str, secret: str = "zendesk-secret", **settings: Any) -> ZendeskConnection:
    base = f"{url}/zendesk"
    return ZendeskConnection(base_url=base, client_id="sandbox", client_secret=SecretStr(secret), **settings)


def zendesk_by_token(url: str, token: str = "zendesk-token", email: str | None = "a@shop.example") -> ZendeskConnection:
    return ZendeskConnection(base_url=f"{url}/zendesk", email=email, token=SecretStr(token))


def intercom(url: str, token: str = "ic-sandbox") -> IntercomConnection:
    return IntercomConnection(base_url=f"{url}/intercom", access_token=SecretStr(token))


def meta_ads(url: str, token: str = "EAAsandbox", **settings: Any) -> MetaAdsConnection:
    return MetaAdsConnection(base_url=f"{url}/meta", access_token=SecretStr(token), **settings)


def google_ads(url: str, token: str = "1//sandbox", **settings: Any) -> GoogleAdsConnection:
    return GoogleAdsConnection(
        base_url=f"{url}/google_ads",
        token_url=f"{url}/google_ads/token",
        customer_id="123-456-7890",
        client_id="sandbox",
        client_secret=SecretStr("google-secret"),
        refresh_token=SecretStr(token),
        **settings,
    )


def offline(kind: type[D], connection: ConnectionSettings, target: Target, **options: Any) -> D:
    """A destination to ask for requests and give answers to; it has no network."""
    return kind(connection, target, kind.Options.model_validate(options), httpx.AsyncClient(transport=_Nowhere()))


class _Nowhere(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"{request} was sent")
