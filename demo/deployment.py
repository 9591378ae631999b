"""What this deployment has: its destinations and where its project lies. The one file to edit for a new account.

Secrets are named, not written: Dagster keeps the name of the variable, never its value.
"""

import os
from pathlib import Path

import dagster as dg

from reverse_etl_assets import (
    Alerts,
    DbtSettings,
    DestinationResource,
    GoogleAdsResource,
    HubSpotResource,
    IntercomResource,
    MetaAdsResource,
    PostgresResource,
    Project,
    SalesforceResource,
    SlackResource,
    StripeResource,
    WebhookResource,
    ZendeskResource,
)

_HERE = Path(__file__).parent
SYNCS = _HERE / "syncs"

destinations: dict[str, DestinationResource] = {
    "salesforce": SalesforceResource(
        base_url=dg.EnvVar("SALESFORCE_BASE_URL"),
        client_id=dg.EnvVar("SALESFORCE_CLIENT_ID"),
        client_secret=dg.EnvVar("SALESFORCE_CLIENT_SECRET"),
    ),
    "hubspot": HubSpotResource(
        base_url=dg.EnvVar("HUBSPOT_BASE_URL"),
        access_token=dg.EnvVar("HUBSPOT_ACCESS_TOKEN"),
    ),
    "slack": SlackResource(
        base_url=os.environ.get("SLACK_BASE_URL") or "https://slack.com/api",
        token=dg.EnvVar("SLACK_BOT_TOKEN"),
        requests_per_second=float(os.environ.get("SLACK_REQUESTS_PER_SECOND") or 0) or None,  # the demo's is faster
    ),
    "product_database": PostgresResource(
        base_url=dg.EnvVar("POSTGRES_URL"),
        password=dg.EnvVar("POSTGRES_PASSWORD"),
    ),
    "intercom": IntercomResource(
        base_url=os.environ.get("INTERCOM_BASE_URL") or "https://api.intercom.io",
        access_token=dg.EnvVar("INTERCOM_ACCESS_TOKEN"),
    ),
    "zendesk": ZendeskResource(
        base_url=dg.EnvVar("ZENDESK_BASE_URL"),
        client_id=dg.EnvVar("ZENDESK_CLIENT_ID"),
        client_secret=dg.EnvVar("ZENDESK_CLIENT_SECRET"),
        requests_per_second=float(os.environ.get("ZENDESK_REQUESTS_PER_SECOND") or 0) or None,  # your plan's
    ),
    "meta_ads": MetaAdsResource(
        base_url=os.environ.get("META_ADS_BASE_URL") or "https://graph.facebook.com",
        access_token=dg.EnvVar("META_ADS_ACCESS_TOKEN"),
    ),
    "google_ads": GoogleAdsResource(
        base_url=os.environ.get("GOOGLE_ADS_BASE_URL") or "https://datamanager.googleapis.com",
        customer_id=dg.EnvVar("GOOGLE_ADS_CUSTOMER_ID"),
        service_account=dg.EnvVar("GOOGLE_ADS_SERVICE_ACCOUNT"),
    ),
    "stripe": StripeResource(
        base_url=os.environ.get("STRIPE_BASE_URL") or "https://api.stripe.com",
        secret_key=dg.EnvVar("STRIPE_SECRET_KEY"),
        mode=os.environ.get("STRIPE_MODE") or None,  # live or test: a key of the other mode is refused
        requests_per_second=float(os.environ.get("STRIPE_REQUESTS_PER_SECOND") or 0) or None,  # the demo's is faster
    ),
    "crm_webhook": WebhookResource(
        base_url=dg.EnvVar("WEBHOOK_BASE_URL"),
        token=dg.EnvVar("WEBHOOK_TOKEN"),
        allow_private=os.environ.get("WEBHOOK_ALLOW_PRIVATE") == "1",  # the sandbox is on this machine
    ),
}

alerts = Alerts(
    channel=os.environ.get("SLACK_ALERTS_CHANNEL") or "",  # without one there are none
    destination="slack",
    ui_url=os.environ.get("DAGSTER_UI_URL") or "http://localhost:3000",
)

project = Project(
    dbt=DbtSettings(_HERE.parent / "dbt_project"),
    syncs_folder=SYNCS,
    destinations={name: resource.destination_type for name, resource in destinations.items()},
)
