"""Slack: a message a row, changed and deleted with its row, or a digest of many rows."""

from reverse_etl_assets.destinations.slack.destination import Slack, SlackConnection
from reverse_etl_assets.destinations.slack.messages import SlackOptions

__all__ = ["Slack", "SlackConnection", "SlackOptions"]
