"""What a run has to find and do, in plain Python: written from the promises, not from the SQL."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
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


@dataclass
class Expected:
    """A run's change set. Keys are folded; `rejected` counts rows, for several may share a key or have none."""

    kinds: dict[Key, str] = field(default_factory=dict)
    rejected: Counter[Key | None] = field(default_factory=Counter)
    unsendable: set[Key] = field(default_factory=set)
    operations: dict[Key, str] = field(default_factory=dict)
    held: set[Key] = field(default_factory=set)
    rows: dict[Key, Row] = field(default_factory=dict)

    def count(self, kind: str) -> int:
        return sum(1 for key, found in self.kinds.items() if found == kind and key not in self.unsendable)

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
    synced: dict[Key, dict[str, Any]] = field(default_factory=dict)
    held: set[Key] = field(default_factory=set)

    def key_of(self, row: Row) -> Key | None:
        """None for a row that has no usable key."""
        parts = [row[name] for name in self.keys]
        if any(part is None for part in parts):
            return None
        if len(parts) == 1 and isinstance(parts[0], str) and not parts[0].strip(" "):
            return None
        return tuple(str(part).lower() if self.fold_case else part for part in parts)

    def plan(self, rows: Sequence[Row]) -> Expected:
        expected = Expected()
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
        return expected

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

    def fold(self, expected: Expected, settled: set[Key]) -> None:
        """Take over what the destination settled."""
        for key in settled:
            if expected.operations[key] == "delete":
                del self.synced[key]
            else:
                self.synced[key] = dict(expected.rows[key])


def moment(value: datetime) -> str:
    """A time as it goes out: ISO 8601, in UTC."""
    value = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return value.isoformat(timespec="microseconds") + "Z"
