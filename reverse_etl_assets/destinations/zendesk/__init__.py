"""Zendesk Support: users and organizations with their own fields, and tickets; alone or as jobs of 100."""

from reverse_etl_assets.destinations.zendesk.destination import Zendesk
from reverse_etl_assets.destinations.zendesk.options import ZendeskConnection, ZendeskOptions

__all__ = ["Zendesk", "ZendeskConnection", "ZendeskOptions"]
