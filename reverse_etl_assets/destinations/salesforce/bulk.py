"""The two file formats of Bulk API 2.0: the CSV that goes in and the three that come out. All pure.

Rules: "Prepare CSV Files", "Get Job Successful / Failed / Unprocessed Record Results" of the Bulk API 2.0 Developer
Guide.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reverse_etl_assets.destinations.salesforce.answers import NO_CHOICES, Choices, refused, succeeded
from reverse_etl_assets.destinations.salesforce.parents import to_lookups
from reverse_etl_assets.destinations.salesforce.soql import same_id
from reverse_etl_assets.destinations.values import plain_text
from reverse_etl_assets.errors import RetryLater
from reverse_etl_assets.records import Batch, Operation, Outcome, Reason, Record, RowError, Status, Target

CLEAR = "#N/A"
"""An empty cell leaves a field as it is; only this clears it."""
_EITHER_END = "\r\n"  # the writer quotes what has a character of it
_FLAGS = {"true": True, "false": False}
TRANSIENT_JOB_ERRORS = ("InternalServerError", "TooManyLockFailure")

_ROW_ERROR = re.compile(r"(?P<code>[A-Z][A-Z0-9_]*):(?P<message>.*):(?P<fields>[\w., ]*?)\s*--\s*", re.DOTALL)

Convert = Mapping[str, Callable[[Any], Any]]
WhyNot = Callable[[Record], RowError | None]
"""Why no request can be made of a row, if none can."""
Parents = Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class JobAnswer:
    """A finished job's own words and its three result files."""

    state: str
    message: str
    processed: int
    successful: str
    failed: str
    unprocessed: str

    @property
    def lacks_a_field(self) -> bool:
        """Nothing was processed, for the file has a column that the object does not (as others have met it:
        ForceCLI/force, issue 413; jsforce, issue 688; read 2026-11-30)."""
        return self.state == "Failed" and not self.processed and "Field name not found" in self.message


def key_column(target: Target, operation: Operation) -> str:
    """The column that names a row, in the file we send and so in the results."""
    return "Id" if operation in (Operation.UPDATE, Operation.DELETE) else target.external_id


def encode_csv(
    target: Target, batch: Batch, convert: Convert, parents: Parents, unfit: WhyNot = lambda record: None
) -> bytes:
    """The file of a job, with a column for each field that any of its rows names.

    A cell stays empty where a row does not name the field, which means unchanged.
    """
    by_id = key_column(target, batch.operation) == "Id"
    rows = [(record, _by_column(record, parents)) for record in batch.records if not _unsendable(record, unfit)]
    columns = [] if batch.operation is Operation.DELETE else _columns(target, [fields for _, fields in rows])
    lines = [_line(["Id" if by_id else target.external_id, *columns])]
    for record, fields in rows:
        key = record.destination_id if by_id else record.external_id
        lines.append(_line([key, *[_cell(fields[c], convert.get(c)) if c in fields else "" for c in columns]]))
    return "".join(lines).encode()


def _line(cells: Iterable[Any]) -> str:
    """A line of the file. A cell with a line feed or a carriage return is quoted, whichever of them ends lines."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=_EITHER_END).writerow(cells)
    return text.getvalue().removesuffix(_EITHER_END) + "\n"


def _by_column(record: Record, parents: Parents) -> Mapping[str, Any]:
    if not parents:
        return record.fields
    fields = dict(record.fields)
    to_lookups(fields, parents)
    return fields


def _unsendable(record: Record, unfit: WhyNot) -> RowError | None:
    """Why a CSV cannot carry the record: a text that reads `#N/A` would clear its field instead."""
    if CLEAR in record.fields.values():
        return RowError(f"a text that reads {CLEAR} cannot be sent by Bulk API 2.0, which would clear the field")
    return unfit(record)


def _columns(target: Target, rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """In the order of the target, and what else a row names after it."""
    seen = dict.fromkeys(name for fields in rows for name in fields)
    named = [name for name in target.fields if name in seen]
    return [name for name in dict.fromkeys([*named, *seen]) if name not in (target.external_id, "Id")]


def _cell(value: Any, convert: Callable[[Any], Any] | None) -> str:
    if value is not None and convert:
        value = convert(value)
    return CLEAR if value is None or value == "" else plain_text(value)  # it stores an empty text as null


def job_outcomes(
    target: Target,
    batch: Batch,
    answer: JobAnswer,
    fold: Callable[[str], str],
    choices: Choices = NO_CHOICES,
    unfit: WhyNot = lambda record: None,
) -> Iterator[Outcome]:
    """One outcome for each row that the job's results name, and for each row of a job that did nothing at all.

    The files are in no order: rows are found by the key column. `fold` makes keys comparable.
    """
    operation, column = batch.operation, key_column(target, batch.operation)
    if column == "Id":
        fold = same_id
    waiting = {fold((r.destination_id or "") if column == "Id" else r.external_id): r for r in batch.records}
    for name, record_id, created in _rows(answer.successful, column, "sf__Created"):
        if record := waiting.pop(fold(name), None):
            yield succeeded(operation, record, record_id, _FLAGS.get(created))
    for name, _, error in _rows(answer.failed, column, "sf__Error"):
        if record := waiting.pop(fold(name), None):
            yield refused(target, operation, record, parse_error(error), choices)
    for name, _, _ in _rows(answer.unprocessed, column, ""):
        if record := waiting.pop(fold(name), None):
            yield _not_processed(record, answer)
    yield from _left_out(waiting.values(), answer, unfit)


def _left_out(waiting: Iterable[Record], answer: JobAnswer, unfit: WhyNot) -> Iterator[Outcome]:
    for record in waiting:
        if error := _unsendable(record, unfit):
            yield Outcome(record.key, Status.FAILED, Reason.INVALID, error)
        elif answer.state == "Failed" and answer.processed == 0:
            yield _not_processed(record, answer)


def _not_processed(record: Record, answer: JobAnswer) -> Outcome:
    """A job that failed for what is in it fails again; one that was aborted or met a busy server need not."""
    message = answer.message or f"the job ended as {answer.state} before this row was processed"
    lasting = answer.state == "Failed" and answer.message and not answer.message.startswith(TRANSIENT_JOB_ERRORS)
    code = answer.message.split(":", 1)[0].strip() if answer.message else None
    return Outcome.rejected(record.key, RowError(message, code), retry=not lasting)


def parse_error(text: str) -> RowError:
    """`CODE:message:Field --` in its parts; the message stays word for word."""
    match = _ROW_ERROR.fullmatch(text)
    if match is None:
        code, _, message = text.removesuffix("--").strip().partition(":")
        return RowError(message or code, code if message else None)
    fields = [field.strip() for field in match["fields"].split(",")]
    return RowError(match["message"], match["code"], fields[0] or None)


def _rows(text: str, column: str, detail: str) -> Iterator[tuple[str, str, str]]:
    """Key, Salesforce's Id and one more column of every row; empty where a file has no such column."""
    if not text:
        return
    rows = csv.reader(io.StringIO(text, newline=""))
    header = next(rows)
    if column not in header:
        raise RetryLater(f"a job's results have no column {column}")
    places = [header.index(name) if name in header else len(header) for name in (column, "sf__Id", detail)]
    for row in rows:
        if len(row) == len(header):
            key, record_id, words = ((*row, "")[place] for place in places)
            yield key, record_id, words
