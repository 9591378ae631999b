"""Recorded answers of HubSpot, one for each kind of outcome."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.errors import Ambiguous, RequestRejected, TargetChanged
from reverse_etl_assets.records import FieldType, Operation, Outcome, Reason, Record, RowError, Status
from reverse_etl_assets.testing.builders import batch, record, target
from tests.destinations import accounts

TARGET = target("contacts", "email", *Operation, lifecyclestage=FieldType.TEXT)
ROWS = [record(f"k{n}", external_id=f"Ann{n}@x.com", destination_id=f"10{n}") for n in range(4)]


def hubspot() -> HubSpot:
    return accounts.offline(HubSpot, accounts.hubspot("https://api.example"), TARGET)


def read(operation: Operation, body: Any, rows: list[Record] = ROWS, status: int = 200) -> list[Outcome]:
    answer = httpx.Response(status, content=body if isinstance(body, bytes) else json.dumps(body).encode())
    return list(hubspot().read_response(batch(operation, *rows), answer))


def done(number: int, *, new: bool | None = None, trace: bool = True, **properties: str) -> dict[str, Any]:
    result: dict[str, Any] = {"id": f"10{number}", "properties": {"email": f"ann{number}@x.com", **properties}}
    if new is not None:
        result["new"] = new
    return result | ({"objectWriteTraceId": f"k{number}"} if trace else {})


INVALID = {
    "status": "error",
    "category": "VALIDATION_ERROR",
    "message": "Property values were not valid: "
    '[{"isValid":false,"message":"red was not one of the allowed options: [hot]","error":"INVALID_OPTION",'
    '"name":"lead_grade","portalId":1}]',
    "context": {"objectWriteTraceId": ["k1"]},
}


def test_207_names_good_and_bad_rows_in_any_order() -> None:
    body = {
        "status": "COMPLETE",
        "results": [done(2, new=False), done(0, new=True)],
        "numErrors": 1,
        "errors": [INVALID],
    }
    assert read(Operation.UPSERT, body, status=207) == [
        Outcome.rejected(
            "k1", RowError("red was not one of the allowed options: [hot]", "INVALID_OPTION", "lead_grade")
        ),
        Outcome("k2", Status.UPDATED, destination_id="102"),
        Outcome("k0", Status.CREATED, destination_id="100"),
    ]


def test_without_trace_ids_rows_are_found_by_folded_key() -> None:
    body = {"results": [done(2, new=False, trace=False), done(0, new=True, trace=False)]}
    assert [(each.key, each.status) for each in read(Operation.UPSERT, body)] == [
        ("k2", Status.UPDATED),
        ("k0", Status.CREATED),
    ]


def test_without_trace_ids_updates_are_found_by_id() -> None:
    rows = [record("a", external_id="101", destination_id="102"), record("b", external_id="102", destination_id="101")]
    found = read(Operation.UPDATE, {"results": [{"id": "101", "properties": {}}]}, rows)
    assert found == [Outcome("b", Status.UPDATED, destination_id="101")]


def test_a_trace_id_that_is_not_ours_names_nobody() -> None:
    assert read(Operation.UPSERT, {"results": [done(0, new=True) | {"objectWriteTraceId": "zz"}]}) == []


def test_an_answer_without_new_is_inferred() -> None:
    [outcome] = read(Operation.UPSERT, {"results": [done(0)]})
    assert (outcome.status, outcome.inferred) == (Status.UPDATED, True)


@pytest.mark.parametrize(
    "body", [b"", {}, {"results": [], "errors": []}, {"status": "PENDING"}, {"results": None, "errors": None}]
)
def test_an_answer_that_names_nobody_is_no_success(body: Any) -> None:
    """A write's; of an archive HubSpot names errors alone."""
    for operation in set(Operation) - {Operation.DELETE}:
        assert read(operation, body) == []


@pytest.mark.parametrize("body", [b"[]", b"null", b'{"results":[{', b"<html>"])
def test_an_answer_that_cannot_be_read_is_ambiguous(body: bytes) -> None:
    with pytest.raises(Ambiguous):
        read(Operation.UPSERT, body)


def test_a_row_that_is_both_good_and_bad_is_bad() -> None:
    body = {"results": [done(1, new=True)], "errors": [INVALID]}
    assert [(each.key, each.status) for each in read(Operation.UPSERT, body)] == [("k1", Status.FAILED)]


def test_a_row_named_twice_has_one_outcome() -> None:
    assert len(read(Operation.UPSERT, {"results": [done(1, new=True), done(1, new=False)]})) == 1
    assert len(read(Operation.UPSERT, {"errors": [INVALID, INVALID]})) == 1


def test_errors_name_rows_by_key_in_any_case() -> None:
    error = {"category": "VALIDATION_ERROR", "message": "bad", "context": {"ids": ["ANN1@x.com", "zz@x.com"]}}
    assert read(Operation.UPSERT, {"errors": [error]}) == [Outcome.rejected("k1", RowError("bad", "VALIDATION_ERROR"))]


@pytest.mark.parametrize(
    ("operation", "category", "message"),
    [
        (Operation.UPSERT, "OBJECT_NOT_FOUND", "not found"),
        (Operation.UPDATE, "VALIDATION_ERROR", "bad"),
        (Operation.UPDATE, "CONFLICT", "Contact already exists"),
        (Operation.INSERT, "CONFLICT", "changed at the same time"),
        (Operation.INSERT, "VALIDATION_ERROR", "Contact already exists"),
    ],
)
def test_other_errors_are_refusals(operation: Operation, category: str, message: str) -> None:
    error = {"category": category, "message": message, "context": {"objectWriteTraceId": ["k0"]}}
    assert read(operation, {"errors": [error]}) == [Outcome.rejected("k0", RowError(message, category))]


def test_an_insert_of_what_is_there_is_skipped() -> None:
    message = "Contact already exists. Existing ID: 171591000198"
    error = {"category": "CONFLICT", "message": message, "context": {"objectWriteTraceId": ["k0"]}}
    expected = [Outcome.skipped("k0", Reason.ALREADY_EXISTS, message, "171591000198")]
    assert read(Operation.INSERT, {"errors": [error]}, status=207) == expected
    told = error | {"message": "It already exists", "context": {"objectWriteTraceId": "k0", "existingId": "17"}}
    assert [each.destination_id for each in read(Operation.INSERT, {"errors": [told]})] == ["17"]
    assert [each.reason for each in read(Operation.UPSERT, {"errors": [error]})] == [Reason.REJECTED]


def test_an_insert_of_a_unique_value_that_is_taken_is_skipped_only_for_the_key() -> None:
    def taken(name: str) -> dict[str, Any]:
        detail = [{"isValid": False, "message": "taken", "error": "CONFLICTING_UNIQUE_VALUE", "name": name}]
        message = f"Property values were not valid: {json.dumps(detail)}"
        return {"category": "VALIDATION_ERROR", "message": message, "context": {"objectWriteTraceId": ["k0"]}}

    assert [each.reason for each in read(Operation.INSERT, {"errors": [taken("email")]})] == [Reason.ALREADY_EXISTS]
    assert [each.reason for each in read(Operation.INSERT, {"errors": [taken("tax_id")]})] == [Reason.REJECTED]


def test_an_update_of_what_is_gone_is_skipped() -> None:
    message = "Could not get some CONTACT objects, they may be deleted or not exist. Check that ids are valid."
    error = {"category": "OBJECT_NOT_FOUND", "message": message, "context": {"ids": ["101", "103"]}}
    assert read(Operation.UPDATE, {"results": [done(0), done(2)], "errors": [error]}, status=207) == [
        Outcome.skipped("k1", Reason.NOT_FOUND, message, "101"),
        Outcome.skipped("k3", Reason.NOT_FOUND, message, "103"),
        Outcome("k0", Status.UPDATED, destination_id="100"),
        Outcome("k2", Status.UPDATED, destination_id="102"),
    ]


def test_an_archive_names_nobody_so_its_outcomes_are_inferred() -> None:
    assert read(Operation.DELETE, b"", ROWS[:1], status=204) == [
        Outcome("k0", Status.DELETED, destination_id="100", inferred=True)
    ]


NO_ROW = {"category": "VALIDATION_ERROR", "message": "it cannot be done"}
NOT_101 = {"category": "VALIDATION_ERROR", "message": "it is held", "context": {"ids": ["101"]}}
GONE_101 = {"category": "OBJECT_NOT_FOUND", "message": "no", "context": {"ids": ["101"]}}


@pytest.mark.parametrize(
    ("body", "status", "archived", "others"),
    [
        (b"", 204, "0123", {}),
        (b"", 200, "0123", {}),
        ({}, 200, "0123", {}),
        ({"status": "COMPLETE", "results": []}, 200, "0123", {}),
        ({"status": "COMPLETE", "errors": [NOT_101]}, 207, "023", {"k1": Reason.REJECTED}),
        ({"numErrors": 1, "errors": [GONE_101]}, 200, "023", {"k1": Reason.ALREADY_GONE}),
        ({"numErrors": 2, "errors": [NOT_101]}, 207, "", {"k1": Reason.REJECTED}),
        ({"status": "PROCESSING"}, 202, "", {}),
    ],
)
def test_an_archive_is_a_success_by_any_2xx_but_for_what_errors_name(
    body: Any, status: int, archived: str, others: dict[str, Reason]
) -> None:
    found = read(Operation.DELETE, body, status=status)
    assert {each.key for each in found if each.status is Status.DELETED} == {f"k{number}" for number in archived}
    assert {each.key: each.reason for each in found if each.status is not Status.DELETED} == others
    assert all(each.inferred for each in found if each.status is Status.DELETED)


def test_an_archive_with_an_error_that_names_nobody_is_halved_and_refused_alone() -> None:
    with pytest.raises(RequestRejected, match="it cannot be done"):
        read(Operation.DELETE, {"errors": [NO_ROW, NOT_101]}, status=207)
    [alone] = read(Operation.DELETE, {"errors": [NO_ROW]}, ROWS[:1], status=207)
    assert (alone.reason, alone.error and alone.error.message) == (Reason.REJECTED, "it cannot be done")


@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_deletion_for_good_is_a_success_by_any_2xx(status: int) -> None:
    to = replace(TARGET, operations=frozenset({Operation.DELETE}), for_good=True)
    destination = accounts.offline(HubSpot, accounts.hubspot("https://api.example"), to)
    [gone] = destination.read_response(batch(Operation.DELETE, ROWS[0]), httpx.Response(status))
    assert (gone.status, gone.destination_id, gone.inferred) == (Status.DELETED, "100", True)


def test_a_row_over_the_rate_is_to_be_sent_again() -> None:
    error = {"category": "RATE_LIMITS", "message": "too fast", "context": {"objectWriteTraceId": ["k0"]}}
    assert [each.retry for each in read(Operation.UPSERT, {"errors": [error]})] == [True]


def test_a_lifecycle_stage_that_did_not_move_is_reported() -> None:
    rows = [record("k0", lifecyclestage="lead"), record("k1", lifecyclestage="Customer"), record("k2")]
    body = {"results": [done(number, new=False, lifecyclestage="customer") for number in range(3)]}
    kept, moved, untouched = read(Operation.UPSERT, body, rows)
    assert kept.error is not None
    assert (kept.reason, kept.error.field) == (Reason.REJECTED, "lifecyclestage")
    assert "HubSpot kept 'customer'" in kept.error.message
    assert (moved.status, untouched.status) == (Status.UPDATED, Status.UPDATED)


def test_a_refused_request_keeps_code_and_property() -> None:
    error = hubspot().error_for(httpx.Response(400, json=INVALID))
    assert isinstance(error, RequestRejected)
    assert (error.code, error.field) == ("INVALID_OPTION", "lead_grade")
    detail = {"code": "REQUIRED_FIELD", "message": "-", "context": {"propertyName": ["x"]}}
    error = hubspot().error_for(httpx.Response(400, json={"message": "bad", "errors": [detail]}))
    assert isinstance(error, RequestRejected)
    assert (error.code, error.field) == ("REQUIRED_FIELD", "x")


def test_a_property_that_is_not_there_is_no_fault_of_a_row() -> None:
    """Refused as a whole, or each row of an answer without a single result."""
    detail = {"code": "PROPERTY_DOESNT_EXIST", "message": "-", "context": {"propertyName": ["x"]}}
    error = hubspot().error_for(httpx.Response(400, json={"message": "bad", "errors": [detail]}))
    assert isinstance(error, TargetChanged)
    assert "PROPERTY_DOESNT_EXIST: bad (`x`)" in str(error)
    row = {"message": "no", "context": {"objectWriteTraceId": ["k0"]}, "errors": [detail]}
    with pytest.raises(TargetChanged, match="`x`"):
        read(Operation.UPSERT, {"errors": [row]}, status=207)
    [refused, done_row] = read(Operation.UPSERT, {"errors": [row], "results": [done(1, new=True)]}, status=207)
    assert (refused.reason, done_row.status) == (Reason.REJECTED, Status.CREATED)


def test_errors_that_name_nobody_refuse_the_batch_if_nothing_was_written() -> None:
    """It is halved until the row stands alone; where something was written, and more rows are not named than errors
    name nobody, they stay without an outcome."""
    error = {"category": "VALIDATION_ERROR", "message": "one of them is wrong"}
    with pytest.raises(RequestRejected, match="VALIDATION_ERROR: one of them is wrong"):
        read(Operation.UPSERT, {"errors": [error]}, status=207)
    found = read(Operation.UPSERT, {"errors": [error], "results": [done(1, new=True)]}, status=207)
    assert [each.key for each in found] == ["k1"]
    body = {"errors": [{"category": "CONFLICT", "message": "Contact already exists. Existing ID: 7"}]}

    async def work() -> None:
        transport = httpx.MockTransport(lambda request: httpx.Response(207, json=body))
        async with httpx.AsyncClient(transport=transport) as client:
            met = HubSpot(accounts.hubspot("https://api.example"), TARGET, HubSpot.Options(), client)
            [outcome] = await met.send(batch(Operation.INSERT, ROWS[0]))
            assert (outcome.reason, outcome.destination_id) == (Reason.ALREADY_EXISTS, "7")

    asyncio.run(work())


def test_errors_that_name_nobody_are_of_the_rows_that_nothing_else_names() -> None:
    errors = [{"category": "VALIDATION_ERROR", "message": words} for words in ("too long", "too short")]
    one = read(Operation.UPSERT, {"errors": errors[:1], "results": [done(n, new=True) for n in (0, 1, 3)]}, status=207)
    assert one[-1] == Outcome.rejected("k2", RowError("too long", "VALIDATION_ERROR"))
    two = read(Operation.UPSERT, {"errors": errors, "results": [done(n, new=True) for n in (0, 3)]}, status=207)
    assert [(each.key, each.retry) for each in two] == [("k0", False), ("k3", False), ("k1", True), ("k2", True)]
    of_another = [{**errors[0], "context": {"objectWriteTraceId": ["somebody else's"]}}]
    found = read(
        Operation.UPSERT, {"errors": of_another, "results": [done(n, new=True) for n in (0, 1, 3)]}, status=207
    )
    assert len(found) == 3


def test_what_a_context_says_in_words_is_passed_on() -> None:
    context = {"INVALID_OBJECT_IDS": ["CONTACT=2 is not valid", "COMPANY=9 is not valid"], "ids": ["2"]}
    body = {"message": "One or more associations are invalid", "category": "VALIDATION_ERROR", "context": context}
    error = hubspot().error_for(httpx.Response(400, json=body))
    assert str(error).endswith("are invalid: CONTACT=2 is not valid; COMPANY=9 is not valid")


@pytest.mark.parametrize(
    ("status", "body", "existing"),
    [
        (409, {"category": "CONFLICT", "message": "Contact already exists. Existing ID: 123"}, "123"),
        (409, {"category": "CONFLICT", "message": "Contact already exists"}, None),
        (409, {"message": "Contact already exists. Existing ID: 123"}, "123"),
    ],
)
def test_an_insert_that_is_refused_as_a_whole_met_a_record(status: int, body: Any, existing: str | None) -> None:
    """Once it stands alone; before, its batch is halved."""
    transport = httpx.MockTransport(lambda request: httpx.Response(status, json=body))

    async def work() -> None:
        async with httpx.AsyncClient(transport=transport) as client:
            met = HubSpot(accounts.hubspot("https://api.example"), TARGET, HubSpot.Options(), client)
            [outcome] = await met.send(batch(Operation.INSERT, ROWS[0]))
            assert (outcome.reason, outcome.destination_id) == (Reason.ALREADY_EXISTS, existing)
            for sent in (batch(Operation.INSERT, *ROWS), batch(Operation.UPDATE, ROWS[0])):
                with pytest.raises(RequestRejected):
                    await met.send(sent)

    asyncio.run(work())


def test_another_conflict_of_an_insert_is_a_refusal() -> None:
    body = {"category": "CONFLICT", "message": "changed at the same time"}
    transport = httpx.MockTransport(lambda request: httpx.Response(409, json=body))

    async def work() -> None:
        async with httpx.AsyncClient(transport=transport) as client:
            met = HubSpot(accounts.hubspot("https://api.example"), TARGET, HubSpot.Options(), client)
            with pytest.raises(RequestRejected):
                await met.send(batch(Operation.INSERT, ROWS[0]))

    asyncio.run(work())
