"""What Slack's error codes mean for whoever sent the request.

Slack answers 200 to what it refuses, too: `{"ok": false, "error": "channel_not_found"}`. Codes and their meaning are
those of the method pages chat.postMessage, chat.update and chat.delete (docs.slack.dev, August 2026). A code that is
not named here is about the message itself: the row is refused.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from reverse_etl_assets.destinations.base import decode_json, retry_after, status_words
from reverse_etl_assets.destinations.status_errors import words_in
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    ConfigurationError,
    DestinationError,
    QuotaExhausted,
    RequestRejected,
    RetryLater,
)

GONE = "message_not_found"

_RATE = frozenset({"ratelimited", "rate_limited"})
_BUSY = frozenset(
    {
        "external_channel_migrating",
        "request_timeout",  # "the POST data was either missing or truncated"
        "service_unavailable",
        "team_added_to_org",
    }
)
_IN_DOUBT = frozenset({"fatal_error", "internal_error", "update_failed"})
"""The first two say that "some aspect of the operation" may have succeeded."""
_FULL = frozenset({"message_limit_exceeded"})
_TOKEN = frozenset(
    {
        "access_denied",
        "accesslimited",
        "account_inactive",
        "app_access_restricted",
        "deprecated_endpoint",
        "ekm_access_denied",
        "enterprise_is_restricted",
        "invalid_auth",
        "is_bot",
        "method_deprecated",
        "missing_scope",
        "no_permission",
        "not_allowed_token_type",
        "not_authed",
        "org_login_required",
        "team_access_not_granted",
        "token_expired",
        "token_revoked",
        "two_factor_setup_required",
        "unknown_method",
    }
)
_CHANNEL = frozenset(
    {
        "channel_not_found",
        "is_archived",
        "is_inactive",
        "messages_tab_disabled",
        "not_in_channel",
        "posting_to_channel_denied",
        "restricted_action",
        "restricted_action_read_only_channel",
        "restricted_action_thread_only_channel",
        "team_not_found",
    }
)

_ADVICE = {
    "account_inactive": "the app was removed from the workspace, or the workspace is gone",
    "cant_delete_message": "only the app that posted a message can delete it",
    "cant_update_message": "only the app that posted a message can change it",
    "channel_not_found": "there is no such channel, or it is private and the app is not in it",
    "edit_window_closed": "the workspace does not let messages be edited any more after some time",
    "invalid_auth": "the token is wrong; it is the app's Bot User OAuth Token, `xoxb-...`",
    "is_archived": "the channel is archived",
    "is_inactive": "the channel of the message is archived, frozen or deleted",
    "msg_blocks_too_long": "the blocks hold too much text in all",
    "no_text": "the message is empty",
    "not_in_channel": "the app is not in the channel: write `/invite @app` there",
    "restricted_action": "the workspace does not let the app post there",
    "token_expired": "the token has expired: install the app anew, without token rotation",
    "token_revoked": "the app was removed from the workspace, or its token was revoked",
}


_KINDS = {
    "xoxp-": "a user's token, with which messages are that person's",
    "xoxe": "a token of token rotation, which ends after 12 hours, or the one that renews it",
    "xapp-": "an app-level token, for events",
    "xox": "a token of a person's session or of an older kind of app",
    "https://": "an address, such as that of an incoming webhook",
}


def other_kind(token: str) -> str:
    """What a token is that is no bot's, by its form, and which is right ("Tokens" and "Using token rotation",
    docs.slack.dev, read 2026-11-30)."""
    if token.startswith("xoxb-"):
        return ""
    kind = next((kind for start, kind in _KINDS.items() if token.startswith(start)), "no token of a Slack app")
    return (
        f"`token` looks like {kind}: give the Bot User OAuth Token, `xoxb-...`, which is on the app's page under"
        " OAuth & Permissions once the app is installed"
    )


def answered(response: httpx.Response) -> Mapping[str, Any]:
    """The answer of a method, good or bad. Raises Ambiguous if it is none."""
    answer = decode_json(response)
    if not isinstance(answer, dict) or not isinstance(answer.get("ok"), bool):
        raise Ambiguous(f"the answer does not say `ok`: {status_words(response)}")
    return answer


def refusal(
    answer: Mapping[str, Any], response: httpx.Response, *, own_channel: bool = False
) -> DestinationError | ConfigurationError:
    """The error of an answer that is not ok. `own_channel`: the row names its channel, and the next row another one."""
    code = str(answer.get("error") or "unknown_error")
    more = [*_explained(code, answer)] or [each for each in [words_in(response, answer, but=code)] if each]
    text = ": ".join([code, *more] if "error" in answer else [status_words(response)])
    if code in _RATE:
        return RetryLater(text, retry_after(response), hold=True)
    if code in _BUSY:
        return RetryLater(text, retry_after(response))
    if code in _IN_DOUBT:
        return Ambiguous(text)
    if code in _FULL:
        return QuotaExhausted(text)
    if code in _TOKEN:
        return AuthenticationFailed(text)
    if code in _CHANNEL and not own_channel:
        return ConfigurationError(text)
    return RequestRejected(text, code)


def _explained(code: str, answer: Mapping[str, Any]) -> Iterator[str]:
    if code == "missing_scope":
        yield (
            f"the token needs `{answer.get('needed')}` and has `{answer.get('provided')}`;"
            " add it under OAuth & Permissions, and install the app anew"
        )
    if code in _ADVICE:
        yield _ADVICE[code]
    more = answer.get("response_metadata")
    for message in (more.get("messages") or ()) if isinstance(more, dict) else ():
        yield str(message)
