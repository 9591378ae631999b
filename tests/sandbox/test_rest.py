"""The REST sink."""

from __future__ import annotations

import gzip
from typing import Any

import httpx
import pytest

from reverse_etl_sandbox import Sandbox


def keys(sandbox: Sandbox, collection: str = "orders") -> list[str]:
    return sorted(sandbox.rest.tables[collection].entries)


def test_single_records(rest_http: httpx.Client) -> None:
    made = rest_http.post("/orders", json={"id": 7, "total": 1})
    assert (made.status_code, made.json()) == (201, {"id": "7", "status": "created"})
    assert rest_http.post("/orders", json={"id": "7", "total": 2}).json()["status"] == "updated"
    assert rest_http.put("/orders/8", json={"total": 3}).status_code == 201
    assert rest_http.patch("/orders/9", json={"total": 3}).status_code == 404
    assert rest_http.get("/orders/7").json()["total"] == 2
    assert rest_http.get("/orders").json() == {"total": 2}
    assert [rest_http.delete("/orders/7").status_code for _ in range(2)] == [204, 404]


def test_a_key_with_a_slash(rest_http: httpx.Client, sandbox: Sandbox) -> None:
    rest_http.put("/orders/a%2Fb", json={})
    assert keys(sandbox) == ["a/b"]


@pytest.mark.parametrize(
    ("content", "media"),
    [
        (b'[{"id":1},{"id":2}]', "application/json"),
        (b'{"records":[{"id":1},{"id":2}]}', "application/json"),
        (b'{"id":1}\n{"id":2}\n', "application/x-ndjson"),
    ],
)
def test_batch_bodies(rest_http: httpx.Client, sandbox: Sandbox, content: bytes, media: str) -> None:
    answer = rest_http.post("/orders", content=content, headers={"Content-Type": media})
    assert sorted(row["id"] for row in answer.json()["results"]) == ["1", "2"]
    assert keys(sandbox) == ["1", "2"]


def test_results_by_key_are_in_no_order(rest_http: httpx.Client) -> None:
    rows = [{"customer": f"c{number}"} for number in range(30)]
    results = rest_http.post("/orders?key=customer", json=rows).json()["results"]
    order = [row["customer"] for row in results]
    assert sorted(order) == sorted(row["customer"] for row in rows)
    assert order != [row["customer"] for row in rows]


def test_results_by_index(rest_http: httpx.Client) -> None:
    answer = rest_http.post("/orders?results=index", json=[{"id": 1}, "not a record", {"id": 1}])
    assert answer.status_code == 207
    assert [(row["index"], row["status"]) for row in answer.json()["results"]] == [
        (0, "created"),
        (1, "error"),
        (2, "updated"),
    ]


def test_counts_and_nothing(rest_http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.fault("refuse_rows", vendor="rest", percent=100, next=2)
    answer = rest_http.post("/orders?results=counts", json=[{"id": 1}])
    assert (answer.status_code, answer.json()["error"]) == (200, 1)
    answer = rest_http.post("/orders?results=nothing", json=[{"id": 1}])
    assert (answer.status_code, answer.content) == (204, b"")
    assert keys(sandbox) == []


def test_rows_without_a_key(rest_http: httpx.Client, sandbox: Sandbox) -> None:
    assert rest_http.post("/orders", json=[{"total": 1}]).json()["results"][0]["status"] == "error"
    assert rest_http.post("/orders?results=index", json=[{"total": 1}, {"total": 1}]).status_code == 200
    assert len(keys(sandbox)) == 2


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/orders"), ("POST", "/orders/delete")])
def test_batch_deletes(rest_http: httpx.Client, sandbox: Sandbox, method: str, path: str) -> None:
    rest_http.post("/orders", json=[{"id": 1}, {"id": 2}, {"id": 3}])
    answer = rest_http.request(method, path, json=[1, {"id": 2}, "9"])
    statuses = {row["id"]: row["status"] for row in answer.json()["results"]}
    assert statuses == {"1": "deleted", "2": "deleted", "9": "error"}
    assert keys(sandbox) == ["3"]


def test_idempotency_keys(rest_http: httpx.Client, sandbox: Sandbox) -> None:
    def send(body: Any) -> httpx.Response:
        return rest_http.post("/orders?results=index", json=body, headers={"Idempotency-Key": "k"})

    first, again, other = send([{"total": 1}]), send([{"total": 1}]), send([{"total": 2}])
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert [answer.headers.get("Idempotent-Replayed") for answer in (first, again)] == [None, "true"]
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert len(keys(sandbox)) == 1


def test_a_lost_answer_is_replayed(rest_http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.fault("drop_after", vendor="rest", next=1)
    headers = {"Idempotency-Key": "k"}
    with pytest.raises(httpx.RemoteProtocolError):
        rest_http.post("/events?results=counts", json=[{"a": 1}], headers=headers)
    again = rest_http.post("/events?results=counts", json=[{"a": 1}], headers=headers)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["created"] == 1
    assert len(keys(sandbox, "events")) == 1


def test_a_failure_before_the_write_is_not_replayed(rest_http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.fault("server_error", vendor="rest", next=1)
    answers = [rest_http.post("/orders", json={"id": 1}, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [503, 201]


def test_the_token_is_asked_for_when_set(rest_http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.settings.change({"rest_token": "secret"})
    assert rest_http.post("/orders", json={"id": 1}).status_code == 401
    headers = {"Authorization": "Bearer secret"}
    assert rest_http.post("/orders", json={"id": 1}, headers=headers).status_code == 201


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("/orders", b"{", 400),
        ("/orders", b"5", 400),
        ("/orders/7", b"[]", 400),
        ("/orders?results=some", b"[]", 400),
        ("/orders", b"[" + b",".join([b'{"id":1}'] * 1_001) + b"]", 413),
    ],
)
def test_requests_that_are_refused(rest_http: httpx.Client, path: str, content: bytes, status: int) -> None:
    answer = rest_http.put(path, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_counting_without_storing(rest_http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.settings.change({"store_records": False})
    rest_http.post("/orders", json=[{"id": number} for number in range(10)])
    table = sandbox.rest.tables["orders"]
    assert (table.counters.created, len(table.entries)) == (10, 0)


def test_a_gzipped_body(rest_http: httpx.Client, sandbox: Sandbox) -> None:
    body = gzip.compress(b'[{"id":1}]')
    assert rest_http.post("/orders", content=body, headers={"Content-Encoding": "gzip"}).status_code == 200
    assert keys(sandbox) == ["1"]
