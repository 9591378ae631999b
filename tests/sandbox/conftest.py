"""One sandbox for all tests of this folder, emptied before each; and the vendors' SDKs pointed at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import hubspot
import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce

from reverse_etl_sandbox import Sandbox

API = "/salesforce/services/data/v60.0"


class Clock:
    """Seconds since 1970, moved on by the test."""

    def __init__(self) -> None:
        self.now = 1_780_000_000.0

    def __call__(self) -> float:
        return self.now


class PlainHttp(HTTPAdapter):
    """simple-salesforce knows only https; the sandbox has no certificate."""

    def send(self, request: requests.PreparedRequest, *args: Any, **more: Any) -> requests.Response:
        request.url = str(request.url).replace("https://", "http://", 1)
        return super().send(request, *args, **more)


@pytest.fixture(scope="session")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def running(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.reset()
    return running


@pytest.fixture
def http(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.url, trust_env=False, timeout=10) as client:
        yield client


@pytest.fixture
def salesforce_http(sandbox: Sandbox, http: httpx.Client) -> httpx.Client:
    http.base_url = httpx.URL(sandbox.url + API)
    http.headers["Authorization"] = f"Bearer {sandbox.salesforce.issue_token()}"
    return http


@pytest.fixture
def hubspot_http(sandbox: Sandbox, http: httpx.Client) -> httpx.Client:
    http.base_url = httpx.URL(sandbox.url + "/hubspot")
    http.headers["Authorization"] = "Bearer pat-sandbox"
    return http


@pytest.fixture
def rest_http(sandbox: Sandbox, http: httpx.Client) -> httpx.Client:
    http.base_url = httpx.URL(sandbox.url + "/rest")
    return http


@pytest.fixture
def sf(sandbox: Sandbox) -> Iterator[Salesforce]:
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://127.0.0.1", PlainHttp())
        yield Salesforce(
            session_id=sandbox.salesforce.issue_token(),
            instance_url=sandbox.url,
            version="60.0",
            session=session,
        )


@pytest.fixture
def hs(sandbox: Sandbox) -> hubspot.Client:
    return hubspot.Client.create(access_token="pat-sandbox", host=f"{sandbox.url}/hubspot")


Upsert = Callable[..., httpx.Response]


@pytest.fixture
def upsert_contacts(salesforce_http: httpx.Client) -> Upsert:
    """Upsert Contacts through sObject Collections."""

    def upsert(*rows: dict[str, Any], key: str = "External_Id__c", **more: Any) -> httpx.Response:
        records = [{"attributes": {"type": "Contact"}, **row} for row in rows]
        return salesforce_http.patch(f"/composite/sobjects/Contact/{key}", json={"records": records, **more})

    return upsert


@pytest.fixture
def hs_upsert(hubspot_http: httpx.Client) -> Upsert:
    """Upsert HubSpot records by batch; ``traced`` gives every row its own trace id."""

    def upsert(
        rows: dict[str, dict[str, Any]], kind: str = "contacts", by: str = "external_id", traced: bool = True
    ) -> httpx.Response:
        inputs = []
        for place, (key, properties) in enumerate(rows.items()):
            inputs.append({"id": key, "idProperty": by, "properties": properties})
            if traced:
                inputs[-1]["objectWriteTraceId"] = f"row-{place}"
        return hubspot_http.post(f"/crm/v3/objects/{kind}/batch/upsert", json={"inputs": inputs})

    return upsert
