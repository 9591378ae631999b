"""What a run has to find and do, in plain Python: written from the promises, not from the SQL."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cmp_to_key
from typing import Any

Row = Mapping[str, Any]
Key = tuple[Any, ...]

WRITES = {
    "full_refresh": "upsert",
    "incremental": "upsert",
    "mirror": "upsert",
    "update_only": "update",
    "insert_only": "insert",
    "append": "insert",
}
ONCE = ("insert_only", "append")


def same(one: Any, other: Any) -> bool:
    """Equal as SQL's `is not distinct from` has it: NaN is NaN, NULL is NULL, a moment is a moment."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other):
        return True
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if one is None or other is None:
        return one is other
    return bool(one == other)


def sendable(value: Any) -> bool:
    """JSON has no word for NaN or infinity."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(sendable, value.values()))
    return all(map(sendable, value)) if isinstance(value, list) else True


def compare(one: Any, other: Any) -> int:
    """NULL is the least of all, NaN the greatest."""
    if one is None or other is None:
        return (other is None) - (one is None)
    if isinstance(one, float) and (math.isnan(one) or math.isnan(other)):
        return math.isnan(one) - math.isnan(other)
    return (one > other) - (one < other)


def as_sent(value: Any) -> str:
    """A value as a destination sees it, which tells 0.0 from -0.0."""
    if isinstance(value, datetime) and value.tzinfo:
        return repr(value.astimezone(UTC))
    if isinstance(value, Mapping):
        return repr({name: as_sent(part) for name, part in value.items()})
    return repr([as_sent(part) for part in value]) if isinstance(value, list) else repr(value)


@dataclass
class Expected:
    """A run's change set. Keys are folded; `rejected` counts rows, for several may share a key or have none, and so
    does `superseded`."""

    kinds: dict[Key, str] = field(default_factory=dict)
    rejected: Counter[Key | None] = field(default_factory=Counter)
    unsendable: set[Key] = field(default_factory=set)
    operations: dict[Key, str] = field(default_factory=dict)
    held: set[Key] = field(default_factory=set)
    held_beside: int = 0
    """Rows that are held and not in the change set."""
    held_in_all: int = 0
    quarantined: set[Key] = field(default_factory=set)
    superseded: Counter[Key] = field(default_factory=Counter)
    rows: dict[Key, Row] = field(default_factory=dict)

    def count(self, kind: str) -> int:
        apart = self.unsendable | self.quarantined
        return sum(1 for key, found in self.kinds.items() if found == kind and key not in apart)

    @property
    def planned(self) -> set[Key]:
        """Keys of rows that were found fit to be sent."""
        return self.operations.keys() | self.held | self.quarantined

    @property
    def superseded_outcomes(self) -> int:
        """Only of keys that are in the change set."""
        reported = self.planned | self.rejected.keys() | self.unsendable
        return sum(rows for key, rows in self.superseded.items() if key in reported)

    @property
    def rejected_rows(self) -> int:
        return self.rejected.total() + len(self.unsendable)


@dataclass
class Oracle:
    """Remembers what the destination acknowledged, and says what the next run must do."""

    mode: str
    keys: Sequence[str]
    fields: Sequence[str]
    fold_case: bool
    latest_by: str | None = None
    refusals_allowed: int | None = None
    synced: dict[Key, dict[str, Any]] = field(default_factory=dict)
    held: set[Key] = field(default_factory=set)
    refusals: dict[Key, tuple[str, int]] = field(default_factory=dict)

    def key_of(self, row: Row) -> Key | None:
        """None for a row that has no usable key."""
        parts = [row[name] for name in self.keys]
        if any(part is None for part in parts):
            return None
        if all(isinstance(part, str) and not part.strip() for part in parts):
            return None
        return tuple(str(part).lower() if self.fold_case else part for part in parts)

    def plan(self, rows: Sequence[Row]) -> Expected:
        expected = Expected()
        rows = self._latest(expected, rows)
        copies = Counter(self.key_of(row) for row in rows)
        for row in rows:
            key = self.key_of(row)
            if key is None or copies[key] > 1:
                expected.rejected[key] += 1
                continue
            self._compare(expected, key, row)
        for key in self.synced.keys() - copies.keys():
            expected.kinds[key] = "removed"
            if self.mode == "mirror":
                expected.operations[key] = "delete"
        expected.held = {key for key in expected.operations if key in self.held}
        for key in expected.held:
            del expected.operations[key]
        named = expected.held | expected.operations.keys() | expected.rejected.keys() | expected.unsendable
        expected.held_in_all, expected.held_beside = len(self.held), len(self.held - named)
        expected.quarantined = {key for key in expected.operations if self._too_often(expected, key)}
        for key in expected.quarantined:
            del expected.operations[key]
        return expected

    def _latest(self, expected: Expected, rows: Sequence[Row]) -> Sequence[Row]:
        """Of rows that share a key, those with the greatest value; rows without a key are each their own."""
        if self.latest_by is None:
            return rows
        greatest: dict[Key, Any] = {}
        for row in rows:
            if (key := self.key_of(row)) is not None:
                value = row[self.latest_by]
                greatest[key] = max((value, greatest.get(key, value)), key=cmp_to_key(compare))
        kept = []
        for row in rows:
            key = self.key_of(row)
            if key is None or not compare(row[self.latest_by], greatest[key]):
                kept.append(row)
            else:
                expected.superseded[key] += 1
        return kept

    def _too_often(self, expected: Expected, key: Key) -> bool:
        what, times = self.refusals.get(key, ("", 0))
        return what == self._what(expected, key) and times >= (self.refusals_allowed or math.inf)

    def _what(self, expected: Expected, key: Key) -> str:
        return as_sent(expected.rows[key]) if key in expected.rows else "delete"

    def _compare(self, expected: Expected, key: Key, row: Row) -> None:
        values = {name: row[name] for name in self.fields}
        old = self.synced.get(key)
        if old is None:
            kind = "added"
        elif self.mode in ONCE or all(same(values[name], old[name]) for name in self.fields):
            kind = "unchanged"
        else:
            kind = "changed"
        expected.kinds[key] = kind
        expected.rows[key] = values
        if kind == "unchanged" and self.mode != "full_refresh":
            return
        if all(map(sendable, values.values())):
            expected.operations[key] = WRITES[self.mode]
        else:
            expected.unsendable.add(key)

    def fold(self, expected: Expected, settled: set[Key], refused: set[Key]) -> None:
        """Take over what the destination settled, and count what it refused of what still stands."""
        before, self.refusals = self.refusals, {}
        for key in expected.planned - settled:
            what, times = before.get(key, ("", 0))
            now = self._what(expected, key)
            if total := (times if what == now else 0) + (key in refused):
                self.refusals[key] = (now, total)
        for key in settled:
            if expected.operations[key] == "delete":
                del self.synced[key]
            else:
                self.synced[key] = dict(expected.rows[key])


def moment(value: datetime) -> str:
    """A time as it goes out: ISO 8601, in UTC."""
    value = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return value.isoformat(timespec="microseconds") + "Z"
