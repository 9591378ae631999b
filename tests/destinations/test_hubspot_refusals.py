"""What HubSpot's refusals of a whole request mean: limits, scopes, properties, statuses."""

import httpx
import pytest

from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    DestinationError,
    QuotaExhausted,
    RequestRejected,
    RetryLater,
)
from reverse_etl_assets.records import FieldType, Operation
from reverse_etl_assets.testing.builders import target
from tests.destinations import accounts

TARGET = target("contacts", "email", *Operation, lifecyclestage=FieldType.TEXT)


def hubspot() -> HubSpot:
    return accounts.offline(HubSpot, accounts.hubspot("https://api.example"), TARGET)


def limited(policy: str | None, **headers: str) -> DestinationError:
    body = {"status": "error", "message": "You have reached your limit.", "policyName": policy}
    return hubspot().error_for(httpx.Response(429, json=body, headers=headers))


@pytest.mark.parametrize(
    ("policy", "headers", "after"),
    [
        ("TEN_SECONDLY_ROLLING", {}, 10.0),
        ("TEN_SECONDLY_ROLLING", {"Retry-After": "3"}, 3.0),
        ("SECONDLY", {}, 1.0),
        (None, {}, None),
    ],
)
def test_rate_limits_hold_the_account(policy: str | None, headers: dict[str, str], after: float | None) -> None:
    error = limited(policy, **headers)
    assert isinstance(error, RetryLater)
    assert (error.after, error.hold) == (after, True)


def test_the_daily_limit_ends_the_run() -> None:
    assert isinstance(limited("DAILY"), QuotaExhausted)


@pytest.mark.parametrize(
    ("status", "headers", "error", "after"),
    [
        (423, {}, RetryLater, 2.0),
        (423, {"Retry-After": "1"}, RetryLater, 2.0),
        (423, {"Retry-After": "9"}, RetryLater, 9.0),
        (477, {"Retry-After": "30"}, RetryLater, 30.0),
        (477, {}, RetryLater, 60.0),
        (503, {}, RetryLater, None),
        (521, {}, RetryLater, None),
        (500, {}, Ambiguous, None),
        (502, {}, Ambiguous, None),
        (504, {}, Ambiguous, None),
        (524, {}, Ambiguous, None),
        (401, {}, AuthenticationFailed, None),
        (400, {}, RequestRejected, None),
        (409, {}, RequestRejected, None),
    ],
)
def test_statuses(status: int, headers: dict[str, str], error: type[DestinationError], after: float | None) -> None:
    for content in (b"", b"<html>", b'{"message":"m","category":"C"}'):
        found = hubspot().error_for(httpx.Response(status, headers=headers, content=content))
        assert type(found) is error
        assert getattr(found, "after", None) == after
        assert getattr(found, "hold", None) == (status in (423, 477) if isinstance(found, RetryLater) else None)
        assert str(found).startswith("C: m") if b"C" in content else str(status) in str(found)


def test_missing_scopes_are_named() -> None:
    body = {
        "status": "error",
        "message": "This app hasn't been granted all required scopes.",
        "category": "MISSING_SCOPES",
        "errors": [
            {
                "message": "One or more of the following scopes are required.",
                "context": {"requiredGranularScopes": ["crm.objects.contacts.write"]},
            }
        ],
    }
    error = hubspot().error_for(httpx.Response(403, json=body))
    assert isinstance(error, AuthenticationFailed)
    assert "crm.objects.contacts.write" in str(error)


@pytest.mark.parametrize("name", ["requiredGranularScopes", "requiredScopes", "missingScopes"])
@pytest.mark.parametrize("nested", [True, False])
def test_scopes_are_named_wherever_they_stand(name: str, nested: bool) -> None:
    context = {"context": {name: ["crm.lists.write", "crm.lists.read"]}}
    body = {"message": "no", "category": "MISSING_SCOPES"} | ({"errors": [context, context]} if nested else context)
    error = hubspot().error_for(httpx.Response(403, json=body))
    assert str(error).startswith(
        "MISSING_SCOPES: no. Scopes that are needed: crm.lists.write, crm.lists.read. A service"
    )
