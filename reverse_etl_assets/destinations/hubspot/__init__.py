"""HubSpot: records, the members of static lists, and associations between records."""

from reverse_etl_assets.destinations.hubspot.destination import HubSpot
from reverse_etl_assets.destinations.hubspot.options import HubSpotConnection, HubSpotOptions

__all__ = ["HubSpot", "HubSpotConnection", "HubSpotOptions"]
