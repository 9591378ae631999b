"""Rows of a change set, each with what would become of it, for people to look at."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import msgspec

from reverse_etl_assets.privacy.masking import Mask
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.connection import Connection


@dataclass(frozen=True)
class PlannedRow:
    """One row of the change set. `fields` maps each field that differs to its value before and after.

    Without an operation the row is not sent, and `reason` and `message` say why.
    """

    key: str | None
    kind: str
    operation: str | None
    reason: str | None
    message: str | None
    fields: Mapping[str, tuple[Any, Any]]
    waits_for: tuple[str, str] | None = field(default=None, kw_only=True)
    """The sync and the key of the row that has to arrive first, if that is why it is not sent."""

    def masked(self, mask: Mask) -> "PlannedRow":
        """As it may be shown."""
        waits_for = self.waits_for and (self.waits_for[0], mask.parent_key(*self.waits_for))
        values = {name: (mask.value(name, old), mask.value(name, new)) for name, (old, new) in self.fields.items()}
        message = mask.text(self.message or "", {}, self.key) or self.message
        return replace(self, key=mask.key(self.key), message=message, fields=values, waits_for=waits_for)


def rows_of(con: Connection, columns: Columns, outbox: str, which: str, limit: int | None) -> list[PlannedRow]:
    """Rows of the outbox in order of kind and key; if the limit cuts them, some of each kind."""
    kinds = con.execute(f"select distinct kind from {outbox} where {which} order by kind").fetchall()
    found = [row for (kind,) in kinds for row in _rows(con, columns, outbox, kind, which, limit)]
    return found if limit is None else some_of_each(found, limit)


def _rows(
    con: Connection, columns: Columns, outbox: str, kind: str, which: str, limit: int | None
) -> Iterator[PlannedRow]:
    """Values of rows that are not fit to be sent may be none that JSON knows."""
    before, after = (
        f"case when {side} is not null and $kind not in ('rejected', 'superseded')"
        f" then {columns.json(side)} else '{{}}' end"
        for side in ("before", "after")
    )
    query = (
        f"select key, operation, reason, message, changed_fields, {before}, {after} from"
        f" (select * from {outbox} where kind = $kind and ({which})"
        f" order by key{'' if limit is None else f' limit {limit:d}'}) order by key"
    )
    decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
    for key, operation, reason, message, changed, old, new in con.execute(query, {"kind": kind}).fetchall():
        yield PlannedRow(key, kind, operation, reason, message, _difference(changed, decode(old), decode(new)))


def some_of_each(rows: Sequence[PlannedRow], most: int) -> list[PlannedRow]:
    """At most so many rows, as many of each kind as of any other if there are enough."""
    kinds: dict[str, list[PlannedRow]] = {}
    for row in rows:
        kinds.setdefault(row.kind, []).append(row)
    shares, left = {}, most
    for place, kind in enumerate(sorted(kinds, key=lambda kind: len(kinds[kind]))):
        shares[kind] = min(len(kinds[kind]), left // (len(kinds) - place))
        left -= shares[kind]
    return [row for kind, part in kinds.items() for row in part[: shares[kind]]]


def _difference(
    changed: Sequence[str] | None, before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """The changed fields, or all of them if the row was added or removed."""
    names = dict.fromkeys((*after, *before)) if changed is None else changed
    return {name: (before.get(name), after.get(name)) for name in names}
