"""Deletes as they meet their records: none goes out while another row stands for the same record."""

import asyncio
from collections.abc import Iterable, Sequence, Set
from typing import Self

from reverse_etl_assets.records import Outcome, Reason, Status
from reverse_etl_assets.state.outbox import OutboxRow
from reverse_etl_assets.state.shared_records import GOES, STAYS, ids_in, parts_of
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.connection import Connection


class Deletions:
    """What the plan could not know: a record that this run has just written, or a key whose record is another one now.

    Uses a connection of its own to the state until it is closed.
    """

    def __init__(self, con: Connection, columns: Columns) -> None:
        self._con, self._separator = con.cursor(), columns.id_separator
        going = "select key, destination_id from state.outbox where operation = 'delete'"
        self._planned: dict[str, str | None] = dict(self._con.execute(going).fetchall())
        self._turn = asyncio.Lock()
        self._written: set[str] = set()
        self._taken: dict[str, str] = {}
        self.heirs: set[str] = set()
        """The keys, in lower case, of rows that stay and are found with a row that leaves; their ids do not show it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._con.close()

    def wrote(self, outcomes: Iterable[Outcome]) -> None:
        """Remember the records that were written, if any are to be deleted."""
        if self._planned:
            ids = (o.destination_id for o in outcomes if o.status in (Status.CREATED, Status.UPDATED))
            self._written.update(part for each in ids if each for part in parts_of(each, self._separator))

    async def spared(self, rows: Sequence[OutboxRow]) -> list[tuple[OutboxRow, Outcome]]:
        """The rows whose record is not to be deleted, each with its outcome."""
        ids, keys = frozenset[str](), frozenset[str]()
        if any(_others(row) or row.record.destination_id != self._planned.get(row.record.key) for row in rows):
            async with self._turn:  # a connection takes one question at a time
                ids, keys = await asyncio.to_thread(self._standing, rows)
        found = ((row, self._judged(row, self._written | ids, keys)) for row in rows)
        return [(row, outcome) for row, outcome in found if outcome]

    def _judged(self, row: OutboxRow, ids: Set[str], keys: Set[str]) -> Outcome | None:
        key, record_id = row.record.key, row.record.destination_id
        if record_id is None:
            return None
        heirs = keys & _others(row)
        if heirs or not ids.isdisjoint(parts_of(record_id, self._separator)):
            self.heirs |= heirs
            return Outcome.skipped(key, Reason.SHARED, STAYS, record_id)
        if self._taken.setdefault(record_id, key) != key:
            return Outcome.skipped(key, Reason.SHARED, GOES, record_id)
        return None

    def _standing(self, rows: Sequence[OutboxRow]) -> tuple[frozenset[str], frozenset[str]]:
        """Of the ids of these records, and of the other keys that they are found by, those of synced rows that stay."""
        ids = {part for row in rows for part in parts_of(row.record.destination_id or "", self._separator)}
        keys = {key for row in rows for key in _others(row)}
        stays = (
            "_retl_key not in (select key from state.outbox where operation is not null and not stays_synced"
            " and key is not null)"
        )
        by_id = self._con.execute(
            f"select distinct id from (select _retl_key, unnest({ids_in(self._separator)('_retl_id')}) as id"
            f" from state.synced where _retl_id is not null) where id in (select unnest($ids)) and {stays}",
            {"ids": list(ids)},
        ).fetchall()
        by_key = self._con.execute(
            f"select lower(_retl_key) from state.synced where lower(_retl_key) in (select unnest($keys)) and {stays}",
            {"keys": list(keys)},
        ).fetchall()
        return frozenset(each for (each,) in by_id), frozenset(each for (each,) in by_key)


def _others(row: OutboxRow) -> frozenset[str]:
    """The external ids by which the row's record is found, but for its own; a vendor that has several ignores case."""
    return frozenset(each.lower() for each in row.external_ids) - {row.record.external_id.lower()}
