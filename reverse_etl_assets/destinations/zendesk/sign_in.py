"""How requests to Zendesk are signed: an OAuth client, or what is left of tokens, which end.

Dates and the inactivity rule: "Migrating from API tokens to OAuth access tokens" (developer.zendesk.com, read
2026-11-30). The client's request is JSON, with a lifetime of 300 to 172,800 seconds ("OAuth Tokens for Grant Types",
Zendesk's API reference, read 2026-11-30).
"""

from collections.abc import Mapping
from typing import Any

import httpx

from reverse_etl_assets.destinations.auth import BearerToken, ClientCredentials
from reverse_etl_assets.destinations.zendesk.options import ZendeskConnection

LIFETIME = 7_200
"""Seconds that an access token is asked for: without a number, those of a client of older date never end, and each run
would leave one behind. A run that takes longer gets another."""
_RIGHT = "make an OAuth client of the kind Confidential in Admin Center, and set `client_id` and `client_secret`"
_ADVICE = {
    "invalid_client": "`client_id` is the Identifier of the OAuth client, not its name or number, and `client_secret`"
    " its Secret, no API token and no access token",
    "unauthorized_client": "the OAuth client has to be of the kind Confidential",
    "unsupported_grant_type": "the OAuth client has to be of the kind Confidential",
    "404": "`base_url` looks like https://{subdomain}.zendesk.com",
    "invalid_scope": "`scope` has to be within the OAuth client's allowed scopes",
}


class OAuthClient(ClientCredentials):
    as_json = True
    advice = _ADVICE

    def _form(self) -> Mapping[str, Any]:
        return {**super()._form(), "expires_in": LIFETIME}


def signed(client: httpx.AsyncClient, settings: ZendeskConnection) -> httpx.Auth:
    if settings.client_id and settings.client_secret:
        scope = settings.scope
        return OAuthClient(client, "/oauth/tokens", settings.client_id, settings.client_secret, scope)
    assert settings.token is not None  # noqa: S101 - one of the two, says the connection
    if settings.email is None:
        return BearerToken(settings.token)
    return httpx.BasicAuth(f"{settings.email}/token", settings.token.get_secret_value())


def warnings(settings: ZendeskConnection) -> list[str]:
    """What of it ends."""
    if settings.client_id:
        return []
    if settings.email is None:
        return [f"`token` is an OAuth access token, which ends and is not renewed: {_RIGHT} in its place."]
    return [
        "Zendesk ends all API tokens on 2027-04-30, takes no new ones since 2026-10-27, and deactivates one that was"
        f" not used for 30 days: {_RIGHT} in place of `email` and `token`."
    ]


def refused(settings: ZendeskConnection) -> str:
    """Why a 401 may be, and what would be right."""
    if settings.client_id:
        return "a new access token was not taken either: is the user who made the OAuth client still an admin?"
    if settings.email is None:
        return (
            f"is the access token revoked, or at its end? Then {_RIGHT}. If it is an API token, it needs `email`, the"
            " address of its admin"
        )
    return (
        "is the API token revoked, or deactivated because it was not used for 30 days, or is `email` not its admin's?"
        f" There are no new ones since 2026-10-27: {_RIGHT}. If it is an OAuth access token, leave `email` out"
    )
