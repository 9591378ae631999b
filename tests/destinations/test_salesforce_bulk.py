"""Bulk API 2.0: the file that goes in, and recorded result files."""

import csv
import io
from decimal import Decimal

import pytest

from reverse_etl_assets.destinations.salesforce.bulk import JobAnswer, encode_csv, job_outcomes, parse_error
from reverse_etl_assets.destinations.values import utc_milliseconds
from reverse_etl_assets.errors import RetryLater
from reverse_etl_assets.records import FieldType, Operation, Outcome, Reason, RowError, Status
from reverse_etl_assets.testing.builders import batch, record, target

TARGET = target("Contact", "Ext__c", *Operation, LastName=FieldType.TEXT, Amount__c=FieldType.DECIMAL)
ID = "0035g00000ABCdeAAH"


def test_csv_of_an_upsert() -> None:
    rows = batch(
        Operation.UPSERT,
        record("a", LastName='Ray "R", jr', Amount__c=Decimal("1E+2")),
        record("b", LastName="", Amount__c=None),
        record("c", LastName="two\nlines"),
        record("d", LastName=" spaces stay ", Amount__c=0.1),
    )
    assert encode_csv(TARGET, rows, {}, {}).decode() == (
        'Ext__c,LastName,Amount__c\na,"Ray ""R"", jr",100\nb,#N/A,#N/A\nc,"two\nlines",\nd, spaces stay ,0.1\n'
    )


@pytest.mark.parametrize("text", ["a\rb", "\r", "a\r\nb", "a\n\rb", "end\r"])
def test_csv_of_a_text_with_any_line_end(text: str) -> None:
    """Unquoted, a carriage return ends a row for many readers."""
    rows = batch(Operation.UPSERT, record("a", LastName=text, Amount__c=1), record("b\r", LastName="Ray"))
    written = encode_csv(TARGET, rows, {}, {}).decode()
    assert f'a,"{text}",1\n' in written
    assert list(csv.reader(io.StringIO(written, newline="")))[1:] == [["a", text, "1"], ["b\r", "Ray", ""]]


def test_csv_of_values_that_are_no_text() -> None:
    rows = batch(Operation.UPSERT, record("a", Flag__c=True, Seen__c="2026-01-31T12:00:00.000000Z", Raw__c={"a": 1}))
    written = encode_csv(target("Contact", "Ext__c"), rows, {"Seen__c": utc_milliseconds}, {}).decode()
    assert written == 'Ext__c,Flag__c,Seen__c,Raw__c\na,true,2026-01-31T12:00:00.000Z,"{""a"":1}"\n'


def test_csv_of_an_update_and_a_delete_is_by_id() -> None:
    row = record("a", destination_id=ID, LastName="Ray", Ext__c="a")
    assert encode_csv(TARGET, batch(Operation.UPDATE, row), {}, {}) == f"Id,LastName\n{ID},Ray\n".encode()
    assert encode_csv(TARGET, batch(Operation.DELETE, row), {}, {}) == f"Id\n{ID}\n".encode()


def test_csv_of_rows_that_name_different_fields() -> None:
    rows = [record("a", Amount__c=1), record("b", LastName=None), record("c"), record("d", LastName="x", Amount__c="")]
    assert encode_csv(TARGET, batch(Operation.UPSERT, *rows), {}, {}) == (
        b"Ext__c,LastName,Amount__c\na,,1\nb,#N/A,\nc,,\nd,x,#N/A\n"
    )
    assert encode_csv(TARGET, batch(Operation.UPSERT, *rows[:1]), {}, {}) == b"Ext__c,Amount__c\na,1\n"


def test_csv_of_parents() -> None:
    """A parent without a key, and none at all, are written into the lookup field."""
    to = target("Contact", "Ext__c", **{"Plan__r.Code__c": FieldType.TEXT})
    rows = [record(key, {"Plan__r.Code__c": value}) for key, value in (("a", "pro"), ("b", None), ("c", {"Id": ID}))]
    written = encode_csv(to, batch(Operation.UPSERT, *rows), {}, {"Plan__r.Code__c": ("Plan__r", "Code__c")})
    assert written == f"Ext__c,Plan__r.Code__c,Plan__c\na,pro,\nb,,#N/A\nc,,{ID}\n".encode()


def answer(
    state: str = "JobComplete",
    message: str = "",
    processed: int = 1,
    successful: str = "",
    failed: str = "",
    unprocessed: str = "",
) -> JobAnswer:
    return JobAnswer(state, message, processed, successful, failed, unprocessed)


def outcomes(operation: Operation, found: JobAnswer, *keys: str, destination_id: str | None = None) -> list[Outcome]:
    rows = batch(operation, *(record(key, destination_id=destination_id) for key in keys))
    return list(job_outcomes(TARGET, rows, found, str.lower))


SUCCESSFUL = f'"sf__Id","sf__Created","Ext__c","LastName"\n"{ID}","false","B","x"\n"{ID}","true","A","two\nlines"\n'
FAILED = (
    '"sf__Id","sf__Error","Ext__c","LastName"\n'
    '"","INVALID_FIELD:Failed to deserialize field at col 3. Due to, \'x\' is not a valid value for the type '
    'xsd:date:CloseDate --","c","x"\n'
    '"","UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--","d","x"\n'
)


def test_rows_are_found_by_key_in_any_order_and_case() -> None:
    assert outcomes(Operation.UPSERT, answer(successful=SUCCESSFUL), "a", "b") == [
        Outcome("b", Status.UPDATED, destination_id=ID),
        Outcome("a", Status.CREATED, destination_id=ID),
    ]


def test_failed_rows_keep_code_message_and_field() -> None:
    message = "Failed to deserialize field at col 3. Due to, 'x' is not a valid value for the type xsd:date"
    locked = RowError("unable to obtain exclusive access to this record", "UNABLE_TO_LOCK_ROW")
    assert outcomes(Operation.UPSERT, answer(failed=FAILED), "c", "d") == [
        Outcome.rejected("c", RowError(message, "INVALID_FIELD", "CloseDate")),
        Outcome.rejected("d", locked, retry=True),
    ]


def test_a_row_in_none_of_the_files_is_not_named() -> None:
    found = outcomes(Operation.UPSERT, answer(successful=SUCCESSFUL, failed=FAILED), "a", "b", "c", "d", "e")
    assert {outcome.key for outcome in found} == {"a", "b", "c", "d"}


def test_rows_of_other_jobs_are_left_out() -> None:
    assert outcomes(Operation.UPSERT, answer(successful=SUCCESSFUL), "z") == []


def test_an_aborted_job_leaves_rows_to_send_again() -> None:
    [outcome] = outcomes(Operation.UPSERT, answer("Aborted", unprocessed='"Ext__c"\n"a"\n'), "a")
    assert (outcome.reason, outcome.retry) == (Reason.UNAVAILABLE, True)


MISSING = "InvalidBatch : Field name not found : Nope__c"


@pytest.mark.parametrize("unprocessed", ["", '"Ext__c"\n"a"\n"b"\n'])
def test_a_job_that_failed_for_its_content_rejects_its_rows(unprocessed: str) -> None:
    found = outcomes(Operation.UPSERT, answer("Failed", MISSING, 0, unprocessed=unprocessed), "a", "b")
    assert found == [Outcome.rejected(key, RowError(MISSING, "InvalidBatch")) for key in ("a", "b")]


def test_a_job_that_failed_half_way_says_nothing_of_rows_in_no_file() -> None:
    found = outcomes(Operation.UPSERT, answer("Failed", MISSING, 2, successful=SUCCESSFUL), "a", "b", "c")
    assert {outcome.key for outcome in found} == {"a", "b"}


def test_a_job_that_met_a_busy_server_leaves_rows_to_send_again() -> None:
    message = "InternalServerError : Unable to process"
    [outcome] = outcomes(Operation.UPSERT, answer("Failed", message, 0, unprocessed='"Ext__c"\n"a"\n'), "a")
    assert (outcome.retry, outcome.error) == (True, RowError(message, "InternalServerError"))


def test_deletes_are_found_by_id() -> None:
    gone = f'"sf__Id","sf__Error","Id"\n"{ID}","ENTITY_IS_DELETED:entity is deleted:--","{ID[:15]}"\n'
    [outcome] = outcomes(Operation.DELETE, answer(failed=gone), "a", destination_id=ID)
    assert (outcome.status, outcome.reason) == (Status.SKIPPED, Reason.ALREADY_GONE)
    done = f'"sf__Id","sf__Created","Id"\n"{ID}","false","{ID}"\n'
    assert outcomes(Operation.DELETE, answer(successful=done), "a", destination_id=ID) == [
        Outcome("a", Status.DELETED, destination_id=ID)
    ]


def test_an_insert_of_what_is_there_is_skipped() -> None:
    message = "duplicate value found: Ext__c duplicates value on record with id: 0035g00000ABCde"
    failed = f'"sf__Id","sf__Error","Ext__c"\n"","DUPLICATE_VALUE:{message}:--","a"\n'
    [outcome] = outcomes(Operation.INSERT, answer(failed=failed), "a")
    assert outcome == Outcome.skipped("a", Reason.ALREADY_EXISTS, message, "0035g00000ABCde")


def test_a_text_that_would_clear_its_field_is_not_sent() -> None:
    rows = batch(Operation.UPSERT, record("a", LastName="#N/A"), record("b", LastName="x"))
    assert encode_csv(TARGET, rows, {}, {}) == b"Ext__c,LastName\nb,x\n"
    [left] = job_outcomes(TARGET, rows, answer(), str.lower)
    assert (left.key, left.reason) == ("a", Reason.INVALID)


def test_results_without_the_key_column_are_read_again_later() -> None:
    with pytest.raises(RetryLater, match="Ext__c"):
        outcomes(Operation.UPSERT, answer(successful="<html>busy</html>\n1\n"), "a")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("CODE:message --", RowError("message", "CODE")),
        ("CODE:a: b: c:Field__c --", RowError("a: b: c", "CODE", "Field__c")),
        ("CODE:missing: [A, B]:A, B --", RowError("missing: [A, B]", "CODE", "A")),
        ("CODE:two\nlines:F --", RowError("two\nlines", "CODE", "F")),
        ("plain words", RowError("plain words")),
        ("", RowError("")),
    ],
)
def test_errors_in_their_parts(text: str, error: RowError) -> None:
    assert parse_error(text) == error
