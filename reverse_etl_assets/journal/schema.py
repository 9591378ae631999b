"""The journal's tables, and how its database is opened and locked."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NoReturn

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    delete,
    event,
    insert,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.schema import CreateColumn

from reverse_etl_assets.errors import ConfigurationError, StateError
from reverse_etl_assets.private_files import make_private_file, make_private_folder

SCHEMA_VERSION = 4
BUSY_TIMEOUT = 30.0  # seconds
CONNECT_TIMEOUT = 5  # seconds
CREATION_LOCK = 7_203_418_865  # any number, the same in every release

metadata = MetaData()
_serial = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up INTEGER primary keys only


def _table(name: str, *columns: Column[Any] | Index) -> Table:
    """A prefix keeps the tables apart from others in a shared database (Dagster's storage has `runs` too)."""
    return Table(f"reverse_etl_{name}", metadata, *columns)


schema = _table("schema", Column("version", Integer, primary_key=True, autoincrement=False))
runs = _table(
    "runs",
    Column("number", _serial, primary_key=True),
    Column("run_id", String, nullable=False, unique=True),
    Column("sync", String, nullable=False),
    Column("destination", String, nullable=False),
    Column("status", String, nullable=False),
    Column("started_at", Float(53), nullable=False),
    Column("ended_at", Float(53)),
    Column("model_rows", BigInteger),
    Column("counts", Text, nullable=False),
    Column("detail", Text),
    Column("kind", String, nullable=False, server_default="sync"),
    Column("plan_id", String),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("undoes", String),
    Column("looks", Integer),
    Column("state", String),
    Column("trial", BigInteger),
    Index("reverse_etl_runs_by_sync", "sync", "number"),
)
batches = _table(
    "batches",
    Column("run_id", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("operation", String, nullable=False),
    Column("rows", LargeBinary, nullable=False),
    Column("job", String),
    Column("sent_at", Float(53), nullable=False),
    Column("answered_at", Float(53)),
    Column("answers", LargeBinary),
    Column("notes", LargeBinary),
    Column("once", LargeBinary),
    Column("anew", LargeBinary),
)
stops = _table(
    "stops",
    Column("scope", String, primary_key=True),
    Column("who", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", Float(53), nullable=False),
)
control = _table(
    "control",
    Column("number", _serial, primary_key=True),
    Column("action", String, nullable=False),
    Column("scope", String, nullable=False),
    Column("who", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", Float(53), nullable=False),
)
usage = _table(
    "usage",
    Column("day", String, primary_key=True),
    Column("destination", String, primary_key=True),
    Column("sync", String, primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
)
quota = _table(
    "quota",
    Column("destination", String, primary_key=True),
    Column("used", BigInteger, nullable=False),
    Column("limit", BigInteger, nullable=False),
    Column("at", Float(53), nullable=False),
    Column("day", String, nullable=False),
    Column("ours", BigInteger, nullable=False),
    Column("asked_at", Float(53), nullable=False),
)
plans = _table(
    "plans",
    Column("plan_id", String, primary_key=True),
    Column("sync", String, primary_key=True),
    Column("run_id", String, nullable=False),
    Column("made_at", Float(53), nullable=False),
    Column("counts", Text, nullable=False),
    Column("findings", Text, nullable=False),
    Column("basis", Text, nullable=False),
    Column("status", String, nullable=False),
    Column("who", String),
    Column("why", Text),
    Column("decided_at", Float(53)),
    Column("applied_run", String),
    Index("reverse_etl_plans_by_sync", "sync", "status"),
)
model_results = _table(
    "model_results",
    Column("model", String, primary_key=True),
    Column("test", String, primary_key=True),
    Column("status", String, nullable=False),
    Column("at", Float(53), nullable=False),
)
pace = _table(
    "pace",
    Column("account", String, primary_key=True),
    Column("next_at", Float(53), nullable=False),
    Column("held_until", Float(53), nullable=False),
)


class Database:
    """The journal's engine: every failure is a StateError that names the database and hides its password."""

    def __init__(self, url: str) -> None:
        self._url = _read_url(url)
        self.shown = _shown(self._url)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._make_file()
        self._engine = _engine(self._url, self.is_sqlite)
        self._writing = self._engine.execution_options(begin="BEGIN IMMEDIATE")
        # within a process threads queue here: SQLite's own wait polls, and takes up to 0.1 s to notice its turn
        self._turn = threading.Lock() if self.is_sqlite else nullcontext()
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            self._fail("cannot be read", error)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, committed at the end; writers of a SQLite journal take turns."""
        try:
            with self._turn, self._writing.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            self._fail("cannot be written", error)

    def lock(self, connection: Connection, table: Table, mode: str) -> None:
        """Locks a table to the end of the transaction; in SQLite every writing transaction is alone anyway."""
        if not self.is_sqlite:
            connection.execute(text(f"LOCK TABLE {table.name} IN {mode} MODE"))

    def empty_log(self, wait: float = 0.0) -> bool:
        """Empties SQLite's log, which still has what was deleted. False if others were at work for `wait` seconds."""
        if not self.is_sqlite:
            return True
        with self._turn, self._bare() as cursor:
            cursor.execute(f"PRAGMA busy_timeout={int(wait * 1000)}")
            try:
                (busy, *_) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                return not busy
            finally:
                cursor.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT * 1000)}")

    def compact(self) -> None:
        """Writes a SQLite file anew, without what was ever deleted from it. Raises StateError if it stays in use."""
        if self.is_sqlite:
            with self._turn, self._bare() as cursor:
                cursor.execute("VACUUM")
            if not self.empty_log(BUSY_TIMEOUT):
                raise StateError(f"journal {self.shown} is in use, so what was deleted still stands in its log.")

    @contextmanager
    def _bare(self) -> Iterator[Any]:
        """A cursor outside of any transaction."""
        try:
            connection = self._engine.raw_connection()
            try:
                yield connection.cursor()
            finally:
                connection.close()
        except (sqlite3.Error, SQLAlchemyError) as error:
            self._fail("cannot be written", error)

    def _prepare(self) -> None:
        if self.is_sqlite:
            self._use_wal()
        try:
            with self._writing.begin() as connection:
                if not self.is_sqlite:
                    connection.execute(text(f"SELECT pg_advisory_xact_lock({CREATION_LOCK})"))
                schema.create(connection, checkfirst=True)
                version = connection.scalar(select(schema.c.version))
                if version is not None and version > SCHEMA_VERSION:
                    raise StateError(
                        f"journal {self.shown} is of version {version}, this release knows version {SCHEMA_VERSION}: "
                        "upgrade reverse-etl-assets, or name another journal"
                    )
                if version == SCHEMA_VERSION:
                    return
                metadata.create_all(connection)
                _add_missing_columns(connection)
                connection.execute(delete(schema))
                connection.execute(insert(schema).values(version=SCHEMA_VERSION))
        except SQLAlchemyError as error:
            self._fail("unreachable", error)

    def _use_wal(self) -> None:
        # SQLite does not wait for its lock when two processes switch a new file to WAL at once
        deadline = time.monotonic() + BUSY_TIMEOUT
        while True:
            try:
                connection = self._engine.raw_connection()
                try:
                    connection.cursor().execute("PRAGMA journal_mode=WAL")
                finally:
                    connection.close()
                return
            except (sqlite3.Error, SQLAlchemyError) as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    self._fail("unreachable", error)
            time.sleep(0.02)

    def _make_file(self) -> None:
        try:
            file = Path(self._url.database or "")
            make_private_folder(file.parent)
            if not str(file).startswith("file:"):  # a URI, whose file SQLite makes itself
                make_private_file(file)
        except OSError as error:
            raise StateError(f"journal {self.shown} unreachable: {error.strerror}") from None

    def _fail(self, what: str, error: Exception) -> NoReturn:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        if self._url.password:
            reason = reason.replace(str(self._url.password), "***")
        raise StateError(f"journal {self.shown} {what}: {reason}{_advice(reason)}") from None


def _advice(reason: str) -> str:
    """What to do about what SQLite says of its file."""
    if "disk is full" in reason:
        return ". Free space on its disk; then run the sync again"
    if "malformed" in reason or "not a database" in reason:
        return ". Put a copy of it back, or move it away: the next run of each sync then says how it can go on"
    return ""


def _add_missing_columns(connection: Connection) -> None:
    """Bring the tables of an earlier version up to date. New columns are nullable or have a default, so that a process
    of the earlier release, which still runs, can go on."""
    inspector, preparer = inspect(connection), connection.dialect.identifier_preparer
    for table in metadata.tables.values():
        there = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                definition = CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {preparer.format_table(table)} ADD COLUMN {definition}")


def _engine(url: URL, is_sqlite: bool) -> Engine:
    if not is_sqlite:
        wait = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_TIMEOUT}
        return create_engine(url, connect_args=wait, pool_pre_ping=True, hide_parameters=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten: it may be personal data

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine


def _read_url(url: str) -> URL:
    wanted = "sqlite:///path/to/journal.db or postgresql://user:password@host/database"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # the text is not repeated: a misread URL may hold its password anywhere
        raise ConfigurationError(
            f"the journal's URL cannot be read: it must look like {wanted}, "
            "with special characters of the password percent-encoded"
        ) from None
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed
    raise ConfigurationError(f"the journal's URL is {_shown(parsed)}: it must look like {wanted}")


def _shown(url: URL) -> str:
    query = {name: value for name, value in url.query.items() if "pass" not in name}
    return url.set(query=query).render_as_string(hide_password=True).replace("postgresql+psycopg:", "postgresql:")
