"""What Meta's counts say of rows. It names nobody but in samples, so that most outcomes are inferred. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reverse_etl_assets.destinations.meta_ads.errors import without_hashes
from reverse_etl_assets.destinations.meta_ads.people import Cell
from reverse_etl_assets.errors import Ambiguous
from reverse_etl_assets.records import Outcome, Reason, Record, RowError, Status

_HASH = re.compile(r"[0-9a-f]{64}")
People = Sequence[tuple[Record, list[Cell]]]
Refused = Mapping[str, RowError]


@dataclass(frozen=True)
class Received:
    """What Meta says it got, of one request or of a session so far.

    `samples` holds up to 100 invalid entries of a request, each with the reason if there is one ("Customer File Custom
    Audiences", 28 April 2026).
    """

    rows: int
    invalid: int
    samples: Mapping[str, str] = field(default_factory=dict)


def received(answer: Any) -> Received:
    """Raises Ambiguous if the answer has no counts."""
    if not isinstance(answer, dict):
        raise Ambiguous("the answer is no object")
    rows, invalid = whole(answer.get("num_received")), whole(answer.get("num_invalid_entries"))
    if rows is None or invalid is None:
        raise Ambiguous("the answer does not say how many entries were received")
    samples = answer.get("invalid_entry_samples") or {}
    if isinstance(samples, dict):
        reasons = {str(sample): str(reason) for sample, reason in samples.items()}
    else:
        reasons = {str(sample): "" for sample in samples} if isinstance(samples, list) else {}
    return Received(rows, invalid, reasons)


def whole(value: Any) -> int | None:
    """A count; Meta writes some as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?\d+", value) else None


def outcomes(
    status: Status, people: People, answer: Received, refused: Refused, *, sent: int, place: str
) -> Iterator[Outcome]:
    """One for each row, with the first cell as its id: the external id as Meta knows it.

    `sent` is how many entries the counts are about, `place` what they were sent in; `refused` are those of them that
    samples name.
    """
    if answer.invalid >= sent:
        reason = next((without_hashes(reason) for reason in answer.samples.values() if reason), "no reason is given")
        error = RowError(f"Meta calls every entry of the {place} invalid: {reason}", "INVALID_ENTRY")
        yield from (Outcome.rejected(record.key, error) for record, _ in people)
        return
    left = answer.invalid - len(refused)
    doubt = None
    if left > 0:
        words = f"Meta calls {answer.invalid:,} of the {sent:,} entries of the {place} invalid, and does not name"
        doubt = RowError(f"{words} {left:,} of them; this row may be one", "INVALID_ENTRIES")
    for record, cells in people:
        if refusal := refused.get(record.key):
            yield Outcome.rejected(record.key, refusal)
        else:  # who is removed by one row's external id is not there for another row of the same one, as Meta reads it
            yield Outcome(record.key, status, error=doubt, destination_id=str(cells[0]), inferred=True)


def unfit(record: Record, message: str, name: str | None) -> Outcome:
    """A row that is not sent."""
    return Outcome(record.key, Status.FAILED, Reason.INVALID, RowError(message, field=name))


def named(schema: Sequence[str], people: People, samples: Mapping[str, str]) -> dict[str, RowError]:
    """The rows that samples name, by our key. A sample is a cell or an entry; one that fits several rows names none."""
    if not samples:
        return {}
    owners: dict[Cell, set[int]] = {}
    for number, (_, cells) in enumerate(people):
        for cell in cells:
            if isinstance(cell, str) and cell:
                owners.setdefault(cell, set()).add(number)
    found: dict[str, RowError] = {}
    for sample, reason in samples.items():
        hits = [owners.get(cell, set()) for cell in [sample] if cell in owners]
        hits = hits or [owners.get(cell, set()) for cell in _HASH.findall(sample)]
        rows = set.intersection(*hits) if hits else set()
        if len(rows) != 1:
            continue
        record, cells = people[rows.pop()]
        name = schema[cells.index(sample)] if sample in cells else None
        words = without_hashes(reason) or "no reason is given"
        found[record.key] = RowError(f"Meta calls the entry invalid: {words}", "INVALID_ENTRY", name)
    return found
