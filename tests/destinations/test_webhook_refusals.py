"""Answers that name only what was refused, that decide over their status, or speak of errors that nobody reads."""

from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.destinations.webhook.options import Results
from reverse_etl_assets.errors import Ambiguous, RequestRejected
from reverse_etl_assets.records import Operation, Outcome, Reason, RowError, Status
from tests.destinations.test_webhook_answers import read, webhook

INSERT, UPSERT, DELETE = Operation.INSERT, Operation.UPSERT, Operation.DELETE
KEYS = ("a", "b", "c")


def told(answer: Any, *refused: Any, operation: Operation = UPSERT, **results: Any) -> dict[str, Outcome]:
    settings = {"refused": list(refused), **results}
    return {each.key: each for each in read(httpx.Response(200, json=answer), operation, *KEYS, results=settings)}


def inferred(*keys: str) -> dict[str, Outcome]:
    return {key: Outcome(key, Status.UPDATED, inferred=True) for key in keys}


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        ({"errors": [{"index": 1, "why": "bad"}]}, {"index": "index", "error": "why"}),
        ({"errors": [{"row": 2, "why": "bad"}]}, {"index": "row", "counted_from": 1, "error": "why"}),
        ({"errors": {"1": {"why": "bad"}}}, {"index": "", "error": "why"}),
        ({"errors": {"1": "bad"}}, {"index": ""}),
        ({"errors": {"b": "bad"}}, {"key": ""}),
        ({"errors": {"b": ["bad", "worse"]}}, {"key": "", "error": "0"}),
        ({"data": {"failed": [{"object": {"id": "b"}, "errors": [{"reason": "bad"}]}]}},
         {"path": "data.failed", "key": "object.id", "error": "errors.0.reason"}),
        ([{"id": "b", "why": "bad"}], {"path": "", "key": "id", "error": "why"}),
        ({"errors": [{"index": 1, "why": "bad"}, {"index": 1, "why": "worse"}]}, {"index": "index", "error": "why"}),
    ],
)  # fmt: skip
def test_lists_of_what_was_refused(answer: Any, refused: dict[str, Any]) -> None:
    assert told(answer, refused) == inferred("a", "c") | {"b": Outcome.rejected("b", RowError("bad"))}


def test_several_lists_of_several_meanings() -> None:
    answer = {"inserted": 1, "invalid": ["a"], "duplicates": [{"id": "c"}]}
    lists = ({"path": "invalid", "key": ""}, {"path": "duplicates", "key": "id", "means": "skipped"})
    found = told(answer, *lists, operation=INSERT, taken="inserted")
    assert {key: (each.status, each.reason) for key, each in found.items()} == {
        "a": (Status.FAILED, Reason.REJECTED),
        "b": (Status.CREATED, None),
        "c": (Status.SKIPPED, Reason.ALREADY_EXISTS),
    }
    assert found["b"].inferred


@pytest.mark.parametrize("answer", [{}, {"errors": []}, {"errors": None}, {"errors": {}}])
def test_an_answer_that_refuses_nobody(answer: Any) -> None:
    assert told(answer, {"index": "index"}) == inferred(*KEYS)


@pytest.mark.parametrize(
    "answer",
    [
        {"errors": [{"index": 3}]},
        {"errors": [{"index": -1}]},
        {"errors": [{}]},
        {"errors": ["1"]},
        {"errors": 1},
        {"errors": "all bad"},
    ],
)
def test_an_entry_that_means_no_row_leaves_a_doubt(answer: Any) -> None:
    with pytest.raises(Ambiguous):
        told(answer, {"index": "index"})


def test_a_row_before_the_first_leaves_a_doubt() -> None:
    with pytest.raises(Ambiguous, match="means row 0 of 3"):
        told({"errors": [{"row": 0}]}, {"index": "row", "counted_from": 1})


def test_an_answer_that_cannot_be_read_leaves_a_doubt() -> None:
    for body in (b"", b"<html>", b'{"errors":[{'):
        with pytest.raises(Ambiguous):
            read(httpx.Response(200, content=body), UPSERT, *KEYS, results={"refused": [{"index": "index"}]})


@pytest.mark.parametrize("errors", [[{"message": "bad"}], {"message": "bad"}])
def test_an_entry_without_a_place_is_about_the_whole_request(errors: Any) -> None:
    with pytest.raises(RequestRejected, match=r"^bad$"):
        told({"errors": errors}, {"error": "message"})


@pytest.mark.parametrize("word", [True, "ok", "Success", 200, 201])
def test_a_body_that_says_done(word: Any) -> None:
    assert told({"result": word}, done="result") == inferred(*KEYS)


@pytest.mark.parametrize("word", [False, "error", "fail", "Failed", 400, 422])
def test_a_body_that_says_not_done(word: Any) -> None:
    with pytest.raises(RequestRejected, match="too bad"):
        told({"result": word, "message": "too bad"}, done="result")


@pytest.mark.parametrize("answer", [{"result": "queued"}, {"result": 202}, {"result": 500}, {}, {"result": None}])
def test_a_body_that_does_not_say(answer: Any) -> None:
    with pytest.raises(Ambiguous, match="`result`"):
        told(answer, done="result")


@pytest.mark.parametrize(
    "answer",
    [
        {"errors": [{"index": 1}]},
        {"error": "one row is bad"},
        {"error": {"message": "bad"}},
        {"data": {"failedRecords": ["b"]}},
        {"result": {"row_errors": {"1": "bad"}}},
        {"failed": 1},
        {"num_failed": 1},
        {"errors": True},
        {"success": False},
        {"ok": False},
        {"status": "error"},
        {"invalid_items": [1]},
        {"failures": [1]},
        {"statusCode": 422},
        [{"id": "a"}, {"id": "b", "error": "bad"}],
        {"data": [{"id": "a", "ok": True}, {"id": "b", "ok": False}]},
        {"data": {"items": [{"id": "b", "errors": [{"message": "bad"}]}]}},
        {"items": [{"status": 201}, {"status": 400}, {"status": 201}]},
    ],
)
def test_errors_that_nobody_reads_leave_a_doubt(answer: Any) -> None:
    found = told(answer)
    assert {each.reason for each in found.values()} == {Reason.AMBIGUOUS}
    assert all("results.refused" in str(each.error) for each in found.values())


@pytest.mark.parametrize(
    "answer",
    [
        {"errors": []},
        {"errors": {}},
        {"error": None},
        {"error": ""},
        {"failed": 0},
        {"errors": False},
        {"success": True},
        {"status": "ok"},
        {"failed_logins": 3},
        {"data": [{"id": "a", "failed": 3, "status": "failed", "error": None}]},
        {"items": [{"id": "b", "status": 201}, {"id": "a", "status": 200}]},
        ["error"],
        7,
    ],
)
def test_what_is_no_error(answer: Any) -> None:
    assert told(answer) == inferred(*KEYS)


def test_errors_of_listed_rows_can_be_named_as_none() -> None:
    assert told({"items": [{"id": "a", "error": "seen"}]}, ignored=["items.error"]) == inferred(*KEYS)
    assert told([{"id": "a", "error": "seen"}], ignored=["error"]) == inferred(*KEYS)


def test_a_record_that_is_repeated_may_speak_of_errors() -> None:
    """In the answer to one record these are the record's own fields."""
    for answer in ({"id": "a", "failed": 3}, {"id": "a", "status": "failed"}, {"id": "a", "lines": [{"error": "x"}]}):
        [outcome] = read(httpx.Response(200, json=answer), UPSERT, "a")
        assert (outcome.status, outcome.inferred) == (Status.UPDATED, True), answer
    for said in ({"errors": [{"message": "bad"}]}, {"results": [{"id": "a", "error": "bad"}]}):
        [outcome] = read(httpx.Response(200, json=said), UPSERT, "a")
        assert outcome.reason is Reason.AMBIGUOUS, said


@pytest.mark.parametrize("status", [201, 200])
def test_created_is_said_of_one_record_alone(status: int) -> None:
    found = read(httpx.Response(status, json={}), UPSERT, *KEYS)
    assert {(each.status, each.inferred) for each in found} == {(Status.UPDATED, True)}


@pytest.mark.parametrize(
    ("word", "reason"),
    [(202, Reason.AMBIGUOUS), (303, Reason.AMBIGUOUS), (408, Reason.AMBIGUOUS), (500, Reason.AMBIGUOUS),
     (503, Reason.AMBIGUOUS), (422, Reason.REJECTED), (429, Reason.UNAVAILABLE)],
)  # fmt: skip
def test_a_row_that_was_perhaps_taken_is_not_sent_twice(word: int, reason: Reason) -> None:
    answer = httpx.Response(207, json=[{"key": "a", "status": word}])
    options: dict[str, Any] = {"results": {"match": "key", "status": "status"}}
    [outcome] = read(answer, INSERT, "a", **options)
    assert outcome.reason is reason
    assert outcome.retry is (reason is Reason.UNAVAILABLE)
    [outcome] = read(answer, INSERT, "a", not_taken=[503], **options)
    assert outcome.retry is (word in (429, 503))


def test_an_entry_is_matched_in_one_way() -> None:
    with pytest.raises(ValidationError, match="keep one"):
        Results.model_validate({"refused": [{"index": "index", "key": "id"}]})
    assert isinstance(webhook(results={"refused": [{"key": "id"}]}), Webhook)
