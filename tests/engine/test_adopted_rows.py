"""What becomes of records that were there before a sync began: read by hand, row by row."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reverse_etl_assets.state import adopted_rows, ledger
from tests.engine.by_hand import ByHand, by_hand

PEOPLE = {key: (key.title(), "Bern") for key in ("agrees", "differs", "empty", "twin", "missing")}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[ByHand]:
    with by_hand(tmp_path) as home:
        yield home


def noted(home: ByHand, people: dict[str, tuple[str | None, str | None]]) -> dict[str, tuple[int, Any]]:
    """The rows that are asked for, by external id: their numbers and fields."""
    for row in [*((key, *values) for key, values in people.items()), *home.more]:
        home.con.execute("insert into model values ($1, $2, $3)", list(row))
    ledger.prepare(home.con, home.columns)
    rows = adopted_rows.note_model(home.con, home.columns, "model")
    found = adopted_rows.page(home.con, home.columns, 0, 100)
    assert rows == len(found)
    return {external_id: (number, fields) for number, external_id, fields in found}


def take(
    home: ByHand, rows: dict[str, tuple[int, Any]], held: dict[str, dict[str, Any]], **differing: list[str]
) -> int:
    read = [(rows[k][0], f"r {k}", json.dumps(fields), differing.get(k, [])) for k, fields in held.items()]
    adopted_rows.note_held(home.con, read)
    return adopted_rows.take(home.con, home.columns, "1", home.now)


def test_each_row_with_a_key_of_its_own_is_asked_for(home: ByHand) -> None:
    home.more = [("b", "Bob", None), ("b", "Bob too", None), (" ", "Nobody", None), (None, "Nobody", None)]
    assert noted(home, {"a": ("Ann", None)}) == {"a": (0, {"name": "Ann", "city": None})}


def test_rows_are_read_by_pages(home: ByHand) -> None:
    noted(home, {key: (key, None) for key in "abcde"})
    pages = [adopted_rows.page(home.con, home.columns, start, 2) for start in (0, 2, 4, 6)]
    assert [[external_id for _, external_id, _ in page] for page in pages] == [["a", "b"], ["c", "d"], ["e"], []]


def test_records_become_synced_rows_with_what_they_hold(home: ByHand) -> None:
    """What differs is sent, for the row differs from it then; what the record lacks has to be told."""
    rows = noted(home, dict(PEOPLE))
    held: dict[str, dict[str, Any]] = {
        "agrees": {"name": "AGREES", "city": "Bern"},  # which the destination takes for the same
        "differs": {"name": "Somebody", "city": "Bern"},
        "empty": {"name": None, "city": "Bern"},
        "twin": {"name": "Twin", "city": "Bern"},  # written alike, and still another value there
    }
    differing: dict[str, Any] = {key: ["name"] for key in ("differs", "empty", "twin")}
    assert take(home, rows, held, **differing) == 4
    assert home.synced("_retl_id", "_retl_run", "_retl_untold", "_retl_k0", "name", "city") == {
        "agrees": ("r agrees", None, None, "agrees", "Agrees", "Bern"),
        "differs": ("r differs", None, None, "differs", "Somebody", "Bern"),
        "empty": ("r empty", None, ["name"], "empty", None, "Bern"),
        "twin": ("r twin", None, ["name"], "twin", "Twin", "Bern"),
    }
    home.con.execute("delete from model")
    home.plan("1", dict(PEOPLE))
    kinds = dict(home.all("select key, kind from state.outbox"))
    assert kinds == {"differs": "changed", "empty": "changed", "twin": "changed", "missing": "added"}


def test_of_a_hash_nobody_knows_the_value(tmp_path: Path) -> None:
    hashed = {"name": {"column": "name", "transform": "sha256_name"}, "city": "city"}
    with by_hand(tmp_path, mapping=hashed) as home:
        rows = noted(home, {"a": ("Ann", "Bern"), "b": ("Bob", "Bern")})
        held = {"name": "5f16", "city": "Bern"}
        take(home, rows, {"a": held, "b": held}, b=["name"])
        assert home.synced("name", "_retl_untold") == {"a": ("Ann", None), "b": (None, ["name"])}


def test_what_people_wrote_before_us_is_theirs_where_a_field_rule_says_so(tmp_path: Path) -> None:
    mapping = {
        "name": {"column": "name", "wins": "unless_edited", "null": "keep"},
        "city": {"column": "city", "wins": "destination"},
    }
    with by_hand(tmp_path, mapping=mapping) as home:
        rows = noted(home, {"a": ("Ann", "Bern"), "b": (None, "Bern"), "c": ("Cem", "Bern")})
        held = {"name": "Mine", "city": "Bonn"}
        take(home, rows, {"a": held, "b": held, "c": held}, a=["name"], b=["name", "city"])
        kept = "select key, field, rule, base, ours, theirs, run_id from state.kept order by all"
        assert home.all(kept) == [
            ("a", "name", "unless_edited", "null", '"Ann"', '"Mine"', "1"),
            ("b", "city", "destination", "null", '"Bern"', '"Bonn"', "1"),
        ]


def test_nothing_is_left_of_the_reading(home: ByHand) -> None:
    take(home, noted(home, {"a": ("Ann", None)}), {"a": {"name": "Ann", "city": None}})
    tables = {name for (name,) in home.all("select table_name from duckdb_tables() where database_name = 'state'")}
    assert not tables & {"adopting", "current"}
