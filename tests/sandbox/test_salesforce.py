"""Salesforce REST: one test for each rule, on plain HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from reverse_etl_sandbox import Sandbox

from .conftest import Upsert


def row_error(answer: httpx.Response, place: int = 0) -> tuple[str, str]:
    assert answer.status_code == 200
    result = answer.json()[place]
    assert result["success"] is False
    assert "id" not in result
    error = result["errors"][0]
    return error["statusCode"], error["message"]


def request_error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()[0]["errorCode"]


def test_a_field_that_is_not_there_refuses_the_whole_request(salesforce_http: httpx.Client, sandbox: Sandbox) -> None:
    kind = {"attributes": {"type": "Contact"}}
    rows = [{**kind, "LastName": "Ray"}, {**kind, "LastName": "Lee", "Nope__c": "1"}]
    answer = salesforce_http.post("composite/sobjects", json={"records": rows})
    assert request_error(answer) == (400, "INVALID_FIELD")
    assert sandbox.salesforce.tables["Contact"].live() == []


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"CreatedDate": "2026-01-01T00:00:00Z"}, "INVALID_FIELD_FOR_INSERT_UPDATE", "fields: CreatedDate."),
        ({"Greeting__c": "Hi"}, "INVALID_FIELD_FOR_INSERT_UPDATE", "fields: Greeting__c."),
        ({"LastName": None}, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]"),
        ({"LastName": ""}, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]"),
        ({"FirstName": "x" * 41}, "STRING_TOO_LONG", "data value too large: " + "x" * 41 + " (max length=40)"),
        ({"Email": "no-at-sign"}, "INVALID_EMAIL_ADDRESS", "Email: invalid email address: no-at-sign"),
        (
            {"Segment__c": "Loyal"},
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            "bad value for restricted picklist field: Loyal",
        ),
        ({"Lifetime_Value__c": 1e14}, "NUMBER_OUTSIDE_VALID_RANGE", "value outside of valid range"),
        (
            {"Lifetime_Value__c": "12.5"},
            "JSON_PARSER_ERROR",
            "Cannot deserialize instance of currency from VALUE_STRING",
        ),
        ({"Orders__c": True}, "JSON_PARSER_ERROR", "Cannot deserialize instance of double from VALUE_TRUE"),
        ({"Last_Order_Date__c": "01/02/2026"}, "JSON_PARSER_ERROR", "Cannot deserialize instance of date"),
        ({"Last_Order_Date__c": "2026-02-30"}, "JSON_PARSER_ERROR", "Cannot deserialize instance of date"),
        ({"Trial_Ends_At__c": "2026-01-01 10:00:00"}, "JSON_PARSER_ERROR", "Cannot deserialize instance of datetime"),
        ({"Trial_Ends_At__c": "2026-01-01T10:00:00"}, "JSON_PARSER_ERROR", "Cannot deserialize instance of datetime"),
        ({"Marketing_Opt_In__c": "true"}, "JSON_PARSER_ERROR", "Cannot deserialize instance of boolean"),
        ({"Marketing_Opt_In__c": None}, "INVALID_TYPE_ON_FIELD_IN_RECORD", "value not of required type"),
        ({"FirstName": 5}, "JSON_PARSER_ERROR", "Cannot deserialize instance of string from VALUE_NUMBER_INT value 5"),
        ({"FirstName": {"a": 1}}, "JSON_PARSER_ERROR", "from START_OBJECT value {"),
        ({"AccountId": "nope"}, "MALFORMED_ID", "id value of incorrect type: nope"),
        ({"AccountId": "001000000000001AAA"}, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"),
        ({"Account": {"External_Id__c": "nope"}}, "INVALID_FIELD", "Foreign key external ID: nope not found"),
        ({"Id": "003000000000001AAA"}, "INVALID_FIELD", "The Id field should not be specified"),
    ],
)
def test_rows_that_are_refused(upsert_contacts: Upsert, fields: dict[str, Any], code: str, text: str) -> None:
    bad = {"External_Id__c": "bad", "LastName": "X"} | fields
    answer = upsert_contacts({"External_Id__c": "good", "LastName": "X"}, bad)
    assert answer.json()[0]["success"] is True
    told = row_error(answer, 1)
    assert told[0] == code
    assert text in told[1]


@pytest.mark.parametrize(
    ("name", "given", "held"),
    [
        ("Email", "Ada@EXAMPLE.com", "ada@example.com"),
        ("Trial_Ends_At__c", "2026-01-01T10:00:00+02:00", "2026-01-01T08:00:00.000+0000"),
        ("Orders__c", 3, 3.0),
        ("FirstName", "", None),
        ("lEADsOURCE", "Anything goes", "Anything goes"),
    ],
)
def test_values_as_they_are_read_back(
    upsert_contacts: Upsert, salesforce_http: httpx.Client, name: str, given: Any, held: Any
) -> None:
    upsert_contacts({"External_Id__c": "1", "LastName": "X", name: given})
    read = salesforce_http.get("/sobjects/Contact/External_Id__c/1").json()
    assert {key.casefold(): value for key, value in read.items()}[name.casefold()] == held


def test_collections_answer_in_order_with_created(upsert_contacts: Upsert) -> None:
    rows = [{"External_Id__c": str(n), "LastName": "X"} for n in range(200)]
    first = upsert_contacts(*rows[::2]).json()
    assert {result["created"] for result in first} == {True}
    second = upsert_contacts(*rows).json()
    assert [result["created"] for result in second] == [False, True] * 100
    assert [result["id"] for result in second[::2]] == [result["id"] for result in first]


def test_201_rows_are_too_many_and_none_too_few(upsert_contacts: Upsert) -> None:
    rows = [{"External_Id__c": str(n), "LastName": "X"} for n in range(201)]
    assert request_error(upsert_contacts(*rows)) == (400, "EXCEEDED_ID_LIMIT")
    answer = upsert_contacts()
    assert request_error(answer) == (400, "REQUIRED_FIELD_MISSING")
    assert answer.json()[0]["message"] == "At least 1 record is required"


def test_the_same_key_twice_refuses_both_rows(upsert_contacts: Upsert) -> None:
    answer = upsert_contacts(*({"External_Id__c": key, "LastName": "X"} for key in ("a", "b", "A")))
    assert [result["success"] for result in answer.json()] == [False, True, False]
    assert row_error(answer) == ("DUPLICATE_VALUE", "Duplicate external id specified: a")


def test_a_row_without_its_key(upsert_contacts: Upsert) -> None:
    assert row_error(upsert_contacts({"LastName": "X"})) == ("MISSING_ARGUMENT", "External_Id__c not specified")


def test_keys_ignore_case(upsert_contacts: Upsert) -> None:
    upsert_contacts({"External_Id__c": "abc", "LastName": "X"})
    assert upsert_contacts({"external_id__C": "ABC", "LastName": "Y"}).json()[0]["created"] is False


def test_a_key_that_two_records_hold(upsert_contacts: Upsert, salesforce_http: httpx.Client) -> None:
    ids = [
        salesforce_http.post("/sobjects/Contact", json={"LastName": "T", "Email": "t@x.com"}).json()["id"]
        for _ in range(2)
    ]
    told = row_error(upsert_contacts({"Email": "T@x.com", "LastName": "X"}, key="Email"))
    assert told == (
        "DUPLICATE_EXTERNAL_ID",
        f"Email: more than one record found for external id field: {ids}".replace("'", ""),
    )


def test_a_unique_value_of_another_record(upsert_contacts: Upsert, salesforce_http: httpx.Client) -> None:
    held = upsert_contacts({"External_Id__c": "k", "LastName": "X"}).json()[0]["id"]
    answer = salesforce_http.post("/sobjects/Contact", json={"LastName": "Y", "External_Id__c": "K"})
    assert request_error(answer) == (400, "DUPLICATE_VALUE")
    assert answer.json()[0]["message"].endswith(f"External_Id__c duplicates value on record with id: {held[:15]}")


def test_a_key_that_was_changed_is_free_again(upsert_contacts: Upsert) -> None:
    first = upsert_contacts({"External_Id__c": "k", "LastName": "X", "Email": "old@x.com"}).json()[0]["id"]
    upsert_contacts({"External_Id__c": "k", "Email": "new@x.com"})
    other = upsert_contacts({"Email": "old@x.com", "LastName": "Y"}, key="Email").json()[0]
    assert (other["created"], other["id"] != first) == (True, True)
    assert upsert_contacts({"Email": "NEW@x.com", "LastName": "Z"}, key="Email").json()[0]["id"] == first


def test_all_or_none_takes_everything_back(upsert_contacts: Upsert, sandbox: Sandbox) -> None:
    upsert_contacts({"External_Id__c": "old", "LastName": "Before"})
    answer = upsert_contacts(
        {"External_Id__c": "old", "LastName": "After"},
        {"External_Id__c": "new", "LastName": "X"},
        {"External_Id__c": "bad"},
        allOrNone=True,
    )
    codes = [result["errors"][0]["statusCode"] for result in answer.json()]
    assert codes == ["ALL_OR_NONE_OPERATION_ROLLED_BACK"] * 2 + ["REQUIRED_FIELD_MISSING"]
    held = [entry.values["LastName"] for entry in sandbox.salesforce.tables["Contact"].live()]
    assert held == ["Before"]
    assert sandbox.salesforce.tables["Contact"].find("External_Id__c", "new") == []


def test_a_parent_by_its_external_id(upsert_contacts: Upsert, salesforce_http: httpx.Client) -> None:
    parent = salesforce_http.post("/sobjects/Account", json={"Name": "P", "External_Id__c": "p1"}).json()["id"]
    upsert_contacts({"External_Id__c": "1", "LastName": "X", "Account": {"External_Id__c": "p1"}})
    assert salesforce_http.get("/sobjects/Contact/External_Id__c/1").json()["AccountId"] == parent


def test_create_update_and_delete_collections(salesforce_http: httpx.Client) -> None:
    rows = [{"attributes": {"type": "Lead"}, "LastName": str(n), "Company": "C"} for n in range(3)]
    made = salesforce_http.post("/composite/sobjects", json={"records": rows}).json()
    ids = [result["id"] for result in made]
    assert ["created" in result for result in made] == [False] * 3
    lead = {"attributes": {"type": "Lead"}}
    changed = salesforce_http.patch(
        "/composite/sobjects",
        json={"records": [lead | {"id": ids[0], "LastName": "new"}, lead | {"LastName": "no id"}]},
    )
    assert changed.json()[0] == {"id": ids[0], "success": True, "errors": []}
    assert row_error(changed, 1) == ("MISSING_ARGUMENT", "Id not specified in an update call")
    gone = salesforce_http.delete("/composite/sobjects", params={"ids": f"{ids[1]},nonsense"})
    assert gone.json()[0]["success"] is True
    assert row_error(gone, 1)[0] == "MALFORMED_ID"
    again = salesforce_http.delete("/composite/sobjects", params={"ids": ids[1]})
    assert row_error(again) == ("ENTITY_IS_DELETED", "entity is deleted")
    asked = {"ids": [ids[1], ids[0]], "fields": ["LastName"]}
    read = salesforce_http.post("/composite/sobjects/Lead", json=asked).json()
    assert [row and row["LastName"] for row in read] == [None, "new"]


def test_upserting_the_key_of_a_deleted_record_makes_a_new_one(
    upsert_contacts: Upsert, salesforce_http: httpx.Client
) -> None:
    old = upsert_contacts({"External_Id__c": "1", "LastName": "X"}).json()[0]["id"]
    assert salesforce_http.delete("/sobjects/Contact/External_Id__c/1").status_code == 204
    assert salesforce_http.delete("/sobjects/Contact/External_Id__c/1").status_code == 404
    new = upsert_contacts({"External_Id__c": "1", "LastName": "X"}).json()[0]
    assert (new["created"], new["id"] != old) == (True, True)


def test_update_only_never_creates(salesforce_http: httpx.Client) -> None:
    answer = salesforce_http.patch("/sobjects/Contact/External_Id__c/1?updateOnly=true", json={"LastName": "X"})
    assert request_error(answer) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("PATCH", "/composite/sobjects/Nope/External_Id__c", {"records": [{}]}, 404, "NOT_FOUND"),
        ("PATCH", "/composite/sobjects/Contact/Phone", {"records": [{}]}, 404, "NOT_FOUND"),
        ("PATCH", "/composite/sobjects/Contact/External_Id__c", {"records": [{"LastName": "X"}]}, 400, "INVALID_TYPE"),
        ("PATCH", "/composite/sobjects/Contact/External_Id__c", {"records": "x"}, 400, "JSON_PARSER_ERROR"),
        ("POST", "/sobjects/Contact", [], 400, "JSON_PARSER_ERROR"),
        ("PUT", "/sobjects/Contact", {}, 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/nope", None, 404, "NOT_FOUND"),
        ("GET", "/sobjects/Contact/003000000000001AAA", None, 404, "NOT_FOUND"),
        ("GET", "/sobjects/Contact/nonsense", None, 400, "MALFORMED_ID"),
    ],
)
def test_requests_that_are_refused(
    salesforce_http: httpx.Client, method: str, path: str, body: Any, status: int, code: str
) -> None:
    assert request_error(salesforce_http.request(method, path, json=body)) == (status, code)


def test_broken_json(salesforce_http: httpx.Client) -> None:
    assert request_error(salesforce_http.post("/sobjects/Contact", content="{")) == (400, "JSON_PARSER_ERROR")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, None),
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "wrong"}, "invalid_client_id"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_client_credentials(http: httpx.Client, sandbox: Sandbox, changes: dict[str, str], error: str | None) -> None:
    form = {"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": "sandbox-secret"} | changes
    answer = http.post("/salesforce/services/oauth2/token", data=form)
    if error is None:
        told = answer.json()
        headers = {"Authorization": f"Bearer {told['access_token']}"}
        assert http.get(f"{told['instance_url']}/services/data/v60.0/limits", headers=headers).status_code == 200
    else:
        assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_no_or_a_wrong_token(salesforce_http: httpx.Client) -> None:
    salesforce_http.headers["Authorization"] = "Bearer wrong"
    answer = salesforce_http.get("/limits")
    assert request_error(answer) == (401, "INVALID_SESSION_ID")


def test_a_version_that_does_not_exist(salesforce_http: httpx.Client, sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/salesforce/services/data/v99.0/limits"
    assert request_error(salesforce_http.get(url)) == (404, "NOT_FOUND")
