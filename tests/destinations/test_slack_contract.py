"""The shipped contract, kept by Slack against the sandbox."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from html import unescape
from typing import Any, ClassVar

import pytest

from reverse_etl_assets.destinations.base import ConnectionSettings
from reverse_etl_assets.destinations.slack import Slack
from reverse_etl_assets.records import FieldType, Operation, Outcome, Record, Target
from reverse_etl_assets.testing.builders import record, target
from reverse_etl_assets.testing.contract import DestinationContract
from reverse_etl_assets.testing.harness import Session, Stored, with_field
from reverse_etl_assets.testing.pace import PaceContract, VirtualClock
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts

FIELDS = ("note", "value", "seen_at")


class Remembering(Session):
    """Keeps where a row's message is, as the synced rows do."""

    def __init__(self, session: Session) -> None:
        super().__init__(session.destination, session.wire)
        self._known: dict[str, str] = {}

    async def deliver(self, operation: Operation, *records: Record) -> dict[str, Outcome]:
        outcomes = await super().deliver(operation, *await self.with_ids(*records))
        self._known |= {key: each.destination_id for key, each in outcomes.items() if each.destination_id}
        return outcomes

    async def with_ids(self, *records: Record) -> list[Record]:
        return [replace(each, destination_id=self._known.get(each.key)) for each in records]


class TestSlack(DestinationContract, PaceContract):
    destination = Slack
    target = target(
        "#customer-alerts",
        "id",
        note=FieldType.TEXT,
        value=FieldType.DECIMAL,
        seen_at=FieldType.TIMESTAMP,
        channel=FieldType.TEXT,
    )
    options: ClassVar = {
        "text": "{{ key }}|{{ fields.note }}|{{ fields.value }}|{{ fields.seen_at }}",
        "channel": "{{ fields.channel }}",
    }
    text_field = "note"
    decimal_field = "value"
    timestamp_field = "seen_at"
    finest_time = timedelta(milliseconds=1)
    pace_rows = 40
    pace_allowed = 50 / 60

    # What was posted cannot be posted again without harm: the engine holds such a row for a person.
    test_a_lost_answer_is_ambiguous_and_sending_again_does_no_harm: Any = None

    @pytest.fixture
    def server(self, sandbox: Sandbox) -> Sandbox:
        sandbox.settings.change({"slack_post_seconds": 0.0, "slack_minute_seconds": 0.0})
        return sandbox

    @asynccontextmanager
    async def open(self, server: Sandbox, target: Target | None = None) -> AsyncIterator[Session]:
        async with super().open(server, target) as session:
            yield Remembering(session)

    def connection(self, server: Sandbox) -> ConnectionSettings:
        return accounts.slack(server.url)

    def record(self, number: int) -> Record:
        return record(f"cust-{number}", note="-", value=Decimal("10.50"))

    def spoiled(self, record: Record) -> Record:
        return with_field(record, "channel", "no-such-channel")

    def stored(self, server: Sandbox) -> Sequence[Stored]:
        texts = [unescape(entry.values["text"]).split("|") for entry in server.slack.tables["customer-alerts"].live()]
        return [(key, dict(zip(FIELDS, values, strict=True))) for key, *values in texts]

    @contextmanager
    def paced_server(self, clock: VirtualClock) -> Iterator[Sandbox]:
        with Sandbox(clock=clock) as sandbox:
            yield sandbox

    def refused_for_the_rate(self, server: Sandbox) -> int:
        return server.log.counts("slack")["limits"].get("rate", 0)


class TestPostsOnly(PaceContract):
    """A sync that appends keeps to the channel's own limit."""

    destination = Slack
    target = target("C0ALERTS01", "id", Operation.INSERT, note=FieldType.TEXT)
    options: ClassVar = {"text": "{{ key }} {{ fields.note }}"}
    pace_rows = 40
    pace_operation = Operation.INSERT
    pace_allowed = 1.0

    connection = TestSlack.connection
    spoiled = TestSlack.spoiled
    stored = TestSlack.stored
    paced_server = TestSlack.paced_server
    refused_for_the_rate = TestSlack.refused_for_the_rate

    def record(self, number: int) -> Record:
        return record(f"cust-{number}", note="-")


class TestChangesOnly(TestPostsOnly):
    """chat.update is counted for the whole app: 50 a minute, which is 49 in 60 seconds and one more."""

    target = target("C0ALERTS01", "id", note=FieldType.TEXT)
    pace_rows = 70
    pace_operation = Operation.UPSERT
    pace_allowed = 50 / 60

    @contextmanager
    def paced_server(self, clock: VirtualClock) -> Iterator[Sandbox]:
        with Sandbox(clock=clock) as sandbox:
            message = {"text": "-", "blocks": [], "user": "U0RETL0001"}
            table = sandbox.slack.tables["customer-alerts"]
            self.messages = [table.insert(message, clock()).id for _ in range(self.pace_rows)]
            yield sandbox

    def record(self, number: int) -> Record:
        return record(f"cust-{number}", destination_id=f"C0ALERTS01:{self.messages[number]}", note="-")
