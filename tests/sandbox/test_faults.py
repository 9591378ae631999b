"""Faults: what a client sees, and what is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from reverse_etl_sandbox import Sandbox, row_is_hit
from tests.until import until

from .conftest import Upsert

CONTACTS = "/crm/v3/objects/contacts"


def post(http: httpx.Client, key: object = 1, **more: Any) -> httpx.Response:
    return http.post("/orders", json=[{"id": key}], **more)


def stored(sandbox: Sandbox) -> int:
    table = sandbox.rest.tables.get("orders")
    return len(table.entries) if table else 0


@pytest.mark.parametrize(("kind", "written"), [("drop_before", 0), ("drop_after", 1)])
def test_a_dropped_connection(rest_http: httpx.Client, sandbox: Sandbox, kind: str, written: int) -> None:
    sandbox.fault(kind, vendor="rest", next=1)
    with pytest.raises(httpx.RemoteProtocolError, match="disconnected without sending a response"):
        post(rest_http)
    assert stored(sandbox) == written
    line = sandbox.log.lines()[-1]
    assert (line.status, line.fault) == (0, kind)
    assert post(rest_http).status_code == 200


def test_a_timeout_after_the_write(rest_http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.fault("timeout_after", vendor="rest", next=1)
    with pytest.raises(httpx.ReadTimeout):
        post(rest_http, timeout=httpx.Timeout(10, read=0.05))
    until(lambda: stored(sandbox) == 1)


def test_an_answer_is_not_held_for_longer_than_set(rest_http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.fault("timeout_after", vendor="rest", next=1, hold_seconds=0.02)
    with pytest.raises(httpx.RemoteProtocolError):
        post(rest_http)
    assert stored(sandbox) == 1


def test_a_slow_answer(rest_http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.fault("slow", vendor="rest", next=1, delay_ms=40)
    assert post(rest_http).status_code == 200
    assert sandbox.log.lines()[-1].ms >= 30  # timers may end a little early


def test_malformed_json_after_the_write(rest_http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.fault("malformed", vendor="rest", next=1)
    answer = post(rest_http)
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        answer.json()
    assert stored(sandbox) == 1


def test_an_empty_2xx(rest_http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.fault("empty", vendor="rest", next=1)
    answer = post(rest_http)
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("vendor", "call", "limited", "failed"),
    [
        ("rest", lambda url: ("POST", f"{url}/rest/orders"), 429, 503),
        ("hubspot", lambda url: ("GET", f"{url}/hubspot{CONTACTS}"), 429, 503),
        ("salesforce", lambda url: ("GET", f"{url}/salesforce/services/data/v60.0/limits"), 403, 503),
    ],
)
def test_storms_of_429_and_5xx(
    http: httpx.Client, sandbox: Sandbox, vendor: str, call: Callable[[str], tuple[str, str]], limited: int, failed: int
) -> None:
    token = "pat-sandbox" if vendor == "hubspot" else sandbox.salesforce.issue_token()
    headers = {"Authorization": f"Bearer {token}"}
    sandbox.fault("rate_limit", vendor=vendor, next=1, retry_after=7)
    sandbox.fault("rate_limit", vendor=vendor, next=1)
    sandbox.fault("server_error", vendor=vendor, next=1)
    sandbox.fault("server_error", vendor=vendor, next=1, status=500)
    method, url = call(sandbox.url)
    answers = [http.request(method, url, json={"id": 1}, headers=headers) for _ in range(5)]
    assert [answer.status_code for answer in answers[:4]] == [limited, limited, failed, 500]
    assert [answer.headers.get("Retry-After") for answer in answers[:2]] == ["7", None]
    assert answers[4].is_success
    assert stored(sandbox) == (vendor == "rest")
    assert answers[0].json()


def test_an_expired_token_is_401_until_a_new_one(salesforce_http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.fault("expire_token", vendor="salesforce", next=1)
    assert [salesforce_http.get("/limits").status_code for _ in range(2)] == [401, 401]
    form = {"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": "sandbox-secret"}
    token = salesforce_http.post(f"{sandbox.url}/salesforce/services/oauth2/token", data=form).json()
    salesforce_http.headers["Authorization"] = f"Bearer {token['access_token']}"
    assert salesforce_http.get("/limits").status_code == 200


def test_the_token_endpoint_is_hit_only_by_its_path(http: httpx.Client, sandbox: Sandbox) -> None:
    def ask() -> int:
        form = {"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": "sandbox-secret"}
        return http.post("/salesforce/services/oauth2/token", data=form).status_code

    sandbox.fault("server_error", vendor="salesforce")
    assert ask() == 200
    sandbox.fault("server_error", vendor="salesforce", path="/oauth2/token", next=1, status=502)
    assert ask() == 502


def test_refused_rows_can_be_computed(
    rest_http: httpx.Client, hs_upsert: Upsert, upsert_contacts: Upsert, sandbox: Sandbox
) -> None:
    sandbox.fault("refuse_rows", percent=20, seed=3)
    keys = [f"K{number}" for number in range(90)]
    expected = {key for key in keys if row_is_hit(key, seed=3, percent=20)}
    assert 5 < len(expected) < 40

    rest = rest_http.post(f"{sandbox.url}/rest/orders", json=[{"id": key} for key in keys])
    assert rest.status_code == 207
    assert {row["id"] for row in rest.json()["results"] if row["status"] == "error"} == expected

    rest_http.base_url = httpx.URL(f"{sandbox.url}/hubspot")
    rest_http.headers["Authorization"] = "Bearer pat-sandbox"
    told = hs_upsert({key: {} for key in keys}).json()
    traces = {error["context"]["objectWriteTraceId"][0] for error in told["errors"]}
    assert {keys[int(trace.removeprefix("row-"))] for trace in traces} == expected

    rest_http.base_url = httpx.URL(f"{sandbox.url}/salesforce/services/data/v60.0")
    rest_http.headers["Authorization"] = f"Bearer {sandbox.salesforce.issue_token()}"
    results = upsert_contacts(*({"External_Id__c": key, "LastName": "X"} for key in keys)).json()
    assert {key for key, result in zip(keys, results, strict=True) if not result["success"]} == expected


def test_a_locked_row_succeeds_at_the_second_try(upsert_contacts: Upsert, sandbox: Sandbox) -> None:
    sandbox.fault("lock_rows", vendor="salesforce", percent=50)
    rows = [{"External_Id__c": str(number), "LastName": "X"} for number in range(40)]
    first = upsert_contacts(*rows).json()
    locked = [place for place, result in enumerate(first) if not result["success"]]
    assert [place for place in range(40) if row_is_hit(str(place), seed=0, percent=50)] == locked
    assert first[locked[0]]["errors"][0]["statusCode"] == "UNABLE_TO_LOCK_ROW"
    assert all(result["success"] for result in upsert_contacts(*(rows[place] for place in locked)).json())


def test_probability_follows_the_seed(rest_http: httpx.Client, sandbox: Sandbox) -> None:
    def statuses(seed: int) -> list[int]:
        sandbox.faults.clear()
        sandbox.fault("server_error", vendor="rest", probability=0.3, seed=seed)
        return [post(rest_http).status_code for _ in range(30)]

    assert statuses(1) == statuses(1)
    assert statuses(1) != statuses(2)
    assert 1 <= statuses(1).count(503) <= 20


def test_skip_path_and_method_narrow_a_fault(rest_http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.fault("server_error", vendor="rest", path="^/orders", method="POST", skip=1, next=1)
    assert rest_http.post("/events", json={"id": 1}).status_code == 201
    assert rest_http.put("/orders", json={"id": 1}).status_code == 201
    assert [post(rest_http).status_code for _ in range(3)] == [200, 503, 200]
    assert sandbox.faults.active() == []


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ({"kind": "nope"}, "fault kind 'nope' is unknown; kinds are rate_limit"),
        ({"kind": "slow", "speed": 1}, "fault option speed is unknown"),
        ({"kind": "slow", "next": 1, "probability": 0.5}, "next or probability, not both"),
        ({"kind": "refuse_rows"}, "needs percent above 0"),
    ],
)
def test_a_wrong_fault_is_refused(http: httpx.Client, sandbox: Sandbox, fault: dict[str, object], text: str) -> None:
    answer = http.post("/_sandbox/faults", json=fault)
    assert answer.status_code == 400
    assert text in answer.text
    assert sandbox.faults.active() == []


def test_faults_over_http(http: httpx.Client, sandbox: Sandbox) -> None:
    added = http.post("/_sandbox/faults", json={"kind": "slow", "vendor": "rest", "delay_ms": 5})
    assert (added.status_code, added.json()) == (201, {"kind": "slow", "vendor": "rest", "delay_ms": 5, "hits": 0})
    assert http.get("/_sandbox/faults").json() == [added.json()]
    assert http.delete("/_sandbox/faults").status_code == 204
    assert http.get("/_sandbox/faults").json() == []


def test_rows_that_are_written_but_not_answered(
    rest_http: httpx.Client, hs_upsert: Upsert, upsert_contacts: Upsert, sandbox: Sandbox
) -> None:
    sandbox.fault("omit_rows", percent=100)
    assert rest_http.post(f"{sandbox.url}/rest/orders", json=[{"id": 1}]).json() == {"results": []}

    rest_http.base_url = httpx.URL(f"{sandbox.url}/hubspot")
    rest_http.headers["Authorization"] = "Bearer pat-sandbox"
    answer = hs_upsert({"k": {}})
    assert (answer.status_code, answer.json()["results"], "errors" in answer.json()) == (200, [], False)

    rest_http.base_url = httpx.URL(f"{sandbox.url}/salesforce/services/data/v60.0")
    rest_http.headers["Authorization"] = f"Bearer {sandbox.salesforce.issue_token()}"
    assert upsert_contacts({"External_Id__c": "k", "LastName": "X"}).json() == []
    tables = (sandbox.rest.table("orders"), sandbox.hubspot.tables["contacts"], sandbox.salesforce.tables["Contact"])
    assert [len(table.entries) for table in tables] == [1, 1, 1]


def test_a_success_that_was_not(
    rest_http: httpx.Client, hs_upsert: Upsert, upsert_contacts: Upsert, sandbox: Sandbox
) -> None:
    """The answer is that of a write, and nothing is kept: neither a new record, nor a change, nor a delete."""

    def go_to(base: str, token: str) -> None:
        rest_http.base_url = httpx.URL(f"{sandbox.url}{base}")
        rest_http.headers["Authorization"] = f"Bearer {token}"

    def write(name: str) -> list[Any]:
        rest_http.base_url = httpx.URL(f"{sandbox.url}/rest")
        told = [rest_http.post("/orders", json=[{"id": "k", "name": name}]).json()["results"][0]["status"]]
        go_to("/hubspot", "pat-sandbox")
        told.append(hs_upsert({"k": {"city": name}}).json()["results"][0]["new"])
        go_to("/salesforce/services/data/v60.0", sandbox.salesforce.issue_token())
        told.append(upsert_contacts({"External_Id__c": "k", "LastName": name}).json()[0]["created"])
        return told

    tables = (sandbox.rest.table("orders"), sandbox.hubspot.tables["contacts"], sandbox.salesforce.tables["Contact"])
    fields = ("name", "city", "LastName")

    sandbox.fault("lose_writes", percent=100)
    assert write("Ann") == ["created", True, True]
    assert [table.entries for table in tables] == [{}, {}, {}]

    sandbox.faults.clear()
    write("Ann")
    fault = sandbox.fault("lose_writes", percent=100)
    assert write("Bob") == ["updated", False, False]
    [record_id] = tables[1].entries
    go_to("/hubspot", "pat-sandbox")
    answer = rest_http.post(f"{CONTACTS}/batch/archive", json={"inputs": [{"id": record_id}]})
    assert answer.status_code == 204
    assert [t.live()[0].values[name] for t, name in zip(tables, fields, strict=True)] == ["Ann", "Ann", "Ann"]
    assert fault.hits == 4
    assert [table.counters.updated for table in tables] == [0, 0, 0]
