"""What the journal holds, and the packed form in which it stores the rows of a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec

from reverse_etl_assets.errors import ReverseEtlError
from reverse_etl_assets.records import Operation, Reason, RowError, Status


class RunStatus(StrEnum):
    OPEN = "open"  # its outcomes are not folded yet
    DONE = "done"
    GUARDED = "guarded"  # a guard tripped; nothing was sent
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True)
class Run:
    run_id: str
    sync: str
    destination: str
    status: RunStatus
    started_at: float
    ended_at: float | None
    model_rows: int | None
    counts: Mapping[str, int]
    detail: str | None


@dataclass(frozen=True)
class Intent:
    """A batch that is about to be sent; `rows` are row numbers of the outbox."""

    number: int
    operation: Operation
    rows: Sequence[int]
    notes: Sequence["Note"] = ()


class Note(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """What was read of a row's record just before it was sent, and what the field rules made of it.

    `row` is its number in the outbox. `before` is JSON of what the record held in the fields that are about to be
    written (all of them for a delete); None if there was no record, or none was read. `sent` names the fields that went
    out, None for all.
    """

    row: int
    read: bool = False
    before: str | None = None
    sent: list[str] | None = None
    conflicts: list["Conflict"] | None = None


class Conflict(msgspec.Struct, frozen=True, array_like=True):
    """A field on which row and record disagreed: the rule, our last write and both values (as JSON), who won, and why."""

    field: str
    rule: str
    base: str
    ours: str
    theirs: str
    winner: str
    why: str


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What became of one row; `row` is its number in the outbox, the rest is as in `records.Outcome`."""

    row: int
    status: Status
    reason: Reason | None = None
    destination_id: str | None = None
    error: RowError | None = None
    inferred: bool = False


@dataclass(frozen=True)
class SentBatch:
    """An intent and what came of it; without `answered_at` nobody knows. `job` is the destination's id of a job."""

    number: int
    operation: Operation
    rows: Sequence[int]
    job: str | None
    sent_at: float
    answered_at: float | None
    answers: Sequence[Answer]
    notes: Sequence[Note] = ()


@dataclass(frozen=True)
class Stop:
    """The kill switch is on for `scope`: `all`, `destination:<name>` or `sync:<name>`."""

    scope: str
    who: str
    why: str
    at: float


@dataclass(frozen=True)
class ControlEntry:
    """One use of the kill switch; `action` is `stop` or `resume`."""

    action: str
    scope: str
    who: str
    why: str
    at: float


@dataclass(frozen=True)
class Usage:
    """What a sync asked of a destination in one UTC day (`2025-01-31`); `bytes` are those of request bodies."""

    day: str
    destination: str
    sync: str
    calls: int
    rows: int
    bytes: int


@dataclass(frozen=True)
class ModelResult:
    """The last result of a model's dbt test: `pass`, `fail`, `warn`, `error` or `skipped`."""

    test: str
    status: str
    at: float


class Stopped(ReverseEtlError):
    """The kill switch is on; `stop` says for what, by whom and why."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop
        at = datetime.fromtimestamp(stop.at, UTC).isoformat(timespec="seconds")
        super().__init__(f"stopped ({stop.scope}) by {stop.who} at {at}: {stop.why}")


class _Answers(msgspec.Struct, array_like=True):
    """The answers of a batch by column; a column of one value for all rows holds it once."""

    rows: list[int]
    status: list[Status]
    reason: list[Reason | None]
    destination_id: list[str | None]
    error: list[RowError | None]
    inferred: list[bool]


def pack_rows(rows: Sequence[int]) -> bytes:
    """Row numbers as (gap, length) pairs of ascending ranges; order and repeats are kept."""
    return msgspec.msgpack.encode(_ranges(rows))


def unpack_rows(packed: bytes) -> list[int]:
    return _spread(msgspec.msgpack.decode(packed, type=list[int]))


def pack_answers(answers: Sequence[Answer]) -> bytes:
    columns = [[getattr(a, name) for a in answers] for name in _Answers.__struct_fields__[1:]]
    table = [_ranges([a.row for a in answers]), *([c[0]] if c and c.count(c[0]) == len(c) else c for c in columns)]
    try:
        return msgspec.msgpack.encode(table)
    except UnicodeEncodeError:
        # half a surrogate pair in a vendor's JSON must not cost us the answer
        return pack_answers([_escaped(answer) for answer in answers])


def unpack_answers(packed: bytes | None) -> list[Answer]:
    if packed is None:
        return []
    table = msgspec.msgpack.decode(packed, type=_Answers)
    rows = _spread(table.rows)
    columns: list[list[Any]] = [table.status, table.reason, table.destination_id, table.error, table.inferred]
    return [Answer(*v) for v in zip(rows, *(c * len(rows) if len(c) == 1 else c for c in columns), strict=True)]


def pack_notes(notes: Sequence[Note]) -> bytes | None:
    return _notes_encoder.encode(list(notes)) if notes else None


def unpack_notes(packed: bytes | None) -> list[Note]:
    return msgspec.msgpack.decode(packed, type=list[Note]) if packed else []


_notes_encoder = msgspec.msgpack.Encoder()


def escaped(text: str) -> str:
    """The same text; halves of surrogate pairs, which UTF-8 cannot hold, are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _escaped(answer: Answer) -> Answer:
    def clean(text: str | None) -> str | None:
        return text and escaped(text)

    e = answer.error
    error = e and RowError(escaped(e.message), clean(e.code), clean(e.field))
    return msgspec.structs.replace(answer, destination_id=clean(answer.destination_id), error=error)


def _ranges(rows: Sequence[int]) -> list[int]:
    packed: list[int] = []
    end = 0
    for row in rows:
        if packed and row == end:
            packed[-1] += 1
        else:
            packed += (row - end, 1)
        end = row + 1
    return packed


def _spread(packed: list[int]) -> list[int]:
    rows: list[int] = []
    end = 0
    for gap, length in zip(packed[::2], packed[1::2], strict=True):
        rows.extend(range(end + gap, end + gap + length))
        end += gap + length
    return rows
