"""Which record a row means: what has to be looked up, and where a row goes once it was."""

from dataclasses import replace
from typing import Any

import pytest

from reverse_etl_assets.delivery.addressing import addressed, known_ids, to_look_up
from reverse_etl_assets.delivery.feed import WorkItem
from reverse_etl_assets.records import Capabilities, Operation, Outcome, Record
from reverse_etl_assets.state.outbox import OutboxRow

EVERY = frozenset(Operation)


def a_row(operation: Operation, known: str | None = None, **more: Any) -> OutboxRow:
    return OutboxRow(1, operation, Record("k", "e", {"name": "Ann"}, known), 10, **more)


def sent(row: OutboxRow, *found: str) -> OutboxRow | Outcome:
    """What becomes of a row whose key was looked up and found these records."""
    rows, outcomes = addressed(WorkItem(row.operation, [row]), {"e": found} if found else {})
    became: list[OutboxRow | Outcome] = [*rows, *(outcome for _, outcome in outcomes)]
    (one,) = became
    return one


@pytest.mark.parametrize("operation", [Operation.UPDATE, Operation.DELETE])
def test_what_is_changed_or_deleted_is_looked_up_though_its_id_is_known(operation: Operation) -> None:
    """Its record may have been deleted and made anew, or merged into another one."""
    for known in (None, "7"):
        assert to_look_up(WorkItem(operation, [a_row(operation, known)])) == ["e"]


@pytest.mark.parametrize("operation", [Operation.UPSERT, Operation.INSERT])
def test_what_is_written_by_its_key_is_looked_up_if_no_id_is_known(operation: Operation) -> None:
    assert to_look_up(WorkItem(operation, [a_row(operation)])) == ["e"]
    assert to_look_up(WorkItem(operation, [a_row(operation, "7")])) == []


@pytest.mark.parametrize("operation", [Operation.UPDATE, Operation.DELETE])
def test_the_record_that_carries_the_key_is_meant_and_else_the_one_that_is_known(operation: Operation) -> None:
    row = a_row(operation, "7")
    assert sent(row, "8") == replace(row, record=replace(row.record, destination_id="8"))
    assert sent(row) == row


def test_an_upsert_goes_to_the_record_that_is_known_whoever_carries_the_key() -> None:
    row = a_row(Operation.UPSERT, "7")
    assert sent(row, "8") == row
    assert sent(row, "8", "9") == row


def test_an_upsert_of_an_unknown_record_goes_to_the_one_that_was_found() -> None:
    row = a_row(Operation.UPSERT)
    assert sent(row, "8") == replace(row, record=replace(row.record, destination_id="8"))


def test_a_record_that_is_made_gets_all_fields() -> None:
    """Only what changed was to go out; there is no record that has the rest."""
    row = a_row(Operation.UPSERT, full={"name": "Ann", "city": "Bern"})
    made = sent(row)
    assert isinstance(made, OutboxRow)
    assert (made.record.fields, made.record.destination_id, made.full) == ({"name": "Ann", "city": "Bern"}, None, None)
    assert sent(a_row(Operation.UPSERT)) == a_row(Operation.UPSERT)


@pytest.mark.parametrize("operation", Operation)
def test_nobody_guesses_which_of_several_records_is_meant(operation: Operation) -> None:
    outcome = sent(a_row(operation), *"123456")
    assert isinstance(outcome, Outcome)
    assert outcome.error is not None
    assert (outcome.status, outcome.error.code) == ("failed", "AMBIGUOUS_KEY")
    assert outcome.error.message == "6 records carry this key: 1, 2, 3, 4, 5"


@pytest.mark.parametrize(
    ("operation", "reason", "said"),
    [
        (Operation.DELETE, "already_gone", "there is no record with this key any more"),
        (Operation.UPDATE, "not_found", "there is no record with this key"),
    ],
)
def test_a_key_that_belongs_to_no_record(operation: Operation, reason: str, said: str) -> None:
    outcome = sent(a_row(operation))
    assert isinstance(outcome, Outcome)
    assert outcome.error is not None
    assert (outcome.status, outcome.reason, outcome.error.message) == ("skipped", reason, said)


def test_ids_go_along_where_the_destination_addresses_by_them() -> None:
    by_key = Capabilities(EVERY, EVERY, max_rows=1, max_bytes=1)
    by_id = replace(by_key, needs_id=frozenset({Operation.UPSERT}))
    rows = {operation: [a_row(operation, "7"), a_row(operation)] for operation in Operation}
    known = {operation: known_ids(rows[operation], by_key) for operation in Operation}
    assert {operation for operation, ids in known.items() if ids} == {Operation.UPDATE, Operation.DELETE}
    assert known[Operation.UPDATE] == {"e": "7"}
    assert known_ids(rows[Operation.UPSERT], by_id) == {"e": "7"}
    assert known_ids(rows[Operation.DELETE], by_id) == {"e": "7"}
    assert known_ids(rows[Operation.INSERT], by_id) == {}
