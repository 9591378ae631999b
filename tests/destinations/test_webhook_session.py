"""A webhook against the sandbox's REST sink: skipping, redirects, addresses, checks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.destinations.webhook.options import WebhookConnection
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    CheckFailed,
    ConfigurationError,
    RequestRejected,
    RetryLater,
)
from reverse_etl_assets.records import Operation, Reason, Status
from reverse_etl_assets.testing.builders import batch, record, target
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts

TARGET = target("people", "id")
BY_KEY: dict[str, Any] = {
    "path": "/people/{{ key }}",
    "operations": {"delete": {"method": "DELETE"}, "update": {"method": "PATCH"}},
}


@asynccontextmanager
async def opened(url: str, allow_private: bool = True, **options: Any) -> AsyncIterator[Webhook]:
    async with httpx.AsyncClient(timeout=5, follow_redirects=True) as client:
        settings = accounts.webhook(url).model_copy(update={"allow_private": allow_private})
        yield Webhook(settings, TARGET, Webhook.Options.model_validate(options), client)


async def outcome(webhook: Webhook, operation: Operation) -> tuple[Status, Reason | None]:
    [found] = await webhook.send(batch(operation, record("a", note="x")))
    return found.status, found.reason


def test_what_is_not_there_is_skipped(sandbox: Sandbox) -> None:
    async def work() -> None:
        async with opened(sandbox.url, **BY_KEY) as webhook:
            assert await outcome(webhook, Operation.UPDATE) == (Status.SKIPPED, Reason.NOT_FOUND)
            assert await outcome(webhook, Operation.DELETE) == (Status.SKIPPED, Reason.ALREADY_GONE)
            assert await outcome(webhook, Operation.UPSERT) == (Status.CREATED, None)
            assert await outcome(webhook, Operation.DELETE) == (Status.DELETED, None)
        async with opened(sandbox.url, missing=[], **BY_KEY) as webhook:
            with pytest.raises(RequestRejected, match="404"):
                await outcome(webhook, Operation.UPDATE)

    asyncio.run(work())


def test_an_insert_that_meets_a_conflict_is_skipped() -> None:
    async def work() -> None:
        transport = httpx.MockTransport(lambda request: httpx.Response(409, text="exists"))
        async with httpx.AsyncClient(transport=transport) as client:
            webhook = Webhook(accounts.webhook("https://api.example"), TARGET, Webhook.Options(), client)
            assert await outcome(webhook, Operation.INSERT) == (Status.SKIPPED, Reason.ALREADY_EXISTS)
            with pytest.raises(RequestRejected):
                await outcome(webhook, Operation.UPSERT)

    asyncio.run(work())


def test_redirects_are_not_followed_even_if_the_client_would() -> None:
    async def work() -> None:
        seen: list[str] = []

        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(request.url.host)
            return httpx.Response(307, headers={"Location": "https://elsewhere.example/"})

        async with httpx.AsyncClient(transport=httpx.MockTransport(answer), follow_redirects=True) as client:
            webhook = Webhook(accounts.webhook("https://api.example"), TARGET, Webhook.Options(), client)
            with pytest.raises(AuthenticationFailed, match="redirects are not followed"):
                await outcome(webhook, Operation.UPSERT)
        assert seen == ["api.example"]

    asyncio.run(work())


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "10.1.2.3", "169.254.169.254", "[::ffff:10.0.0.1]"]
)
def test_private_addresses_are_refused(host: str) -> None:
    async def work() -> None:
        async with opened(f"http://{host}:9", allow_private=False) as webhook:
            for work in (outcome(webhook, Operation.UPSERT), webhook.check()):
                with pytest.raises(ConfigurationError, match="allow_private"):
                    await work

    asyncio.run(work())


def test_nothing_reaches_a_private_address(sandbox: Sandbox) -> None:
    async def work() -> None:
        async with opened(sandbox.url, allow_private=False) as webhook:
            with pytest.raises(ConfigurationError, match="allow_private"):
                await outcome(webhook, Operation.UPSERT)
        assert sandbox.log.lines() == []

    asyncio.run(work())


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "drop_before"}, Ambiguous),
        ({"kind": "drop_after"}, Ambiguous),
        ({"kind": "rate_limit", "retry_after": 4}, RetryLater),
        ({"kind": "server_error", "status": 500}, Ambiguous),
    ],
)
def test_faults_on_the_way(sandbox: Sandbox, fault: dict[str, Any], error: type[Exception]) -> None:
    async def work() -> None:
        async with opened(sandbox.url) as webhook:
            sandbox.fault(vendor="rest", next=1, **fault)
            with pytest.raises(error):
                await outcome(webhook, Operation.UPSERT)

    asyncio.run(work())


def test_a_lost_insert_is_not_repeated_by_the_server_that_knows_its_key(sandbox: Sandbox) -> None:
    async def work() -> None:
        async with opened(sandbox.url, path="/people?key=none", idempotency_header="Idempotency-Key") as webhook:
            sandbox.fault("drop_after", vendor="rest", next=1)
            with pytest.raises(Ambiguous):
                await outcome(webhook, Operation.INSERT)
            assert await outcome(webhook, Operation.INSERT) == (Status.CREATED, None)
        assert len(sandbox.rest.table("people").live()) == 1

    asyncio.run(work())


def test_check_asks_only_if_there_is_a_path(sandbox: Sandbox) -> None:
    async def work() -> None:
        async with opened(sandbox.url) as webhook:
            await webhook.check()
            assert sandbox.log.lines() == []
        async with opened(sandbox.url, check_path="/people/none") as webhook:
            with pytest.raises(CheckFailed, match="/people/none"):
                await webhook.check()
        sandbox.settings.change({"rest_token": "another"})
        async with opened(sandbox.url, check_path="/people/none") as webhook:
            with pytest.raises(AuthenticationFailed):
                await webhook.check()

    asyncio.run(work())


def test_no_secret_is_printed() -> None:
    settings = WebhookConnection(base_url="https://api.example", token="t0ken", secret_headers={"X-Key": "k3y"})
    assert "t0ken" not in f"{settings!r} {settings}"
    assert "k3y" not in f"{settings!r} {settings}"
