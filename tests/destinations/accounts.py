"""The three vendors' accounts in the sandbox, as a user would set them up."""

from pydantic import SecretStr

from reverse_etl_assets.destinations.hubspot import HubSpotConnection
from reverse_etl_assets.destinations.salesforce import SalesforceConnection
from reverse_etl_assets.destinations.webhook_options import WebhookConnection


def salesforce(url: str, secret: str = "sandbox-secret") -> SalesforceConnection:
    return SalesforceConnection(base_url=f"{url}/salesforce", client_id="sandbox", client_secret=SecretStr(secret))


def hubspot(url: str, token: str = "pat-sandbox") -> HubSpotConnection:
    return HubSpotConnection(base_url=f"{url}/hubspot", access_token=SecretStr(token))


def webhook(url: str, token: str = "hook-secret") -> WebhookConnection:
    return WebhookConnection(base_url=f"{url}/rest", token=SecretStr(token), allow_private=True)
