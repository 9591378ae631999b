"""The log of calls, and their counts."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(slots=True)
class LogLine:
    """One call. ``status`` 0 means that no answer was sent.

    ``fault`` names the fault that hit it; ``limit`` the real limit that refused it. A 429 has exactly one of them.
    """

    number: int
    at: float
    vendor: str
    method: str
    path: str
    operation: str
    object: str
    rows: int
    status: int
    bytes_in: int
    bytes_out: int
    ms: float
    fault: str
    limit: str


class CallLog:
    """Keeps the last ``KEPT`` lines and counts all."""

    KEPT = 10_000

    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque(maxlen=self.KEPT)
        self._number = 0
        self._counts: dict[str, dict[str, Counter[str]]] = {}

    def add(self, line: LogLine) -> None:
        self._number += 1
        line.number = self._number
        self._lines.append(line)
        counts = self._counts.get(line.vendor)
        if counts is None:
            counts = self._counts[line.vendor] = {
                name: Counter() for name in ("total", "status", "operation", "rows", "fault", "limit")
            }
        counts["total"]["calls"] += 1
        counts["total"]["bytes_in"] += line.bytes_in
        counts["status"][str(line.status)] += 1
        if line.operation:
            counts["operation"][line.operation] += 1
            counts["rows"][line.operation] += line.rows
        if line.fault:
            counts["fault"][line.fault] += 1
        if line.limit:
            counts["limit"][line.limit] += 1

    def lines(self, vendor: str = "", after: int = 0) -> list[LogLine]:
        """Oldest first; only those of ``vendor`` and numbered above ``after``."""
        return [line for line in list(self._lines) if line.number > after and (not vendor or line.vendor == vendor)]

    def counts(self, vendor: str) -> dict[str, dict[str, int]]:
        counted = self._counts.get(vendor, {})
        total = counted.get("total", Counter())
        return {
            "calls": {"total": total["calls"], "bytes_in": total["bytes_in"]},
            "status": dict(counted.get("status", {})),
            "operations": dict(counted.get("operation", {})),
            "rows": dict(counted.get("rows", {})),
            "faults": dict(counted.get("fault", {})),
            "limits": dict(counted.get("limit", {})),
        }

    def clear(self) -> None:
        self._lines.clear()
        self._counts.clear()
        self._number = 0


def as_json(line: LogLine) -> dict[str, Any]:
    return asdict(line)
