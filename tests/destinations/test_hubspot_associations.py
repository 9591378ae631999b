"""HubSpot associations: the shipped contract, and whom an answer to many pairs means."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx
import pytest

from reverse_etl_assets.errors import ContractViolation, RequestRejected
from reverse_etl_assets.records import Operation, Outcome, Reason, Record, Status
from reverse_etl_assets.testing.builders import batch, record
from reverse_etl_assets.testing.harness import Stored
from reverse_etl_sandbox.server import Sandbox
from tests.destinations.hubspot_links import PAIRS, ROWS, NoFields, hubspot, opened, read


class TestAssociations(NoFields):
    target = PAIRS

    @pytest.fixture
    def server(self, sandbox: Sandbox) -> Sandbox:
        self.sandbox, self.ids = sandbox, list[str]()
        self.company = sandbox.add("hubspot", "companies", {"name": "Acme", "external_id": "acme|1"})
        return sandbox

    def record(self, number: int) -> Record:
        email, account = f"p{number}@example.com", "acme|1"
        fields = {"from.email": email, "to.external_id": account}
        return Record(email, f"{email}|acme\\|1", fields, f"{self.contact(number)}:{self.company}")

    def spoiled(self, record: Record) -> Record:
        return replace(record, destination_id="77:88")

    def stored(self, server: Sandbox) -> Sequence[Stored]:
        pairs, contacts = server.hubspot.tables.get(PAIRS.object), server.hubspot.tables["contacts"]
        ids = [each.id.partition(":")[0] for each in (pairs.live() if pairs else ())]
        return [(contacts.entries[each].values["email"], {}) for each in ids]


def test_associations_are_answered_from_both_sides() -> None:
    sides = [("201", "101"), ("101", "201"), ("102", "201"), ("9", "9")]
    body = {"results": [{"from": {"id": one}, "to": {"id": other}} for one, other in sides]}
    assert read(PAIRS, Operation.UPSERT, body) == [
        Outcome("a", Status.CREATED, destination_id="101:201", inferred=True),
        Outcome("b", Status.CREATED, destination_id="102:201", inferred=True),
    ]
    ended = read(PAIRS, Operation.DELETE, b"", 204)
    assert [(each.key, each.status, each.inferred) for each in ended] == [
        ("a", Status.DELETED, True),
        ("b", Status.DELETED, True),
    ]


@pytest.mark.parametrize(
    ("category", "reason"), [("OBJECT_NOT_FOUND", Reason.NOT_FOUND), ("VALIDATION_ERROR", Reason.REJECTED)]
)
def test_an_association_that_is_refused(category: str, reason: Reason) -> None:
    error = {"category": category, "message": "CONTACT=102 is not valid", "context": {"ids": ["CONTACT=102"]}}
    body = {"results": [{"from": {"id": "101"}, "to": {"id": "201"}}], "errors": [error]}
    bad, good = read(PAIRS, Operation.UPSERT, body, 207)
    assert (good.key, bad.key, bad.reason) == ("a", "b", reason)


def said(message: str, **more: Any) -> dict[str, Any]:
    return {"status": "error", "category": "VALIDATION_ERROR", "message": message, **more}


NOBODY = said("it cannot be done")
ONE = said("CONTACT=102 and COMPANY=201 cannot be changed")


@pytest.mark.parametrize(
    ("body", "status", "ended", "refused"),
    [
        ({}, 200, "ab", ""),
        (b"", 200, "ab", ""),
        ({"status": "COMPLETE", "results": []}, 200, "ab", ""),
        ({"status": "COMPLETE", "results": [], "errors": []}, 207, "ab", ""),
        ({"status": "COMPLETE", "results": [], "numErrors": 1, "errors": [ONE]}, 200, "a", "b"),
        ({"status": "COMPLETE", "errors": [ONE]}, 207, "a", "b"),
        ({"errors": [said("no", context={"fromObjectId": ["102"], "toObjectId": ["201"]})]}, 207, "a", "b"),
        ({"errors": [said("no", errors=[{"message": "CONTACT=102 is not valid"}])]}, 200, "a", "b"),
        ({"errors": [said("COMPANY=201 is not valid")]}, 200, "", "ab"),
        ({"results": [{"from": {"id": "101"}, "to": [{"id": "201"}]}]}, 200, "ab", ""),
        ({"results": [{"from": {"id": "101"}, "to": {"id": "201"}}]}, 200, "ab", ""),
        ({"numErrors": 2, "errors": [ONE]}, 200, "", "b"),
        ({"status": "PROCESSING"}, 202, "", ""),
        ({"status": "CANCELED", "results": []}, 200, "", ""),
    ],
)
def test_an_association_is_ended_unless_an_error_names_it(body: Any, status: int, ended: str, refused: str) -> None:
    """Where nobody can tell whom an error means, a pair that is not named is no success."""
    found = read(PAIRS, Operation.DELETE, body, status)
    assert sorted(each.key for each in found if each.status is Status.DELETED) == [*ended]
    assert sorted(each.key for each in found if each.status is Status.FAILED) == [*refused]
    assert all(each.inferred for each in found if each.status is Status.DELETED)


@pytest.mark.parametrize("operation", [Operation.UPSERT, Operation.DELETE])
@pytest.mark.parametrize("errors", [[NOBODY], [NOBODY, ONE], [ONE, NOBODY]])
def test_an_error_that_names_no_pair_refuses_the_batch_and_a_pair_that_is_alone(
    operation: Operation, errors: Any
) -> None:
    """The batch is halved then, and whatever was written is written again."""
    with pytest.raises(RequestRejected, match=NOBODY["message"]):
        read(PAIRS, operation, {"errors": errors}, 207)
    answer = httpx.Response(207, json={"status": "COMPLETE", "numErrors": 1, "errors": [NOBODY]})
    [alone] = hubspot(PAIRS).read_response(batch(operation, ROWS[0]), answer)
    assert (alone.key, alone.error and alone.error.message) == ("a", NOBODY["message"])


SHARED = [
    record("a", destination_id="1:20"),
    record("b", destination_id="1:30"),
    record("c", destination_id="2:30"),
    record("d", destination_id="100:200"),
]


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (said("CONTACT=1 and COMPANY=20 cannot be changed"), "a"),
        (said("COMPANY=30, CONTACT=2 cannot be changed"), "c"),
        (said("CONTACT=1 is not valid"), "ab"),
        (said("COMPANY=1 is not valid"), ""),  # which is a contact's id
        (said("CONTACT=2 and COMPANY=20 cannot be changed"), ""),  # no pair that was sent
        (said("no", context={"fromObjectId": ["1", "2"], "toObjectId": ["20", "30"]}), "ac"),
        (said("no", context={"fromObjectId": ["1"], "toObjectId": ["20", "30"]}), "ab"),
        (said("no", context={"toObjectId": [30]}), "bc"),
        (said("no", context={"INVALID_OBJECT_IDS": ["CONTACT=1, COMPANY=30 is not valid"]}), "b"),
        (said("no", context={"limit": ["an association takes 100 of 200 records"]}), ""),
        (said("more than 100 associations, CONTACT=2 has 200"), "c"),
        (said("a limit of 100 was met after 200 tries"), ""),
        (said("record 1 is not valid"), ""),
        (said("CONTACT=10 is not valid"), ""),
    ],
)
@pytest.mark.parametrize("operation", [Operation.UPSERT, Operation.DELETE])
def test_an_error_means_the_pair_that_it_names_and_no_other(
    error: dict[str, Any], refused: str, operation: Operation
) -> None:
    """Not one that shares a record with it, nor one with an id that is a number in its words."""
    answer = httpx.Response(207, json={"numErrors": 1, "errors": [error]})
    reading = hubspot(PAIRS).read_response(batch(operation, *SHARED), answer)
    if not refused:
        with pytest.raises(RequestRejected):
            list(reading)
        return
    found = list(reading)
    assert {each.key for each in found if each.status is Status.FAILED} == {*refused}
    if operation is Operation.DELETE:
        assert {each.key for each in found if each.status is Status.DELETED} == {*"abcd"} - {*refused}


def test_records_of_one_type_are_named_in_either_order() -> None:
    to = replace(PAIRS, object="associations/contacts/contacts")
    answer = httpx.Response(207, json={"errors": [said("CONTACT=30 and CONTACT=1 cannot be changed")]})
    [refused] = hubspot(to).read_response(batch(Operation.UPSERT, *SHARED), answer)
    assert refused.key == "b"


def test_an_association_that_is_not_there_is_gone_already() -> None:
    error = {"category": "OBJECT_NOT_FOUND", "message": "no", "context": {"fromObjectId": ["101"]}}
    gone, ended = read(PAIRS, Operation.DELETE, {"errors": [error]}, 207)
    assert (gone.key, gone.reason, ended.key, ended.status) == ("a", Reason.ALREADY_GONE, "b", Status.DELETED)


def test_an_error_of_one_record_is_not_that_of_pairs_that_were_made() -> None:
    body = {"results": [{"from": {"id": "101"}, "to": {"id": "201"}}], "errors": [said("COMPANY=201 has too many")]}
    made, refused = read(PAIRS, Operation.UPSERT, body, 207)
    assert (made.key, made.status, refused.key, refused.reason) == ("a", Status.CREATED, "b", Reason.REJECTED)


def test_a_pair_that_hubspot_is_too_busy_for_is_sent_again() -> None:
    error = said("CONTACT=101 and COMPANY=201: try again") | {"category": "RATE_LIMITS"}
    assert [(each.key, each.retry) for each in read(PAIRS, Operation.UPSERT, {"errors": [error]}, 207)] == [("a", True)]


def test_a_pair_is_found_by_both_keys(sandbox: Sandbox) -> None:
    contact = sandbox.add("hubspot", "contacts", {"email": "ann@example.com"})
    acme = sandbox.add("hubspot", "companies", {"name": "Acme", "external_id": "a|b\\c"})

    async def work() -> None:
        async with opened(sandbox, PAIRS, api_version="2026-03") as destination:
            known = "ANN@example.com|a\\|b\\\\c"
            assert await destination.find([known, "ann@example.com|x", "x|x"]) == {
                known: [f"{contact}:{acme}"],
                "ann@example.com|x": [],
                "x|x": [],
            }
            with pytest.raises(ContractViolation, match="key of two columns"):
                await destination.find(["ann@example.com"])

    asyncio.run(work())
