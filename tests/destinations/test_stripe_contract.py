"""The shipped contract, kept by Stripe's customers against the sandbox; the pace also of live meter events."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from reverse_etl_assets.destinations.stripe import Stripe, fields as stripe_fields
from reverse_etl_assets.destinations.stripe.options import StripeConnection
from reverse_etl_assets.records import FieldType, Operation, Record
from reverse_etl_assets.testing.abilities import LookupContract
from reverse_etl_assets.testing.builders import record, target
from reverse_etl_assets.testing.contract import DestinationContract
from reverse_etl_assets.testing.harness import Stored, with_field
from reverse_etl_assets.testing.pace import PaceContract, VirtualClock
from reverse_etl_assets.testing.reading import ReadBackContract
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts

NO_LIMITS = {"stripe_endpoint_requests": 10**6, "stripe_test_requests": 10**6, "stripe_searches": 10**6}


class TestStripe(DestinationContract, LookupContract, PaceContract):
    destination = Stripe
    options: ClassVar = {"delete": True}
    target = target(
        "customers",
        "metadata.customer_id",
        Operation.UPSERT,
        Operation.DELETE,
        **{
            "metadata.customer_id": FieldType.TEXT,
            "metadata.note": FieldType.TEXT,
            "metadata.spent": FieldType.DECIMAL,
            "metadata.seen_at": FieldType.TIMESTAMP,
            "tax_exempt": FieldType.TEXT,
        },
    )
    text_field = "metadata.note"
    decimal_field = "metadata.spent"
    timestamp_field = "metadata.seen_at"

    # There is no insert of customers: nothing keeps a second one with the same key out.
    test_an_insert_of_what_is_there_is_skipped: Any = None

    @pytest.fixture
    def server(self, sandbox: Sandbox) -> Sandbox:
        sandbox.settings.change({**NO_LIMITS, "stripe_search_lag_seconds": 0.0})
        return sandbox

    def connection(self, server: Any) -> StripeConnection:
        return accounts.stripe(server.url)

    def record(self, number: int) -> Record:
        fields = {"metadata.note": "-", "metadata.spent": Decimal("10.50")}
        return Record(f"cust-{number}", f"cust-{number}", fields)

    def spoiled(self, record: Record) -> Record:
        return with_field(record, "tax_exempt", "sometimes")

    def stored(self, server: Any) -> Sequence[Stored]:
        held = [entry.values for entry in server.stripe.tables["customers"].live()]
        flat = [{f"metadata.{key}": value for key, value in each["metadata"].items()} for each in held]
        return [(each["metadata.customer_id"], each) for each in flat]

    pace_allowed = 25.0
    pace_rows = 50

    @contextmanager
    def paced_server(self, clock: VirtualClock) -> Iterator[Sandbox]:
        with Sandbox(clock=clock) as sandbox:
            yield sandbox

    def refused_for_the_rate(self, server: Any) -> int:
        return sum(bool(line.limit) for line in server.log.lines("stripe"))


class TestMeterEvents(PaceContract):
    """Live meter events have a limit of their own, well above that of other endpoints."""

    destination = Stripe
    options: ClassVar = {"meter": "product_events"}
    target = target(
        "meter_events",
        "identifier",
        Operation.INSERT,
        **{"payload.stripe_customer_id": FieldType.TEXT, "payload.value": FieldType.INTEGER},
    )
    pace_operation = Operation.INSERT
    pace_allowed = 1_000.0
    pace_rows = 50

    def connection(self, server: Any) -> StripeConnection:
        return accounts.stripe(server.url, "sk_live_sandbox")

    def record(self, number: int) -> Record:
        return record(f"use-{number}", {"payload.stripe_customer_id": "cus_1", "payload.value": number})

    def spoiled(self, record: Record) -> Record:
        return with_field(record, "payload.value", "many")

    def stored(self, server: Any) -> Sequence[Stored]:
        return [(entry.id, entry.values) for entry in server.stripe.tables["meter_events"].live()]

    paced_server = TestStripe.paced_server
    refused_for_the_rate = TestStripe.refused_for_the_rate


class TestStripeById(ReadBackContract):
    """Customers that are there already, by Stripe's own id, which can be read at once."""

    destination = Stripe
    options: ClassVar = {"delete": True}
    target = target(
        "customers",
        "id",
        Operation.UPDATE,
        **{
            "metadata.note": FieldType.TEXT,
            "metadata.spent": FieldType.DECIMAL,
            "metadata.seen_at": FieldType.TIMESTAMP,
            "metadata.vip": FieldType.BOOLEAN,
            "balance": FieldType.INTEGER,
            "preferred_locales": FieldType.JSON,
            "address.city": FieldType.TEXT,
            "email": FieldType.TEXT,
        },
    )
    values: ClassVar = {
        "metadata.note": ('Zoë said "hi, 日本"\n\\ <b>', "other"),
        "metadata.spent": (Decimal("10.50"), Decimal("-12345678901234567.890")),
        "metadata.seen_at": ("2026-01-31T12:00:00.123456Z", "2026-01-31T12:00:01.123456Z"),
        "metadata.vip": (True, False),
        "balance": (-500, 0),
        "preferred_locales": (["de", "en"], ["fr"]),
        "address.city": ("Köln", "Bonn"),
        "email": ("Ann@Shop.example", "bob@shop.example"),
    }
    never_empty = frozenset({"balance"})
    text_field = "metadata.note"
    decimal_field = "metadata.spent"
    timestamp_field = "metadata.seen_at"

    # The id is the customer's address, so there is only one.
    test_a_record_is_read_by_its_id_where_its_key_finds_none: Any = None  # there is no id beside the key
    test_all_records_of_a_key_are_told: Any = None

    @pytest.fixture
    def server(self, sandbox: Sandbox) -> Sandbox:
        sandbox.settings.change(NO_LIMITS)
        for number in range(9):
            sandbox.add("stripe", "customers", {"id": f"cus_A{number}"})
        return sandbox

    connection = TestStripe.connection
    spoiled = TestStripe.spoiled

    def record(self, number: int) -> Record:
        return record(f"cus_A{number}", {"metadata.note": "-", "balance": 0})

    def stored(self, server: Any) -> Sequence[Stored]:
        live = server.stripe.tables["customers"].live()
        return [
            (each.id, {name: stripe_fields.held(each.values, name) for name in self.target.fields}) for each in live
        ]
