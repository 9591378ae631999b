"""The form of state files, and how one of an earlier release is brought to that of this one before anything is planned.

Each form but the first has a file in `sql/migrations`, which makes it of the one before; its statements can be
repeated.
"""

from collections.abc import Iterator
from functools import cache

import duckdb

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.sql import render

FORM = 3
"""What this release reads and writes; the fact `format` of a state."""


def form_of(con: duckdb.DuckDBPyConnection, state: str) -> int | None:
    """The form of the attached state; None for one that never was a sync's. Raises StateError if it is a newer one."""
    try:
        found = con.execute(f"select value::integer from {state}.facts where name = 'format'").fetchall()
    except duckdb.CatalogException:
        return None
    if not found:
        return None
    form = int(found[0][0])
    if form > FORM:
        raise StateError(
            f"is of form {form}, and this release knows forms up to {FORM}: a newer release has written it. Upgrade"
            " reverse-etl-assets here, too, or put the file back that was there before"
        )
    return form


def migrate(con: duckdb.DuckDBPyConnection, form: int) -> None:
    """Bring the state, attached as `state`, from an earlier form to this one's; the caller sees to a transaction."""
    con.execute(render("state"))
    tables = {table for table, _ in _columns(con)}
    for number in range(form + 1, FORM + 1):
        for statement in _statements(number):
            table = statement.split("state.", 1)[1].split()[0]
            if table in tables:  # a state that never planned has no rows of its model
                con.execute(statement)
    if ("versions", "folded_before") in set(_columns(con)):  # an early second form
        con.execute("alter table state.versions rename column folded_before to sent_before")
        con.execute(
            "insert into state.facts select 'sent_run', value from state.facts where name = 'folded_run'"
            " and not exists (select 1 from state.facts where name = 'sent_run')"
        )
    con.execute("update state.facts set value = $form where name = 'format'", {"form": str(FORM)})


def missing(con: duckdb.DuckDBPyConnection) -> list[str]:
    """What the state lacks of what its form has, as `table.column`."""
    there = set(_columns(con))
    return [f"{table}.{column}" for table, column in _expected() if (table, column) not in there]


@cache
def _expected() -> tuple[tuple[str, str], ...]:
    con = duckdb.connect(":memory:")
    con.execute("attach ':memory:' as state")
    con.execute(render("state"))
    return tuple(_columns(con))


def _columns(con: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str]]:
    query = "select table_name, column_name from duckdb_columns() where database_name = 'state'"
    yield from con.execute(query).fetchall()


def _statements(number: int) -> list[str]:
    script = "\n".join(line for line in render(f"migrations/{number}").splitlines() if not line.startswith("--"))
    return [statement.strip() for statement in script.split(";") if statement.strip()]
