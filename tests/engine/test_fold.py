"""What is kept of a run's answers: outcomes, synced rows, and what people had won. Row by row, told by hand."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reverse_etl_assets.records import Reason, RowError, Status
from reverse_etl_assets.state import held_rows
from tests.engine.by_hand import (
    AMBIGUOUS,
    DONE,
    IN_FLIGHT,
    REFUSED,
    UNANSWERED,
    ByHand,
    People,
    Told,
    by_hand,
    disagreed,
)
from tests.heavy import heavy

ANN: People = {"a": ("Ann", "Bern")}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[ByHand]:
    with by_hand(tmp_path) as home:
        yield home


# Outcomes


def test_an_outcome_is_the_destinations_word_at_its_time(home: ByHand) -> None:
    home.run("1", {"a": ("Ann", None), "b": ("Bob", None)}, {"a": REFUSED, "b": Told(id="7", inferred=True)})
    names = ("status", "reason", "code", "message", "field", "inferred", "destination_id", "answered_at")
    at = datetime.fromtimestamp(1_000_001, UTC).replace(tzinfo=None)
    assert home.outcomes("1", *names) == {
        "a": ("failed", "rejected", "E1", "no", "name", False, None, at),
        "b": ("updated", None, None, None, None, True, "7", at),
    }


def test_a_row_that_was_not_sent_says_why_and_when_its_run_ended(home: ByHand) -> None:
    home.run("1", ANN, rest=None)
    ended = datetime.fromtimestamp(home.now, UTC).replace(tzinfo=None)
    assert home.outcomes("1", "status", "reason", "message", "inferred", "answered_at") == {
        "a": ("skipped", "stopped", "it was late", False, ended)
    }


def test_an_answer_without_words_is_not_given_those_of_the_run(home: ByHand) -> None:
    home.run("1", ANN, {"a": Told(Status.SKIPPED, Reason.SAME)})
    assert home.outcomes("1", "reason", "message") == {"a": ("same", None)}


def test_a_row_that_we_refused_failed_with_our_words(home: ByHand) -> None:
    home.run("1", {"": ("Nobody", None), "b": ("Bob", None)})
    assert home.outcomes("1", "status", "reason", "message") == {
        "": ("failed", "invalid", "the primary key (id) is empty"),
        "b": ("updated", None, None),
    }


def test_values_are_kept_of_rows_that_did_not_arrive_and_of_no_others(home: ByHand) -> None:
    """Those that arrived stand in the synced rows; a delete has none."""
    home.run("1", {"d": ("Dan", None), "e": ("Eve", None), "f": ("Fay", None)})
    people: People = {key: (key, None) for key in "abcg"} | {"f": ("Fay", "Fez")}
    told = {"a": AMBIGUOUS, "b": Told(Status.CREATED), "c": Told(Status.SKIPPED, Reason.SAME), "e": REFUSED, "f": DONE}
    home.run("2", people, {**told, "d": DONE}, rest=None)
    values = {key: f'{{"name":"{key}","city":null}}' for key in "acg"}  # g was not sent
    assert home.outcomes("2", "fields") == {**dict.fromkeys("bdef"), **values}


def test_an_outcome_names_the_record_that_the_answer_names_or_else_the_one_that_is_known(home: ByHand) -> None:
    home.run("1", dict.fromkeys("abcd", ("N", None)), rest=Told(id="old"))
    told = {"a": Told(id="new"), "c": Told(anew=True), "d": Told(anew=None)}
    home.run("2", dict.fromkeys("abcd", ("M", None)), told)
    ids = {"a": "new", "b": "old", "c": None, "d": "old"}
    assert (home.outcomes("2", "destination_id"), home.synced("_retl_id")) == (ids, ids)


def test_a_row_in_quarantine_says_what_it_was_refused_for(tmp_path: Path) -> None:
    """And a row that is left out for another reason does not, though it was refused before."""
    with by_hand(tmp_path, quarantine={"after": 1}) as home:
        people: People = {"a": ("Ann", None), "b": ("Bob", None), "c": ("Cem", None)}
        home.run("1", people, {"c": Told(Status.FAILED, Reason.REJECTED, error=RowError("no", "E2"))}, rest=REFUSED)
        home.run("2", {**people, "b": ("Bobby", None)}, rest=None)
        assert home.outcomes("2", "reason", "code", "field") == {
            "a": ("quarantined", "E1", "name"),
            "b": ("stopped", None, None),
            "c": ("quarantined", "E2", None),
        }


# Synced rows


def test_a_row_that_did_not_arrive_stays_as_it_was(home: ByHand) -> None:
    told = {"a": REFUSED, "b": AMBIGUOUS, "c": UNANSWERED, "d": IN_FLIGHT, "e": Told(Status.SKIPPED, Reason.NOT_FOUND)}
    home.run("1", {**dict.fromkeys(told, ("Old", "Bern")), "gone": ("Guy", None)})
    home.run("2", {**dict.fromkeys(told, ("New", "Bern")), "new": ("Nia", None)}, told, rest=REFUSED)
    stays = {**dict.fromkeys(told, ("Old", "Bern", "1")), "gone": ("Guy", None, "1")}
    assert home.synced("name", "city", "_retl_run") == stays


def test_a_row_that_agrees_is_synced_with_its_values(home: ByHand) -> None:
    told: dict[str, Told] = {
        reason: Told(Status.SKIPPED, reason) for reason in (Reason.ALREADY_EXISTS, Reason.SAME, Reason.KEPT)
    }
    home.run("1", dict.fromkeys(told, ("Old", "Bern")))
    home.run("2", dict.fromkeys(told, ("New", None)), told)
    assert home.synced("name", "city", "_retl_run") == dict.fromkeys(told, ("New", None, "2"))


def test_a_row_whose_record_is_gone_is_synced_no_more(home: ByHand) -> None:
    home.run("1", dict.fromkeys("abc", ("N", None)))
    home.run("2", {"b": ("N", None)}, {"a": DONE, "c": Told(Status.SKIPPED, Reason.ALREADY_GONE)})
    assert set(home.synced("name")) == {"b"}


# What people had won


def kept(home: ByHand) -> list[tuple[str, str, str]]:
    return home.all("select key, field, run_id from state.kept order by all")


def wins(*fields: str, told: Told = DONE, winner: str = "destination") -> Told:
    conflicts = [disagreed(field, winner) for field in fields]
    return Told(told.status, told.reason, note={"read": True, "conflicts": conflicts})


STAY: People = {"a": ("Ann!", "Bern!"), "b": ("Bob!", "Bonn!"), "c": ("Cem!", "Cork!")}


@pytest.fixture
def won(tmp_path: Path) -> Iterator[ByHand]:
    """People have won the name and the city of Ann and of Bob. A changed row goes out with what changed alone."""
    people: People = {"a": ("Ann", "Bern"), "b": ("Bob", "Bonn"), "c": ("Cem", "Cork")}
    told = {"a": wins("name", "city"), "b": wins("name", "city"), "c": wins("name", winner="warehouse")}
    with by_hand(tmp_path, partial=True) as home:
        home.run("1", people)
        home.run("2", {key: (f"{name}!", f"{city}!") for key, (name, city) in people.items()}, told)
        yield home


def test_only_what_the_destination_won_is_kept(won: ByHand) -> None:
    assert kept(won) == [("a", "city", "2"), ("a", "name", "2"), ("b", "city", "2"), ("b", "name", "2")]
    logged = won.all("select key, field, winner, base, ours, theirs, why from state.conflicts where run_id = '2'")
    said = ('"Old"', '"New"', '"Mine"', "somebody changed it")
    assert ("c", "name", "warehouse", *said) in logged
    assert ("a", "city", "destination", *said) in logged
    assert len(logged) == 5


def test_what_was_won_is_not_kept_of_a_row_that_did_not_arrive(home: ByHand) -> None:
    home.run("1", ANN)
    home.run("2", {"a": ("Anna", "Bern")}, {"a": wins("name", told=REFUSED)})
    assert kept(home) == []


def test_a_field_that_is_decided_anew_is_won_no_more_and_the_others_stay(won: ByHand) -> None:
    won.run("3", {**STAY, "a": ("A", "Bern!")})
    assert kept(won) == [("a", "city", "2"), ("b", "city", "2"), ("b", "name", "2")]


def test_a_row_that_is_written_in_full_is_all_ours_again(home: ByHand) -> None:
    home.run("1", ANN)
    home.run("2", {"a": ("Anna", "Bern")}, {"a": wins("name", "city")})
    home.run("3", {"a": ("Anne", "Bern")})
    assert kept(home) == []


def test_a_record_that_is_deleted_has_nothing_that_was_won(won: ByHand) -> None:
    won.run("3", {key: STAY[key] for key in "bc"})
    assert kept(won) == [("b", "city", "2"), ("b", "name", "2")]


@heavy
def test_what_was_won_stays_won_if_the_row_does_not_arrive(won: ByHand) -> None:
    before, people = kept(won), {"a": ("A", "A"), "c": ("C", "C")}
    won.run("3", people, rest=REFUSED)
    won.run("4", people, rest=None)
    assert kept(won) == before


# Rows of which a person says that they did arrive


def test_a_row_that_did_arrive_is_synced_with_what_was_sent(home: ByHand) -> None:
    """It alone: others that are held stay so."""
    home.run("1", {"b": ("Ben", "Bonn")})
    home.run("2", {"a": ("Ann", None), "b": ("Bob", "Bonn")}, rest=replace(AMBIGUOUS, once=True))
    assert held_rows.arrived(home.con, home.columns, "a", "r1")
    assert not held_rows.arrived(home.con, home.columns, "a", "r1")
    names = ("_retl_id", "_retl_run", "_retl_untold", "_retl_k0", "name", "city")
    assert home.synced(*names) == {
        "a": ("r1", "2", None, "a", "Ann", None),
        "b": (None, "1", None, "b", "Ben", "Bonn"),
    }
    assert home.all("select key from state.held") == [("b",)]


def test_fields_that_cannot_be_told_from_what_was_kept_are_told_again(home: ByHand) -> None:
    """A value of another type, and a field that was not mapped then."""
    home.run("1", ANN, rest=replace(AMBIGUOUS, once=True))
    home.con.execute('update state.held set fields = \'{"name":{"first":"Ann"}}\'')
    held_rows.arrived(home.con, home.columns, "a", "r1")
    assert home.synced("_retl_untold", "name", "city") == {"a": (["name", "city"], None, None)}
