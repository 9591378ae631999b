"""What a token that HubSpot refuses is, as far as its form tells, and how the right one is got.

Forms: the token of a private app begins with `pat-` and the region, and a service key does, as users of it write
(HubSpot's own page shows none, read 2026-11-30); an OAuth access token begins with `C`, has up to 300 characters and
ends after 30 minutes, and its refresh token is a UUID ("OAuth token management"); so are a developer API key, an API
key of before 2022-11-30 ("Upcoming: API Key Sunset", changelog) and a client secret, some after a region.
"""

import re

_UUID = re.compile(r"((na|eu|ap)\d-)?[0-9a-f]{4,8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_OAUTH = re.compile(r"C[\w-]{40,}={0,2}", re.ASCII)
_OTHERS = (
    (re.compile(r"[spr]k_(live|test)_"), "a key of Stripe"),
    (re.compile(r"xox[a-z]-|xapp-"), "a token of Slack"),
    (re.compile(r"EAA"), "an access token of Meta"),
    (re.compile(r"ya29\.|1//"), "a token of Google"),
    (re.compile(r"00D\w{12,15}!"), "a session of Salesforce"),
    (re.compile(r"dG9rO"), "an access token of Intercom"),
    (re.compile(r"https?://"), "an address"),
)
_RIGHT = (
    "Make a service key in HubSpot (Development, Keys, Service keys) with the scopes that the sync needs, and give it"
    " as `access_token`; it begins with `pat-`."
)


def other_kind(token: str) -> str | None:
    """What a token is that is no service key."""
    if token.startswith("pat-"):
        return None
    if token[:7].lower() == "bearer ":
        return "a header: leave `Bearer ` out"
    if _UUID.fullmatch(token):
        return "a developer API key, an API key of before 2022, a client secret or an OAuth refresh token"
    if _OAUTH.fullmatch(token):
        return "an OAuth access token, which ends after 30 minutes"
    return next(
        (kind for form, kind in _OTHERS if form.match(token)),
        "nothing that is known of HubSpot: its tokens begin with `pat-`",
    )


def advice(token: str, category: str | None) -> str:
    """What is right, for a 401; nothing of the token is in it."""
    if kind := other_kind(token):
        return f"`access_token` looks like {kind}. {_RIGHT}"
    if category == "EXPIRED_AUTHENTICATION":
        return f"The key has expired, as one does that was rotated. {_RIGHT}"
    return f"Was the key rotated, deleted or switched off, or is it of another account? {_RIGHT}"
