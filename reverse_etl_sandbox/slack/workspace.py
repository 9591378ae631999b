"""The workspace of the sandbox: its app, people and channels."""

from __future__ import annotations

from dataclasses import dataclass

APP = {"user": "reverse_etl", "user_id": "U0RETL0001", "bot_id": "B0RETL0001", "team": "Shop", "team_id": "T0SHOP0001"}
PEOPLE = {"U0ANN00001": "ann@shop.example"}


@dataclass(frozen=True, slots=True)
class Channel:
    id: str
    name: str
    is_member: bool = True
    is_archived: bool = False
    is_private: bool = False
    is_im: bool = False


CHANNELS = (
    Channel("C0GENERAL1", "general"),
    Channel("C0ALERTS01", "customer-alerts"),
    Channel("C0DATA0001", "data-alerts"),
    Channel("C0RANDOM01", "random", is_member=False),
    Channel("C0OLD00001", "old-alerts", is_archived=True),
    Channel("C0FIRST001", "first-day"),
    Channel("G0BOARD001", "board", is_member=False, is_private=True),
    *(Channel("D" + person[1:], "D" + person[1:], is_private=True, is_im=True) for person in PEOPLE),
)


def channel_of(channel_id: object) -> Channel | None:
    return next((each for each in CHANNELS if each.id == channel_id), None)


def addressed(asked: str) -> Channel | None:
    """The channel of a new message: by id, by name, or a person's."""
    for each in CHANNELS:
        if asked == each.id or asked.removeprefix("#") == each.name or (each.is_im and asked == "U" + each.id[1:]):
            return each
    return None
