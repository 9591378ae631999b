"""The packed form in which the journal stores the rows of a batch, their notes and their answers."""

from collections.abc import Sequence
from typing import Any

import msgspec

from reverse_etl_assets.journal.records import Answer, Note
from reverse_etl_assets.records import Reason, RowError, Status


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


def unpack_notes(packed: bytes | None) -> Sequence[Note]:
    return msgspec.msgpack.decode(packed, type=list[Note]) if packed else ()


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
