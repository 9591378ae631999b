"""The change set, row by row: what is meant to go out of each, and what is remembered of it until the fold."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.engine.by_hand import DONE, ByHand, People, Told, by_hand

FIRST: People = {
    "stays": ("Sam", "Bern"),
    "changes": ("Cem", "Bern"),
    "goes": ("Guy", "Bern"),
    "nulls": ("Nia", "Bern"),
}
THEN: People = {"stays": ("Sam", "Bern"), "changes": ("Cem", "Bonn"), "nulls": (None, "Bern"), "comes": ("Cat", None)}


class Row(NamedTuple):
    kind: str
    operation: str | None
    changed_fields: list[str] | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    sent_fields: list[str] | None
    destination_id: str | None
    external_id: str
    stays_synced: bool


def planned(home: ByHand, first: People = FIRST, then: People = THEN) -> dict[str, Row]:
    home.run("1", first, {key: Told(id=f"r {key}") for key in first})
    home.plan("2", then)
    found = home.all(f"select key, {', '.join(Row._fields)} from state.outbox")
    rows = {key: Row(*row) for key, *row in found}
    assert len(rows) == len(found)
    return rows


def person(name: str | None, city: str | None) -> dict[str, Any]:
    return {"name": name, "city": city}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[ByHand]:
    with by_hand(tmp_path) as home:
        yield home


def test_a_mirror_sends_what_differs(home: ByHand) -> None:
    """With all fields, to the record that is known; what left the model is deleted, and synced no more."""
    sam, cem = person("Cem", "Bern"), person("Cem", "Bonn")
    nia = person("Nia", "Bern"), person(None, "Bern")
    assert planned(home) == {
        "comes": Row("added", "upsert", None, None, person("Cat", None), None, None, "comes", True),
        "changes": Row("changed", "upsert", ["city"], sam, cem, None, "r changes", "changes", True),
        "nulls": Row("changed", "upsert", ["name"], *nia, None, "r nulls", "nulls", True),
        "goes": Row("removed", "delete", None, person("Guy", "Bern"), None, None, "r goes", "goes", False),
    }


def test_only_what_changed_goes_out_where_the_vendor_leaves_the_rest_alone(tmp_path: Path) -> None:
    with by_hand(tmp_path, partial=True) as home:
        sent = {key: row.sent_fields for key, row in planned(home).items()}
    assert sent == {"comes": None, "changes": ["city"], "nulls": ["name"], "goes": None}


def test_a_full_refresh_sends_every_row_and_says_which_differ(tmp_path: Path) -> None:
    with by_hand(tmp_path, sync_mode="full_refresh") as home:
        rows = planned(home)
    said = {key: (row.kind, row.operation, row.changed_fields) for key, row in rows.items()}
    assert said == {
        "comes": ("added", "upsert", None),
        "changes": ("changed", "upsert", ["city"]),
        "nulls": ("changed", "upsert", ["name"]),
        "stays": ("unchanged", "upsert", []),
    }


@pytest.mark.parametrize(
    ("mode", "operations"),
    [
        ("incremental", {"comes": "upsert", "changes": "upsert", "nulls": "upsert"}),
        ("update_only", {"comes": "update", "changes": "update", "nulls": "update"}),
        ("insert_only", {"comes": "insert"}),
        ("append", {"comes": "insert"}),
    ],
)
def test_other_modes_leave_alone_what_they_do_not_write(tmp_path: Path, mode: str, operations: dict[str, str]) -> None:
    with by_hand(tmp_path, sync_mode=mode) as home:
        assert {key: row.operation for key, row in planned(home).items()} == operations


def test_a_field_that_the_record_was_not_told_goes_out_though_its_value_is_the_same(home: ByHand) -> None:
    home.run("1", FIRST)
    home.con.execute("update state.synced set _retl_untold = ['city'] where _retl_key = 'stays'")
    rows = planned_again(home, FIRST)
    assert rows == {"stays": ("changed", "upsert", ["city"])}


def test_a_null_that_keeps_what_is_there_is_no_change(tmp_path: Path) -> None:
    """Nor is it told when it was not, and the synced row keeps the value that the record has."""
    keeps = {"name": {"column": "name", "null": "keep"}, "city": "city"}
    with by_hand(tmp_path, mapping=keeps) as home:
        rows = planned(home, then={**THEN, "changes": (None, "Bonn"), "comes": (None, "Bern")})
    assert rows["changes"].after == person("Cem", "Bonn")
    assert (rows["changes"].changed_fields, rows["changes"].sent_fields) == (["city"], ["city"])
    assert rows["comes"].sent_fields == ["city"]
    assert set(rows) == {"changes", "comes", "goes"}


def test_keys_of_several_columns_meet_in_all_of_them(tmp_path: Path) -> None:
    with by_hand(tmp_path, primary_key=["id", "city"], mapping={"name": "name"}) as home:
        home.run("1", {"a": ("Ann", "Bern"), "b": ("Bob", "Bern")})
        assert planned_again(home, {"a": ("Ann", "Bonn"), "b": ("Bobby", "Bern")}) == {
            "a|Bern": ("removed", "delete", None),
            "a|Bonn": ("added", "upsert", None),
            "b|Bern": ("changed", "upsert", ["name"]),
        }
        home.more = [("b", "Robert", "Bern"), ("b", "Bob", "Bonn")]
        home.plan("2", {"a": ("Ann", "Bern"), "b": ("Bob", "Bern")})
        found = home.all("select key, kind, after.name from state.outbox order by all")
        assert found == [("b|Bern", "rejected", "Bob"), ("b|Bern", "rejected", "Robert"), ("b|Bonn", "added", "Bob")]


def test_a_row_without_a_key_is_nobodys_and_named(home: ByHand) -> None:
    """Nor does a synced row without one, which an earlier release may have left, look removed."""
    home.run("1", {"a": ("Ann", None)})
    home.con.execute("insert into state.synced (_retl_key, _retl_k0, name) values ('', '', 'Nobody')")
    assert planned_again(home, {"a": ("Ann", None), " ": ("Nobody", None)}) == {" ": ("rejected", None, None)}


def planned_again(home: ByHand, people: People) -> dict[str, Any]:
    home.plan("2", people)
    found = home.all("select key, kind, operation, changed_fields from state.outbox")
    rows = {key: tuple(row) for key, *row in found}
    assert len(rows) == len(found)
    return rows


def test_a_key_that_stands_twice_is_rejected_and_its_record_stays(home: ByHand) -> None:
    home.run("1", {"a": ("Ann", None), "b": ("Bob", None)})
    home.more = [("a", "Anna", None), ("c", "Cem", None), ("c", "Cem", None)]
    home.plan("2", {"a": ("Ann", None), "b": ("Bobby", None)})
    said = " rows of the model share this primary key"
    found = home.all("select key, kind, operation, reason, message, after.name from state.outbox order by all")
    assert found == [
        ("a", "rejected", None, "invalid", f"2{said}", "Ann"),
        ("a", "rejected", None, "invalid", f"2{said}", "Anna"),
        ("b", "changed", "upsert", None, None, "Bobby"),
        ("c", "rejected", None, "invalid", f"2{said}", "Cem"),
        ("c", "rejected", None, "invalid", f"2{said}", "Cem"),
    ]


# The latest of several rows


@pytest.fixture
def latest(tmp_path: Path) -> Iterator[ByHand]:
    """Of rows that share a key the one with the greatest city counts."""
    with by_hand(tmp_path, on_duplicate_key="latest by city", mapping={"name": "name"}) as home:
        yield home


def test_the_latest_row_of_a_key_counts_and_the_others_are_named(latest: ByHand) -> None:
    latest.more = [("a", "Newest", "3"), ("a", "Newer", "2"), ("a", "None", None), ("b", "Alone", None)]
    latest.plan("1", {"a": ("Old", "1"), "c": ("Cem", "1")})
    found = latest.all("select key, kind, operation, after.name from state.outbox order by all")
    assert found == [
        ("a", "added", "upsert", "Newest"),
        ("a", "superseded", None, "Newer"),
        ("a", "superseded", None, "None"),
        ("a", "superseded", None, "Old"),
        ("b", "added", "upsert", "Alone"),
        ("c", "added", "upsert", "Cem"),
    ]


def test_of_two_latest_rows_nobody_knows_which_counts(latest: ByHand) -> None:
    latest.more = [("a", "One", "3"), ("a", "Other", "3")]
    latest.plan("1", {"a": ("Old", "1")})
    found = latest.all("select kind, operation, after.name from state.outbox order by all")
    assert found == [("rejected", None, "One"), ("rejected", None, "Other"), ("superseded", None, "Old")]


def test_of_rows_without_a_key_none_counts(latest: ByHand) -> None:
    latest.more = [("", "One", "1"), ("", "Other", "2")]
    latest.plan("1", {"a": ("Ann", "1")})
    found = latest.all("select key, kind, after.name from state.outbox order by all")
    assert found == [("", "rejected", "One"), ("", "rejected", "Other"), ("a", "added", "Ann")]


def test_superseded_rows_of_a_key_that_is_as_it_was_are_not_told_again(latest: ByHand) -> None:
    latest.more = [("a", "Old", "1"), ("b", "Old", "1")]
    people: People = {"a": ("Ann", "2"), "b": ("Bob", "2")}
    latest.run("1", people, rest=DONE)
    latest.plan("2", {**people, "b": ("Bobby", "2")})
    found = latest.all("select key, kind from state.outbox order by all")
    assert found == [("b", "changed"), ("b", "superseded")]
