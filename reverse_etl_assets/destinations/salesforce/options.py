"""What a user sets for Salesforce: the account, and a sync's options."""

from datetime import date
from typing import Annotated

from pydantic import Field, SecretStr, model_validator

from reverse_etl_assets.destinations.base import ConnectionSettings, SyncOptions
from reverse_etl_assets.destinations.vendor_api import VendorApi
from reverse_etl_assets.wording import Written


class SalesforceConnection(ConnectionSettings):
    """A Salesforce org; an External Client App signs in, by the client credentials flow or with a private key."""

    base_url: str
    """Your My Domain address, `https://acme.my.salesforce.com`. `login.salesforce.com` does not take this flow."""
    largest_answer: int = Field(default=256_000_000, ge=1)
    """Bytes of an answer's body, decompressed, that are read at most. A Bulk job's results repeat what was sent."""
    client_id: str
    """The app's consumer key."""
    client_secret: SecretStr | None = None
    """For the client credentials flow."""
    private_key: SecretStr | None = None
    """For the JWT bearer flow: the RSA key in PEM whose certificate the app holds."""
    username: str | None = None
    """For the JWT bearer flow: the user on whose behalf records are written."""
    audience: str = "https://login.salesforce.com"
    """For the JWT bearer flow; of a sandbox org `https://test.salesforce.com`."""
    api_version: Annotated[str, Written(r"\d\d\.0", "the release's number and `.0`, such as `67.0`")] = "67.0"
    """Of the API; 67.0 is that of Summer '26, which every org has."""

    @model_validator(mode="after")
    def _signs_in_one_way(self) -> "SalesforceConnection":
        if bool(self.client_secret) == bool(self.private_key):
            raise ValueError("give either `client_secret` or `private_key` with `username`.")
        if self.private_key and not self.username:
            raise ValueError("`private_key` needs the `username` to sign in as.")
        return self


class SalesforceOptions(SyncOptions):
    case_sensitive_key: bool = False
    """Whether the external id field tells upper from lower case; `check` compares it with the field."""
    bulk_threshold: int | None = Field(2000, ge=1)
    """From how many rows of one operation a Bulk API 2.0 job is used; null: never.

    2,000 is where Salesforce itself recommends it ("Bulk API 2.0 and Bulk API Developer Guide", introduction).
    """
    allow_duplicates: bool = False
    """Whether records are saved though a duplicate rule that alerts speaks against it. No jobs are used then: Bulk API
    2.0 has no header for it ("Duplicate Rule Header", REST API Developer Guide, read 2026-11-22)."""


API = VendorApi(
    checked_on=date(2026, 11, 30),
    source="API End-of-Life Policy (three years at least from a release), and help article 005321531 of 2026-04-30",
    version=SalesforceConnection.model_fields["api_version"].default,
    ends={f"{number}.0": date(2027, 5, 31) for number in range(31, 41)},  # "Summer '27"; they go a year later
)
