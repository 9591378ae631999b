"""The exact request of every Salesforce operation."""

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.salesforce import Salesforce, soql as salesforce_soql
from reverse_etl_assets.destinations.salesforce.lookups import LONGEST_URL
from reverse_etl_assets.errors import ContractViolation, SpecError
from reverse_etl_assets.records import FieldType, Operation, Record, Target
from reverse_etl_assets.testing.builders import batch, record, target
from tests.destinations import accounts
from tests.limited import jobs_from

TARGET = target(
    "Contact",
    "External_Id__c",
    *Operation,
    LastName=FieldType.TEXT,
    Amount__c=FieldType.DECIMAL,
    Seen__c=FieldType.TIMESTAMP,
    Raw__c=FieldType.JSON,
)
ROOT = "https://acme.my.salesforce.com/salesforce/services/data/v67.0"


def salesforce(to: Target = TARGET, **options: Any) -> Salesforce:
    return accounts.offline(Salesforce, accounts.salesforce("https://acme.my.salesforce.com"), to, **options)


def test_upsert() -> None:
    row = record("A-1", LastName="Ray", Amount__c=Decimal("10.50"), Seen__c="2026-01-31T12:00:00.123456+01:00")
    request = salesforce().build_request(batch(Operation.UPSERT, row, record("A-2", LastName=None)))
    assert (request.method, str(request.url)) == ("PATCH", f"{ROOT}/composite/sobjects/Contact/External_Id__c")
    assert request.headers["Content-Type"] == "application/json"
    assert request.content == (
        b'{"allOrNone":false,"records":['
        b'{"attributes":{"type":"Contact"},"LastName":"Ray","Amount__c":10.50,'
        b'"Seen__c":"2026-01-31T11:00:00.123Z","External_Id__c":"A-1"},'
        b'{"attributes":{"type":"Contact"},"LastName":null,"External_Id__c":"A-2"}]}'
    )


def test_insert() -> None:
    request = salesforce().build_request(batch(Operation.INSERT, record("A-1", Raw__c={"a": [1, None]})))
    assert (request.method, str(request.url)) == ("POST", f"{ROOT}/composite/sobjects")
    assert json.loads(request.content)["records"] == [
        {"attributes": {"type": "Contact"}, "Raw__c": '{"a":[1,null]}', "External_Id__c": "A-1"}
    ]


def test_update_is_by_id_and_leaves_the_key_alone() -> None:
    row = record("A-1", destination_id="003xx0000000001AAA", LastName="Ray", External_Id__c="A-1")
    request = salesforce().build_request(batch(Operation.UPDATE, row))
    assert (request.method, str(request.url)) == ("PATCH", f"{ROOT}/composite/sobjects")
    assert json.loads(request.content)["records"] == [
        {"attributes": {"type": "Contact"}, "LastName": "Ray", "id": "003xx0000000001AAA"}
    ]


def test_delete_is_by_id() -> None:
    rows = [record(f"A-{n}", destination_id=f"003xx000000000{n}AAA") for n in (1, 2)]
    request = salesforce().build_request(batch(Operation.DELETE, *rows))
    assert (request.method, request.url.path) == ("DELETE", "/salesforce/services/data/v67.0/composite/sobjects")
    assert dict(request.url.params) == {"ids": "003xx0000000001AAA,003xx0000000002AAA", "allOrNone": "false"}
    assert request.content == b""


@pytest.mark.parametrize("operation", [Operation.UPDATE, Operation.DELETE])
def test_a_row_without_its_id_is_our_own_mistake(operation: Operation) -> None:
    with pytest.raises(ContractViolation, match="A-1 has no Id"):
        salesforce().build_request(batch(operation, record("A-1")))


def test_a_key_from_a_number_column_goes_as_a_number() -> None:
    to = target("Contact", "Number__c", key_type=FieldType.INTEGER)
    request = salesforce(to).build_request(batch(Operation.UPSERT, Record("17", "17", {})))
    assert b'"Number__c":17}' in request.content


@pytest.mark.parametrize(
    ("key", "literal"),
    [
        ("plain", "'plain'"),
        ("it's", r"'it\'s'"),
        ("a\\", r"'a\\'"),
        ("' OR Name != '", r"'\' OR Name != \''"),
        ("two\nlines", r"'two\nlines'"),
        ("Zoë", "'Zoë'"),
    ],
)
def test_keys_in_soql_are_escaped(key: str, literal: str) -> None:
    assert list(salesforce_soql.queries(TARGET, [key], 16_000)) == [
        f"SELECT Id,External_Id__c FROM Contact WHERE External_Id__c IN ({literal})"
    ]


def test_number_keys_in_soql_are_bare_and_only_if_they_are_numbers() -> None:
    to = target("Contact", "Number__c", key_type=FieldType.INTEGER)
    assert list(salesforce_soql.queries(to, ["17", "1 OR 1=1"], 16_000)) == [
        "SELECT Id,Number__c FROM Contact WHERE Number__c IN (17,'1 OR 1=1')"
    ]


@pytest.mark.parametrize(
    ("to", "one", "other", "case_sensitive", "same"),
    [
        (TARGET, "Ann", "aNN", False, True),
        (TARGET, "Ann", "aNN", True, False),
        (target("Contact", "Number__c", key_type=FieldType.DECIMAL), "17", "17.0", False, True),
        (target("Contact", "Id"), "0035g00000ABCde", "0035g00000ABCdeAAH", False, True),
        (target("Contact", "Id"), "0035g00000ABCde", "0035g00000ABCDE", False, False),
    ],
)
def test_when_two_keys_are_one(to: Target, one: str, other: str, case_sensitive: bool, same: bool) -> None:
    left, right = (salesforce_soql.comparable(to, key, case_sensitive=case_sensitive) for key in (one, other))
    assert (left == right) is same


def test_every_lookup_fits_the_longest_url() -> None:
    keys = [f"{'日本' * 40}-{number}" for number in range(200)]
    found = list(salesforce_soql.queries(TARGET, keys, LONGEST_URL - len(f"{ROOT}/query?q=")))
    sizes = [len(str(httpx.URL(f"{ROOT}/query", params={"q": soql}))) for soql in found]
    assert len(sizes) > 1
    assert max(sizes) <= LONGEST_URL
    assert sum(soql.count("日本-") for soql in found) == 200


@pytest.mark.parametrize("name", ["Contact; x", "a b", "", "1abc", "Conta\u0441t\n"])
def test_what_is_no_api_name_is_refused_when_syncs_are_loaded(name: str) -> None:
    options = Salesforce.Options()
    with pytest.raises(SpecError, match="API name"):
        Salesforce.capabilities_for(target(name, "External_Id__c"), options)
    with pytest.raises(SpecError, match="API name"):
        Salesforce.capabilities_for(target("Contact", name), options)


def test_settings_reach_the_capabilities() -> None:
    assert salesforce().capabilities.fold_case
    assert not salesforce(case_sensitive_key=True).capabilities.fold_case
    assert jobs_from(salesforce()) == 2000
    assert jobs_from(salesforce(bulk_threshold=None)) is None


def test_link() -> None:
    base = "https://acme.my.salesforce.com/"
    assert Salesforce.link(base, TARGET) == "https://acme.my.salesforce.com/lightning/o/Contact/list"
