"""``/_sandbox``, the page, and the sandbox in its own process."""

from __future__ import annotations

import httpx
import pytest

from reverse_etl_sandbox import Sandbox

from .conftest import Clock, Upsert

NASTY = "<script>alert('x')</script>"


def test_who_wrote_each_value(salesforce_http: httpx.Client, upsert_contacts: Upsert, sandbox: Sandbox) -> None:
    record_id = upsert_contacts({"External_Id__c": "1", "LastName": "A", "Phone": "1"}).json()[0]["id"]
    url = f"{sandbox.url}/_sandbox/records/salesforce/Contact"
    assert salesforce_http.patch(f"{url}/{record_id}", json={"Phone": "2"}).status_code == 200
    record = salesforce_http.get(url).json()["records"][0]
    assert {name: told["by"] for name, told in record["written"].items()} == {
        "External_Id__c": "integration",
        "LastName": "integration",
        "Phone": "person",
    }
    upsert_contacts({"External_Id__c": "1", "Phone": "3"})
    record = salesforce_http.get(url, params={"q": "3"}).json()["records"][0]
    assert record["written"]["Phone"]["by"] == "integration"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("hubspot/contacts", {"email": "bad"}, 400),
        ("hubspot/contacts", {"email": "a@x.com"}, 201),
        ("salesforce/Lead", {"LastName": "A"}, 400),
        ("salesforce/Lead", {"LastName": "A", "Company": "C"}, 201),
        ("salesforce/Nope", {}, 404),
        ("nope/Lead", {}, 404),
        ("hubspot/contacts", [], 400),
    ],
)
def test_a_person_creates_records(http: httpx.Client, path: str, body: object, status: int) -> None:
    assert http.post(f"/_sandbox/records/{path}", json=body).status_code == status


def test_a_person_edits_records_by_the_same_rules(http: httpx.Client) -> None:
    made = http.post("/_sandbox/records/hubspot/contacts", json={"email": "a@x.com"}).json()["id"]
    url = f"/_sandbox/records/hubspot/contacts/{made}"
    assert http.patch(url, json={"lead_grade": "boiling"}).status_code == 400
    assert http.patch(url, json={"lead_grade": "hot"}).json()["values"]["lead_grade"] == "hot"
    assert http.patch("/_sandbox/records/hubspot/contacts/1", json={}).status_code == 404


def test_log_and_counts(hs_upsert: Upsert, http: httpx.Client, sandbox: Sandbox) -> None:
    hs_upsert({"k1": {}, "k2": {"nope": "1"}})
    line = http.get(f"{sandbox.url}/_sandbox/log").json()[-1]
    assert (line["vendor"], line["method"], line["operation"], line["object"]) == (
        "hubspot",
        "POST",
        "upsert",
        "contacts",
    )
    assert (line["rows"], line["status"], line["number"]) == (2, 207, 1)
    assert min(line["bytes_in"], line["bytes_out"], line["ms"]) > 0
    counts = http.get(f"{sandbox.url}/_sandbox/counts").json()["hubspot"]
    assert counts["status"] == {"207": 1}
    assert counts["rows"] == {"upsert": 2}
    contacts = counts["objects"]["contacts"]
    assert contacts == {"records": 1, "created": 1, "updated": 0, "deleted": 0, "refused": 1}


def test_no_secret_in_log_settings_or_page(http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.settings.change({"rest_token": "top-secret-token"})
    form = {"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": "sandbox-secret"}
    token = http.post("/salesforce/services/oauth2/token", data=form).json()["access_token"]
    http.get("/services/data/v60.0/query?q=SELECT+Id+FROM+Lead", headers={"Authorization": f"Bearer {token}"})
    http.post("/rest/orders?api_key=top-secret-token", json={"id": 1}, headers={"Authorization": "top-secret-token"})
    shown = "".join(http.get(path).text for path in ("/_sandbox/log", "/_sandbox/settings", "/"))
    for secret in ("sandbox-secret", "top-secret-token", token):
        assert secret not in shown


def test_settings_over_http(http: httpx.Client, sandbox: Sandbox) -> None:
    assert http.post("/_sandbox/settings", json={"latency_ms": 1, "store_records": False}).status_code == 200
    assert (sandbox.settings.latency_ms, sandbox.settings.store_records) == (1.0, False)
    for wrong in ({"nope": 1}, {"latency_ms": "5"}, {"latency_ms": -1}, {"store_records": 1}):
        assert http.post("/_sandbox/settings", json=wrong | {"rest_requests": 9}).status_code == 400
    assert sandbox.settings.rest_requests == 0


def test_reset_forgets_all_but_tokens(salesforce_http: httpx.Client, upsert_contacts: Upsert, sandbox: Sandbox) -> None:
    upsert_contacts({"External_Id__c": "1", "LastName": "A"})
    sandbox.fault("slow")
    sandbox.settings.change({"rest_requests": 5})
    assert salesforce_http.post(f"{sandbox.url}/_sandbox/reset").status_code == 204
    assert sandbox.counts()["salesforce"]["objects"]["Contact"]["created"] == 0
    assert (sandbox.faults.active(), sandbox.log.lines(), sandbox.settings.rest_requests) == ([], [], 0)
    answer = upsert_contacts({"External_Id__c": "1", "LastName": "A"})
    assert answer.json()[0]["created"] is True
    assert answer.headers["Sforce-Limit-Info"] == "api-usage=1/100000"


def test_the_page_escapes_every_value(rest_http: httpx.Client, http: httpx.Client, sandbox: Sandbox) -> None:
    rest_http.post(f"{sandbox.url}/rest/{NASTY.replace('/', '%2F')}", json={"id": NASTY, NASTY: NASTY})
    sandbox.fault("slow", path=NASTY.replace("(", ".").replace(")", "."))
    page = http.get(sandbox.url + "/", params={"q": NASTY})
    assert page.status_code == 200
    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_the_page_searches_and_pages(http: httpx.Client, sandbox: Sandbox) -> None:
    table = sandbox.salesforce.tables["Lead"]
    for number in range(40):
        table.insert({"LastName": f"Lead {number:02}", "Company": "C"}, float(number))
    where = {"vendor": "salesforce", "object": "Lead"}
    first = http.get("/", params=where).text
    assert "Lead 39" in first
    assert "Lead 24" not in first
    assert "1–15 of 40" in first
    assert "Lead 24" in http.get("/", params=where | {"page": "2"}).text
    found = http.get("/", params=where | {"q": "lead 07"}).text
    assert "1–1 of 1" in found
    assert http.get("/", params={"vendor": "salesforce", "object": "Nope"}).status_code == 404


def test_the_page_shows_who_wrote_last(http: httpx.Client, sandbox: Sandbox, clock: Clock) -> None:
    made = http.post("/rest/orders", json={"id": "o1", "total": 1})
    assert made.status_code == 201
    clock.now += 120
    http.patch("/_sandbox/records/rest/orders/o1", json={"total": 2})
    page = http.get("/").text
    assert "total: written by person at" in page
    assert "id: written by integration at" in page


def test_a_process_of_its_own() -> None:
    with Sandbox.spawn(salesforce_bulk_polls=0) as remote:
        fault = remote.fault("server_error", vendor="rest", next=1)
        assert fault["next"] == 1
        with httpx.Client(base_url=remote.url, trust_env=False) as client:
            statuses = [client.post("/rest/orders", json={"id": "a"}).status_code for _ in range(2)]
        assert statuses == [503, 201]
        remote.edit("rest", "orders", "a", {"note": "by hand"})
        assert remote.records("rest", "orders", "hand")[0]["written"]["note"]["by"] == "person"
        assert remote.counts()["rest"]["objects"]["orders"]["created"] == 1
        assert [line["status"] for line in remote.log("rest")] == [503, 201]
        with pytest.raises(ValueError, match="setting 'nope' is unknown"):
            remote.set(nope=1)
        remote.reset()
        assert remote.log() == []
