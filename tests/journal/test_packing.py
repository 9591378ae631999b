"""What is packed comes back as it was, whatever it is, and common batches stay small."""

import msgspec
import pytest
from hypothesis import given, strategies as st

from reverse_etl_assets.journal.packing import (
    pack_answers,
    pack_notes,
    pack_rows,
    unpack_answers,
    unpack_notes,
    unpack_rows,
)
from reverse_etl_assets.journal.records import Answer, Note
from reverse_etl_assets.records import Reason, RowError, Status

row_numbers = st.integers(0, 2**63 - 1) | st.integers(0, 50)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
errors = st.builds(RowError, texts, st.none() | texts, st.none() | texts)
answers = st.builds(
    Answer,
    row_numbers,
    st.sampled_from(Status),
    st.none() | st.sampled_from(Reason),
    st.none() | texts,
    st.none() | errors,
    st.booleans(),
)


@given(st.lists(row_numbers))
def test_rows(rows: list[int]) -> None:
    assert unpack_rows(pack_rows(rows)) == rows


@pytest.mark.parametrize(
    ("rows", "packed"),
    [
        ([], []),
        ([0], [0, 1]),
        ([7], [7, 1]),
        ([0, 1, 2], [0, 3]),
        ([5, 6, 9], [5, 2, 2, 1]),
        ([3, 1, 2], [3, 1, -3, 2]),
        ([4, 4], [4, 1, -1, 1]),
        ([2**63 - 1], [2**63 - 1, 1]),
    ],
)
def test_rows_are_gaps_and_lengths(rows: list[int], packed: list[int]) -> None:
    """A journal keeps them for months: a later release has to read them as they are."""
    assert msgspec.msgpack.decode(pack_rows(rows)) == packed
    assert unpack_rows(msgspec.msgpack.encode(packed)) == rows


@pytest.mark.parametrize(
    "given_answers",
    [
        [],
        [Answer(4, Status.CREATED, None, "003xx")],
        [Answer(4, Status.CREATED, inferred=True), Answer(9, Status.UPDATED)],
        [Answer(row, status) for row, status in enumerate(Status)],
        [Answer(row, Status.FAILED, reason, error=RowError("m", "c", "f")) for row, reason in enumerate(Reason)],
    ],
)
def test_answers_of_each_kind(given_answers: list[Answer]) -> None:
    assert unpack_answers(pack_answers(given_answers)) == given_answers


def test_notes() -> None:
    notes = [Note(1), Note(2, True), Note(3, True, '{"name": "Zoë"}', ["name"]), Note(4, sent=[])]
    assert unpack_notes(pack_notes(notes)) == notes
    assert pack_notes([]) is None
    assert list(unpack_notes(None)) == []


@given(st.integers(0, 2**62), st.integers(0, 5000))
def test_a_range_of_rows_takes_a_few_bytes(first: int, count: int) -> None:
    rows = range(first, first + count)
    packed = pack_rows(rows)
    assert unpack_rows(packed) == list(rows)
    assert len(packed) <= 13


@given(st.lists(answers))
def test_answers(given_answers: list[Answer]) -> None:
    assert unpack_answers(pack_answers(given_answers)) == given_answers


@given(answers, st.integers(1, 300))
def test_equal_answers_are_kept_once(answer: Answer, count: int) -> None:
    same = [Answer(row, Status.UPDATED) for row in range(count)]
    assert unpack_answers(pack_answers(same)) == same
    assert len(pack_answers(same)) < 30
    assert unpack_answers(pack_answers([answer] * count)) == [answer] * count


@pytest.mark.parametrize("half", ["\ud800", "x\udfff"])
def test_half_a_surrogate_pair_does_not_lose_the_answer(half: str) -> None:
    escape = half.encode("utf-8", "backslashreplace").decode()
    answer = Answer(1, Status.FAILED, Reason.REJECTED, half, RowError(half, half, None))
    expected = Answer(1, Status.FAILED, Reason.REJECTED, escape, RowError(escape, escape, None))
    assert unpack_answers(pack_answers([answer])) == [expected]


def test_no_answers_yet() -> None:
    assert unpack_answers(None) == []
