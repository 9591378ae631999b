"""HubSpot lists and associations: the shipped contract, exact requests, recorded answers, and what is wrong."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.base import ConnectionSettings
from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.errors import Ambiguous, AuthenticationFailed, CheckFailed, ContractViolation, RequestRejected
from reverse_etl_assets.records import FieldType, Operation, Outcome, Reason, Record, Status, Target
from reverse_etl_assets.sandbox.server import Sandbox
from reverse_etl_assets.testing.builders import batch, record, target
from reverse_etl_assets.testing.contract import DestinationContract
from reverse_etl_assets.testing.harness import Session, Stored, live
from tests.destinations import accounts

BOTH = (Operation.UPSERT, Operation.DELETE)
LIST = target("lists/1", "email", *BOTH, email=FieldType.TEXT)
PAIRS = target(
    "associations/contacts/companies",
    "email_account",
    *BOTH,
    **{"from.email": FieldType.TEXT, "to.external_id": FieldType.TEXT},
)


class NoFields(DestinationContract):
    """The contract of what has no fields of its own, and is written to records that are there."""

    destination = HubSpot
    text_field = decimal_field = timestamp_field = "-"

    test_an_upsert_twice_leaves_one_record = None
    test_null_clears_a_field = None
    test_a_partial_write_leaves_the_other_fields_alone = None
    test_text_arrives_as_it_is = None
    test_a_decimal_keeps_every_digit_in_the_request = None
    test_a_time_arrives_as_the_same_moment = None

    @pytest.fixture
    def server(self, sandbox: Sandbox) -> Sandbox:
        self.sandbox, self.ids = sandbox, list[str]()
        return sandbox

    def contact(self, number: int) -> str:
        """The id of the contact with this number; made when it is asked for first."""
        while len(self.ids) <= number:
            held = {"email": f"p{len(self.ids)}@example.com"}
            self.ids.append(self.sandbox.add("hubspot", "contacts", held))
        return self.ids[number]

    def connection(self, server: Sandbox) -> ConnectionSettings:
        return accounts.hubspot(server.url)

    @live
    async def test_an_upsert_twice_counts_once(self, server: Any, session: Session) -> None:
        row = self.record(1)
        await session.deliver(Operation.UPSERT, row)
        again = (await session.deliver(Operation.UPSERT, row))[row.key]
        assert (again.inferred, len(self.stored(server))) == (True, 1)

    def with_text(self, record: Record, text: Any) -> Record:
        return record


class TestMembers(NoFields):
    target = LIST

    # a record that is not there is skipped, not refused
    test_a_bad_row_fails_alone = None

    def record(self, number: int) -> Record:
        email = f"p{number}@example.com"
        return record(email, destination_id=self.contact(number), email=email)

    def spoiled(self, record: Record) -> Record:
        return replace(record, destination_id="77")

    def stored(self, server: Sandbox) -> Sequence[Stored]:
        members, contacts = server.hubspot.tables.get("lists/1"), server.hubspot.tables["contacts"]
        return [(contacts.entries[each.id].values["email"], {}) for each in (members.live() if members else ())]

    @live
    async def test_a_record_that_is_not_there_is_skipped_alone(self, server: Any, session: Session) -> None:
        there, gone = self.record(1), self.spoiled(self.record(2))
        outcomes = await session.deliver(Operation.UPSERT, there, gone)
        assert outcomes[there.key].status is Status.CREATED
        assert outcomes[gone.key].reason is Reason.NOT_FOUND


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


def hubspot(to: Target, version: str = "v3") -> HubSpot:
    settings = accounts.hubspot("https://eu.example").model_copy(update={"api_version": version})
    return accounts.offline(HubSpot, settings, to)


ROWS = [record("a", destination_id="101:201"), record("b", destination_id="102:201"), record("c")]
MEMBERS = [record("a", destination_id="101"), record("b", destination_id="102"), record("c")]


@pytest.mark.parametrize(
    ("to", "operation", "path", "body"),
    [
        (
            LIST,
            Operation.UPSERT,
            "PUT lists/1/memberships/add-and-remove",
            {"recordIdsToAdd": ["101", "102"], "recordIdsToRemove": []},
        ),
        (
            LIST,
            Operation.DELETE,
            "PUT lists/1/memberships/add-and-remove",
            {"recordIdsToAdd": [], "recordIdsToRemove": ["101", "102"]},
        ),
        (
            PAIRS,
            Operation.UPSERT,
            "POST associations/contacts/companies/batch/associate/default",
            {"inputs": [{"from": {"id": "101"}, "to": {"id": "201"}}, {"from": {"id": "102"}, "to": {"id": "201"}}]},
        ),
        (
            PAIRS,
            Operation.DELETE,
            "POST associations/contacts/companies/batch/archive",
            {
                "inputs": [
                    {"from": {"id": "101"}, "to": [{"id": "201"}]},
                    {"from": {"id": "102"}, "to": [{"id": "201"}]},
                ]
            },
        ),
    ],
)
@pytest.mark.parametrize("version", ["v3", "2026-03", "2026-09"])
def test_requests(to: Target, operation: Operation, path: str, body: Any, version: str) -> None:
    """Rows that HubSpot has no record of are left out."""
    request = hubspot(to, version).build_request(batch(operation, *(MEMBERS if to is LIST else ROWS)))
    api, _, rest = path.split(" ")[1].partition("/")
    legacy = "v4" if to is PAIRS else "v3"
    base = f"/hubspot/crm/{legacy}/{api}" if version == "v3" else f"/hubspot/crm/{api}/{version}"
    assert f"{request.method} {request.url.path}" == f"{path.split(' ')[0]} {base}/{rest}"
    assert json.loads(request.content) == body


def read(to: Target, operation: Operation, body: Any, status: int = 200) -> list[Outcome]:
    rows = batch(operation, *(MEMBERS if to is LIST else ROWS))
    answer = httpx.Response(status, content=body if isinstance(body, bytes) else json.dumps(body).encode())
    return list(hubspot(to).read_response(rows, answer))


def test_who_is_added_and_who_was_a_member() -> None:
    body = {"recordsIdsAdded": ["102"], "recordIdsRemoved": [], "recordIdsMissing": []}
    assert read(LIST, Operation.UPSERT, body) == [
        Outcome("a", Status.UPDATED, destination_id="101", inferred=True),
        Outcome("b", Status.CREATED, destination_id="102"),
    ]
    spelt_otherwise = {"recordIdsAdded": ["101", "102"]}
    assert {each.status for each in read(LIST, Operation.UPSERT, spelt_otherwise)} == {Status.CREATED}
    missing = {"recordsIdsAdded": [102], "recordIdsMissing": [101]}
    assert [each.reason for each in read(LIST, Operation.UPSERT, missing)] == [Reason.NOT_FOUND, None]


def test_who_left_and_who_was_no_member() -> None:
    body = {"recordIdsRemoved": ["101"], "recordIdsMissing": ["102"]}
    gone, never = read(LIST, Operation.DELETE, body)
    assert (gone.status, gone.inferred, never.reason) == (Status.DELETED, False, Reason.ALREADY_GONE)


@pytest.mark.parametrize("to", [LIST, PAIRS])
def test_two_keys_of_one_record_are_sent_once_and_answered_both(to: Target, sandbox: Sandbox) -> None:
    """A contact is found by each of its addresses."""
    contact = sandbox.add("hubspot", "contacts", {"email": "ann@x.com", "hs_additional_emails": "old@x.com"})
    acme = sandbox.add("hubspot", "companies", {"name": "Acme"})
    found = contact if to is LIST else f"{contact}:{acme}"

    async def work() -> None:
        async with opened(sandbox, to) as destination:
            rows = [record(key, destination_id=found) for key in ("ann@x.com", "old@x.com")]
            for operation in BOTH:
                sent = batch(operation, *rows)
                assert destination.build_request(sent).content.count(contact.encode()) == 1
                assert [each.key for each in await destination.send(sent)] == ["ann@x.com", "old@x.com"]

    asyncio.run(work())


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


@pytest.mark.parametrize("to", [LIST, PAIRS])
def test_an_answer_that_cannot_be_read_is_ambiguous(to: Target) -> None:
    with pytest.raises(Ambiguous):
        read(to, Operation.UPSERT, b"[1]")


@asynccontextmanager
async def opened(sandbox: Sandbox, to: Target, **connection: Any) -> AsyncIterator[HubSpot]:
    async with httpx.AsyncClient(timeout=5) as client:
        settings = accounts.hubspot(sandbox.url).model_copy(update=connection)
        yield HubSpot(settings, to, HubSpot.Options(), client)


def problems(sandbox: Sandbox, to: Target) -> str:
    async def work() -> str:
        async with opened(sandbox, to) as destination:
            try:
                await destination.check()
            except CheckFailed as error:
                return str(error)
        return ""

    return asyncio.run(work())


@pytest.mark.parametrize(
    ("to", "said"),
    [
        (LIST, ""),
        (target("lists/1", "hs_object_id", hs_object_id=FieldType.TEXT), ""),
        (target("lists/9", "email"), "There is no list `9`"),
        (target("lists/Win back", "email"), "There is no list `Win back`"),
        (target("lists/2", "email"), "List `2` is an active one"),
        (target("lists/1", "firstname"), "Property `firstname` is not unique"),
        (target("lists/1", "emial"), "the nearest is `email`"),
        (replace(LIST, fields={"email": FieldType.TEXT, "city": FieldType.TEXT}), "A list has no field `city`"),
        (PAIRS, ""),
        (replace(PAIRS, object="associations/contacts/gadgets"), "There is no object `gadgets`"),
        (replace(PAIRS, fields={"from.email": FieldType.TEXT}), "Map one property of `companies`"),
        (replace(PAIRS, fields={**PAIRS.fields, "label": FieldType.TEXT}), "An association has no field `label`"),
        (
            replace(PAIRS, fields={"from.email": FieldType.TEXT, "to.domain": FieldType.TEXT}),
            "Property `domain` is not unique",
        ),
        (replace(PAIRS, external_id="from.email"), "key of two columns"),
        (replace(PAIRS, object="associations/contacts"), "There is no object `associations/contacts`"),
    ],
)
def test_check(sandbox: Sandbox, to: Target, said: str) -> None:
    found = problems(sandbox, to)
    assert said in found
    assert bool(found) == bool(said)


def test_a_list_that_is_deleted_ends_the_run(sandbox: Sandbox) -> None:
    async def work() -> None:
        async with opened(sandbox, LIST) as destination:
            await destination.check()
            sandbox.hubspot.lists.segments["1"].deleted = True
            with pytest.raises(AuthenticationFailed, match="List `1` is not there any more: restore it"):
                await destination.send(batch(Operation.UPSERT, record("a", destination_id="101")))

    asyncio.run(work())
    assert "There is no list `1`" in problems(sandbox, LIST)


def test_a_list_that_was_deleted_before_is_named() -> None:
    told = {"list": {"listId": "1", "objectTypeId": "0-1", "deletedAt": "2026-01-01T00:00:00Z"}}

    async def work() -> None:
        transport = httpx.MockTransport(lambda request: httpx.Response(200, json=told))
        async with httpx.AsyncClient(transport=transport) as client:
            destination = HubSpot(accounts.hubspot("https://api.example"), LIST, HubSpot.Options(), client)
            with pytest.raises(CheckFailed, match="List `1` was deleted: restore it"):
                await destination.check()

    asyncio.run(work())


@pytest.mark.parametrize("to", [LIST, PAIRS])
def test_rows_without_a_record_are_skipped_without_a_request(to: Target) -> None:
    """Offline: a request would fail the test."""
    [outcome] = asyncio.run(hubspot(to).send(batch(Operation.UPSERT, record("a"))))
    assert (outcome.status, outcome.reason) == (Status.SKIPPED, Reason.NOT_FOUND)


def test_what_cannot_be_read_back() -> None:
    contacts = target("contacts", "email")
    assert [HubSpot.reads_back(to, HubSpot.Options()) for to in (LIST, PAIRS, contacts)] == [False, False, True]


def test_what_a_list_holds_is_learned(sandbox: Sandbox) -> None:
    made = sandbox.hubspot.lists.add("Accounts", "0-2", "MANUAL")
    acme = sandbox.add("hubspot", "companies", {"name": "Acme", "external_id": "Acme"})
    to = replace(LIST, object=f"lists/{made.id}", external_id="external_id", fields={"external_id": FieldType.TEXT})

    async def work() -> None:
        async with opened(sandbox, to, api_version="2026-09") as checked, opened(sandbox, to) as recalled:
            await checked.check()
            recalled.recall(checked.learned())
            for destination in (checked, recalled):
                assert await destination.find(["acme", "none"]) == {"acme": [acme], "none": []}

    asyncio.run(work())


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
