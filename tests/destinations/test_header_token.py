"""A token in a header of its own; and one that no header can hold is told before anything goes out."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from pydantic import SecretStr

from reverse_etl_assets.destinations import BearerToken, ConfigurationError, HeaderToken, Operation
from reverse_etl_assets.destinations.webhook import Webhook, WebhookConnection
from reverse_etl_assets.testing import batch, error_of, record, target
from tests.destinations.leads_server import LeadsServer


@pytest.mark.parametrize(
    ("auth", "header", "sent"),
    [
        (HeaderToken("X-Api-Key", SecretStr("k1")), "X-Api-Key", "k1"),
        (HeaderToken("Authorization", SecretStr("k1"), scheme="Token"), "Authorization", "Token k1"),
        (BearerToken(SecretStr("k1")), "Authorization", "Bearer k1"),
    ],
)
def test_the_header_has_the_token(auth: httpx.Auth, header: str, sent: str) -> None:
    request = next(auth.auth_flow(httpx.Request("GET", "https://crm.example")))
    assert request.headers[header] == sent


def test_a_server_takes_it() -> None:
    with LeadsServer() as server:
        answers = [httpx.get(f"{server.url}/leads", auth=HeaderToken("X-Api-Key", key)) for key in keys(server)]
    assert [answer.status_code for answer in answers] == [200, 401]


def keys(server: LeadsServer) -> tuple[SecretStr, SecretStr]:
    return SecretStr(server.key), SecretStr("another")


@pytest.mark.parametrize("secret", ["", " k1", "k1\n", "k1\r\nX-Evil: 1", "schlüssel", "k\x7f1"])
@pytest.mark.parametrize(
    "auth", [BearerToken, lambda token: HeaderToken("X-Api-Key", token)], ids=["bearer", "a header of its own"]
)
def test_a_secret_that_no_header_holds_is_a_wrong_setting(auth: Callable[[SecretStr], httpx.Auth], secret: str) -> None:
    with pytest.raises(ConfigurationError, match="the token is empty, or has a line break") as error:
        next(auth(SecretStr(secret)).auth_flow(httpx.Request("GET", "https://crm.example")))
    assert not secret or secret not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"token": SecretStr("t\n")}, "the token"),
        ({"secret_headers": {"X-Api-Key": SecretStr("schlüssel")}}, "the secret header `X-Api-Key`"),
    ],
)
def test_so_are_those_of_a_webhook(settings: dict[str, object], named: str) -> None:
    connection = WebhookConnection.model_validate({"base_url": "http://127.0.0.1:9", "allow_private": True, **settings})
    api = Webhook.unopened(connection, target("people", "id"), Webhook.Options())
    error = asyncio.run(error_of(api.send(batch(Operation.UPSERT, record("p1")))))
    assert isinstance(error, ConfigurationError), error
    assert named in str(error)
