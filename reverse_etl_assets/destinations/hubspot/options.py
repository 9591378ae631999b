"""How a HubSpot account is reached, and what a sync may choose."""

from datetime import date
from enum import StrEnum
from typing import Annotated

from pydantic import SecretStr

from reverse_etl_assets.destinations.base import ConnectionSettings, SyncOptions
from reverse_etl_assets.destinations.vendor_api import VendorApi
from reverse_etl_assets.wording import Written


class HubSpotConnection(ConnectionSettings):
    """A HubSpot portal; a service key signs in, or a private app that was made until 2026-10-26.

    "CRM API Write Validation Enforcement" (what 2026-09 enforces), "Legacy APIs and Apps: What's Going Unsupported
    and When" and "Legacy Private App Creation Being Disabled", HubSpot's developer changelog, read 2026-11-30.
    """

    base_url: str = "https://api.hubapi.com"
    access_token: SecretStr
    """The service key. It needs the scopes to read and write the objects and to read their properties."""
    api_version: Annotated[
        str, Written(r"(v3|20\d\d-\d\d)", "a version by year and month, such as `2026-09`, or `v3`")
    ] = "2026-09"
    """A dated version such as `2026-09`, from which on the account's own rules for records hold for writes; or `v3`."""


class Lifecycle(StrEnum):
    KEEP = "keep"
    MOVE_BACK = "move_back"


class HubSpotOptions(SyncOptions):
    """What a sync may choose at HubSpot."""

    lifecycle: Lifecycle = Lifecycle.KEEP
    """A lifecycle stage that would move backwards: `keep` what HubSpot has and report the row as rejected, or
    `move_back`: clear the stage, then set it."""


API = VendorApi(
    checked_on=date(2026, 11, 30),
    source="HubSpot developer documentation, Developer platform and API versioning (18 months from a release), and"
    " changelog of 2026-09-15, Legacy APIs and apps",
    version=HubSpotConnection.model_fields["api_version"].default,
    ends={
        "v3": date(2027, 8, 31),  # "September 2027"
        "v4": date(2027, 3, 30),
        "2026-03": date(2027, 9, 29),  # released on 2026-03-30
        "2026-09": date(2028, 3, 7),  # released on 2026-09-08
    },
)
"""`v3` of an account is v4 for associations."""
