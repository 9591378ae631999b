"""Who goes into quarantine and what is said of them: refusals counted run by run, told by hand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reverse_etl_assets.records import Reason, RowError, Status
from tests.engine.by_hand import AMBIGUOUS, REFUSED, ByHand, People, Told, by_hand
from tests.heavy import heavy

TWICE = {"after": 2, "apart": "0 seconds", "hint": "ask the CRM team"}
ANN: People = {"a": ("Ann", None)}
BARE = Told(Status.FAILED, Reason.REJECTED, error=RowError("no"))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[ByHand]:
    with by_hand(tmp_path, quarantine=TWICE, owners=["ada@shop.example"]) as home:
        yield home


def planned(home: ByHand, people: People) -> dict[str, tuple[Any, ...]]:
    home.plan("next", people)
    found = home.all("select key, operation, reason, message from state.outbox")
    return {key: tuple(row) for key, *row in found}


def counted(home: ByHand) -> dict[str, int]:
    return dict(home.all("select key, times from state.refusals"))


def test_a_row_is_left_out_once_it_was_refused_so_often_with_its_values(home: ByHand) -> None:
    """Not before, and nobody else is."""
    people: People = {**ANN, "b": ("Bob", None), "c": ("Cem", None)}
    home.run("1", people, {"a": REFUSED, "b": REFUSED, "c": REFUSED})
    home.run("2", {**people, "b": ("Bobby", None)}, {"a": REFUSED, "b": REFUSED, "c": AMBIGUOUS})
    assert counted(home) == {"a": 2, "b": 1, "c": 1}
    rows = planned(home, {**people, "b": ("Bobby", None)})
    assert {key: row[:2] for key, row in rows.items()} == {
        "a": (None, "quarantined"),
        "b": ("upsert", None),
        "c": ("upsert", None),
    }


def test_it_says_how_often_since_when_what_and_whom_to_ask(home: ByHand) -> None:
    people: People = {**ANN, "b": ANN["a"]}  # what is said of one is not said of another with the same values
    for run in "12":
        home.run(run, people, {"a": REFUSED, "b": BARE})
    since, more = "with these values since 1970-01-12 13:46 UTC", "; owner ada@shop.example; ask the CRM team"
    rows = planned(home, people)
    assert rows["a"][2] == f"refused 2 times {since}: E1: no (field name){more}"
    assert rows["b"][2] == f"refused 2 times {since}: no{more}"


def test_once_is_said_of_a_row_that_has_one_try(tmp_path: Path) -> None:
    with by_hand(tmp_path, quarantine={"after": 1}) as home:
        home.run("1", ANN, rest=Told(Status.FAILED, Reason.REJECTED))
        (said,) = planned(home, ANN).values()
    assert said[2] == "refused 1 time with these values since 1970-01-12 13:46 UTC: without a message"


@heavy
def test_a_row_that_a_person_has_freed_goes_out_and_is_back_if_it_is_refused(home: ByHand) -> None:
    for run in "12":
        home.run(run, ANN, rest=REFUSED)
    home.con.execute("update state.refusals set freed = true")
    assert planned(home, ANN)["a"][0] == "upsert"
    home.run("3", ANN, rest=REFUSED)
    assert planned(home, ANN)["a"][:2] == (None, "quarantined")


@heavy
def test_values_that_were_refused_before_those_of_now_do_not_count(home: ByHand) -> None:
    for run in "12":
        home.run(run, ANN, rest=REFUSED)
    assert planned(home, {"a": ("Anna", None)})["a"][0] == "upsert"
    home.run("3", {"a": ("Anna", None)}, rest=None)
    assert counted(home) == {}


@heavy
def test_a_row_that_has_settled_is_forgotten_there(home: ByHand) -> None:
    people: People = dict.fromkeys("abc", ("N", None))
    home.run("1", people, rest=REFUSED)
    home.run("2", people, {"a": Told(), "b": AMBIGUOUS, "c": Told(Status.SKIPPED, Reason.SAME)})
    assert counted(home) == {"b": 1}


@heavy
def test_rows_that_were_not_sent_keep_their_count_and_those_that_left_do_not(home: ByHand) -> None:
    home.run("1", {**ANN, "b": ("Bob", None)}, rest=REFUSED)
    home.run("2", ANN, rest=None)
    assert counted(home) == {"a": 1}


@heavy
def test_a_key_that_nobody_can_tell_apart_any_more_is_forgotten_there(home: ByHand) -> None:
    home.run("1", {**ANN, "b": ("Bob", None)}, rest=REFUSED)
    home.more = [("a", "Ann", None)]
    home.run("2", {**ANN, "b": ("Bob", None)}, rest=None)
    assert counted(home) == {"b": 1}


@heavy
def test_a_row_that_is_held_stays_so_whatever_was_refused_of_it(home: ByHand) -> None:
    """It says why it is held, and not that it was refused."""
    for run in "12":
        home.run(run, ANN, rest=REFUSED)
    home.con.execute("insert into state.held (key, run_id, message) values ('a', '2', 'in doubt')")
    assert planned(home, ANN)["a"] == (None, "held", "in doubt")


@heavy
def test_a_delete_is_quarantined_as_a_write_is(home: ByHand) -> None:
    home.run("1", ANN)
    for run in "23":
        home.run(run, {}, rest=REFUSED)
    assert planned(home, {})["a"][:2] == (None, "quarantined")
    assert planned(home, {"a": ("Anna", None)})["a"][0] == "upsert"


@heavy
def test_a_row_that_another_one_of_its_key_supersedes_is_forgotten_there(tmp_path: Path) -> None:
    with by_hand(tmp_path, quarantine=TWICE, on_duplicate_key="latest by city", mapping={"name": "name"}) as home:
        home.run("1", {"a": ("Old", "1")}, rest=REFUSED)
        home.more = [("a", "Old", "1")]
        home.run("2", {"a": ("New", "2")}, rest=AMBIGUOUS)
        assert counted(home) == {}
