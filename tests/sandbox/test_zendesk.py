"""Zendesk in the sandbox: jobs and their results, single upserts, what is ignored, limits and headers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from reverse_etl_sandbox import Sandbox
from tests.sandbox.conftest import Clock

AUTH = ("admin@shop.example/token", "zendesk-token")


class Api:
    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return self._http.request(method, f"/zendesk/api/v2/{path}", json=body, auth=more.pop("auth", AUTH), **more)

    def job(self, method: str, path: str, body: Any = None) -> list[dict[str, Any]]:
        """The results of a job, which tells nothing before it is done."""
        opened = self(method, path, body).json()["job_status"]
        assert (opened["status"], opened["results"]) == ("queued", None)
        first, last = (self("GET", f"job_statuses/{opened['id']}.json").json()["job_status"] for _ in range(2))
        assert (first["status"], first["results"], last["status"]) == ("working", None, "completed")
        results: list[dict[str, Any]] = last["results"]
        return results


@pytest.fixture
def api(http: httpx.Client) -> Api:
    return Api(http)


def test_a_job_tells_each_row_in_the_order_of_the_request(api: Api) -> None:
    api("POST", "users/create_or_update", {"user": {"name": "Ann", "external_id": "c1", "email": "a@shop.example"}})
    users = [
        {"name": "Ben", "external_id": "C2", "email": "b@shop.example"},
        {"name": "Ann Ray", "email": "A@shop.example"},
        {"name": "Cy", "email": "no address"},
        {"external_id": "C4"},
    ]
    created, updated, refused, nameless = api.job("POST", "users/create_or_update_many.json", {"users": users})
    assert (created["status"], created["email"]) == ("Created", "b@shop.example")
    assert updated["status"] == "Updated"
    assert (refused["status"], refused["error"], refused["id"]) == ("Failed", "UserUpdateError", 2)
    assert "not properly formatted" in refused["details"]
    assert "too short" in nameless["details"]


def test_updates_and_deletes_tell_ids(api: Api) -> None:
    made = [api("POST", "users/create_or_update", {"user": {"name": n, "external_id": n}}).json() for n in "ab"]
    one, other = (each["user"]["id"] for each in made)
    rows = [{"id": one, "notes": "vip"}, {"id": 5, "notes": "nobody"}]
    changed, missing = api.job("PUT", "users/update_many", {"users": rows})
    assert (changed["id"], changed["status"], changed["success"]) == (one, "Updated", True)
    assert (missing["id"], missing["error"], missing["success"]) == (5, "RecordNotFound", False)
    assert [each["status"] for each in api.job("DELETE", f"users/destroy_many?ids={one},{other}")] == ["Deleted"] * 2
    assert api("GET", f"users/show_many?ids={one},{other}").json()["users"] == []


def test_an_upsert_of_one_says_created_or_updated(api: Api) -> None:
    user = {"user": {"name": "Ann", "external_id": "Key", "user_fields": {"customer_tier": "growth", "no_such": 1}}}
    first = api("POST", "users/create_or_update.json", user)
    second = api(
        "POST", "users/create_or_update", {"user": {"external_id": "KEY", "user_fields": {"customer_tier": "x"}}}
    )
    assert (first.status_code, second.status_code) == (201, 200)
    told = second.json()["user"]
    assert told["external_id"] == "KEY"  # the case that was sent last
    assert told["user_fields"]["customer_tier"] == "growth"  # an unknown option is dropped without a word
    assert "no_such" not in told["user_fields"]


def test_a_second_address_belongs_to_the_same_user(api: Api) -> None:
    for email in ("a@shop.example", "b@shop.example"):
        api("POST", "users/create_or_update", {"user": {"name": "Ann", "external_id": "c1", "email": email}})
    held = api("POST", "users/create_or_update", {"user": {"email": "B@shop.example", "external_id": "c1"}})
    assert (held.status_code, held.json()["user"]["email"]) == (200, "a@shop.example")
    api("POST", "users/create_or_update", {"user": {"name": "Ben", "external_id": "c2"}})
    refused = api("POST", "users/create_or_update", {"user": {"external_id": "c2", "email": "b@shop.example"}})
    assert refused.status_code == 422
    assert refused.json()["details"]["email"][0]["error"] == "DuplicateValue"


def test_organizations_have_unique_names(api: Api) -> None:
    codes = [
        api("POST", "organizations/create_or_update", {"organization": {"name": name, "external_id": key}}).status_code
        for name, key in (("Acme", "1"), ("ACME", "2"), ("Acme Ltd", "1"))
    ]
    assert codes == [201, 422, 200]


def test_values_are_kept_by_their_type(api: Api) -> None:
    own = {"lifetime_value": 1.5, "last_order_date": "2026-01-31", "marketing_opt_in": True, "interests": ["tea"]}
    told = api("POST", "users/create_or_update", {"user": {"name": "A", "tags": ["B", "a"], "user_fields": own}}).json()
    assert told["user"]["user_fields"]["last_order_date"] == "2026-01-31T00:00:00Z"
    assert told["user"]["user_fields"]["lifetime_value"] == 1.5
    assert told["user"]["tags"] == ["a", "b"]
    bad = api("POST", "users/create_or_update", {"user": {"name": "A", "user_fields": {"orders_count": "many"}}})
    assert (bad.status_code, bad.json()["error"]) == (422, "RecordInvalid")


def test_a_minute_is_a_minute(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    sandbox.settings.change({"zendesk_requests": 2})
    answers = [api("GET", "user_fields") for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert answers[1].headers["X-Rate-Limit-Remaining"] == answers[1].headers["ratelimit-remaining"] == "0"
    assert answers[2].headers["Retry-After"] == "60"
    assert answers[2].json()["error"] == "APIRateLimitExceeded"
    clock.now += 60
    assert api("GET", "user_fields").status_code == 200


def test_so_many_jobs_and_no_more(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    sandbox.settings.change({"zendesk_open_jobs": 1})
    body = {"users": [{"name": "Ann", "external_id": "c1"}]}
    assert api("POST", "users/create_or_update_many", body).status_code == 200
    refused = api("POST", "users/create_or_update_many", body)
    assert (refused.status_code, refused.json()["error"]) == (429, "TooManyJobs")
    clock.now += 61  # nobody asked for the first one, and it is done all the same
    assert api("POST", "users/create_or_update_many", body).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("GET", "no_such", None, 404, "InvalidEndpoint"),
        ("GET", "users/5", None, 404, "RecordNotFound"),
        ("GET", "job_statuses/5", None, 404, "RecordNotFound"),
        ("POST", "users/create_or_update_many", {"user": []}, 400, "ParameterMissing"),
        ("POST", "users/create_or_update_many", {"users": [{"name": "A"}] * 101}, 400, "BadRequest"),
    ],
)
def test_refusals(api: Api, method: str, path: str, body: Any, status: int, error: str) -> None:
    answer = api(method, path, body)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_tokens(api: Api, http: httpx.Client, sandbox: Sandbox) -> None:
    assert api("GET", "user_fields", auth=("admin@shop.example", "zendesk-token")).status_code == 401
    bearer = {"Authorization": "Bearer zendesk-token"}
    refused = api("GET", "user_fields", auth=None, headers=bearer)  # an API token is no access token
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")
    asked = {"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": "zendesk-secret"}
    form = http.post("/zendesk/oauth/tokens", data={**asked, "scope": "read"})
    assert (form.status_code, form.json()["error"]) == (400, "invalid_request")
    token = http.post("/zendesk/oauth/tokens", json={**asked, "scope": "read"}).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert api("GET", "user_fields", auth=None, headers=bearer).status_code == 200
    assert api("DELETE", "users/1", auth=None, headers=bearer).status_code == 403


def test_the_import_of_users_can_be_off(api: Api, sandbox: Sandbox) -> None:
    sandbox.settings.change({"zendesk_bulk_import": False})
    refused = api("POST", "users/create_or_update_many", {"users": [{"name": "A"}]})
    assert (refused.status_code, refused.json()["error"]["title"]) == (403, "Forbidden")


def test_rows_can_be_refused_left_out_and_lost(api: Api, sandbox: Sandbox) -> None:
    sandbox.fault("refuse_rows", vendor="zendesk", percent=50)
    users = [{"name": "A", "external_id": f"c{at}"} for at in range(20)]
    refused = [each for each in api.job("POST", "users/create_or_update_many", {"users": users}) if "error" in each]
    assert 0 < len(refused) < 20
    sandbox.faults.clear()
    sandbox.fault("lose_writes", vendor="zendesk", percent=100)
    told = api.job("POST", "users/create_or_update_many", {"users": [{"name": "B", "external_id": "lost"}]})
    assert told[0]["status"] == "Created"
    assert sandbox.zendesk.tables["users"].find("external_id", "lost") == []
