"""HubSpot's rate is used, and never met."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from reverse_etl_assets.destinations.base import ConnectionSettings
from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.records import FieldType, Record
from reverse_etl_assets.testing.builders import record, target
from reverse_etl_assets.testing.pace import PaceContract, VirtualClock
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts
from tests.heavy import heavy

pytestmark = heavy


class TestPace(PaceContract):
    """10,000 contacts are 100 requests, of which HubSpot takes 190 in 10 seconds."""

    destination = HubSpot
    target = target("contacts", "external_id", favourite_product=FieldType.TEXT)
    pace_rows = 10_000
    pace_allowed = 19.0
    spoiled: Any = None
    stored: Any = None

    @contextmanager
    def paced_server(self, clock: VirtualClock) -> Iterator[Sandbox]:
        with Sandbox(clock=clock) as sandbox:
            yield sandbox

    def refused_for_the_rate(self, server: Sandbox) -> int:
        return sum(bool(line.limit) for line in server.log.lines("hubspot"))

    def connection(self, server: Any) -> ConnectionSettings:
        return accounts.hubspot(server.url)

    def record(self, number: int) -> Record:
        return record(f"cust-{number}", favourite_product="-")
