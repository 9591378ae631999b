"""The SOQL subset, on plain HTTP."""

from __future__ import annotations

import httpx
import pytest

from .conftest import Upsert


def request_error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()[0]["errorCode"]


def query(http: httpx.Client, soql: str) -> httpx.Response:
    return http.get("/query", params={"q": soql})


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("External_Id__c IN ('a','C')", ["a", "c"]),
        ("External_Id__c NOT IN ('a')", ["b", "c"]),
        ("External_Id__c = 'A' AND Orders__c = 1", ["a"]),
        ("Orders__c > 1 AND Orders__c <= 3", ["b", "c"]),
        ("LastName = 'O\\'Neil'", ["b"]),
        ("LastName LIKE 'o%'", ["b"]),
        ("FirstName = null", ["a", "b", "c"]),
        ("Marketing_Opt_In__c = true", ["c"]),
        ("Last_Order_Date__c >= 2026-01-02", ["b"]),
    ],
)
def test_soql_conditions(upsert_contacts: Upsert, salesforce_http: httpx.Client, where: str, found: list[str]) -> None:
    upsert_contacts(
        {"External_Id__c": "a", "LastName": "A", "Orders__c": 1, "Last_Order_Date__c": "2026-01-01"},
        {"External_Id__c": "b", "LastName": "O'Neil", "Orders__c": 2, "Last_Order_Date__c": "2026-01-02"},
        {"External_Id__c": "c", "LastName": "C", "Orders__c": 3, "Marketing_Opt_In__c": True},
    )
    rows = query(salesforce_http, f"SELECT External_Id__c FROM Contact WHERE {where} ORDER BY External_Id__c")
    assert [row["External_Id__c"] for row in rows.json()["records"]] == found
    count = query(salesforce_http, f"SELECT COUNT() FROM Contact WHERE {where}").json()
    assert count == {"totalSize": len(found), "done": True, "records": []}
    limited = query(salesforce_http, f"select id from contact where {where} limit 1")
    assert len(limited.json()["records"]) == 1


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT Id FROM Nope", "INVALID_TYPE"),
        ("SELECT Id FROM Contact WHERE Nope = 1", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE", "MALFORMED_QUERY"),
        ("SELECT Id Contact", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE LastName = 'open", "MALFORMED_QUERY"),
        ('SELECT Id FROM Contact WHERE LastName = "x"', "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact LIMIT 1 nonsense", "MALFORMED_QUERY"),
    ],
)
def test_soql_that_is_refused(salesforce_http: httpx.Client, soql: str, code: str) -> None:
    assert request_error(query(salesforce_http, soql)) == (400, code)


def test_a_url_that_is_too_long(salesforce_http: httpx.Client) -> None:
    keys = ",".join(f"'{number:032}'" for number in range(500))
    assert query(salesforce_http, f"SELECT Id FROM Contact WHERE External_Id__c IN ({keys})").status_code == 414
