"""Records of one object, with an index per key field and a note of who wrote each value last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

INTEGRATION = "integration"
PERSON = "person"


@dataclass(slots=True)
class Entry:
    """One record. Times are seconds since 1970; ``written`` holds (time, writer) per field."""

    id: str
    values: dict[str, Any]
    created_at: float
    updated_at: float
    created_by: str
    written: dict[str, tuple[float, str]]
    archived: bool = False
    # Values before the last write: what a lagging search index still shows.
    previous: dict[str, Any] | None = None


@dataclass(slots=True)
class Counters:
    created: int = 0
    updated: int = 0
    deleted: int = 0
    refused: int = 0


Undo = Callable[[], None]


def fold(value: object) -> str:
    return str(value).casefold()


@dataclass(slots=True)
class Table:
    """Records of one object. ``keys`` names the indexed fields; True means case-sensitive."""

    name: str
    new_id: Callable[[int], str]
    keys: dict[str, bool] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)
    index: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    sequence: int = 0

    def __post_init__(self) -> None:
        self.index = {name: {} for name in self.keys}

    def add_key(self, name: str, case_sensitive: bool = False) -> None:
        """Index one more field. Records that already hold a value are indexed too."""
        self.keys[name] = case_sensitive
        self.index[name] = {}
        for entry in self.live():
            self._index_value(entry, name, entry.values.get(name))

    def live(self) -> list[Entry]:
        return [entry for entry in list(self.entries.values()) if not entry.archived]

    def get(self, record_id: str) -> Entry | None:
        """The live record with this id."""
        entry = self.entries.get(record_id)
        return None if entry is None or entry.archived else entry

    def find(self, name: str, value: object) -> list[Entry]:
        """Live records whose key field ``name`` holds ``value``."""
        ids = self.index[name].get(self._folded(name, value), ())
        return [self.entries[record_id] for record_id in ids]

    def insert(self, values: dict[str, Any], now: float, who: str = INTEGRATION, record_id: str | None = None) -> Entry:
        self.sequence += 1
        entry = Entry(
            id=self.new_id(self.sequence) if record_id is None else record_id,
            values=values,
            created_at=now,
            updated_at=now,
            created_by=who,
            written=dict.fromkeys(values, (now, who)),
        )
        self.entries[entry.id] = entry
        self._index_all(entry)
        self.counters.created += 1
        return entry

    def update(self, entry: Entry, values: Mapping[str, Any], now: float, who: str = INTEGRATION) -> None:
        """Write ``values`` (None clears) over those of ``entry``."""
        old = entry.values
        entry.previous = old
        entry.values = {**old, **values}
        for name in self.keys:
            if name in values and values[name] != old.get(name):
                self._forget_value(entry, name, old.get(name))
                self._index_value(entry, name, values[name])
        entry.written.update(dict.fromkeys(values, (now, who)))
        entry.updated_at = now
        self.counters.updated += 1

    def archive(self, entry: Entry, now: float) -> None:
        for name in self.keys:
            self._forget_value(entry, name, entry.values.get(name))
        entry.archived = True
        entry.updated_at = now
        self.counters.deleted += 1

    def purge(self, entry: Entry) -> None:
        """Remove a record without a trace (a permanent delete, or the roll-back of an insert)."""
        if not entry.archived:
            for name in self.keys:
                self._forget_value(entry, name, entry.values.get(name))
        del self.entries[entry.id]

    def duplicate(self, entry: Entry, now: float, who: str = PERSON) -> Entry:
        """A second record with the same values, unique or not: merged accounts and undone deletes leave such."""
        return self.insert(dict(entry.values), now, who)

    def snapshot(self, *, ids: bool = True) -> bytes:
        """All live records with all their values: one line of JSON each, sorted, without times.

        A field that was cleared and one that never had a value are the same. ``ids`` False leaves the record ids out,
        which a record that was deleted and made again does not keep.
        """
        lines = []
        for entry in self.live():
            told: dict[str, Any] = {"id": entry.id} if ids else {}
            told["values"] = {name: value for name, value in entry.values.items() if value is not None}
            lines.append(msgspec.json.encode(told, order="sorted"))
        return b"".join(line + b"\n" for line in sorted(lines))

    def undo_insert(self, entry: Entry) -> Undo:
        def undo() -> None:
            self.purge(entry)
            self.counters.created -= 1

        return undo

    def undo_update(self, entry: Entry) -> Undo:
        """How to restore ``entry`` as it is now; take it before the update."""
        values, written, updated_at = entry.values, dict(entry.written), entry.updated_at

        def undo() -> None:
            for name in self.keys:
                self._forget_value(entry, name, entry.values.get(name))
            entry.values, entry.written, entry.updated_at = values, written, updated_at
            self._index_all(entry)
            self.counters.updated -= 1

        return undo

    def undo_archive(self, entry: Entry) -> Undo:
        updated_at = entry.updated_at

        def undo() -> None:
            entry.archived, entry.updated_at = False, updated_at
            self._index_all(entry)
            self.counters.deleted -= 1

        return undo

    def clear(self) -> None:
        self.entries.clear()
        self.counters = Counters()
        self.index = {name: {} for name in self.keys}

    def search(self, text: str, entries: Iterable[Entry] | None = None) -> list[Entry]:
        """Live records, newest write first, of which any value contains ``text`` (case ignored)."""
        needle = text.casefold()
        found = [
            entry
            for entry in (self.live() if entries is None else entries)
            if not needle
            or needle in entry.id.casefold()
            or any(needle in str(value).casefold() for value in entry.values.values() if value is not None)
        ]
        return sorted(found, key=lambda entry: entry.updated_at, reverse=True)

    def _folded(self, name: str, value: object) -> str:
        return str(value) if self.keys[name] else fold(value)

    def _index_all(self, entry: Entry) -> None:
        for name in self.keys:
            self._index_value(entry, name, entry.values.get(name))

    def _index_value(self, entry: Entry, name: str, value: object) -> None:
        if value is not None and value != "":
            self.index[name].setdefault(self._folded(name, value), []).append(entry.id)

    def _forget_value(self, entry: Entry, name: str, value: object) -> None:
        if value is None or value == "":
            return
        folded = self._folded(name, value)
        ids = self.index[name][folded]
        ids.remove(entry.id)
        if not ids:
            del self.index[name][folded]
