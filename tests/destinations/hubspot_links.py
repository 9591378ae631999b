"""What tests of HubSpot's lists and associations have in common."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.base import ConnectionSettings
from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.errors import CheckFailed
from reverse_etl_assets.records import FieldType, Operation, Outcome, Record, Target
from reverse_etl_assets.testing.builders import batch, record, target
from reverse_etl_assets.testing.contract import DestinationContract
from reverse_etl_assets.testing.harness import Session, live
from reverse_etl_sandbox.server import Sandbox
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

    test_an_upsert_twice_leaves_one_record: Any = None
    test_null_clears_a_field: Any = None
    test_a_partial_write_leaves_the_other_fields_alone: Any = None
    test_text_arrives_as_it_is: Any = None
    test_a_decimal_keeps_every_digit_in_the_request: Any = None
    test_a_time_arrives_as_the_same_moment: Any = None

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


def hubspot(to: Target, version: str = "v3") -> HubSpot:
    settings = accounts.hubspot("https://eu.example").model_copy(update={"api_version": version})
    return accounts.offline(HubSpot, settings, to)


ROWS = [record("a", destination_id="101:201"), record("b", destination_id="102:201"), record("c")]
MEMBERS = [record("a", destination_id="101"), record("b", destination_id="102"), record("c")]


def read(to: Target, operation: Operation, body: Any, status: int = 200) -> list[Outcome]:
    rows = batch(operation, *(MEMBERS if to is LIST else ROWS))
    answer = httpx.Response(status, content=body if isinstance(body, bytes) else json.dumps(body).encode())
    return list(hubspot(to).read_response(rows, answer))


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
