"""Attio keeps the contract of destinations: the suites that the project ships."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import pytest
from attio_server import WRITES, AttioServer
from pydantic import SecretStr
from reverse_etl_attio import Attio, AttioConnection

from reverse_etl_assets.destinations import FieldType, Record
from reverse_etl_assets.testing import (
    DestinationContract,
    LookupContract,
    PaceContract,
    ReadBackContract,
    SchemaContract,
    Stored,
    VirtualClock,
    record,
    target,
    with_field,
)


class TestAttio(DestinationContract, LookupContract, SchemaContract, ReadBackContract, PaceContract):
    destination = Attio
    target = target(
        "people",
        "user_ref",
        notes=FieldType.TEXT,
        score=FieldType.DECIMAL,
        mrr=FieldType.DECIMAL,
        seen_at=FieldType.TIMESTAMP,
        signed_on=FieldType.DATE,
        vip=FieldType.BOOLEAN,
        tier=FieldType.TEXT,
        tags=FieldType.JSON,
        name=FieldType.JSON,
    )
    text_field = "notes"
    decimal_field = "score"
    timestamp_field = "seen_at"
    read_only_field = "strongest_connection"
    values = {  # noqa: RUF012
        "notes": ('Zoë, "Z"', "other"),
        "score": (Decimal("10.50"), Decimal("-0.01")),
        "mrr": (Decimal("99.90"), Decimal(0)),
        "seen_at": ("2026-01-31T12:00:00.123456Z", "2026-01-31T12:00:01.123456Z"),
        "signed_on": ("2026-01-31", "2026-02-01"),
        "vip": (True, False),
        "tier": ("Team", "Enterprise"),
        "tags": (["Free", "Team"], ["Team"]),
        "name": (
            {"first_name": "Zoë", "last_name": "Ek", "full_name": "Zoë Ek"},
            {"first_name": "Z", "last_name": "Ek", "full_name": "Z Ek"},
        ),
    }
    pace_rows = 50
    pace_allowed = WRITES

    # Inserts are not offered: the code of a conflict is not documented.
    test_an_insert_of_what_is_there_is_skipped: Any = None

    @pytest.fixture
    def server(self) -> Iterator[AttioServer]:
        with AttioServer(limited=False) as server:
            yield server

    def paced_server(self, clock: VirtualClock) -> AbstractContextManager[AttioServer]:
        return AttioServer(clock)

    def refused_for_the_rate(self, server: AttioServer) -> int:
        return server.refused_for_the_rate

    def connection(self, server: AttioServer) -> AttioConnection:
        return AttioConnection(base_url=server.url, access_token=SecretStr(server.token))

    def record(self, number: int) -> Record:
        return record(f"user-{number}", notes="-", score=Decimal("10.50"))

    def spoiled(self, record: Record) -> Record:
        return with_field(record, "tier", "no such option")

    def stored(self, server: AttioServer) -> Sequence[Stored]:
        return server.stored()

    def duplicate(self, server: AttioServer, record: Record) -> None:
        [values] = server.people.values()
        server.people["another"] = dict(values)
