"""Rows that are one record at the destination, by the ids of its answers: told by hand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reverse_etl_assets.records import Reason, Status
from reverse_etl_assets.state import shared_records
from tests.engine.by_hand import REFUSED, ByHand, People, Told, by_hand
from tests.heavy import heavy

ALL = ["name", "city"]
TWO: People = {"a": ("Ann", "Bern"), "b": ("Anna", "Bern"), "c": ("Cem", "Cork")}
ONE = {"a": Told(id="r1"), "b": Told(id="r1"), "c": Told(id="r2")}


def people(*keys: str) -> People:
    return {key: TWO[key] for key in keys}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[ByHand]:
    """Ann and Anna are one record."""
    with by_hand(tmp_path, partial=True) as home:
        home.run("1", TWO, ONE)
        yield home


def planned(home: ByHand, rows: People) -> dict[str, tuple[Any, ...]]:
    home.plan("2", rows)
    found = home.all(
        "select key, kind, operation, reason, destination_id, changed_fields, sent_fields from state.outbox"
    )
    assert len({row[0] for row in found}) == len(found)
    return {key: tuple(row) for key, *row in found}


def sharing(home: ByHand) -> set[str]:
    return {key for (key,) in home.all(shared_records.sharing_now(home.columns))}


def test_rows_with_one_id_share_a_record_and_others_do_not(home: ByHand) -> None:
    assert (sharing(home), shared_records.count(home.con, home.columns)) == ({"a", "b"}, 2)
    assert shared_records.sharing(home.con, "a") == ["b"]
    assert shared_records.sharing(home.con, "c") == []


def test_the_record_stays_with_the_row_that_stays_and_that_is_sent_in_full(home: ByHand) -> None:
    assert planned(home, people("b", "c")) == {
        "a": ("removed", None, "shared", "r1", None, None),
        "b": ("changed", "upsert", None, "r1", ALL, ALL),
    }


def test_a_row_that_changed_too_goes_out_once_and_in_full(home: ByHand) -> None:
    rows = planned(home, {"b": ("Anne", "Bern"), "c": ("Cyd", "Cork")})
    assert rows == {
        "a": ("removed", None, "shared", "r1", None, None),
        "b": ("changed", "upsert", None, "r1", ALL, ALL),
        "c": ("changed", "upsert", None, "r2", ["name"], ["name"]),
    }


def test_the_record_goes_with_the_last_row_and_once(home: ByHand) -> None:
    rows = planned(home, people("c"))
    assert rows == {
        "a": ("removed", "delete", None, "r1", None, None),
        "b": ("removed", None, "shared", "r1", None, None),
    }


def test_a_record_of_one_row_is_deleted(home: ByHand) -> None:
    assert planned(home, people("a", "b")) == {"c": ("removed", "delete", None, "r2", None, None)}


def test_a_row_of_which_no_id_is_known_shares_none(tmp_path: Path) -> None:
    with by_hand(tmp_path, partial=True) as home:
        home.run("1", TWO)
        assert home.all("select * from state.shared") == []
        rows = planned(home, people("c"))
    assert {key: row[1] for key, row in rows.items()} == {"a": "delete", "b": "delete"}


def test_the_row_that_left_is_synced_no_more_and_shares_nothing(home: ByHand) -> None:
    home.run("2", people("b", "c"))
    assert set(home.synced("name")) == {"b", "c"}
    assert home.synced("_retl_untold") == {"b": None, "c": None}
    assert sharing(home) == set()
    assert home.all("select key from state.pending") == []


def test_what_the_heir_could_not_be_told_is_told_by_the_next_run(home: ByHand) -> None:
    home.run("2", people("b", "c"), {"b": REFUSED})
    assert home.synced("_retl_untold") == {"b": ALL, "c": None}
    assert {key for (key,) in home.all("select key from state.pending")} == {"b"}
    assert planned(home, people("b", "c"))["b"][1] == "upsert"


@heavy
def test_heirs_that_were_met_at_the_destination_are_told_too(home: ByHand) -> None:
    """A merge showed only as the record was about to be deleted."""
    home.plan("2", people("a", "b"))
    home.fold("2", {"c": Told(Status.SKIPPED, Reason.SHARED)}, heirs={"a"})
    assert home.synced("_retl_untold") == {"a": ALL, "b": None}
    assert {key for (key,) in home.all("select key from state.pending")} == {"a"}


@heavy
def test_a_row_that_comes_to_share_a_record_is_noted(home: ByHand) -> None:
    """By the id of its answer; a record that the vendor says it has just made stands for its row alone."""
    rows: People = {**TWO, "d": ("Dan", "Delft"), "e": ("Eve", "Ely"), "f": ("Fay", "Fes")}
    told = {"d": Told(id="r2"), "e": Told(Status.CREATED, id="r3"), "f": Told(Status.CREATED, id="r3")}
    home.run("2", rows, told)
    assert sharing(home) == {"a", "b", "c", "d"}
    home.run("3", {**rows, "g": ("Gus", "Gent")}, {"g": Told(Status.CREATED, id="r3", inferred=True)})
    assert sharing(home) == {"a", "b", "c", "d", "e", "f", "g"}


@heavy
def test_what_is_known_to_be_shared_is_not_noted_again(home: ByHand) -> None:
    home.run("2", {**TWO, "a": ("Anne", "Bern"), "b": ("Anny", "Bern")}, ONE)
    assert sorted(home.all("select id, key from state.shared")) == [("r1", "a"), ("r1", "b")]


@heavy
def test_a_row_that_was_refused_has_come_to_nothing(home: ByHand) -> None:
    home.con.execute("delete from state.shared")
    home.run("2", {**TWO, "d": ("Dan", "Delft")}, {"d": Told(REFUSED.status, REFUSED.reason, id="r1")})
    assert home.all("select * from state.shared") == []


# Where an id is several identities


@pytest.fixture
def audience(tmp_path: Path) -> Iterator[ByHand]:
    """Ann and Anna have one of their identities in common."""
    with by_hand(tmp_path, partial=True, id_separator="+") as home:
        home.run("1", TWO, {"a": Told(id="x+y"), "b": Told(id="y+z"), "c": Told(id="w")})
        yield home


def test_one_identity_in_common_is_one_record(audience: ByHand) -> None:
    assert sharing(audience) == {"a", "b"}
    assert set(audience.all("select id, key from state.shared")) == {("y", "a"), ("y", "b")}


def test_identities_go_over_to_the_row_that_stays(audience: ByHand) -> None:
    rows = planned(audience, people("b", "c"))
    assert (rows["a"][1:3], rows["b"][1], rows["b"][3]) == ((None, "shared"), "upsert", "y+z+x+y")


@heavy
def test_and_also_if_it_was_not_told(audience: ByHand) -> None:
    audience.run("2", people("b", "c"), rest=None)
    assert audience.synced("_retl_id", "_retl_untold") == {"b": ("y+z+x+y", ALL), "c": ("w", None)}
