"""What DuckDB's errors mean to whoever runs syncs: the cause, the file, and what to do. Never a value of a row."""

import re
from pathlib import Path

import duckdb

from reverse_etl_assets.errors import StateError

_QUOTE_VALUES = (duckdb.DataError, duckdb.IntegrityError, duckdb.InvalidInputException)
_LOCKED = re.compile(r"could not set lock|used by another process", re.IGNORECASE)
_HELD_HERE = re.compile(
    r"unique file handle conflict|already attached by database|different configuration", re.IGNORECASE
)
_FULL = re.compile(
    "no space left on device|file too large|disk quota exceeded|failed to offload data block", re.IGNORECASE
)
_DAMAGED = re.compile("could not read enough bytes|corrupt|checksum|not a valid DuckDB database file", re.IGNORECASE)
_BROKEN = (duckdb.SerializationException, duckdb.InternalException, duckdb.FatalException)
_FILE = re.compile(r'file "([^"]+)"')


def is_locked(error: duckdb.Error) -> bool:
    """Whether the file is free again once another process, or another part of this one, lets it go."""
    return bool(_LOCKED.search(str(error))) or is_held_here(error)


def is_held_here(error: duckdb.Error) -> bool:
    """Whether it is this process that has the file open: DuckDB opens one only once in a process."""
    return bool(_HELD_HERE.search(str(error)))


def failure(error: duckdb.Error, states: Path, memory: str, what: str, other: str = "") -> StateError | None:
    """The error as it is told; None for one that is a fault of ours, whose traceback is needed.

    `states` is the folder of state files, `memory` what DuckDB may take (`1GB`), `what` the file; or it is the `other`
    one, which dbt builds.
    """
    if isinstance(error, _QUOTE_VALUES):
        return StateError(_without_values(error))
    line = first_line(error)
    if _FULL.search(line):
        return StateError(
            f"the disk of {_disk(line, states)} is full ({line}). Free space on it, or name a folder on another disk in"
            " REVERSE_ETL_HOME and move what is in the old one there; then run the sync again. What destinations have"
            " said so far is in the journal, and the next run folds it in."
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return StateError(
            f"comparing needs more memory than the {memory} that DuckDB may take ({line}). Set REVERSE_ETL_MEMORY to"
            " more, or send fewer columns."
        )
    if isinstance(error, _BROKEN) or _DAMAGED.search(line):
        return _damaged(error, states, what, other)
    if isinstance(error, duckdb.IOException):
        return StateError(f"{what}{f' or {other}' if other else ''} cannot be read: {line}")
    if isinstance(error, duckdb.TransactionException):
        return StateError(f"{what} cannot be written: {line}")
    return None


def _damaged(error: duckdb.Error, states: Path, what: str, other: str) -> StateError:
    """Of a file that DuckDB cannot make sense of."""
    line = first_line(error)
    if found := _FILE.search(line):
        what, other = found[1], ""
    if Path(what).parent != states:
        return StateError(f"{what} is damaged ({line}). Let dbt build it anew, or put a copy of it back.")
    mended = "Put a copy of it back, or move it away: the next run then says how the sync can go on without it."
    if other:
        both = f"{what} or {other} is damaged ({line}). Let dbt build the second anew."
        return StateError(f"{both} If it is the first: {mended}")
    return StateError(f"{what} is damaged ({line}). {mended}")


def first_line(error: duckdb.Error) -> str:
    """Without what DuckDB advises its own users."""
    return str(error).partition("\n")[0].strip().rstrip(".!")


def _disk(line: str, states: Path) -> Path:
    found = _FILE.search(line)
    return Path(found[1]).parent if found else states


def _without_values(error: duckdb.Error) -> str:
    column = re.search(r"when casting from source column (\w+)$", str(error), re.MULTILINE)
    where = f" of column `{column[1]}`" if column else ""
    return (
        f"a value{where} cannot be read ({type(error).__name__}). It is not shown, for it may be personal data: select"
        " from the model to see it, and mend it there."
    )
