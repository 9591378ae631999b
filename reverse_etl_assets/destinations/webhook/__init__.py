"""Any HTTP API. The shortest destination, and the one to copy for another."""

from reverse_etl_assets.destinations.webhook.destination import Webhook
from reverse_etl_assets.destinations.webhook.options import WebhookConnection, WebhookOptions

__all__ = ["Webhook", "WebhookConnection", "WebhookOptions"]
