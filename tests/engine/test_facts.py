"""What a state knows of itself: each fact is read as it was written, by this release and by those before."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest
from hypothesis import given, strategies as st

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.spec.policies import Cutover
from reverse_etl_assets.state.facts import Facts, changing_facts, read_facts

TEXT = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "newest": st.none() | st.datetimes(),
    "outbox_newest": st.none() | st.datetimes(timezones=st.just(UTC)),
    "recovers_by": st.none() | st.sampled_from(Cutover),
    "accepted_runs": st.lists(st.text(st.characters(codec="utf-8"))),
    "outbox_types": st.dictionaries(st.text(st.characters(codec="utf-8")), st.just("varchar")),
    "learned": st.dictionaries(st.text(st.characters(codec="utf-8")), st.lists(st.just("x"))),
    **dict.fromkeys(("full_compared_at", "checked_at", "outbox_full"), st.none() | st.floats(0, 1e12)),
    **dict.fromkeys(
        ("shared_noted", "begun_told", "outbox_of_model", "outbox_trial", "outbox_fold_case", "outbox_fold_blanks"),
        st.booleans(),
    ),
}
FACTS = st.fixed_dictionaries({each.name: VALUES.get(each.name, TEXT) for each in fields(Facts)})


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    con = duckdb.connect()
    con.execute("attach ':memory:' as state")
    yield con
    con.close()


def empty(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("create or replace table state.facts (name varchar, value varchar)")


@given(first=FACTS, second=FACTS)
def test_facts_are_read_as_they_were_written(
    con: duckdb.DuckDBPyConnection, first: dict[str, Any], second: dict[str, Any]
) -> None:
    empty(con)
    for values in (first, second):
        with changing_facts(con) as facts:
            for name, value in values.items():
                setattr(facts, name, value)
        assert asdict(read_facts(con)) == values


def test_what_earlier_releases_wrote_is_read(con: duckdb.DuckDBPyConnection) -> None:
    empty(con)
    con.execute(
        "insert into state.facts values ('outbox_fold_case', 'True'), ('outbox_fold_blanks', 'False'),"
        " ('outbox_of_model', 'yes'), ('checked', ''), ('newest', '2024-05-01T00:00:00'), ('gone', 'long ago')"
    )
    found = Facts(outbox_fold_case=True, outbox_of_model=True, checked="", newest=datetime(2024, 5, 1))
    assert read_facts(con) == found
    with changing_facts(con) as facts:
        facts.newest = None
    assert con.execute("select value from state.facts where name = 'gone'").fetchall() == [("long ago",)]


def test_an_error_writes_nothing(con: duckdb.DuckDBPyConnection) -> None:
    empty(con)
    with suppress(RuntimeError), changing_facts(con) as facts:
        facts.sync = "people"
        raise RuntimeError
    assert read_facts(con) == Facts()


@pytest.mark.parametrize(
    ("name", "value"), [("newest", "soon"), ("checked_at", "x"), ("learned", "{"), ("recovers_by", "")]
)
def test_a_fact_that_cannot_be_read_is_named(con: duckdb.DuckDBPyConnection, name: str, value: str) -> None:
    empty(con)
    con.execute("insert into state.facts values (?, ?)", [name, value])
    with pytest.raises(StateError, match=f"its fact `{name}` cannot be read"):
        read_facts(con)
