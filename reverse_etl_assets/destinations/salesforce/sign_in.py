"""How requests to Salesforce are signed: an External Client App, or a connected app that is there already.

The claims of a signed assertion: "OAuth 2.0 JWT Bearer Flow" (Salesforce Help, read 2026-11-22). Both kinds of app take
the same two flows; new connected apps cannot be made since Spring '26 ("Connected Apps Are Being Retired in
Salesforce", truesolv.com; "External Client Apps", auditforce.cloud; both read 2026-11-30).
"""

import httpx

from reverse_etl_assets.destinations.auth import ClientCredentials, FetchedToken, JwtBearer
from reverse_etl_assets.destinations.salesforce.options import SalesforceConnection

_TOKENS = "/services/oauth2/token"
_APP = "an External Client App (Setup, External Client App Manager)"
_ADVICE = {
    "invalid_client_id": f"`client_id` is the consumer key of {_APP}, not its name or Id",
    "invalid_client": f"`client_secret` is the consumer secret of {_APP}, no access token and no security token",
    "unsupported_grant_type": "enable the flow in the app's settings; `base_url` has to be your My Domain",
    "404": "`base_url` is your My Domain, https://acme.my.salesforce.com",
}
_GRANT = {
    False: "enable the client credentials flow in the app's settings, and name the user it runs as in its policies;"
    " `base_url` has to be your My Domain",
    True: "the app has to hold the certificate of `private_key`, the policies to admit `username`, and `audience` is"
    " https://test.salesforce.com for a sandbox org",
}


def signed(client: httpx.AsyncClient, settings: SalesforceConnection) -> FetchedToken:
    tokens: FetchedToken
    if settings.private_key:
        claims = {"iss": settings.client_id, "sub": settings.username or "", "aud": settings.audience}
        tokens = JwtBearer(client, _TOKENS, settings.private_key, claims)
    else:
        assert settings.client_secret is not None  # noqa: S101 - one of the two, says the connection
        tokens = ClientCredentials(client, _TOKENS, settings.client_id, settings.client_secret)
    tokens.advice = {**_ADVICE, "invalid_grant": _GRANT[settings.private_key is not None]}
    return tokens
