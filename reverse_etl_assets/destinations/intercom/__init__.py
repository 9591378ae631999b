"""Intercom: contacts, companies, the contacts of a tag and of a company; one record a request."""

from reverse_etl_assets.destinations.intercom.api import IntercomConnection, IntercomOptions
from reverse_etl_assets.destinations.intercom.destination import Intercom

__all__ = ["Intercom", "IntercomConnection", "IntercomOptions"]
