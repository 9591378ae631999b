"""Signing in to Zendesk: an OAuth client, whose tokens end, and what is left of API tokens and access tokens."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from reverse_etl_assets.destinations.zendesk import Zendesk
from reverse_etl_assets.destinations.zendesk.options import ZendeskConnection
from reverse_etl_assets.errors import AuthenticationFailed
from reverse_etl_assets.records import FieldType, Operation, Status
from reverse_etl_assets.testing.builders import batch, record, target
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts

USERS = target("users", "external_id", Operation.UPSERT, name=FieldType.TEXT)


def ask(account: ZendeskConnection, work: Callable[[Zendesk], Any]) -> Any:
    async def run() -> Any:
        async with httpx.AsyncClient(timeout=5) as client:
            return await work(Zendesk(account, USERS, Zendesk.Options(), client))

    return asyncio.run(run())


def refusal(account: ZendeskConnection) -> str:
    with pytest.raises(AuthenticationFailed) as caught:
        ask(account, lambda zendesk: zendesk.check())
    said = str(caught.value)
    for secret in (account.token, account.client_secret):
        assert secret is None or secret.get_secret_value() not in f"{said} {caught.value!r}"
    return said


def tokens(sandbox: Sandbox) -> int:
    return sum(line.operation == "token" for line in sandbox.log.lines("zendesk"))


def test_requests_share_one_token_and_get_another_when_it_has_ended(sandbox: Sandbox) -> None:
    async def work(zendesk: Zendesk) -> None:
        async def send(mark: str) -> set[Status]:
            rows = [batch(Operation.UPSERT, record(f"{mark}{at}", name="Ann")) for at in range(6)]
            answers = await asyncio.gather(*map(zendesk.send, rows))
            return {outcome.status for outcomes in answers for outcome in outcomes}

        assert await send("a") == {Status.CREATED}
        assert tokens(sandbox) == 1
        sandbox.zendesk.expire_tokens()
        assert await send("b") == {Status.CREATED}
        assert tokens(sandbox) == 2

    ask(accounts.zendesk(sandbox.url), work)


def test_a_token_has_an_end_of_its_own() -> None:
    now = [1_000_000.0]
    with Sandbox(clock=lambda: now[0]) as sandbox:

        async def work(zendesk: Zendesk) -> None:
            await zendesk.check()
            now[0] += 7_201
            await zendesk.check()

        ask(accounts.zendesk(sandbox.url), work)
        assert tokens(sandbox) == 2


def test_a_client_that_is_wrong_stops_with_what_would_be_right(sandbox: Sandbox) -> None:
    assert "`client_id` is the Identifier" in refusal(accounts.zendesk(sandbox.url, secret="zendesk-token"))
    public = ZendeskConnection(
        base_url=f"{sandbox.url}/zendesk", client_id="sandbox-public", client_secret=SecretStr("zendesk-secret")
    )
    assert "of the kind Confidential" in refusal(public)
    assert "allowed scopes" in refusal(accounts.zendesk(sandbox.url, scope="read everything"))


def test_a_client_that_may_only_read_stops_with_the_scopes_it_needs(sandbox: Sandbox) -> None:
    rows = batch(Operation.UPSERT, record("C1", name="Ann"))
    alone, as_job = (lambda zendesk: zendesk.send(rows)), (lambda zendesk: zendesk.open_job(rows))
    for account in (
        accounts.zendesk(sandbox.url, scope="read"),
        accounts.zendesk_by_token(sandbox.url, "zendesk-read-token"),
    ):
        for work in (alone, as_job):
            with pytest.raises(AuthenticationFailed, match="`read` and `write`"):
                ask(account, work)


def test_tokens_still_sign_in_and_say_that_they_end(sandbox: Sandbox) -> None:
    async def work(zendesk: Zendesk) -> list[str]:
        await zendesk.check()
        return zendesk.warnings()

    [said] = ask(accounts.zendesk_by_token(sandbox.url), work)
    assert "ends all API tokens on 2027-04-30" in said
    assert "`client_id` and `client_secret`" in said
    [said] = ask(accounts.zendesk_by_token(sandbox.url, sandbox.zendesk.tokens.issue(), email=None), work)
    assert "not renewed" in said
    assert ask(accounts.zendesk(sandbox.url), work) == []


def test_a_token_of_the_other_kind_is_told(sandbox: Sandbox) -> None:
    revoked = refusal(accounts.zendesk_by_token(sandbox.url, "zendesk-old-token"))
    assert "revoked, or deactivated because it was not used for 30 days" in revoked
    access_token = sandbox.zendesk.tokens.issue()
    assert "leave `email` out" in refusal(accounts.zendesk_by_token(sandbox.url, access_token))
    assert "needs `email`" in refusal(accounts.zendesk_by_token(sandbox.url, "zendesk-token", email=None))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "either `client_id` with `client_secret`, or `token`"),
        ({"client_id": "a"}, "belong together"),
        ({"client_id": "a", "client_secret": "b", "token": "c"}, "either `client_id`"),
        ({"client_id": "a", "client_secret": "b", "email": "a@shop.example"}, "`email` belongs to an API token"),
    ],
)
def test_an_account_signs_in_one_way(settings: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ZendeskConnection.model_validate({"base_url": "https://acme.zendesk.com", **settings})


@pytest.mark.parametrize(
    "answer",
    [
        {"error": "invalid_client", "error_description": "client_secret my-secret is unknown"},
        {"error": {"client_secret": "my-secret"}},
        {"why": "my-secret"},
    ],
)
def test_a_secret_that_the_token_endpoint_quotes_is_not_shown(answer: dict[str, Any]) -> None:
    async def work() -> None:
        told = httpx.MockTransport(lambda _: httpx.Response(401, json=answer))
        async with httpx.AsyncClient(transport=told) as client:
            await Zendesk(
                accounts.zendesk("https://api.example", "my-secret"), USERS, Zendesk.Options(), client
            ).check()

    with pytest.raises(AuthenticationFailed, match=r"\*\*\*") as caught:
        asyncio.run(work())
    assert "my-secret" not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize("where", ["error_description", "message", "description"])
def test_what_a_token_endpoint_says_beside_its_word_is_shown(where: str) -> None:
    async def work() -> None:
        answer = {"error": "invalid_client", where: "the client is gone"}
        told = httpx.MockTransport(lambda _: httpx.Response(401, json=answer))
        async with httpx.AsyncClient(transport=told) as client:
            await Zendesk(accounts.zendesk("https://api.example"), USERS, Zendesk.Options(), client).check()

    with pytest.raises(AuthenticationFailed, match="invalid_client: the client is gone"):
        asyncio.run(work())
