"""HubSpot lists and associations: the shipped contract, exact requests, recorded answers, and what is wrong."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.errors import Ambiguous, AuthenticationFailed, CheckFailed
from reverse_etl_assets.records import FieldType, Operation, Outcome, Reason, Record, Status, Target
from reverse_etl_assets.testing.builders import batch, record, target
from reverse_etl_assets.testing.harness import Session, Stored, live
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts
from tests.destinations.hubspot_links import BOTH, LIST, MEMBERS, PAIRS, ROWS, NoFields, hubspot, opened, problems, read


class TestMembers(NoFields):
    target = LIST

    # a record that is not there is skipped, not refused
    test_a_bad_row_fails_alone: Any = None

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


@pytest.mark.parametrize("to", [LIST, PAIRS])
def test_an_answer_that_cannot_be_read_is_ambiguous(to: Target) -> None:
    with pytest.raises(Ambiguous):
        read(to, Operation.UPSERT, b"[1]")


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
