"""Versions of a sync: what a change of its file means for what was sent already, and how a new version begins.

The state knows the definition that it was written with. A change that only adds goes on with it. One that gives what
was sent another meaning needs a new version, and a word on what becomes of the old one's records.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import duckdb
import msgspec

from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.errors import StateError
from reverse_etl_assets.privacy.masking import Mask
from reverse_etl_assets.spec.mapped_field import MappedField
from reverse_etl_assets.spec.policies import Cutover
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state.facts import Facts
from reverse_etl_assets.warehouses.columns import Columns

_PLACE = ("destination", "object", "primary_key", "external_id")
_ANY_CASE = ("primary_key", "external_id")
_WAYS: Mapping[Cutover, str] = {
    Cutover.ADOPT: "the records are read back by key, and only what differs from the model is sent",
    Cutover.RESEND: "every row of the model is sent once, over what was sent before",
    Cutover.RESTART: "every row counts as added; what version {old} wrote is left as it is, and listed",
}


class Definition(msgspec.Struct, frozen=True):
    """What a synced row means: a text for each part of the sync, and one for the source of each field.

    `personal` are the fields that held personal data, by dbt's marks.
    """

    parts: dict[str, str]
    mapping: dict[str, str]
    personal: list[str] = []

    @classmethod
    def of(cls, columns: Columns, model: Model) -> "Definition":
        """A dbt model without versions counts as its version 1, which it is once it has any."""
        sync = columns.sync
        keys = ", ".join(f"{name} ({key.sql_type})" for name, key in zip(sync.primary_key, columns.keys, strict=True))
        parts = {
            "model": model.plain_name,
            "model_version": str(1 if model.version is None else model.version),
            "destination": sync.destination,
            "object": sync.object,
            "primary_key": f"{keys}, in any case" if columns.fold_case else keys,
            "external_id": sync.external_id,
            "sync_mode": sync.sync_mode.value,
        }
        sources = {field: _source(mapped) for field, mapped in sync.mapping.items()}
        return cls(parts, sources, sorted(Mask.of(sync, model).fields))

    @property
    def place(self) -> list[str]:
        """Where the records are, and what they are matched by."""
        return [_folded(name, self.parts[name]) for name in _PLACE]

    @property
    def as_text(self) -> str:
        return msgspec.json.encode(self).decode()

    def breaks(self, now: "Definition") -> list[str]:
        """What of it is another in `now`, a line each. Fields that are new break nothing."""
        found = [
            f"{name}: {was} before, {now.parts[name]} now"
            for name, was in self.parts.items()
            if _folded(name, was) != _folded(name, now.parts[name])
        ]
        sources = {field.lower(): source for field, source in now.mapping.items()}
        for field, was in self.mapping.items():
            if (source := sources.get(field.lower())) != was:
                found.append(f"mapping.{field}: {was} before, {source or 'not mapped'} now")
        return found

    def unlike(self, now: "Definition") -> set[str]:
        """Fields, in lower case, whose value in a synced row is not what `now` would have sent, nor comparable with it:
        one of the two is a hash."""
        before = {field.lower(): source for field, source in self.mapping.items()}
        return {
            field.lower()
            for field, source in now.mapping.items()
            if (was := before.get(field.lower(), source)) != source and (_is_hash(was) or _is_hash(source))
        }


def _folded(part: str, text: str) -> str:
    return text.lower() if part in _ANY_CASE else text


def _source(mapped: MappedField) -> str:
    if mapped.column is None:
        return f"constant {msgspec.json.encode(mapped.constant).decode()}"
    column = f"column {mapped.column.lower()}"
    if mapped.transform is None:
        return column
    return f"{mapped.transform}{f' ({mapped.region})' if mapped.region else ''} of {column}"


def _is_hash(source: str) -> bool:
    return not source.startswith(("column ", "constant "))


@dataclass(frozen=True)
class Version:
    """A version that was begun. It does not follow `set_aside` rows of the one before; `adopted` ones were there."""

    number: int
    began_at: datetime
    run_id: str
    cutover: Cutover | None
    sent_before: str | None
    definition: Definition
    set_aside: int
    adopted: int


def history(con: duckdb.DuckDBPyConnection) -> list[Version]:
    """All versions of a sync, the first one first."""
    columns = "version, began_at, run_id, cutover, sent_before, definition, set_aside, adopted"
    try:
        rows = con.execute(f"select {columns} from state.versions order by version").fetchall()
    except duckdb.CatalogException:  # the sync never ran
        return []
    decode = msgspec.json.Decoder(Definition).decode
    return [
        Version(number, began_at, run_id, Cutover(how) if how else None, sent, decode(definition), aside, adopted)
        for number, began_at, run_id, how, sent, definition, aside, adopted in rows
    ]


def once_personal(known: Iterable[Version]) -> frozenset[str]:
    """Fields that held personal data in any version, for the state may still have such values of them."""
    return frozenset(field for version in known for field in version.definition.personal)


@dataclass(frozen=True)
class Entry:
    """How a run enters the version that its file names: as the next run of it, or by beginning it.

    `leaves` is the version whose rows are set aside then. `takes_back` is a version that was begun, but of which
    nothing was sent: it leaves no trace. `rows_of` is the version that was followed before it, if there was one.
    """

    definition: Definition
    cutover: Cutover | None
    begins: bool
    leaves: Version | None = None
    takes_back: Version | None = None
    rows_of: Version | None = None

    @property
    def reads(self) -> bool:
        """The destination's records have to be read first."""
        return self.begins and self.cutover is Cutover.ADOPT

    @property
    def same_place(self) -> bool:
        return self.leaves is None or self.leaves.definition.place == self.definition.place

    @property
    def keeps_rows(self) -> bool:
        """Rows that were synced before stay so."""
        return not self.begins or self.leaves is None or (self.cutover is Cutover.RESEND and self.same_place)

    def kept_as(self, table: str) -> str | None:
        """Where the state has a version's table that this run goes on from, or leaves; None if nowhere."""
        if self.takes_back is None:
            return table
        return f"{table}_v{self.rows_of.number}" if self.rows_of else None


def decide(columns: Columns, model: Model, known: list[Version], facts: Facts) -> Entry:
    """What a run of this file means to a state. Raises StateError if that takes a new version, or a word on how."""
    sync, definition = columns.sync, Definition.of(columns, model)
    current = known[-1] if known else None
    takes_back = None
    if current and is_unsent(current, facts) and not _goes_on(current, sync, definition):
        takes_back, current = current, known[-2] if len(known) > 1 else None
    if current and sync.version <= current.number:
        if problem := _why_not(current, sync, definition):
            raise StateError(f"sync {sync.sync}: {problem}Nothing was sent.")
        if facts.recovers_by:
            return Entry(definition, facts.recovers_by, True)
        return Entry(definition, current.cutover, False, None, takes_back, current)
    if current and (problem := _unclear(current, sync, definition)):
        raise StateError(f"sync {sync.sync}: {problem}Nothing was sent.")
    how = (facts.recovers_by if current is None else None) or sync.cutover
    return Entry(definition, how, True, current, takes_back, current)


def is_unsent(version: Version, facts: Facts) -> bool:
    """Whether nothing that is in the state was sent by this version."""
    return facts.sent_run == version.sent_before


def _goes_on(current: Version, sync: Sync, definition: Definition) -> bool:
    same_way = sync.cutover in (None, current.cutover)
    return sync.version == current.number and same_way and not current.definition.breaks(definition)


def _why_not(current: Version, sync: Sync, definition: Definition) -> str | None:
    """Why the state's version cannot go on with this file."""
    old, changes = current.number, current.definition.breaks(definition)
    if sync.version < old:
        return (
            f"`version` is {sync.version}, and version {old} was sent since {_how_begun(current)}. A version is never"
            f" taken back: write `version: {old}`, or begin what the file says now as version {old + 1}, with a"
            " `cutover`. "
        )
    if changes:
        return (
            f"what version {old} has sent would mean something else:\n{_listed(changes)}\nTake that back, or raise"
            f" `version` to {old + 1} and say what becomes of the records:\n{_ways(old)}\n"
        )
    if sync.cutover not in (None, current.cutover):
        return (
            f"version {old} was sent since {_how_begun(current)}, so `cutover: {sync.cutover}` begins nothing. Take it"
            f" out, or raise `version` to {old + 1}. "
        )
    return None


def _unclear(current: Version, sync: Sync, definition: Definition) -> str | None:
    """What is not said of the new version."""
    changes = current.definition.breaks(definition)
    if sync.cutover is None:
        why = f"changes what was sent:\n{_listed(changes)}\n" if changes else "begins anew. "
        return (
            f"version {sync.version} {why}How does it begin? Say what becomes of the records of version"
            f" {current.number}:\n{_ways(current.number)}\n"
        )
    never = sync.mode.writes_once
    if never and sync.cutover is Cutover.RESEND and current.definition.place == definition.place:
        return (
            f"`cutover: resend` sends rows of version {current.number} again, and `{sync.sync_mode}` never does that."
            " With `restart` every row counts as added, with `adopt` those whose record is not there. "
        )
    return None


def _how_begun(version: Version) -> str:
    how = f"begun with `cutover: {version.cutover}`" if version.cutover else "begun"
    return f"it was {how} on {version.began_at:%Y-%m-%d %H:%M} UTC"


def _listed(changes: Collection[str]) -> str:
    return "\n".join(f"- {change}" for change in changes)


def _ways(old: int) -> str:
    return _listed([f"`cutover: {how}`: {what.format(old=old)}" for how, what in _WAYS.items()])
