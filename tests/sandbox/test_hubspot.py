"""HubSpot: one test for each rule, on plain HTTP."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from reverse_etl_sandbox import Sandbox

from .conftest import Clock, Upsert

BATCH = "/crm/v3/objects/contacts/batch"


def problem(answer: httpx.Response) -> dict[str, Any]:
    """The first validation result of a request's or a row's error."""
    body = answer.json()
    message = (body.get("errors") or [body])[0]["message"] if "results" in body else body["message"]
    first: dict[str, Any] = json.loads(message.partition(": ")[2])[0]
    return first


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"nope": "1"}, "PROPERTY_DOESNT_EXIST"),
        ({"hs_object_id": "1"}, "READ_ONLY_VALUE"),
        ({"createdate": "2026-01-01"}, "READ_ONLY_VALUE"),
        ({"email": "no-at-sign"}, "INVALID_EMAIL"),
        ({"lead_grade": "Hot"}, "INVALID_OPTION"),
        ({"interests": "tea;juice"}, "INVALID_OPTION"),
        ({"marketing_opt_in": "yes"}, "INVALID_OPTION"),
        ({"lead_score": "1,000"}, "INVALID_LONG"),
        ({"last_order_date": "01/02/2026"}, "INVALID_DATE"),
        ({"last_order_date": "2026-02-30"}, "INVALID_DATE"),
        ({"last_order_date": "1780000000001"}, "INVALID_DATE"),
        ({"trial_ends_at": "2026-01-01T10:00:00"}, "INVALID_DATE"),
        ({"firstname": "x" * 65_537}, "PROPERTY_TOO_LARGE"),
        ({"firstname": {"a": 1}}, "INVALID_JSON"),
    ],
)
def test_values_that_are_refused(hs_upsert: Upsert, properties: dict[str, Any], code: str) -> None:
    answer = hs_upsert({"k1": {"firstname": "A"}, "k2": properties})
    assert answer.status_code == 207
    assert len(answer.json()["results"]) == 1
    assert answer.json()["errors"][0]["context"]["objectWriteTraceId"] == ["row-1"]
    assert problem(answer)["error"] == code
    assert hs_upsert({"k3": properties}, traced=False).status_code == 400


@pytest.mark.parametrize(
    ("name", "given", "held"),
    [
        ("email", "Ada@EXAMPLE.com", "ada@example.com"),
        ("lead_score", 12, "12"),
        ("marketing_opt_in", True, "true"),
        ("last_order_date", "1780012800000", "2026-05-29"),
        ("trial_ends_at", "2026-01-01T10:00:00+02:00", "2026-01-01T08:00:00.000Z"),
        ("trial_ends_at", "1780000000000", "2026-05-28T20:26:40.000Z"),
        ("interests", "tea;coffee", "tea;coffee"),
    ],
)
def test_values_are_held_as_text(hs_upsert: Upsert, name: str, given: Any, held: str) -> None:
    assert hs_upsert({"k": {name: given}}).json()["results"][0]["properties"][name] == held


def test_empty_text_clears_and_null_changes_nothing(hs_upsert: Upsert, sandbox: Sandbox) -> None:
    hs_upsert({"k": {"firstname": "A", "lastname": "B"}})
    hs_upsert({"k": {"firstname": "", "lastname": None}})
    values = sandbox.hubspot.tables["contacts"].find("external_id", "k")[0].values
    assert (values["firstname"], values["lastname"]) == (None, "B")


def test_a_result_tells_what_was_written_and_no_trace_id(hs_upsert: Upsert) -> None:
    hs_upsert({"k": {"firstname": "A", "external_id": "k"}})
    [told] = hs_upsert({"k": {"lastname": "B"}}).json()["results"]
    assert sorted(told["properties"]) == ["createdate", "hs_object_id", "lastmodifieddate", "lastname"]
    assert "objectWriteTraceId" not in told


def test_properties_left_out_stay(hs_upsert: Upsert, sandbox: Sandbox) -> None:
    hs_upsert({"k": {"firstname": "A"}})
    hs_upsert({"k": {"lastname": "B"}})
    values = sandbox.hubspot.tables["contacts"].find("external_id", "K")[0].values
    assert (values["firstname"], values["lastname"]) == ("A", "B")


def test_a_checkbox_value_with_a_leading_semicolon_is_added(hs_upsert: Upsert) -> None:
    hs_upsert({"k": {"interests": "tea"}})
    answer = hs_upsert({"k": {"interests": ";coffee;tea"}})
    assert answer.json()["results"][0]["properties"]["interests"] == "tea;coffee"


def test_a_lifecycle_stage_does_not_move_back(hs_upsert: Upsert) -> None:
    def after(stage: str) -> str | None:
        row = hs_upsert({"k": {"lifecyclestage": stage}}).json()["results"][0]
        held: str | None = row["properties"].get("lifecyclestage")
        return held

    assert after("customer") == "customer"
    assert after("lead") == "customer"
    assert after("") is None
    assert after("lead") == "lead"


def test_the_same_id_twice_refuses_the_request(hubspot_http: httpx.Client, sandbox: Sandbox) -> None:
    rows = [
        {"id": key, "idProperty": "email", "properties": {}, "objectWriteTraceId": key}
        for key in ("a@x.com", "b@x.com", "A@x.com")
    ]
    answer = hubspot_http.post(f"{BATCH}/upsert", json={"inputs": rows})
    assert answer.status_code == 400
    assert answer.json()["message"] == "Duplicate IDs found in batch input: [A@x.com]. IDs must be unique"
    assert answer.json()["context"] == {"ids": ["A@x.com"]}
    assert sandbox.hubspot.tables["contacts"].live() == []


def test_trace_ids_must_be_unique_for_a_207(hubspot_http: httpx.Client) -> None:
    rows = [
        {"id": key, "idProperty": "external_id", "properties": {"nope": "1"}, "objectWriteTraceId": "same"}
        for key in ("1", "2")
    ]
    assert hubspot_http.post(f"{BATCH}/upsert", json={"inputs": rows}).status_code == 400


def test_101_inputs_are_too_many(hs_upsert: Upsert) -> None:
    assert hs_upsert({str(n): {} for n in range(100)}).status_code == 200
    assert hs_upsert({str(n): {} for n in range(101)}).status_code == 400


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"id": "1", "idProperty": "firstname", "properties": {}}, "by non-unique 0-1 property firstname"),
        ({"id": "1", "idProperty": "nope", "properties": {}}, '"nope" does not exist'),
        ({"id": "1", "properties": {}}, "idProperty must be set"),
        ({"id": "1", "idProperty": "external_id"}, "required fields were not set: ['properties']"),
        ({"idProperty": "external_id", "properties": {}}, "required fields were not set: ['id']"),
        ({"id": 1, "idProperty": "external_id", "properties": {}}, "id must be text"),
    ],
)
def test_inputs_that_refuse_the_request(hubspot_http: httpx.Client, row: dict[str, Any], text: str) -> None:
    answer = hubspot_http.post(f"{BATCH}/upsert", json={"inputs": [row | {"objectWriteTraceId": "0"}]})
    assert answer.status_code == 400
    assert text in answer.json()["message"]


def test_a_unique_value_of_another_record_is_refused(hs_upsert: Upsert) -> None:
    held = hs_upsert({"k1": {"email": "a@x.com"}}).json()["results"][0]["id"]
    answer = hs_upsert({"k2": {"email": "A@x.com"}})
    assert answer.json()["errors"][0]["category"] == "CONFLICT"
    assert answer.json()["errors"][0]["context"]["existingId"] == [held]
    taken = hs_upsert({"b@x.com": {"external_id": "K1"}}, by="email")
    assert problem(taken)["error"] == "CONFLICTING_UNIQUE_VALUE"


def test_two_rows_cannot_take_the_same_unique_value(hs_upsert: Upsert, sandbox: Sandbox) -> None:
    rows = {"k1": {"email": "a@x.com"}, "k2": {"email": "a@x.com"}}
    assert hs_upsert(rows, traced=False).status_code == 409
    assert sandbox.hubspot.tables["contacts"].live() == []
    answer = hs_upsert(rows).json()
    assert (len(answer["results"]), answer["errors"][0]["context"]["objectWriteTraceId"]) == (1, ["row-1"])


@pytest.mark.parametrize("root", ["/crm/objects/2026-03", "/crm/objects/2026-09", "/crm/v3/objects"])
def test_date_versions_have_the_same_shape(hubspot_http: httpx.Client, root: str) -> None:
    row = {"id": "1", "idProperty": "external_id", "properties": {"dealname": "D", "dealstage": "closedwon"}}
    answer = hubspot_http.post(f"{root}/0-3/batch/upsert", json={"inputs": [row]})
    assert answer.json()["results"][0]["new"] is True


def test_the_api_is_also_at_the_root(sandbox: Sandbox, hubspot_http: httpx.Client) -> None:
    assert hubspot_http.get(f"{sandbox.url}/crm/v3/objects/contacts").status_code == 200


def test_other_tokens_are_refused(hubspot_http: httpx.Client) -> None:
    hubspot_http.headers["Authorization"] = "Bearer pat-other"
    answer = hubspot_http.get("/crm/v3/objects/contacts")
    assert (answer.status_code, answer.json()["category"]) == (401, "INVALID_AUTHENTICATION")


def test_account_info(hubspot_http: httpx.Client) -> None:
    assert hubspot_http.get("/account-info/v3/details").json()["portalId"] == 4_242_424


def test_gdpr_delete_leaves_nothing(hubspot_http: httpx.Client, hs_upsert: Upsert, sandbox: Sandbox) -> None:
    hs_upsert({"a@x.com": {}}, by="email")
    body = {"objectId": "a@x.com", "idProperty": "email"}
    assert hubspot_http.post("/crm/v3/objects/contacts/gdpr-delete", json=body).status_code == 204
    assert sandbox.hubspot.tables["contacts"].entries == {}


@pytest.mark.parametrize("root", ["/crm/objects/2026-03", "/crm/objects/2026-09", "/crm/v3/objects"])
def test_gdpr_delete_of_nobody_bars_an_address(hubspot_http: httpx.Client, hs_upsert: Upsert, root: str) -> None:
    unknown = {"objectId": "B@x.com", "idProperty": "email"}
    assert hubspot_http.post(f"{root}/contacts/gdpr-delete", json=unknown).status_code == 204
    assert hubspot_http.post(f"{root}/contacts/gdpr-delete", json={"objectId": "77"}).status_code == 204
    assert hs_upsert({"b@x.com": {}}, by="email").json()["numErrors"] == 1
    assert hubspot_http.post(f"{root}/companies/gdpr-delete", json={"objectId": "77"}).status_code == 405


def test_search_lags_behind_writes(
    hubspot_http: httpx.Client, hs_upsert: Upsert, sandbox: Sandbox, clock: Clock
) -> None:
    sandbox.settings.change({"hubspot_search_lag_seconds": 30})

    def found(name: str) -> int:
        filters = [{"propertyName": "firstname", "operator": "EQ", "value": name}]
        body = {"filterGroups": [{"filters": filters}]}
        total: int = hubspot_http.post("/crm/v3/objects/contacts/search", json=body).json()["total"]
        return total

    hs_upsert({"k": {"firstname": "Old"}})
    assert found("Old") == 0
    clock.now += 31
    assert found("Old") == 1
    hs_upsert({"k": {"firstname": "New"}})
    assert (found("Old"), found("New")) == (1, 0)
    clock.now += 31
    assert (found("Old"), found("New")) == (0, 1)


def test_search_pages(hubspot_http: httpx.Client, hs_upsert: Upsert) -> None:
    hs_upsert({str(n): {"lead_score": str(n)} for n in range(5)})
    body = {"sorts": [{"propertyName": "external_id", "direction": "DESCENDING"}], "limit": 2, "after": "2"}
    page = hubspot_http.post("/crm/v3/objects/contacts/search", json=body | {"properties": ["external_id"]}).json()
    assert [row["properties"]["external_id"] for row in page["results"]] == ["2", "1"]
    assert (page["total"], page["paging"]) == (5, {"next": {"after": "4"}})
    assert hubspot_http.post("/crm/v3/objects/contacts/search", json={"limit": 201}).status_code == 400


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"name": "email"}, 409),
        ({"name": "Upper"}, 400),
        ({"fieldType": "select"}, 400),
        ({"label": ""}, 400),
        ({}, 201),
    ],
)
def test_new_properties_are_checked(hubspot_http: httpx.Client, given: dict[str, str], status: int) -> None:
    asked = {"name": "n", "label": "N", "type": "number", "fieldType": "number", "groupName": "g"} | given
    assert hubspot_http.post("/crm/v3/properties/contacts", json=asked).status_code == status


def test_an_object_has_at_most_ten_unique_properties(hubspot_http: httpx.Client) -> None:
    def add(name: str) -> int:
        asked = {"name": name, "label": "N", "type": "string", "fieldType": "text", "groupName": "g"}
        return hubspot_http.post("/crm/v3/properties/deals", json=asked | {"hasUniqueValue": True}).status_code

    assert [add(f"u{n}") for n in range(10)] == [201] * 9 + [400]
