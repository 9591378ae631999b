"""Where a Zendesk account is and how to sign in, and the settings of a sync."""

from pydantic import SecretStr

from reverse_etl_assets.destinations.base import ConnectionSettings, SyncOptions


class ZendeskConnection(ConnectionSettings):
    """An account: `https://{subdomain}.zendesk.com`."""

    base_url: str
    """`https://acme.zendesk.com`."""
    token: SecretStr
    """An API token of the admin named in `email`; without `email`, an OAuth access token."""
    email: str | None = None
    """Of the admin whose API token it is."""


class ZendeskOptions(SyncOptions):
    bulk: bool = True
    """Send many rows as jobs of 100; `false` sends them one by one, where the import of users is off."""
    verify_email: bool = False
    """Let Zendesk write to new users and ask them to verify their address."""
