"""SQL as DuckDB takes it, and transactions."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import duckdb


def quote(identifier: str) -> str:
    """An SQL identifier, quoted."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string literal, for the statements that take no bound values."""
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All of it or, after an error, nothing. The error that is raised is the one that ended it."""
    con.execute("begin")
    try:
        yield
        con.execute("commit")
    except BaseException:
        with suppress(duckdb.Error):  # a commit that fails has ended it already
            con.execute("rollback")
        raise
