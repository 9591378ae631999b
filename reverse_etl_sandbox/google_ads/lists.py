"""Who is in the lists: a member is whoever shares an identifier with it."""

from __future__ import annotations

from collections.abc import Callable

from reverse_etl_sandbox.google_ads.errors import Json
from reverse_etl_sandbox.google_ads.members import known_by
from reverse_etl_sandbox.store import Entry, Table


class Lists:
    """The lists by id. ``clock`` gives seconds since 1970; a member's ``updated_at`` is when it was last added."""

    def __init__(self, names: tuple[str, ...], clock: Callable[[], float]) -> None:
        self.tables = {each: Table(each, lambda number: f"member-{number}") for each in names}
        self._clock = clock
        self._owners: dict[tuple[str, str], str] = {}
        self._known_by: dict[tuple[str, str], set[str]] = {}

    def find(self, table: Table, given: list[Json]) -> list[Entry]:
        ids = dict.fromkeys(self._owners.get((table.name, known_by(each))) for each in given)
        return [entry for each in ids if each and (entry := table.get(each))]

    def add(self, table: Table, given: list[Json], consent: Json, who: str = "integration") -> str:
        values = dict(consent)
        for identifier in given:
            values |= identifier.get("address") or identifier
        if found := self.find(table, given):
            entry = found[0]
            table.update(entry, values, self._clock(), who)
        else:
            entry = table.insert(values, self._clock(), who)
        names = {known_by(each) for each in given}
        self._known_by.setdefault((table.name, entry.id), set()).update(names)
        self._owners.update({(table.name, each): entry.id for each in names})
        return entry.id

    def forget(self, table: Table, entry: Entry) -> None:
        for each in self._known_by.pop((table.name, entry.id), ()):
            if self._owners.get((table.name, each)) == entry.id:
                del self._owners[table.name, each]
        table.purge(entry)
        table.counters.deleted += 1

    def clear(self) -> None:
        for table in self.tables.values():
            table.clear()
        self._owners.clear()
        self._known_by.clear()
