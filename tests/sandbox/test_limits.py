"""The vendors' limits, on a clock that the tests move."""

from __future__ import annotations

import httpx
import pytest

from reverse_etl_sandbox import Sandbox

from .conftest import Clock, Upsert

CONTACTS = "/crm/v3/objects/contacts"


def test_hubspot_counts_down_in_its_headers(hubspot_http: httpx.Client) -> None:
    headers = [hubspot_http.get(CONTACTS).headers for _ in range(2)]
    assert [h["X-HubSpot-RateLimit-Remaining"] for h in headers] == ["189", "188"]
    assert headers[1]["X-HubSpot-RateLimit-Max"] == "190"
    assert headers[1]["X-HubSpot-RateLimit-Interval-Milliseconds"] == "10000"
    assert headers[1]["X-HubSpot-RateLimit-Daily-Remaining"] == "624998"


def test_hubspot_ten_seconds_roll(hubspot_http: httpx.Client, sandbox: Sandbox, clock: Clock) -> None:
    sandbox.settings.change({"hubspot_ten_second_requests": 3})

    def status() -> int:
        return hubspot_http.get(CONTACTS).status_code

    assert status() == 200
    clock.now += 6
    assert [status() for _ in range(3)] == [200, 200, 429]
    clock.now += 4.5  # the first request is out of the window, the next two are not
    assert [status() for _ in range(2)] == [200, 429]


def test_hubspot_429_body(hubspot_http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.settings.change({"hubspot_ten_second_requests": 0})
    answer = hubspot_http.get(CONTACTS)
    told = answer.json()
    assert told["message"] == "You have reached your ten_secondly_rolling limit."
    assert (told["errorType"], told["policyName"]) == ("RATE_LIMIT", "TEN_SECONDLY_ROLLING")
    assert "Retry-After" not in answer.headers


def test_hubspot_daily_limit(hubspot_http: httpx.Client, sandbox: Sandbox, clock: Clock) -> None:
    sandbox.settings.change({"hubspot_daily_requests": 1})
    answers = [hubspot_http.get(CONTACTS) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].json()["policyName"] == "DAILY"
    clock.now += 86_400
    assert hubspot_http.get(CONTACTS).status_code == 200


def test_hubspot_counts_what_other_tools_use(hubspot_http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.settings.change({"hubspot_daily_requests": 10, "hubspot_other_requests": 9})
    answers = [hubspot_http.get(CONTACTS) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert [answer.headers["X-HubSpot-RateLimit-Daily-Remaining"] for answer in answers] == ["0", "0"]
    assert answers[0].headers["X-HubSpot-RateLimit-Daily"] == "10"


def test_hubspot_search_has_its_own_limit_and_no_headers(hubspot_http: httpx.Client, clock: Clock) -> None:
    answers = [hubspot_http.post(f"{CONTACTS}/search", json={}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[5].json()["policyName"] == "SECONDLY"
    assert not [name for name in answers[0].headers if name.startswith("x-hubspot")]
    clock.now += 1
    assert hubspot_http.post(f"{CONTACTS}/search", json={}).status_code == 200


def test_salesforce_counts_calls(salesforce_http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.settings.change({"salesforce_daily_requests": 2})
    answers = [salesforce_http.get("/limits") for _ in range(3)]
    assert [a.headers["Sforce-Limit-Info"] for a in answers] == [f"api-usage={n}/2" for n in (1, 2, 2)]
    assert answers[2].status_code == 403
    assert answers[2].json()[0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"
    assert "Retry-After" not in answers[2].headers


def test_a_refused_call_writes_nothing(upsert_contacts: Upsert, sandbox: Sandbox) -> None:
    sandbox.settings.change({"salesforce_daily_requests": 0})
    assert upsert_contacts({"External_Id__c": "1", "LastName": "X"}).status_code == 403
    assert sandbox.salesforce.tables["Contact"].entries == {}


def test_rest_window(rest_http: httpx.Client, sandbox: Sandbox, clock: Clock) -> None:
    sandbox.settings.change({"rest_requests": 2, "rest_window_seconds": 5})
    first, second, third = (rest_http.post("/orders", json={"id": 1}) for _ in range(3))
    assert (first.headers["RateLimit-Limit"], first.headers["RateLimit-Remaining"]) == ("2", "1")
    assert second.status_code == 200
    assert (third.status_code, third.headers["Retry-After"], third.headers["RateLimit-Reset"]) == (429, "5", "5")
    clock.now += 5
    assert rest_http.post("/orders", json={"id": 1}).status_code == 200


def test_rest_has_no_limit_unless_set(rest_http: httpx.Client) -> None:
    assert not [name for name in rest_http.post("/orders", json={"id": 1}).headers if "ratelimit" in name]


@pytest.mark.parametrize("real", [True, False])
def test_the_log_tells_a_real_limit_from_a_fault(hubspot_http: httpx.Client, sandbox: Sandbox, real: bool) -> None:
    if real:
        sandbox.settings.change({"hubspot_ten_second_requests": 0})
    else:
        sandbox.fault("rate_limit", vendor="hubspot", next=1)
    assert hubspot_http.get(CONTACTS).status_code == 429
    line = sandbox.log.lines()[-1]
    assert (line.limit, line.fault) == (("ten_secondly_rolling", "") if real else ("", "rate_limit"))
    counts = sandbox.counts()["hubspot"]
    assert (counts["limits"], counts["faults"]) == (
        ({"ten_secondly_rolling": 1}, {}) if real else ({}, {"rate_limit": 1})
    )
