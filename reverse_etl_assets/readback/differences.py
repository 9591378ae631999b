"""Records compared with what they should hold: what differs, counted, and some of it named. Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

from reverse_etl_assets.privacy.masking import Mask
from reverse_etl_assets.records import Current

MOST_NAMED = 20
"""Differences that are named; all are counted."""


class Kind(StrEnum):
    DIFFERS = "differs"
    MISSING = "missing"
    STILL_THERE = "still there"
    SEVERAL = "several records"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a row's record should hold. `fields` is None if there should be no record; `run_id` is who wrote it last.

    `destination_id` is the record's, as far as we know it.
    """

    key: str
    external_id: str
    fields: Mapping[str, Any] | None
    run_id: str | None = None
    destination_id: str | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it should be: a field's value, or a whole record."""

    key: str
    kind: Kind
    field: str | None = None
    wanted: Any = None
    held: Any = None

    def masked(self, mask: Mask) -> "Difference":
        """As it may be shown."""
        key = mask.key(self.key) or ""
        if self.field is None:
            return replace(self, key=key)
        values = (mask.value(self.field, value) for value in (self.wanted, self.held))
        return Difference(key, self.kind, self.field, *values)


@dataclass(frozen=True)
class Verified:
    """What looking at records found. Numbers are of rows; `allowed` is of fields."""

    looked_at: int = 0
    differing: int = 0
    """A field differs, or a record that was deleted is still there."""
    missing: int = 0
    duplicates: int = 0
    """Several records carry the key, and nobody guesses which is meant."""
    allowed: int = 0
    """Fields that people changed and may change."""
    examples: tuple[Difference, ...] = ()
    not_asked: str = ""
    """Why there is nothing to look at, if so."""
    not_judged: str = ""
    """Why nothing, or not all, could be looked at."""

    @property
    def wrong(self) -> int:
        """Rows whose records are not as they should be."""
        return self.differing + self.missing

    @property
    def counts(self) -> dict[str, int]:
        """As the journal keeps them."""
        return {"verified": self.looked_at, "verified_differing": self.wrong} if self.looked_at else {}

    def masked(self, mask: Mask) -> Self:
        """As it may be shown."""
        shown = tuple(example.masked(mask) for example in self.examples)
        return replace(self, examples=shown, not_judged=mask.text(self.not_judged))

    def __str__(self) -> str:
        if self.not_asked:
            return self.not_asked
        if not self.looked_at:
            return f"nothing was looked at: {self.not_judged or 'there is no row'}"
        counts = {
            "differing": self.differing,
            "missing": self.missing,
            "with several records (possible duplicates)": self.duplicates,
        }
        found = ", ".join(f"{rows:,} {what}" for what, rows in counts.items() if rows) or "each is as it should be"
        allowed = f"; fields edited, as they may be: {self.allowed:,}" if self.allowed else ""
        rest = f"; the others could not be looked at: {self.not_judged}" if self.not_judged else ""
        return f"{self.looked_at:,} rows looked at: {found}{allowed}{rest}"


Same = Callable[[str, Any, Any], bool]


def compare(wanted: Wanted, found: Sequence[Current], same: Same) -> list[Difference]:
    """What is wrong with a row's records."""
    if wanted.fields is None:
        return [Difference(wanted.key, Kind.STILL_THERE)] if found else []
    if not found:
        return [Difference(wanted.key, Kind.MISSING)]
    if len(found) > 1:
        ids = ", ".join(each.destination_id for each in found[:5])
        return [Difference(wanted.key, Kind.SEVERAL, held=ids)]
    held = found[0].fields
    return [
        Difference(wanted.key, Kind.DIFFERS, name, value, held.get(name))
        for name, value in wanted.fields.items()
        if not same(name, value, held.get(name))
    ]


@dataclass
class Tally:
    """Adds up what is found, row by row."""

    looked_at: int = 0
    allowed: int = 0
    rows: dict[Kind, int] = field(default_factory=dict)
    examples: list[Difference] = field(default_factory=list)

    def add(self, differences: Sequence[Difference], may_differ: Collection[str] = ()) -> list[Difference]:
        """One row's differences. Returns those that may not be."""
        self.looked_at += 1
        wrong = [each for each in differences if each.field not in may_differ]
        self.allowed += len(differences) - len(wrong)
        if wrong:
            kind = wrong[0].kind
            self.rows[kind] = self.rows.get(kind, 0) + 1
            self.examples += wrong[: MOST_NAMED - len(self.examples)]
        return wrong

    def verified(self, not_judged: str = "") -> Verified:
        found = self.rows.get
        return Verified(
            looked_at=self.looked_at,
            differing=found(Kind.DIFFERS, 0) + found(Kind.STILL_THERE, 0),
            missing=found(Kind.MISSING, 0),
            duplicates=found(Kind.SEVERAL, 0),
            allowed=self.allowed,
            examples=tuple(self.examples),
            not_judged=not_judged,
        )
