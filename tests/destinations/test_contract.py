"""The shipped contract, kept by all three destinations against the sandbox."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from reverse_etl_assets.destinations.base import ConnectionSettings
from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.destinations.salesforce import Salesforce
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.records import FieldType, Operation, Record
from reverse_etl_assets.testing.abilities import JobContract, LookupContract, SchemaContract
from reverse_etl_assets.testing.builders import record, target
from reverse_etl_assets.testing.contract import DestinationContract
from reverse_etl_assets.testing.harness import Stored, with_field
from reverse_etl_assets.testing.reading import ReadBackContract
from reverse_etl_sandbox.server import Sandbox
from reverse_etl_sandbox.store import Table
from tests.destinations import accounts


def values_by(table: Table, key: str) -> list[Stored]:
    return [(entry.values[key], entry.values) for entry in table.live()]


class TestSalesforce(DestinationContract, LookupContract, SchemaContract, JobContract, ReadBackContract):
    destination = Salesforce
    target = target(
        "Contact",
        "External_Id__c",
        *Operation,
        External_Id__c=FieldType.TEXT,
        LastName=FieldType.TEXT,
        Description=FieldType.TEXT,
        Lifetime_Value__c=FieldType.DECIMAL,
        Trial_Ends_At__c=FieldType.TIMESTAMP,
        Email=FieldType.TEXT,
        Orders__c=FieldType.INTEGER,
        Churn_Risk__c=FieldType.FLOAT,
        Marketing_Opt_In__c=FieldType.BOOLEAN,
        Last_Order_Date__c=FieldType.DATE,
        Call_Me_At__c=FieldType.TIME,
        Interests__c=FieldType.JSON,
        Department=FieldType.DECIMAL,
        Title=FieldType.JSON,
        **{"Account.External_Id__c": FieldType.TEXT},
    )
    values: ClassVar = {
        "LastName": ("Ray", "Lee"),
        "Description": ('Zoë said "hi, 日本"\n\\ <b>', "other"),
        "Lifetime_Value__c": (Decimal("10.50"), Decimal("-99999999999.99")),
        "Trial_Ends_At__c": ("2026-01-31T12:00:00.123456Z", "2026-01-31T12:00:01.123456Z"),
        "Email": ("Ann.Ray@Example.com", "ann.lee@example.com"),
        "Orders__c": (7, 0),
        "Churn_Risk__c": (0.1234, 0.1235),
        "Marketing_Opt_In__c": (True, False),
        "Last_Order_Date__c": ("2024-02-29", "2026-02-28"),
        "Call_Me_At__c": ("10:30:00", "23:59:59.500000"),
        "Interests__c": (["tea", "coffee"], ["tea"]),
        "Department": (Decimal("12.50"), Decimal("1E+3")),
        "Title": ({"b": [1, Decimal("2.50")], "a": None}, []),
        "Account.External_Id__c": ("acme", "other"),
    }
    never_empty = frozenset({"LastName", "Marketing_Opt_In__c"})
    finest_time = timedelta(seconds=1)
    text_field = "Description"
    decimal_field = "Lifetime_Value__c"
    timestamp_field = "Trial_Ends_At__c"
    read_only_field = "Greeting__c"
    address_field = "Email"

    @pytest.fixture
    def server(self, sandbox: Sandbox) -> Sandbox:
        for key in ("acme", "other"):
            sandbox.add("salesforce", "Account", {"Name": key, "External_Id__c": key})
        return sandbox

    def duplicate(self, server: Sandbox, record: Record) -> None:
        [held] = server.salesforce.tables["Contact"].find("External_Id__c", record.external_id)
        server.duplicate("salesforce", "Contact", held.id)

    def connection(self, server: Sandbox) -> ConnectionSettings:
        return accounts.salesforce(server.url)

    def record(self, number: int) -> Record:
        key = f"cust-{number}"
        return record(key, External_Id__c=key, LastName="Ray", Description="-", Lifetime_Value__c=Decimal("10.50"))

    def spoiled(self, record: Record) -> Record:
        return with_field(record, "Email", "not an address")

    def stored(self, server: Sandbox) -> Sequence[Stored]:
        return values_by(server.salesforce.tables["Contact"], "External_Id__c")


class TestHubSpot(DestinationContract, LookupContract, SchemaContract, ReadBackContract):
    destination = HubSpot
    target = target(
        "contacts",
        "external_id",
        *Operation,
        favourite_product=FieldType.TEXT,
        lifetime_value=FieldType.DECIMAL,
        trial_ends_at=FieldType.TIMESTAMP,
        segment=FieldType.TEXT,
        orders_count=FieldType.INTEGER,
        churn_risk=FieldType.FLOAT,
        marketing_opt_in=FieldType.BOOLEAN,
        last_order_date=FieldType.DATE,
        interests=FieldType.JSON,
        company=FieldType.TIME,
        top_reason=FieldType.JSON,
    )
    values: ClassVar = {
        "favourite_product": ('Zoë said "hi, 日本"\n\\ <b>', "other"),
        "lifetime_value": (Decimal("10.50"), Decimal("-12345678901234567.890")),
        "trial_ends_at": ("2026-01-31T12:00:00.123456Z", "2026-01-31T12:00:00.124456Z"),
        "segment": ("loyal", "new"),
        "orders_count": (7, 0),
        "churn_risk": (0.1234, 1e-7),
        "marketing_opt_in": (True, False),
        "last_order_date": ("2024-02-29", "2026-02-28"),
        "interests": (["tea", "coffee"], ["tea"]),
        "company": ("10:30:00", "23:59:59.500000"),
        "top_reason": ({"b": [1, Decimal("2.50")], "a": None}, []),
    }

    # A property with unique values cannot be on two records.
    test_all_records_of_a_key_are_told: Any = None
    text_field = "favourite_product"
    decimal_field = "lifetime_value"
    timestamp_field = "trial_ends_at"
    read_only_field = "num_associated_deals"
    address_field = "email"

    @pytest.fixture
    def server(self, sandbox: Sandbox) -> Sandbox:
        return sandbox

    def connection(self, server: Sandbox) -> ConnectionSettings:
        return accounts.hubspot(server.url)

    def record(self, number: int) -> Record:
        return record(f"cust-{number}", favourite_product="-", lifetime_value=Decimal("10.50"))

    def spoiled(self, record: Record) -> Record:
        return with_field(record, "segment", "no such option")

    def stored(self, server: Sandbox) -> Sequence[Stored]:
        return values_by(server.hubspot.tables["contacts"], "external_id")


class TestHubSpotByEmail(TestHubSpot):
    target = replace(TestHubSpot.target, external_id="email")

    def record(self, number: int) -> Record:
        email = f"ann.{number}@example.com"
        return record(f"cust-{number}", external_id=email, favourite_product="-", lifetime_value=Decimal("10.50"))

    def stored(self, server: Sandbox) -> Sequence[Stored]:
        return values_by(server.hubspot.tables["contacts"], "email")


class TestWebhookOneByOne(DestinationContract):
    """REST: one record a request, and its status says what became of it."""

    destination = Webhook
    target = target("people", "id", note=FieldType.TEXT, value=FieldType.DECIMAL, seen_at=FieldType.TIMESTAMP)
    options: ClassVar = {
        "method": "PUT",
        "path": "/{{ object }}/{{ key }}",
        "operations": {"delete": {"method": "DELETE"}},
        "idempotency_header": "Idempotency-Key",
    }
    text_field = "note"
    decimal_field = "value"
    timestamp_field = "seen_at"

    # A 2xx is all that such an API says, whatever is in its body.
    test_an_answer_that_names_nobody_is_no_success: Any = None
    test_a_broken_answer_is_no_success: Any = None

    @pytest.fixture
    def server(self, sandbox: Sandbox) -> Sandbox:
        sandbox.settings.change({"rest_token": "hook-secret"})
        return sandbox

    def connection(self, server: Sandbox) -> ConnectionSettings:
        return accounts.webhook(server.url)

    def record(self, number: int) -> Record:
        return record(f"cust-{number}", note="-", value=Decimal("10.50"))

    def spoiled(self, record: Record) -> Record:
        # Left out of the path, such a key would address the whole collection.
        return replace(record, external_id="..")

    def stored(self, server: Sandbox) -> Sequence[Stored]:
        return values_by(server.rest.table("people"), "id")


class TestWebhookInBatches(TestWebhookOneByOne):
    """A bulk endpoint: results are matched by the key they repeat."""

    options: ClassVar = {
        "path": "/{{ object }}",
        "batch_size": 500,
        "body": {"records": "{{ records }}"},
        "record": "{{ fields }}",
        "results": {
            "match": "key",
            "path": "results",
            "key": "id",
            "status": "status",
            "error": "error.message",
            "code": "error.code",
            "statuses": {"not_found": "skipped"},
        },
        "operations": {
            "delete": {"path": "/{{ object }}/delete"},
        },
    }
    test_an_answer_that_names_nobody_is_no_success: Any = (
        DestinationContract.test_an_answer_that_names_nobody_is_no_success
    )
    test_a_broken_answer_is_no_success: Any = DestinationContract.test_a_broken_answer_is_no_success

    def spoiled(self, record: Record) -> Record:
        return replace(record, external_id="")
