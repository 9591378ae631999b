"""A session of `usersreplace`: batches that together take the place of everybody who was in the audience.

Rules: "Customer File Custom Audiences" (28 April 2026), section "Replace users API".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reverse_etl_assets.destinations.base import JobState, Part
from reverse_etl_assets.destinations.meta_ads.answers import Received, whole
from reverse_etl_assets.destinations.meta_ads.people import Cell
from reverse_etl_assets.records import RowError

LONGEST = 90 * 60.0
"""Seconds from a session's first batch to its end. Then Meta ends it, and replaces the audience with what came until
then; so a session that took this long is not taken for complete."""
_ABOUT, _OVERDUE = 60.0, 600.0  # seconds


@dataclass
class HandedOver:
    """What this process has handed over of a session."""

    taken: int = 0
    """Entries that Meta has taken, by its own count: a batch that came twice counts twice."""
    offered: int = 0
    """The same with those of the part that is on its way."""
    invalid: int = 0
    refused: dict[str, RowError] = field(default_factory=dict)
    """Rows that samples named, by our key."""
    spare: list[Cell] = field(default_factory=list)
    """An entry that was sent already; a session may be closed with one that comes twice."""
    closed: bool = False
    _last: bool = False

    def offer(self, rows: list[list[Cell]], part: Part) -> dict[str, int | bool]:
        """The part's place in the session. The first batch begins it, any other number only adds."""
        self.offered, self._last, self.spare = self.taken + len(rows), part.last, rows[-1]
        return {"batch_seq": max(part.number, 2) if self.taken else 1, "last_batch_flag": part.last}

    def take(self, answer: Received | None = None) -> None:
        """Meta has the part that was offered."""
        self.taken, self.closed = max(self.offered, answer.rows if answer else 0), self._last
        self.invalid = answer.invalid if answer else self.invalid


def state_of(session: Mapping[str, Any], now: float) -> JobState:
    """Of a session that another process has handed over, in full or in part.

    Done is only what ended before Meta would have ended it; of all else nothing counts as delivered.
    """
    if not session:
        return JobState.OPEN  # Meta has never heard of it
    start, end = whole(session.get("start_time")) or 0, whole(session.get("end_time")) or 0
    if end > 0:
        return JobState.DONE if end - start < LONGEST - _ABOUT else JobState.OPEN
    return JobState.RUNNING if now - start < LONGEST + _OVERDUE else JobState.OPEN
