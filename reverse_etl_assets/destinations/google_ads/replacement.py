"""Replacing all members of an audience: what has been uploaded since it began, and when everybody else may go.

By "Remove all members from an audience" (Data Manager API guide): note the time T, upload the new members, wait until
that is processed, then remove who was last added before T. The wait only spares the audience a time of being smaller.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reverse_etl_assets.destinations.base import JobState
from reverse_etl_assets.destinations.google_ads.answers import is_failed, job_state
from reverse_etl_assets.records import Record, RowError


@dataclass
class Replacement:
    """One run's. It lives as long as the process: after a crash the next run uploads everybody again."""

    job: str
    since: str
    """RFC 3339, by Google's own clock; members last added before it are removed."""
    wait: float
    requests: dict[str, str] = field(default_factory=dict)
    """The id of each part's request, by the least key of its rows."""
    refused: dict[str, RowError] = field(default_factory=dict)
    """Rows that Google refused, by key: they are left out when their part is sent again."""
    statuses: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """What became of each request that is known to be processed."""
    removed: bool = False
    _deadline: float | None = None

    def uploaded(self, records: Sequence[Record], request: str | None, *, last: bool) -> None:
        if request:
            self.requests[part_key(records)] = request
        if last:
            self._deadline = asyncio.get_running_loop().time() + self.wait

    @property
    def is_complete(self) -> bool:
        """The last part was uploaded."""
        return self._deadline is not None

    @property
    def is_late(self) -> bool:
        return self._deadline is not None and asyncio.get_running_loop().time() >= self._deadline

    @property
    def to_ask(self) -> str | None:
        """A request of which it is not known what became of it."""
        return next((request for request in self.requests.values() if request not in self.statuses), None)

    def learn(self, request: str, status: Mapping[str, Any]) -> None:
        if job_state(status) is JobState.DONE:
            self.statuses[request] = status

    @property
    def keeps_the_others(self) -> bool:
        """Nobody is removed if a request failed as a whole: its people would be missing."""
        return not self.requests or any(is_failed(status) for status in self.statuses.values())

    def status_of(self, records: Sequence[Record]) -> Mapping[str, Any] | None:
        """What became of a part's request; None if that is not known yet, or nothing was sent."""
        return self.statuses.get(self.requests.get(part_key(records), ""))


def part_key(records: Sequence[Record]) -> str:
    """The same for the same rows in any order."""
    return min(record.key for record in records)
