"""Answers of a webhook, and what the options make of them."""

from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.destinations.webhook.options import WebhookConnection
from reverse_etl_assets.errors import Ambiguous, AuthenticationFailed, DestinationError, RequestRejected, RetryLater
from reverse_etl_assets.records import Operation, Outcome, Reason, RowError, Status
from reverse_etl_assets.testing.builders import batch, record, target
from tests.destinations import accounts

TARGET = target("people", "id")
LISTED = {
    "match": "key",
    "path": "data.results",
    "key": "id",
    "status": "status",
    "error": "error.message",
    "code": "error.code",
    "id": "ref",
}


def webhook(**options: Any) -> Webhook:
    settings = WebhookConnection(base_url="https://api.example")
    return accounts.offline(Webhook, settings, TARGET, **{"operations": {"delete": {}}, **options})


def read(answer: httpx.Response, operation: Operation = Operation.UPSERT, *keys: str, **options: Any) -> list[Outcome]:
    rows = batch(operation, *(record(key) for key in keys or ("a",)))
    return list(webhook(batch_size=10, **options).read_response(rows, answer))


def listed(*results: Any, operation: Operation = Operation.UPSERT, **more: Any) -> list[Outcome]:
    answer = httpx.Response(200, json={"data": {"results": list(results)}})
    return read(answer, operation, "a", "b", "c", results={**LISTED, **more})


@pytest.mark.parametrize(
    ("operation", "status", "became", "inferred"),
    [
        (Operation.UPSERT, 200, Status.UPDATED, True),
        (Operation.UPSERT, 204, Status.UPDATED, True),
        (Operation.UPSERT, 201, Status.CREATED, False),
        (Operation.INSERT, 200, Status.CREATED, True),
        (Operation.UPDATE, 200, Status.UPDATED, True),
        (Operation.DELETE, 204, Status.DELETED, True),
        (Operation.DELETE, 201, Status.DELETED, True),
    ],
)
def test_by_status(operation: Operation, status: int, became: Status, inferred: bool) -> None:
    [outcome] = read(httpx.Response(status), operation)
    assert (outcome.status, outcome.inferred) == (became, inferred)


@pytest.mark.parametrize("status", [202, 203, 206, 207])
def test_a_status_that_does_not_mean_done_is_ambiguous(status: int) -> None:
    with pytest.raises(Ambiguous, match=f"HTTP {status}"):
        read(httpx.Response(status))


def test_202_is_done_if_the_options_say_so() -> None:
    assert [each.status for each in read(httpx.Response(202), success=[202])] == [Status.UPDATED]


def test_an_id_in_the_answer_is_kept() -> None:
    [outcome] = read(httpx.Response(201, json={"data": {"id": 17}}), results={"id": "data.id"})
    assert outcome.destination_id == "17"


def test_by_key_in_any_order() -> None:
    assert listed(
        {"id": "c", "status": "updated", "ref": 3},
        {"id": "z", "status": "created"},
        {"id": "b", "status": "error", "error": {"code": "bad", "message": "no such plan"}},
        {"id": "a", "status": "created", "ref": "1"},
    ) == [
        Outcome("c", Status.UPDATED, destination_id="3"),
        Outcome.rejected("b", RowError("no such plan", "bad")),
        Outcome("a", Status.CREATED, destination_id="1"),
    ]


def test_a_row_named_twice_has_one_outcome() -> None:
    found = listed({"id": "a", "status": "created"}, {"id": "a", "status": "updated"})
    assert [(each.key, each.status) for each in found] == [("a", Status.CREATED)]


def test_keys_are_folded_if_the_api_does() -> None:
    answer = httpx.Response(200, json=[{"key": "A"}])
    assert read(answer, results={"match": "key"}) == []
    assert [each.key for each in read(answer, results={"match": "key"}, fold_case=True)] == ["a"]


@pytest.mark.parametrize(
    ("word", "status", "reason", "inferred"),
    [
        ("created", Status.CREATED, None, False),
        ("Updated", Status.UPDATED, None, False),
        (201, Status.CREATED, None, False),
        (200, Status.UPDATED, None, True),
        ("ok", Status.UPDATED, None, True),
        (True, Status.UPDATED, None, True),
        ("skipped", Status.SKIPPED, Reason.ALREADY_EXISTS, False),
        ("failed", Status.FAILED, Reason.REJECTED, False),
        (422, Status.FAILED, Reason.REJECTED, False),
        (202, Status.FAILED, Reason.REJECTED, False),
        (429, Status.FAILED, Reason.UNAVAILABLE, False),
        ("queued", Status.FAILED, Reason.AMBIGUOUS, False),
        (None, Status.FAILED, Reason.AMBIGUOUS, False),
        (False, Status.FAILED, Reason.AMBIGUOUS, False),
        ("neu", Status.CREATED, None, False),
        ("abc", Status.FAILED, Reason.AMBIGUOUS, False),
        (1234, Status.FAILED, Reason.AMBIGUOUS, False),
    ],
)
def test_words_of_a_status(word: Any, status: Status, reason: Reason | None, inferred: bool) -> None:
    [outcome] = listed({"id": "a", "status": word}, statuses={"Neu": "created"})
    assert (outcome.status, outcome.reason, outcome.inferred) == (status, reason, inferred)


def test_a_code_can_mean_skipped() -> None:
    gone = {"id": "a", "status": "error", "error": {"code": "NOT_FOUND", "message": "no such person"}}
    [outcome] = listed(gone, operation=Operation.DELETE, statuses={"Not_Found": "skipped"})
    assert outcome == Outcome.skipped("a", Reason.ALREADY_GONE, "no such person")


def test_a_single_result_may_stand_without_a_list() -> None:
    answer = httpx.Response(200, json={"key": "a", "status": "created"})
    options = {"match": "key", "status": "status"}
    assert read(answer, results=options) == [Outcome("a", Status.CREATED)]
    with pytest.raises(Ambiguous, match="the top"):
        read(answer, Operation.UPSERT, "a", "b", results=options)


def test_paths_go_through_lists() -> None:
    answer = httpx.Response(207, json=[{"key": "a", "errors": [{"text": "bad"}]}, {"key": "b", "errors": []}])
    found = read(answer, Operation.UPSERT, "a", "b", results={"match": "key", "error": "errors.0.text"})
    assert found == [Outcome.rejected("a", RowError("bad")), Outcome("b", Status.UPDATED, inferred=True)]


def test_by_index() -> None:
    answer = httpx.Response(207, json=[{"error": None}, {"error": "bad"}])
    assert read(answer, Operation.UPSERT, "a", "b", results={"match": "index", "error": "error"}) == [
        Outcome("a", Status.UPDATED, inferred=True),
        Outcome.rejected("b", RowError("bad")),
    ]
    with pytest.raises(Ambiguous, match="2 results for 1 rows"):
        read(answer, Operation.UPSERT, "a", results={"match": "index"})


@pytest.mark.parametrize("body", [b"{}", b"null", b'{"data":[]}', b'{"data":{"results":7}}', b"<html>", b"[[]"])
def test_an_answer_without_its_list_is_ambiguous(body: bytes) -> None:
    with pytest.raises(Ambiguous):
        read(httpx.Response(200, content=body), Operation.UPSERT, "a", "b", results=LISTED)


def test_an_empty_answer_or_list_names_nobody() -> None:
    assert read(httpx.Response(200), results=LISTED) == []
    assert listed() == []
    assert listed(None, 7, "a", {}) == []


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (301, {"Location": "https://other.example"}, AuthenticationFailed),
        (307, {"Location": "https://other.example"}, AuthenticationFailed),
        (400, {}, RequestRejected),
        (401, {}, AuthenticationFailed),
        (403, {}, AuthenticationFailed),
        (404, {}, RequestRejected),
        (408, {}, RetryLater),
        (422, {}, RequestRejected),
        (425, {}, RetryLater),
        (429, {"Retry-After": "7"}, RetryLater),
        (500, {}, Ambiguous),
        (502, {}, Ambiguous),
        (503, {}, RetryLater),
    ],
)
def test_statuses(status: int, headers: dict[str, str], error: type[DestinationError]) -> None:
    found = webhook().error_for(httpx.Response(status, headers=headers, text="said so"))
    assert isinstance(found, error)
    assert str(status) in str(found)
