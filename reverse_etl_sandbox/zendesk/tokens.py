"""Who may call: API tokens with an admin's address, and OAuth access tokens, which an OAuth client gets and which end.

Sources: "Migrating from API tokens to OAuth access tokens" (developer.zendesk.com, read 2026-11-30) and "OAuth Tokens
for Grant Types" (Zendesk's API reference): parameters are JSON, a lifetime is of 300 to 172,800 seconds. What a bearer
token that is not taken is told: zendesk/zendesk_api_client_rb, issue 297.
"""

from __future__ import annotations

import base64
import secrets
from typing import Any

from reverse_etl_sandbox.gate import Context
from reverse_etl_sandbox.wire import Answer, Call
from reverse_etl_sandbox.zendesk.requests import failure, forbidden

API_TOKEN = "zendesk-token"  # noqa: S105 - the sandbox's own
READ_ONLY_TOKEN = "zendesk-read-token"  # noqa: S105 - of an agent who may only read
CLIENT_ID, CLIENT_SECRET = "sandbox", "zendesk-secret"
PUBLIC_CLIENT_ID = "sandbox-public"
"""A client of kind "public", which has no grant of its own."""
SHORTEST, LONGEST = 300, 172_800
_SCOPES = frozenset({"read", "write"})


class Tokens:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._issued: dict[str, tuple[float, frozenset[str]]] = {}

    def issue(self, scope: str = "read write", lifetime: float = LONGEST) -> str:
        """A new access token."""
        token = secrets.token_hex(32)
        self._issued[token] = (self._context.clock() + lifetime, frozenset(scope.split()))
        return token

    def clear(self) -> None:
        self._issued.clear()

    def refusal(self, call: Call) -> Answer | None:
        scheme, _, value = call.headers.get("authorization", "").partition(" ")
        if scheme == "Bearer":
            ends, scopes = self._issued.get(value, (0.0, frozenset[str]()))
            if ends <= self._context.clock():
                return invalid_token()
            return None if ("read" if call.method == "GET" else "write") in scopes else forbidden()
        token = _api_token(value) if scheme == "Basic" else ""
        if token == READ_ONLY_TOKEN and call.method != "GET":
            return forbidden()
        return None if token in (API_TOKEN, READ_ONLY_TOKEN) else failure(401, "Couldn't authenticate you")

    def create(self, call: Call) -> Answer:
        call.note("token")
        try:
            asked = call.json()
        except ValueError:
            asked = None
        if not isinstance(asked, dict):
            return _token_error(400, "invalid_request", "The request is missing a required parameter")
        if asked.get("grant_type") != "client_credentials":
            return _token_error(400, "unsupported_grant_type", "The grant type is not supported")
        if asked.get("client_id") == PUBLIC_CLIENT_ID:
            return _token_error(400, "unauthorized_client", "The client may not use this grant type")
        if (asked.get("client_id"), asked.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return _token_error(401, "invalid_client", "Client authentication failed")
        scope, lifetime = str(asked.get("scope", "")), asked.get("expires_in", LONGEST)
        if not scope or not set(scope.split()) <= _SCOPES:
            return _token_error(400, "invalid_scope", "The requested scope is invalid, unknown, or malformed")
        if not isinstance(lifetime, int) or not SHORTEST <= lifetime <= LONGEST:
            return _token_error(400, "invalid_request", "expires_in is out of range")
        told: dict[str, Any] = {"access_token": self.issue(scope, lifetime), "token_type": "bearer", "scope": scope}
        return Answer(200, told | {"expires_in": lifetime})


def invalid_token() -> Answer:
    text = "The access token provided is expired, revoked, malformed or invalid for other reasons."
    return Answer(401, {"error": "invalid_token", "error_description": text})


def _token_error(status: int, code: str, text: str) -> Answer:
    return Answer(status, {"error": code, "error_description": text})


def _api_token(value: str) -> str:
    try:
        login, _, token = base64.b64decode(value).decode().partition(":")
    except ValueError:
        return ""
    return token if login.endswith("/token") else ""
