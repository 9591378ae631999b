"""The vendors' resources, with the settings of their connections. Written by `make resources`: change those."""

from reverse_etl_assets.destinations.google_ads import GoogleAds
from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.destinations.intercom import Intercom
from reverse_etl_assets.destinations.meta_ads import MetaAds
from reverse_etl_assets.destinations.postgres import Postgres
from reverse_etl_assets.destinations.salesforce import Salesforce
from reverse_etl_assets.destinations.slack import Slack
from reverse_etl_assets.destinations.stripe import Stripe
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.destinations.zendesk import Zendesk
from reverse_etl_assets.orchestration.resources import DestinationResource


class GoogleAdsResource(DestinationResource):
    """Google Ads audiences; a service account signs in, or a person who has consented once."""

    destination_type = GoogleAds

    base_url: str = "https://datamanager.googleapis.com"
    customer_id: str
    """The account that has the audiences: ten digits, `123-456-7890`."""
    login_customer_id: str | None = None
    """The manager account through which the sign-in has access, if it has it through one."""
    service_account: str | None = None
    """The service account's key, as the JSON text of its file."""
    client_id: str | None = None
    client_secret: str | None = None
    refresh_token: str | None = None
    token_url: str = "https://oauth2.googleapis.com/token"
    """Where a person's refresh token is exchanged; a service account's key names its own."""


class HubSpotResource(DestinationResource):
    """A HubSpot portal; a service key signs in, or a private app that was made until 2026-10-26."""

    destination_type = HubSpot

    base_url: str = "https://api.hubapi.com"
    access_token: str
    """The service key. It needs the scopes to read and write the objects and to read their properties."""
    api_version: str = "2026-09"
    """A dated version such as `2026-09`, from which on the account's own rules for records hold for writes; or `v3`."""


class IntercomResource(DestinationResource):
    """An Intercom workspace; a private app's access token signs in, in the region that the workspace is in."""

    destination_type = Intercom

    base_url: str = "https://api.intercom.io"
    """`https://api.eu.intercom.io` or `https://api.au.intercom.io` for a workspace in Europe or Australia."""
    access_token: str
    """The app's access token."""


class MetaAdsResource(DestinationResource):
    """Meta custom audiences; a system user's token signs in, and the app's secret signs the calls if it is set."""

    destination_type = MetaAds

    base_url: str = "https://graph.facebook.com"
    access_token: str
    """Of a system user with the permission `ads_management` and the ad account."""
    app_secret: str | None = None
    """Proves that a call comes from the app, if the app asks for that ("Require app secret")."""
    api_version: str = "v26.0"
    """Meta ends a version of the Marketing API 90 days after a later one came, at the earliest."""


class PostgresResource(DestinationResource):
    """A PostgreSQL database; a role's password signs in, where the server asks for one."""

    destination_type = Postgres

    password: str | None = None
    """The role's password; not needed where the server trusts the connection, or a client certificate signs in."""


class SalesforceResource(DestinationResource):
    """A Salesforce org; an External Client App signs in, by the client credentials flow or with a private key."""

    destination_type = Salesforce

    client_id: str
    """The app's consumer key."""
    client_secret: str | None = None
    """For the client credentials flow."""
    private_key: str | None = None
    """For the JWT bearer flow: the RSA key in PEM whose certificate the app holds."""
    username: str | None = None
    """For the JWT bearer flow: the user on whose behalf records are written."""
    audience: str = "https://login.salesforce.com"
    """For the JWT bearer flow; of a sandbox org `https://test.salesforce.com`."""
    api_version: str = "67.0"
    """Of the API; 67.0 is that of Summer '26, which every org has."""


class SlackResource(DestinationResource):
    """A Slack workspace; an app's bot token signs in."""

    destination_type = Slack

    base_url: str = "https://slack.com/api"
    token: str
    """The app's Bot User OAuth Token, `xoxb-...`, with the scopes chat:write, channels:read and, for private channels,
    groups:read."""


class StripeResource(DestinationResource):
    """A Stripe account, live or test; a restricted key signs in, and says which."""

    destination_type = Stripe

    base_url: str = "https://api.stripe.com"
    meter_events_url: str = "https://meter-events.stripe.com"
    """Where the meter event stream is, and nothing else."""
    secret_key: str
    """A restricted key (`rk_live_...`) with write access to customers, or to meter events, or a secret key."""
    mode: str | None = None
    """Refuse a key of the other mode."""
    stripe_account: str | None = None
    """For a Connect platform: the connected account (`acct_...`) that is written to."""
    api_version: str = "2026-05-27.dahlia"
    """The version of the API, which decides the shape of answers; 2024-09-30.acacia or later."""


class WebhookResource(DestinationResource):
    """Any HTTP API. Secrets stand here, never in a sync's file."""

    destination_type = Webhook

    token: str | None = None
    """Sent as `Authorization: Bearer`."""
    username: str | None = None
    """Sent with `password` as `Authorization: Basic`."""
    password: str | None = None
    token_url: str | None = None
    """Where `client_id` and `client_secret` are exchanged for a token (OAuth 2.0 client credentials): an address, or a
    path below `base_url`."""
    client_id: str | None = None
    client_secret: str | None = None
    scope: str | None = None
    """What the token is asked for, if the API wants to be told."""
    secret_headers: dict[str, str] = {}
    """Other headers that sign in, such as `X-Api-Key`."""
    signature: str = "standard"
    """`standard`: as the Standard Webhooks specification says. `sha256`: `sha256=` and the HMAC of the body in hex."""
    signing_secret: str | None = None
    """Signs requests. For the standard signature it is `whsec_` and base64."""
    signature_header: str = "X-Hub-Signature-256"
    """The header of a `sha256` signature."""
    allow_private: bool = False
    """Whether base_url may lead to this machine or a private network."""


class ZendeskResource(DestinationResource):
    """A Zendesk account; an OAuth client signs in, or an API token with its admin's address until those end."""

    destination_type = Zendesk

    client_id: str | None = None
    """The Identifier of an OAuth client of the kind Confidential."""
    client_secret: str | None = None
    """The OAuth client's Secret."""
    scope: str = "read write"
    """What the OAuth client asks for; `users:read users:write` and the like for less."""
    token: str | None = None
    """Instead of an OAuth client, until 2027-04-30: an API token of the admin named in `email`; without `email`, an
    OAuth access token, which is not renewed."""
    email: str | None = None
    """Of the admin whose API token it is."""
