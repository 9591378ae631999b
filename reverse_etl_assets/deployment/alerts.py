"""Where alerts go."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Alerts:
    """A channel in Slack. Off unless one is set."""

    channel: str = ""
    """By name or id; the app has to be in it."""
    destination: str = "slack"
    """The Slack account among the destinations."""
    ui_url: str = ""
    """Where people reach Dagster, for links to runs."""
