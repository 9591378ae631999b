"""What a user sets for Salesforce: the account, and a sync's options."""

from pydantic import Field, SecretStr

from reverse_etl_assets.destinations.base import ConnectionSettings, SyncOptions


class SalesforceConnection(ConnectionSettings):
    """A connected app that uses the OAuth 2.0 client credentials flow."""

    base_url: str
    """Your My Domain address, `https://acme.my.salesforce.com`. `login.salesforce.com` does not take this flow."""
    client_id: str
    client_secret: SecretStr
    api_version: str = Field("60.0", pattern=r"^\d\d\.0$")


class SalesforceOptions(SyncOptions):
    case_sensitive_key: bool = False
    """Whether the external id field tells upper from lower case; `check` compares it with the field."""
    bulk_threshold: int | None = Field(2000, ge=1)
    """From how many rows of one operation a Bulk API 2.0 job is used; null: never.

    2,000 is where Salesforce itself recommends it ("Bulk API 2.0 and Bulk API Developer Guide", introduction).
    """
