"""Connections to one PostgreSQL database, and what its errors mean."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from reverse_etl_assets.accounts.transport import Transport
from reverse_etl_assets.destinations.postgres.options import PostgresConnection
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    ConfigurationError,
    DestinationError,
    RequestRejected,
    RetryLater,
)
from reverse_etl_assets.records import RowError

Connection: TypeAlias = psycopg.AsyncConnection[Any]

OLDEST = 13
"""The oldest server that is known to work."""
_LOCK_WAIT = "30s"  # behind a lock of the application; then the batch is sent again
# A server that is gone without a word is given up after a minute; milliseconds and seconds, as libpq has them.
_ALIVE = {"keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 4, "tcp_user_timeout": 60_000}
_SETTINGS = {"timezone": "UTC", "datestyle": "ISO, YMD", "lock_timeout": _LOCK_WAIT, "extra_float_digits": "1"}
_QUOTED = re.compile(r'"(.*)"|«(.*)»|„(.*)[“"]', re.DOTALL)
_NOT_YET = (
    "starting up",
    "shutting down",
    "too many c",
    "slots are reserved",
    "recovery",
    "terminating",
    "due to timeout",
)
_LOCAL = frozenset({"", "localhost", "127.0.0.1", "::1"})

# Classes of SQLSTATE ("PostgreSQL Error Codes", PostgreSQL 18 manual, appendix A).
_OF_THE_ROW = ("22", "23", "44", "P0", "38", "39", "54")
_LATER = ("40", "53", "55", "57", "58", "25", "XX")
_LOST = ("08", "57P")


class Database:
    """Opens a connection for each transaction that runs at once, and keeps it for the next."""

    def __init__(self, connection: PostgresConnection, transport: Transport) -> None:
        self._conninfo, self._transport = conninfo(connection), transport
        self._idle: list[Connection] = []

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()

    @asynccontextmanager
    async def transaction(self, size: int = 0, *, writes: bool = False) -> AsyncIterator[Connection]:
        """One transaction, counted as one call of `size` bytes. Raises DestinationErrors alone.

        All settings are those of the transaction, so that a pooler may hand out another session for the next one.
        """
        await self._transport.call(size)
        connection = await self._take()
        in_doubt = False
        try:
            async with connection.transaction():
                await _begin(connection)
                yield connection
                in_doubt = writes
        except psycopg.Error as error:
            raise meaning(error, in_doubt=in_doubt) from None  # what was before it holds values of rows
        finally:
            await self._put_back(connection)

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        try:
            connection = await psycopg.AsyncConnection.connect(
                self._conninfo, autocommit=True, prepare_threshold=None, connect_timeout=5
            )
        except psycopg.Error as error:
            raise _no_connection(error) from None
        if connection.info.server_version < OLDEST * 10_000:
            await connection.close()
            raise ConfigurationError(f"the server is older than PostgreSQL {OLDEST}, which is the oldest that works.")
        return connection

    async def _put_back(self, connection: Connection) -> None:
        if connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE:
            self._idle.append(connection)
        else:
            await connection.close()


async def _begin(connection: Connection) -> None:
    settings = dict(_SETTINGS)
    if connection.info.server_version >= 140_000:
        settings["client_connection_check_interval"] = "5s"  # a killed run's statement ends with it
    calls = ", ".join("set_config(%s, %s, true)" for _ in settings)
    await connection.execute(f"select {calls}", [each for pair in settings.items() for each in pair])
    await connection.execute("set constraints all immediate")  # a violation belongs to its row, not to the commit


def conninfo(connection: PostgresConnection) -> str:
    """What libpq needs to know, with the password."""
    url = connection.base_url
    given = conninfo_to_dict(url)
    extra: dict[str, Any] = {**_ALIVE, "application_name": "reverse-etl", "client_encoding": "UTF8"}
    if "sslmode" not in given and not _is_local(url, given):
        extra["sslmode"] = "require"  # a password, and people's data, would cross the network readable
    if connection.password:
        extra["password"] = connection.password.get_secret_value()
    return make_conninfo(url, **{name: value for name, value in extra.items() if name not in given})


def _is_local(url: str, given: dict[str, Any]) -> bool:
    host = str(given.get("host") or urlsplit(url).hostname or "")
    return host in _LOCAL or host.startswith("/")


def _no_connection(error: psycopg.Error) -> DestinationError:
    """libpq tells no SQLSTATE of a connection that did not come about; its text names host, role and database."""
    message = " ".join(str(error).split())
    if "FATAL" in message and not any(words in message for words in _NOT_YET):
        return AuthenticationFailed(message)
    return RetryLater(message)


def meaning(error: psycopg.Error, *, in_doubt: bool) -> DestinationError | ConfigurationError:
    """What an error that ended a transaction asks for. `in_doubt`: it was on its way to be committed."""
    code, message = error.sqlstate or "08006", primary(error)
    if code.startswith(_LOST):
        return Ambiguous(f"{message} (while committing)") if in_doubt else RetryLater(message)
    if is_of_the_row(error):
        return RequestRejected(message, code, error.diag.column_name)
    if code.startswith(_LATER):
        return RetryLater(message)
    if code.startswith("28") or code == "42501":
        return AuthenticationFailed(f"{message}: ask for the GRANT; `reverse-etl check` names it.")
    return ConfigurationError(f"{message} ({code}): the table has changed since it was checked.")


def is_of_the_row(error: psycopg.Error) -> bool:
    """Whether another row might fare better."""
    if error.sqlstate == "42501":  # a policy of row-level security refuses a row with the code of a missing GRANT
        return error.diag.source_function == "ExecWithCheckOptions"
    return (error.sqlstate or "").startswith(_OF_THE_ROW)


def primary(error: psycopg.Error) -> str:
    """What the server said, without values: DETAIL, which holds the row, is left out."""
    message = error.diag.message_primary or f"the connection was lost ({type(error).__name__})"
    return without_values(message, error.sqlstate)


def without_values(message: str, code: str | None) -> str:
    """A data exception quotes the value that it is about; other errors quote names."""
    return _QUOTED.sub("...", message) if (code or "").startswith("22") else message


def row_error(error: psycopg.Error, field: str | None) -> RowError:
    message = primary(error)
    if (constraint := error.diag.constraint_name) and constraint not in message:
        message = f"{message} ({constraint})"
    return RowError(message, error.sqlstate, error.diag.column_name or field)
