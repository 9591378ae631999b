"""The shipped contract, kept by all three destinations against the sandbox."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from reverse_etl_assets.destinations.base import ConnectionSettings
from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.destinations.salesforce import Salesforce
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.records import FieldType, Operation, Record
from reverse_etl_assets.sandbox.server import Sandbox
from reverse_etl_assets.sandbox.store import Table
from reverse_etl_assets.testing.abilities import JobContract, LookupContract, SchemaContract
from reverse_etl_assets.testing.builders import record, target
from reverse_etl_assets.testing.contract import DestinationContract
from reverse_etl_assets.testing.harness import with_field
from tests.destinations import accounts


def values_by(table: Table, key: str) -> dict[str, Mapping[str, Any]]:
    return {entry.values[key]: entry.values for entry in table.live()}


class TestSalesforce(DestinationContract, LookupContract, SchemaContract, JobContract):
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
    )
    text_field = "Description"
    decimal_field = "Lifetime_Value__c"
    timestamp_field = "Trial_Ends_At__c"
    read_only_field = "Greeting__c"

    @pytest.fixture
    def server(self, sandbox: Sandbox) -> Sandbox:
        return sandbox

    def connection(self, server: Sandbox) -> ConnectionSettings:
        return accounts.salesforce(server.url)

    def record(self, number: int) -> Record:
        key = f"cust-{number}"
        return record(key, External_Id__c=key, LastName="Ray", Description="-", Lifetime_Value__c=Decimal("10.50"))

    def spoiled(self, record: Record) -> Record:
        return with_field(record, "Email", "not an address")

    def stored(self, server: Sandbox) -> Mapping[str, Mapping[str, Any]]:
        return values_by(server.salesforce.tables["Contact"], "External_Id__c")


class TestHubSpot(DestinationContract, LookupContract, SchemaContract):
    destination = HubSpot
    target = target(
        "contacts",
        "external_id",
        *Operation,
        favourite_product=FieldType.TEXT,
        lifetime_value=FieldType.DECIMAL,
        trial_ends_at=FieldType.TIMESTAMP,
        segment=FieldType.TEXT,
    )
    text_field = "favourite_product"
    decimal_field = "lifetime_value"
    timestamp_field = "trial_ends_at"
    read_only_field = "num_associated_deals"

    @pytest.fixture
    def server(self, sandbox: Sandbox) -> Sandbox:
        return sandbox

    def connection(self, server: Sandbox) -> ConnectionSettings:
        return accounts.hubspot(server.url)

    def record(self, number: int) -> Record:
        return record(f"cust-{number}", favourite_product="-", lifetime_value=Decimal("10.50"))

    def spoiled(self, record: Record) -> Record:
        return with_field(record, "segment", "no such option")

    def stored(self, server: Sandbox) -> Mapping[str, Mapping[str, Any]]:
        return values_by(server.hubspot.tables["contacts"], "external_id")


class TestHubSpotByEmail(TestHubSpot):
    target = replace(TestHubSpot.target, external_id="email")

    def record(self, number: int) -> Record:
        email = f"ann.{number}@example.com"
        return record(f"cust-{number}", external_id=email, favourite_product="-", lifetime_value=Decimal("10.50"))

    def stored(self, server: Sandbox) -> Mapping[str, Mapping[str, Any]]:
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
    test_an_answer_that_names_nobody_is_no_success = None
    test_a_broken_answer_is_no_success = None

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

    def stored(self, server: Sandbox) -> Mapping[str, Mapping[str, Any]]:
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
    test_an_answer_that_names_nobody_is_no_success = DestinationContract.test_an_answer_that_names_nobody_is_no_success
    test_a_broken_answer_is_no_success = DestinationContract.test_a_broken_answer_is_no_success

    def spoiled(self, record: Record) -> Record:
        return replace(record, external_id="")
