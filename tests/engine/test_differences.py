"""What is wrong with a record, how it is counted, and what is said of it."""

import pytest

from reverse_etl_assets.privacy.masking import Mask
from reverse_etl_assets.readback.differences import MOST_NAMED, Difference, Kind, Tally, Verified, Wanted, compare
from reverse_etl_assets.records import Current

ANN = Wanted("a", "a", {"name": "Ann", "city": None})


def equal(field: str, one: object, other: object) -> bool:
    return one == other


def record(number: int = 1, **fields: object) -> Current:
    return Current(f"r{number}", {"name": "Ann", "city": None, **fields})


def test_a_record_as_it_should_be() -> None:
    assert compare(ANN, [record(phone="1")], equal) == []


def test_each_field_that_differs_is_one_difference() -> None:
    found = compare(ANN, [record(name="Anna", city="Bern")], equal)
    assert found == [
        Difference("a", Kind.DIFFERS, "name", "Ann", "Anna"),
        Difference("a", Kind.DIFFERS, "city", None, "Bern"),
    ]


def test_a_record_that_is_not_there() -> None:
    assert compare(ANN, [], equal) == [Difference("a", Kind.MISSING)]


def test_a_record_that_should_be_gone() -> None:
    gone = Wanted("a", "a", None)
    assert compare(gone, [], equal) == []
    assert compare(gone, [record()], equal) == [Difference("a", Kind.STILL_THERE)]
    assert compare(gone, [record(), record(2)], equal) == [Difference("a", Kind.STILL_THERE)]


def test_nobody_guesses_which_of_several_records_is_meant() -> None:
    two = compare(ANN, [record(1), record(2)], equal)
    assert two == [Difference("a", Kind.SEVERAL, held="r1, r2")]
    six = compare(ANN, [record(number) for number in range(6)], equal)
    assert six[0].held == "r0, r1, r2, r3, r4"


def differs(key: str, *fields: str) -> list[Difference]:
    return [Difference(key, Kind.DIFFERS, field, 1, 2) for field in fields]


def test_rows_are_counted_once_by_what_is_wrong_with_them() -> None:
    tally = Tally()
    for found in ([], differs("a", "name", "city"), differs("b", "name"), [Difference("c", Kind.MISSING)]):
        tally.add(found)
    for key in "def":
        tally.add([Difference(key, Kind.STILL_THERE)])
    tally.add([Difference("g", Kind.SEVERAL)])
    verified = tally.verified()
    assert (verified.looked_at, verified.differing, verified.missing, verified.duplicates, verified.allowed) == (
        8,
        5,
        1,
        1,
        0,
    )
    assert (verified.wrong, verified.counts) == (6, {"verified": 8, "verified_differing": 6})
    assert [(each.key, each.field) for each in verified.examples[:4]] == [
        ("a", "name"),
        ("a", "city"),
        ("b", "name"),
        ("c", None),
    ]
    assert verified.not_judged == ""
    assert tally.verified("it was late").not_judged == "it was late"


def test_what_people_may_change_is_counted_apart_and_not_named() -> None:
    tally = Tally()
    assert tally.add(differs("a", "name", "city"), {"name"}) == differs("a", "city")
    assert tally.add(differs("b", "name"), {"name"}) == []
    found = tally.verified()
    assert (found.looked_at, found.differing, found.allowed, found.examples) == (2, 1, 2, (*differs("a", "city"),))


def test_some_are_named_and_all_are_counted() -> None:
    tally = Tally()
    for number in range(30):
        tally.add(differs(str(number), "name", "city", "phone"))
    found = tally.verified()
    assert (found.differing, len(found.examples), MOST_NAMED) == (30, 20, 20)


def test_nothing_looked_at_is_counted_as_nothing() -> None:
    assert Verified().counts == {}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Verified(not_asked="the run wrote nothing"), "the run wrote nothing"),
        (Verified(), "nothing was looked at: there is no row"),
        (Verified(not_judged="it was late"), "nothing was looked at: it was late"),
        (Verified(3), "3 rows looked at: each is as it should be"),
        (Verified(3, missing=1), "3 rows looked at: 1 missing"),
        (
            Verified(3000, 1, 1, 2, 1200, not_judged="it was late"),
            "3,000 rows looked at: 1 differing, 1 missing, 2 with several records (possible duplicates); fields edited,"
            " as they may be: 1,200; the others could not be looked at: it was late",
        ),
    ],
)
def test_it_is_said_in_a_sentence(found: Verified, said: str) -> None:
    assert str(found) == said


MASK = Mask(frozenset({"name"}), (True,))


def test_keys_and_values_are_shown_as_they_may_be() -> None:
    assert differs("ann@x.org", "city")[0].masked(Mask()) == differs("ann@x.org", "city")[0]
    row = Difference("ann@x.org", Kind.DIFFERS, "name", "Ann", "Bob")
    assert row.masked(MASK) == Difference(MASK.key("ann@x.org") or "", Kind.DIFFERS, "name", "A***", "B***")
    gone = Difference("ann@x.org", Kind.MISSING).masked(MASK)
    assert (gone.kind, gone.key, gone.field) == (Kind.MISSING, MASK.key("ann@x.org"), None)
    assert gone.key != "ann@x.org"
    several = Difference("ann@x.org", Kind.SEVERAL, held="r1, r2").masked(MASK)
    assert several.held == "r1, r2"


def test_a_whole_look_is_shown_as_it_may_be() -> None:
    found = Verified(1, 1, examples=(Difference("ann@x.org", Kind.MISSING),), not_judged="ann@x.org was refused")
    shown = found.masked(MASK)
    assert "ann@x.org" not in repr(shown)
    assert (shown.looked_at, len(shown.examples)) == (1, 1)
    assert shown.not_judged.endswith("was refused")
