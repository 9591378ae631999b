"""What the contract cannot know of Attio: its requests to the letter, its answers, its refusals, and a run."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from email.utils import formatdate
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from attio_server import AttioServer
from pydantic import SecretStr
from reverse_etl_attio import Attio, AttioConnection, resource as attio_resource
from reverse_etl_attio.resource import AttioResource

from reverse_etl_assets import Report, load_syncs
from reverse_etl_assets.destinations import (
    Ambiguous,
    AuthenticationFailed,
    CheckFailed,
    FieldType,
    Operation,
    Outcome,
    Record,
    RequestRejected,
    RetryLater,
    Status,
    Target,
)
from reverse_etl_assets.testing import ScratchProject, batch, error_of, record, target

PEOPLE = target("people", "user_ref", Operation.UPSERT, Operation.DELETE, notes=FieldType.TEXT, score=FieldType.DECIMAL)
BY_ADDRESS = target("people", "email_addresses", notes=FieldType.TEXT)
ADA = record("k1", external_id="ada@acme.example", notes="hi")
KEPT = record("k1", external_id="u1", destination_id="r-1", notes=None, score=Decimal("0.10"), user_ref="u1")
UPSERT, UPDATE, DELETE = Operation.UPSERT, Operation.UPDATE, Operation.DELETE


@pytest.fixture
def server() -> Iterator[AttioServer]:
    with AttioServer(limited=False) as server:
        yield server


def connection(url: str = "https://api.attio.com", token: str = "attio-secret-token") -> AttioConnection:
    return AttioConnection(base_url=url, access_token=SecretStr(token))


def attio(where: Target = PEOPLE) -> Attio:
    return Attio.unopened(connection(), where, Attio.Options())


@pytest.mark.parametrize(
    ("operation", "sent", "line", "body"),
    [
        (
            UPSERT,
            KEPT,
            "PUT /v2/objects/people/records?matching_attribute=user_ref",
            b'{"data":{"values":{"notes":[],"score":[0.10],"user_ref":["u1"]}}}',
        ),
        (UPDATE, KEPT, "PUT /v2/objects/people/records/r-1", b'{"data":{"values":{"notes":[],"score":[0.10]}}}'),
        (DELETE, KEPT, "DELETE /v2/objects/people/records/r-1", b""),
    ],
)
def test_the_request_of_each_operation(operation: Operation, sent: Record, line: str, body: bytes) -> None:
    request = attio().build_request(batch(operation, sent))
    assert f"{request.method} {request.url.raw_path.decode()}" == line
    assert request.content == body


def answer(**values: Any) -> httpx.Response:
    held = {name: [{"attribute_type": "text", "value": value}] for name, value in values.items()}
    return httpx.Response(200, json={"data": {"id": {"record_id": "r-1"}, "values": held}})


@pytest.mark.parametrize(
    ("operation", "response", "outcome"),
    [
        # Attio does not tell created from updated.
        (UPSERT, answer(user_ref="u1"), Outcome("k1", Status.UPDATED, destination_id="r-1", inferred=True)),
        (UPDATE, answer(user_ref="other"), Outcome("k1", Status.UPDATED, destination_id="r-1")),
        (DELETE, httpx.Response(200, json={}), Outcome("k1", Status.DELETED, destination_id="r-1")),
    ],
)
def test_an_answer_to_each_operation(operation: Operation, response: httpx.Response, outcome: Outcome) -> None:
    assert list(attio().read_response(batch(operation, KEPT), response)) == [outcome]


def test_the_record_of_somebody_else_is_no_answer() -> None:
    assert list(attio().read_response(batch(UPSERT, KEPT), answer(user_ref="u2"))) == []


def refusal(status: int, code: str, **headers: str) -> httpx.Response:
    body = {"status_code": status, "type": "invalid_request_error", "code": code, "message": "Said so."}
    return httpx.Response(status, json=body, headers={name.replace("_", "-"): each for name, each in headers.items()})


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "value_not_found", RequestRejected),
        (400, "merge_in_progress", RetryLater),
        (404, "not_found", RequestRejected),
        (409, "concurrent_write_conflict", RetryLater),
        (500, "internal", Ambiguous),
    ],
)
def test_the_error_of_a_refusal(status: int, code: str, kind: type[Exception]) -> None:
    error = attio().error_for(refusal(status, code))
    assert type(error) is kind
    assert "Said so." in str(error)
    assert getattr(error, "code", code) == code


def test_a_rate_limit_names_a_date() -> None:
    error = attio().error_for(
        refusal(429, "rate_limit_exceeded", Retry_After=formatdate(time.time() + 30, usegmt=True))
    )
    assert isinstance(error, RetryLater)
    assert error.hold
    assert 25 < (error.after or 0) <= 30


def test_a_missing_permission_stops_the_run_and_names_the_scopes() -> None:
    error = attio().error_for(refusal(403, "unauthorized"))
    assert isinstance(error, AuthenticationFailed)
    assert "record_permission:read-write" in str(error)


async def checked(server: AttioServer, where: Target = PEOPLE) -> tuple[BaseException | None, Attio]:
    async with httpx.AsyncClient() as client:
        destination = Attio(connection(server.url), where, Attio.Options(), client)
        return await error_of(destination.check()), destination


def test_check_names_a_scope_that_is_missing(server: AttioServer) -> None:
    server.scope = "record_permission:read object_configuration:read"
    error, _ = asyncio.run(checked(server))
    assert isinstance(error, CheckFailed)
    assert error.problems == ("The access token lacks the scope `record_permission:read-write`.",)


def test_check_stops_for_a_revoked_token(server: AttioServer) -> None:
    server.token = "another"
    error, _ = asyncio.run(checked(server))
    assert isinstance(error, AuthenticationFailed)


def test_check_names_the_attributes_that_can_be_matched_by(server: AttioServer) -> None:
    error, _ = asyncio.run(checked(server, target("people", "notes", score=FieldType.DECIMAL)))
    assert isinstance(error, CheckFailed)
    assert "unique are: `user_ref`, `email_addresses`" in error.problems[0]


def test_check_refuses_a_key_of_fractions(server: AttioServer) -> None:
    error, _ = asyncio.run(checked(server, target("people", "user_ref", key_type=FieldType.FLOAT)))
    assert isinstance(error, CheckFailed)
    assert "float" in error.problems[0]


def test_check_learns_where_a_record_is_seen(server: AttioServer) -> None:
    server.people["r-1"] = {}
    _, destination = asyncio.run(checked(server))
    page = Attio.record_link(server.url, PEOPLE, "r-2", destination.learned())
    assert page == "https://app.attio.com/acme/person/r-2"
    assert Attio.record_link(server.url, PEOPLE, "r-2", {}) is None


async def _by_address(server: AttioServer) -> tuple[Any, Any]:
    async with httpx.AsyncClient() as client:
        destination = Attio(connection(server.url), BY_ADDRESS, Attio.Options(), client)
        await destination.send(batch(UPSERT, ADA))
        other = record("k2", external_id="ADA@acme.example", notes="again")
        outcomes = await destination.send(batch(UPSERT, other))
        return outcomes, await destination.read_records(["Ada@acme.example"])


def test_addresses_are_matched_whatever_their_case(server: AttioServer) -> None:
    [outcome], found = asyncio.run(_by_address(server))
    [held] = found["Ada@acme.example"]
    assert (outcome.key, outcome.status, held.fields["notes"]) == ("k2", Status.UPDATED, "again")
    assert len(server.people) == 1


def test_an_assert_adds_to_the_values_that_match_and_that_is_no_edit() -> None:
    where = target("people", "email_addresses", email_addresses=FieldType.TEXT, tags=FieldType.JSON)
    same = attio(where).same
    assert same("email_addresses", "a@acme.example", ["b@acme.example", "a@acme.example"])
    assert not same("email_addresses", "c@acme.example", ["b@acme.example", "a@acme.example"])
    assert same("tags", ["Free", "Team"], ["Team", "Free"])
    assert not same("tags", ["Free"], ["Team", "Free"])


def test_numbers_are_floats_there() -> None:
    same = attio().same
    assert same("score", Decimal("12345678901234567.89"), Decimal("12345678901234568"))
    assert same("score", Decimal("1.23456"), Decimal("1.2346"))
    assert not same("score", Decimal("1.2345"), Decimal("1.2346"))


# A run


SYNC = {
    "sync": "people_to_attio",
    "model": "people",
    "destination": "attio",
    "object": "people",
    "primary_key": "id",
    "external_id": "user_ref",
    "mapping": {"user_ref": "id", "notes": "note", "tier": "tier"},
    "sync_mode": "mirror",
    "guards": {"max_removed": {}, "row_count": {"percent": None, "deviations": None}},
}


def came_to(report: Report) -> dict[str, int]:
    return {status: report.counts[status] for status in Status if report.counts.get(status)}


def test_a_run_creates_updates_deletes_and_names_the_row_that_is_refused(
    server: AttioServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTIO_ACCESS_TOKEN", server.token)
    resource = AttioResource(
        base_url=server.url, access_token=dg.EnvVar("ATTIO_ACCESS_TOKEN"), requests_per_second=100_000
    )
    account, project = resource.account("attio"), ScratchProject(tmp_path)
    people = "select 'u' || i as id, 'note' as note, if(i = 3, '{}', 'Team') as tier from range({}) r(i)"
    first = project.run(SYNC, people.format("no such option", 5), account)
    second = project.run(SYNC, people.replace("'note'", "'other'").format("Free", 4), account)
    assert (came_to(first), came_to(second)) == ({"updated": 4, "failed": 1}, {"updated": 4, "deleted": 1})
    assert {key: values["notes"] for key, values in server.stored()} == {f"u{i}": "other" for i in range(4)}


# The package


def test_the_package_names_the_destination(tmp_path: Path) -> None:
    """A wheel is built as pip does it, from a copy that has no traces of an earlier build."""
    source, copy = Path(__file__).parents[1], tmp_path / "source"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("tests", "*.egg-info", "build", "__pycache__"))
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    [built] = distributions(path=[str(wheel)])
    [point] = built.entry_points.select(group="reverse_etl.destinations")
    assert (point.name, point.load()) == ("attio", Attio)
    files = {str(file) for file in built.files or ()}
    assert files >= {
        f"reverse_etl_attio/{name}"
        for name in ("__init__.py", "attributes.py", "destination.py", "resource.py", "py.typed")
    }


def test_the_resource_is_as_it_would_be_written_now() -> None:
    command = [sys.executable, "-m", "reverse_etl_assets.orchestration.resource_source", "reverse_etl_attio:Attio"]
    paths = os.pathsep.join(map(str, (Path(__file__).parents[1], Path(__file__).parents[3])))
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": paths})
    assert Path(attio_resource.__file__).read_text() == done.stdout


def test_the_sync_of_the_readme_is_right(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text()
    (tmp_path / "customers_to_attio.yml").write_text(text.split("```yaml\n")[1].split("```")[0])
    models = ScratchProject(tmp_path, model="customer_traits").models
    syncs = load_syncs(tmp_path, models, {"attio": Attio})
    assert syncs["customers_to_attio"].external_id == "customer_ref"
