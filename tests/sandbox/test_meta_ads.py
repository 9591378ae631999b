"""Meta's audiences in the sandbox: requests as Meta documents them and as its business SDK sends them."""

import hashlib
import json
from typing import Any

import httpx
import pytest

from reverse_etl_sandbox.meta_ads import BY_VALUE, CUSTOMERS, FLAGGED, LOOKALIKE, REPLACED, TOKEN
from reverse_etl_sandbox.server import Sandbox

SIGNED = {"Authorization": f"Bearer {TOKEN}"}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def people(first: int, last: int) -> list[list[str]]:
    return [[sha256(f"p{number}@x.org")] for number in range(first, last)]


def payload(*rows: Any, schema: Any = ("EMAIL",)) -> dict[str, Any]:
    return {"schema": schema if isinstance(schema, str) else list(schema), "is_raw": True, "data": list(rows)}


def call(sandbox: Sandbox, method: str, path: str, **parts: Any) -> httpx.Response:
    return httpx.request(method, f"{sandbox.url}/meta/v26.0/{path}", headers=SIGNED, **parts)


def batch(sandbox: Sandbox, number: int, rows: Any, *, session: int = 7, last: bool = False) -> httpx.Response:
    place = {"session_id": session, "batch_seq": number, "last_batch_flag": last}
    return call(sandbox, "POST", f"{REPLACED}/usersreplace", json={"session": place, "payload": payload(*rows)})


def code(response: httpx.Response) -> tuple[int, int]:
    error = response.json()["error"]
    return error["code"], error.get("error_subcode", 0)


def members(sandbox: Sandbox, audience: str) -> int:
    return len(sandbox.meta_ads.tables[audience].live())


@pytest.mark.parametrize("schema", ["EMAIL_SHA256", ["EMAIL"]])
def test_parameters_in_a_form_a_query_and_json(sandbox: Sandbox, schema: Any) -> None:
    """The business SDK sends a form with a POST, and with a DELETE all in the query, the token too."""
    rows = [row[0] for row in people(0, 3)] if isinstance(schema, str) else people(0, 3)
    sent = json.dumps(payload(*rows, schema=schema))
    added = call(sandbox, "POST", f"{CUSTOMERS}/users", data={"payload": sent}).json()
    assert (added["num_received"], added["num_invalid_entries"], added["invalid_entry_samples"]) == (3, 0, {})
    assert members(sandbox, CUSTOMERS) == 3
    query = {"payload": json.dumps(payload(rows[0], schema=schema)), "access_token": TOKEN}
    removed = httpx.delete(f"{sandbox.url}/meta/v26.0/{CUSTOMERS}/users", params=query)
    assert removed.json()["num_received"] == 1
    rest = {"payload": payload(*rows[1:], schema=schema)}
    call(sandbox, "DELETE", f"{CUSTOMERS}/users", json=rest).raise_for_status()
    assert members(sandbox, CUSTOMERS) == 0


def test_invalid_entries_are_counted_and_sampled(sandbox: Sandbox) -> None:
    schema = ("EMAIL", "MADID")
    rows = [[sha256("a@b.c"), ""], ["a@b.c", ""], ["", "no device"], ["", ""]]
    told = call(sandbox, "POST", f"{CUSTOMERS}/users", json={"payload": payload(*rows, schema=schema)}).json()
    assert (told["num_received"], told["num_invalid_entries"]) == (4, 3)
    assert set(told["invalid_entry_samples"]) == {"a@b.c", "no device", ""}
    assert members(sandbox, CUSTOMERS) == 1


def test_one_person_is_one_member(sandbox: Sandbox) -> None:
    schema = ("EMAIL", "EXTERN_ID")
    first = payload([sha256("a@b.c"), "crm-1"], schema=schema)
    again = payload([sha256("a@b.c"), ""], ["", "crm-1"], schema=schema)
    for sent in (first, again):
        call(sandbox, "POST", f"{CUSTOMERS}/users", json={"payload": sent}).raise_for_status()
    [member] = sandbox.meta_ads.tables[CUSTOMERS].live()
    assert member.values == {"EMAIL": sha256("a@b.c"), "EXTERN_ID": "crm-1"}


@pytest.mark.parametrize(
    ("audience", "sent", "expected"),
    [
        (LOOKALIKE, payload(["0" * 64]), (2650, 0)),
        (FLAGGED, payload(["0" * 64]), (100, 1713230)),
        ("999", payload(["0" * 64]), (100, 33)),
        (CUSTOMERS, payload(["0" * 64, ""]), (100, 0)),
        (CUSTOMERS, payload(), (100, 0)),
        (CUSTOMERS, payload(*people(0, 10_001)), (100, 0)),
        (CUSTOMERS, payload(["x"], schema=["MAIL"]), (100, 0)),
        (CUSTOMERS, payload(["0" * 64, 1], schema=["EMAIL", "LOOKALIKE_VALUE"]), (100, 0)),
        (BY_VALUE, payload(["0" * 64, ""], schema=["EMAIL", "FN"]), (100, 0)),
        (CUSTOMERS, None, (100, 0)),
    ],
)
def test_what_is_refused_as_a_whole(sandbox: Sandbox, audience: str, sent: Any, expected: tuple[int, int]) -> None:
    answer = call(sandbox, "POST", f"{audience}/users", json={"payload": sent})
    assert (answer.status_code, code(answer)) == (400, expected)


def test_a_token_is_asked_for(sandbox: Sandbox) -> None:
    answer = httpx.get(f"{sandbox.url}/meta/v26.0/{CUSTOMERS}")
    assert (answer.status_code, code(answer)) == (401, (190, 463))


def test_a_session_replaces_everybody_with_its_last_batch(sandbox: Sandbox) -> None:
    batch(sandbox, 1, people(0, 3), last=True).raise_for_status()
    assert batch(sandbox, 1, people(10, 12), session=8).json()["num_received"] == 2
    status = call(sandbox, "GET", REPLACED, params={"fields": "operation_status"}).json()
    assert (status["operation_status"]["code"], members(sandbox, REPLACED)) == (414, 3)
    assert code(batch(sandbox, 1, people(0, 1), session=9)) == (2650, 1870145)
    adding = call(sandbox, "POST", f"{REPLACED}/users", json={"payload": payload(*people(0, 1))})
    assert code(adding) == (2650, 1870145)
    told = batch(sandbox, 2, people(12, 13), session=8, last=True).json()
    assert (told["session_id"], told["num_received"], members(sandbox, REPLACED)) == ("8", 3, 3)
    assert code(batch(sandbox, 3, people(0, 1), session=8)) == (2650, 1870159)
    assert code(batch(sandbox, 2, people(0, 1), session=9)) == (2650, 1870147)
    [session] = call(sandbox, "GET", f"{REPLACED}/sessions", params={"session_id": "8"}).json()["data"]
    assert (session["num_received"], session["stage"]) == ("3", "finished")


def test_a_session_ends_after_90_minutes_with_what_came() -> None:
    now = [1_800_000_000.0]
    with Sandbox(lambda: now[0]) as sandbox:
        batch(sandbox, 1, people(0, 5), last=True).raise_for_status()
        batch(sandbox, 1, people(10, 12), session=8).raise_for_status()
        now[0] += 5_399
        assert batch(sandbox, 2, people(12, 13), session=8).status_code == 200
        now[0] += 1
        assert code(batch(sandbox, 3, people(13, 14), session=8)) == (2650, 1870158)
        status = call(sandbox, "GET", REPLACED, params={"fields": "operation_status"}).json()["operation_status"]
        assert (status["code"], members(sandbox, REPLACED)) == (415, 3)
        [session] = call(sandbox, "GET", f"{REPLACED}/sessions", params={"session_id": "8"}).json()["data"]
        assert int(session["end_time"]) - int(session["start_time"]) == 5_400


def test_calls_are_counted_in_a_rolling_hour() -> None:
    now = [1_800_000_000.0]
    with Sandbox(lambda: now[0], meta_ads_calls=2) as sandbox:
        answers = [call(sandbox, "GET", CUSTOMERS) for _ in range(3)]
        usage = json.loads(answers[2].headers["X-Business-Use-Case-Usage"])["1234567890"][0]
        assert [answer.status_code for answer in answers] == [200, 200, 400]
        assert code(answers[2])[0] == 80003
        assert (usage["call_count"], usage["estimated_time_to_regain_access"]) == (100, 60)
        now[0] += 3_600
        assert call(sandbox, "GET", CUSTOMERS).status_code == 200


def test_audiences_are_made_and_deleted(sandbox: Sandbox) -> None:
    made = call(sandbox, "POST", "act_1/customaudiences", data={"name": "New", "subtype": "CUSTOM"}).json()["id"]
    assert {"id": made} in call(sandbox, "GET", "act_1/customaudiences").json()["data"]
    assert call(sandbox, "DELETE", made).json() == {"success": True}
    assert code(call(sandbox, "GET", made)) == (100, 33)
    assert code(call(sandbox, "POST", "act_1/customaudiences", data={"name": "x", "subtype": "WEBSITE"})) == (100, 0)
    assert code(call(sandbox, "GET", CUSTOMERS, params={"fields": "people"})) == (100, 0)
