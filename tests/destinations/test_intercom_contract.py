"""The shipped contract, kept by Intercom's contacts and companies against the sandbox."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest

from reverse_etl_assets.destinations.base import ConnectionSettings
from reverse_etl_assets.destinations.intercom import Intercom
from reverse_etl_assets.destinations.intercom.api import REQUESTS_PER_SECOND
from reverse_etl_assets.records import FieldType, Operation, Record
from reverse_etl_assets.testing.abilities import LookupContract, SchemaContract
from reverse_etl_assets.testing.builders import record, target
from reverse_etl_assets.testing.contract import DestinationContract
from reverse_etl_assets.testing.harness import Stored, with_field
from reverse_etl_assets.testing.pace import PaceContract, VirtualClock
from reverse_etl_assets.testing.reading import ReadBackContract
from reverse_etl_sandbox.server import Sandbox
from reverse_etl_sandbox.store import Table
from tests.destinations import accounts
from tests.heavy import heavy

DATES = ("trial_ends_at", "born_on", "renews_at", "signed_up_at", "remote_created_at")


def values_by(table: Table, key: str) -> list[Stored]:
    return [(entry.values[key], _plain(entry.values)) for entry in table.live()]


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Custom attributes beside the other fields, and times as text."""
    plain = {name.removeprefix("custom_attributes."): value for name, value in values.items()}
    times = {name: datetime.fromtimestamp(plain[name], UTC).isoformat() for name in DATES if plain.get(name)}
    return plain | times


class _Kept(DestinationContract, LookupContract, SchemaContract):
    """What all of them have in common."""

    destination = Intercom
    finest_time = timedelta(seconds=1)
    text_field = "note"

    @pytest.fixture
    def server(self, sandbox: Sandbox) -> Sandbox:
        sandbox.settings.change({"intercom_ten_second_requests": 1_000_000})
        return sandbox

    def connection(self, server: Sandbox) -> ConnectionSettings:
        slower = server.settings.intercom_ten_second_requests < 1_667
        account = accounts.intercom(server.url)
        return account.model_copy(update={"requests_per_second": REQUESTS_PER_SECOND / 10}) if slower else account


class TestIntercomContacts(_Kept, ReadBackContract, PaceContract):
    target = target(
        "contacts",
        "external_id",
        *Operation,
        note=FieldType.TEXT,
        lifetime_value=FieldType.DECIMAL,
        trial_ends_at=FieldType.TIMESTAMP,
        born_on=FieldType.DATE,
        seats=FieldType.INTEGER,
        churn_risk=FieldType.FLOAT,
        vip=FieldType.BOOLEAN,
        name=FieldType.JSON,
        avatar=FieldType.TIME,
        phone=FieldType.TEXT,
        signed_up_at=FieldType.TIMESTAMP,
    )
    values: ClassVar = {
        "note": ('Zoë said "hi, 日本"\n\\ <b>', "other"),
        "lifetime_value": (Decimal("10.50"), Decimal("-0.01")),
        "trial_ends_at": ("2026-01-31T12:00:00.123456Z", "2026-01-31T12:00:01.123456Z"),
        "born_on": ("2024-02-29", "1969-07-20"),
        "seats": (7, 0),
        "churn_risk": (0.1234, 1e-7),
        "vip": (True, False),
        "name": ({"b": [1, Decimal("2.50")], "a": None}, []),
        "avatar": ("10:30:00", "23:59:59.500000"),
        "phone": ("+49 30 555-0101", "+49 30 555-0102"),
        "signed_up_at": ("2026-01-31T12:00:00Z", "2025-01-31T00:00:00Z"),
    }
    decimal_field = "lifetime_value"
    timestamp_field = "trial_ends_at"
    read_only_field = "score"
    address_field = "email"
    pace_rows = 220
    pace_allowed = 1_000 / 60

    # A key is on one user alone.
    test_all_records_of_a_key_are_told: Any = None

    @contextmanager
    def paced_server(self, clock: VirtualClock) -> Iterator[Sandbox]:
        """An app with a tenth of a private app's rate, at a tenth of our rate: as tight, and quicker to fill."""
        with Sandbox(clock=clock, intercom_ten_second_requests=167) as sandbox:
            yield sandbox

    def refused_for_the_rate(self, server: Sandbox) -> int:
        return int(server.counts()["intercom"]["status"].get("429", 0))

    def record(self, number: int) -> Record:
        return record(f"cust-{number}", note="-", lifetime_value=Decimal("10.50"))

    @heavy
    def test_the_allowed_rate_is_used_and_never_exceeded(self, tmp_path: Path) -> None:
        super().test_the_allowed_rate_is_used_and_never_exceeded(tmp_path)

    def spoiled(self, record: Record) -> Record:
        return with_field(record, "phone", "no number")

    def stored(self, server: Sandbox) -> Sequence[Stored]:
        return values_by(server.intercom.contacts.table, "external_id")


class TestIntercomContactsByEmail(_Kept):
    """Not read back: only a search finds a contact by its address, and search lags behind."""

    target = replace(TestIntercomContacts.target, external_id="email")
    decimal_field = "lifetime_value"
    timestamp_field = "trial_ends_at"
    read_only_field = "score"

    def record(self, number: int) -> Record:
        email = f"ann.{number}@example.com"
        return record(f"cust-{number}", external_id=email, note="-", lifetime_value=Decimal("10.50"))

    def spoiled(self, record: Record) -> Record:
        return with_field(record, "phone", "no number")

    def stored(self, server: Sandbox) -> Sequence[Stored]:
        return values_by(server.intercom.contacts.table, "email")


class TestIntercomCompanies(_Kept, ReadBackContract):
    target = target(
        "companies",
        "company_id",
        Operation.UPSERT,
        Operation.UPDATE,
        Operation.DELETE,
        note=FieldType.TEXT,
        health=FieldType.DECIMAL,
        renews_at=FieldType.TIMESTAMP,
        name=FieldType.TEXT,
        plan=FieldType.TEXT,
        size=FieldType.INTEGER,
        monthly_spend=FieldType.INTEGER,
    )
    values: ClassVar = {
        "note": ('Zoë said "hi, 日本"\n\\ <b>', "other"),
        "health": (Decimal("10.50"), Decimal("-0.01")),
        "renews_at": ("2026-01-31T12:00:00.123456Z", "2026-01-31T12:00:01.123456Z"),
        "name": ("Acme", "Ärø Labs"),
        "plan": ("growth", "free"),
        "size": (7, 0),
        "monthly_spend": (1_000, 0),
    }
    decimal_field = "health"
    timestamp_field = "renews_at"
    read_only_field = "last_request_at"

    # A key is on one company alone.
    test_all_records_of_a_key_are_told: Any = None

    # An upsert is all there is: nothing refuses a company that is there already.
    test_an_insert_of_what_is_there_is_skipped: Any = None

    def record(self, number: int) -> Record:
        return record(f"acme-{number}", note="-", health=Decimal("10.50"))

    def spoiled(self, record: Record) -> Record:
        return with_field(record, "size", "many")

    def stored(self, server: Sandbox) -> Sequence[Stored]:
        return values_by(server.intercom.companies, "company_id")
