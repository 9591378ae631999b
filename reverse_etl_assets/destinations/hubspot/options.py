"""How a HubSpot account is reached, and what a sync may choose."""

from enum import StrEnum

from pydantic import Field, SecretStr

from reverse_etl_assets.destinations.base import ConnectionSettings, SyncOptions


class HubSpotConnection(ConnectionSettings):
    """A private app or a service key."""

    base_url: str = "https://api.hubapi.com"
    access_token: SecretStr
    """Needs the scopes to read and write the objects and to read their properties."""
    api_version: str = Field("v3", pattern=r"^(v3|20\d\d-\d\d)$")
    """`v3`, or a dated version such as `2026-03`."""


class Lifecycle(StrEnum):
    KEEP = "keep"
    MOVE_BACK = "move_back"


class HubSpotOptions(SyncOptions):
    """What a sync may choose at HubSpot."""

    lifecycle: Lifecycle = Lifecycle.KEEP
    """A lifecycle stage that would move backwards: `keep` what HubSpot has and report the row as rejected, or
    `move_back`: clear the stage, then set it."""
