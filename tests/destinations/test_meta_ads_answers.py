"""Exact requests to Meta, and what its answers mean, as it documents them."""

import hashlib
import hmac
import json
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from reverse_etl_assets.destinations.meta_ads import MetaAds
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    DestinationError,
    RequestRejected,
    RetryLater,
    TargetChanged,
)
from reverse_etl_assets.records import FieldType, Operation, Outcome, Reason, Status
from reverse_etl_assets.testing.builders import batch, record, target
from tests.destinations import accounts

AUDIENCE = "120200000000000001"
TARGET = target(
    AUDIENCE,
    "EMAIL",
    Operation.UPSERT,
    Operation.DELETE,
    EMAIL=FieldType.TEXT,
    FN=FieldType.TEXT,
    EXTERN_ID=FieldType.TEXT,
    DATA_PROCESSING_OPTIONS=FieldType.BOOLEAN,
)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def meta(**settings: Any) -> MetaAds:
    return accounts.offline(MetaAds, accounts.meta_ads("https://graph.example", **settings), TARGET)


def ann(number: int = 1, **fields: Any) -> Any:
    return record(f"k{number}", external_id=f"Ann.{number}@x.org", FN="Ann", EXTERN_ID=f"crm-{number}", **fields)


def body(request: httpx.Request) -> Any:
    assert request.headers["Content-Type"] == "application/json"
    return json.loads(request.content)


# Requests


def test_people_are_added() -> None:
    request = meta().build_request(batch(Operation.UPSERT, ann(1, DATA_PROCESSING_OPTIONS=True), ann(2, EMAIL="a@b.c")))
    assert (request.method, str(request.url)) == ("POST", f"https://graph.example/meta/v26.0/{AUDIENCE}/users")
    assert body(request) == {
        "payload": {
            "schema": ["EMAIL", "FN", "EXTERN_ID", "DATA_PROCESSING_OPTIONS"],
            "is_raw": True,
            "data": [
                [sha256("ann.1@x.org"), sha256("ann"), "crm-1", ["LDU"]],
                [sha256("a@b.c"), sha256("ann"), "crm-2", []],
            ],
        }
    }


def test_people_are_removed_by_their_key_alone() -> None:
    request = meta().build_request(batch(Operation.DELETE, record("k1", external_id="Ann.1@x.org")))
    assert (request.method, str(request.url)) == ("DELETE", f"https://graph.example/meta/v26.0/{AUDIENCE}/users")
    assert body(request) == {"payload": {"schema": ["EMAIL"], "is_raw": True, "data": [[sha256("ann.1@x.org")]]}}


def test_the_token_is_in_a_header_and_signed_if_there_is_a_secret() -> None:
    signed = meta(app_secret=SecretStr("shh"), api_version="v27.0")
    request = signed.build_request(batch(Operation.UPSERT, ann()))
    proof = hmac.new(b"shh", b"EAAsandbox", hashlib.sha256).hexdigest()
    assert body(request)["appsecret_proof"] == proof
    assert request.url.path.startswith("/meta/v27.0/")
    assert "EAAsandbox" not in f"{request.url} {request.content!r}"
    assert "shh" not in f"{signed.connection!r} {request.content!r}"
    flow = signed.auth().sync_auth_flow(request)
    assert next(flow).headers["Authorization"] == "Bearer EAAsandbox"


def test_a_row_that_cannot_be_sent_stays_out_of_the_request() -> None:
    good, bad = ann(1), ann(2, EMAIL="nobody")
    sent = batch(Operation.UPSERT, bad, good)
    assert len(body(meta().build_request(sent))["payload"]["data"]) == 1
    found = read(sent, {"num_received": 1, "num_invalid_entries": 0})
    assert (found["k2"].status, found["k2"].reason) == (Status.FAILED, Reason.INVALID)
    assert found["k2"].error is not None
    assert found["k2"].error.field == "EMAIL"
    assert found["k1"].inferred


# Answers


def read(sent: Any, answer: Any, status: int = 200) -> dict[str, Outcome]:
    response = httpx.Response(status, json=answer)
    outcomes = list(meta().read_response(sent, response))
    assert len({outcome.key for outcome in outcomes}) == len(outcomes)
    return {outcome.key: outcome for outcome in outcomes}


ANSWER = {"audience_id": AUDIENCE, "session_id": "0", "num_received": 3, "num_invalid_entries": 0}
THREE = batch(Operation.UPSERT, ann(1), ann(2), ann(3))


@pytest.mark.parametrize(
    ("operation", "status"), [(Operation.UPSERT, Status.UPDATED), (Operation.DELETE, Status.DELETED)]
)
@pytest.mark.parametrize("samples", [[], {}, None])
def test_all_were_received(operation: Operation, status: Status, samples: Any) -> None:
    found = read(batch(operation, ann(1), ann(2), ann(3)), ANSWER | {"invalid_entry_samples": samples})
    assert [(each.status, each.inferred, each.error) for each in found.values()] == [(status, True, None)] * 3


@pytest.mark.parametrize(
    "samples",
    [
        {sha256("ann.2@x.org"): "Malformed hash"},
        {json.dumps([sha256("ann.2@x.org"), sha256("ann"), "crm-2", []]): "Malformed hash"},
        {"crm-2": "Malformed hash"},
    ],
)
def test_a_sample_names_a_row(samples: dict[str, str]) -> None:
    found = read(THREE, ANSWER | {"num_invalid_entries": 1, "invalid_entry_samples": samples})
    assert (found["k2"].status, found["k2"].reason) == (Status.FAILED, Reason.REJECTED)
    assert found["k2"].error is not None
    assert found["k2"].error.message == "Meta calls the entry invalid: Malformed hash"
    assert [found[key].error for key in ("k1", "k3")] == [None, None]


@pytest.mark.parametrize("samples", [{}, ["nobody's"], {sha256("ann"): "fits all three"}, [sha256("ann")]])
def test_samples_that_name_no_row_leave_a_doubt(samples: Any) -> None:
    found = read(THREE, ANSWER | {"num_invalid_entries": 2, "invalid_entry_samples": samples})
    assert {(each.status, each.inferred) for each in found.values()} == {(Status.UPDATED, True)}
    for each in found.values():
        assert each.error is not None
        assert each.error.code == "INVALID_ENTRIES"
        assert "2 of the 3 entries of the request invalid, and does not name 2 of them" in each.error.message


def test_all_are_invalid() -> None:
    secret = sha256("ann.1@x.org")
    samples = {secret: f"{secret} is no hash"}
    found = read(THREE, ANSWER | {"num_invalid_entries": 3, "invalid_entry_samples": samples})
    assert {(each.status, each.reason) for each in found.values()} == {(Status.FAILED, Reason.REJECTED)}
    assert {each.error and each.error.message for each in found.values()} == {
        "Meta calls every entry of the request invalid: *** is no hash"
    }


@pytest.mark.parametrize("answer", [ANSWER | {"num_received": 2}, {"success": True}, {"num_received": "many"}, [1]])
def test_nobody_knows_who_was_received(answer: Any) -> None:
    with pytest.raises(Ambiguous):
        read(THREE, answer)


# Errors


def error(code: int, subcode: int = 0, status: int = 400, **more: Any) -> httpx.Response:
    said = {"message": "(#1) Something", "type": "OAuthException", "code": code, "fbtrace_id": "Abc"} | more
    return httpx.Response(status, json={"error": said | ({"error_subcode": subcode} if subcode else {})})


@pytest.mark.parametrize(
    ("token", "said"),
    [("123|abc", "an app's own token"), ("0123abcd", "begins with EA"), ("EAAsandbox", "not valid. Make a new one")],
)
def test_a_token_of_another_kind_is_told(token: str, said: str) -> None:
    meta = accounts.offline(MetaAds, accounts.meta_ads("https://graph.example", token), TARGET)
    found = meta.error_for(error(190))
    assert said in str(found)
    assert token not in str(found)


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (error(190, 463, 401), AuthenticationFailed, "it has expired. Make a new one"),
        (error(190, 460), AuthenticationFailed, "the password was changed"),
        (error(10, status=403), AuthenticationFailed, "The app lacks the permission `ads_management`"),
        (error(200, status=403), AuthenticationFailed, "The token lacks `ads_management`, or its user the right"),
        (error(200, 1870090), AuthenticationFailed, "Accept the Custom Audience Terms"),
        (error(200, 1870050), AuthenticationFailed, "Link the ad account to the business portfolio"),
        (error(270), AuthenticationFailed, "development access only"),
        (error(294), AuthenticationFailed, "lacks the permission `ads_management`"),
        (error(299), AuthenticationFailed, "The token lacks `ads_management`"),
        (error(3), AuthenticationFailed, "ask for it in App Review"),
        (error(12), TargetChanged, "set `api_version` to a later one"),
        (error(100, 33), AuthenticationFailed, "check `object`"),
        (error(100, 1713230), AuthenticationFailed, "flagged the audience: appeal"),
        (error(368), AuthenticationFailed, "blocked the action for a time"),
        (error(2635), TargetChanged, "set `api_version` to a later one"),
        (
            httpx.Response(400, json={"error": {"code": 2500, "message": "Unknown path components: /v99.0/1"}}),
            TargetChanged,
            "Is `api_version` one that there is",
        ),
        (error(2500), AuthenticationFailed, "The access token is not valid"),
        (error(2655), AuthenticationFailed, "Accept the Custom Audience Terms"),
        (error(2650, 1870144), AuthenticationFailed, "100 million people or more"),
        (error(2650, 1870158), AuthenticationFailed, "90 minutes after its first one"),
        (error(1487301), AuthenticationFailed, "not shared with this ad account"),
        (error(1487366), AuthenticationFailed, "was deleted"),
        (error(2650, 1870145), RetryLater, "being replaced; that ends 90 minutes after"),
        (error(2, status=503), RetryLater, "Something"),
        (error(9999, is_transient=True), RetryLater, "Something"),
        (error(803), RetryLater, "Something"),
        (error(1, status=500), Ambiguous, "Something"),
        (error(9999, status=502), Ambiguous, "Something"),
        (error(100), RequestRejected, "Something"),
        (error(105), RequestRejected, "Something"),
        (error(2650), RequestRejected, "Something"),
        (httpx.Response(400, json={"error": "odd"}), RequestRejected, "HTTP 400"),
        (httpx.Response(502, text="<html>"), Ambiguous, "HTTP 502"),
    ],
)
def test_errors_say_what_has_to_be_done(answer: httpx.Response, kind: type[DestinationError], said: str) -> None:
    found = meta().error_for(answer)
    assert type(found) is kind
    assert said in str(found)


def test_an_error_has_metas_words_but_no_hash() -> None:
    secret = sha256("ann.1@x.org")
    found = meta().error_for(error(100, 7, error_user_title="No", error_user_msg=f"What is {secret}?"))
    assert str(found) == "No: What is ***? (code 100, subcode 7, trace Abc)."
    assert isinstance(found, RequestRejected)
    assert found.code == "100/7"


@pytest.mark.parametrize("code", [4, 17, 32, 341, 613, 80003, 80004])
@pytest.mark.parametrize(
    ("usage", "seconds"),
    [
        ('{"1":[{"type":"custom_audience","estimated_time_to_regain_access":19}]}', 1_140.0),
        ('{"1":[{"type":"custom_audience","estimated_time_to_regain_access":0}]}', None),
        ("{}", None),
        ("no json", None),
        ('{"1":7}', None),
    ],
)
def test_a_limit_holds_the_account_for_the_minutes_it_names(code: int, usage: str, seconds: float | None) -> None:
    answer = error(code)
    answer.headers["X-Business-Use-Case-Usage"] = usage
    found = meta().error_for(answer)
    assert isinstance(found, RetryLater)
    assert (found.after, found.hold) == (seconds, True)
