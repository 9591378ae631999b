"""What every part of the journal needs: the database, the clock, and how it reads, writes and counts days."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Row, Select, Table
from sqlalchemy.dialects import sqlite

from reverse_etl_assets.journal.packing import escaped
from reverse_etl_assets.journal.schema import Database
from reverse_etl_assets.journal.stop_signals import StopSignals

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql


class JournalPart:
    """`database`, `clock` and `signals` are there for JournalWriter too."""

    def __init__(self, database: Database, clock: Callable[[], float], signals: StopSignals) -> None:
        self.database = database
        self.clock = clock
        self.signals = signals

    def _insert(self, table: Table) -> "sqlite.Insert | postgresql.Insert":
        if self.database.is_sqlite:
            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql  # a third of the time that a journal takes to be imported

        return postgresql.insert(table)

    def _read(self, query: Select[Any]) -> Sequence[Row[Any]]:
        with self.database.reading() as connection:
            return connection.execute(query).all()

    def _day(self, days: int = 0) -> str:
        return (datetime.fromtimestamp(self.clock(), UTC) + timedelta(days=days)).date().isoformat()


def to_json(value: Mapping[str, Any] | Sequence[Any]) -> str:
    return msgspec.json.encode(value).decode()


def to_text(value: str | None) -> str | None:
    """PostgreSQL's text holds no NUL."""
    return value and escaped(value.replace("\0", ""))
