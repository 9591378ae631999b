"""A destination's budget, as a deployment writes it."""

from typing import Any

import dagster as dg
import pytest

from reverse_etl_assets.accounts.daily import Budget
from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.orchestration.vendor_resources import HubSpotResource, StripeResource


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDGET_TOKEN", "pat")
    monkeypatch.setenv("BUDGET_CALLS", "70000")
    monkeypatch.setenv("BUDGET_WORD", "many")
    monkeypatch.delenv("BUDGET_NONE", raising=False)


def resource(**budget: Any) -> HubSpotResource:
    return HubSpotResource(access_token=dg.EnvVar("BUDGET_TOKEN"), **budget)


@pytest.mark.parametrize(
    ("given", "budget"),
    [
        ({}, Budget(calls=None, leave=20)),
        ({"daily_calls": 50_000, "leave_percent": 12.5}, Budget(calls=50_000, leave=12.5)),
        ({"daily_calls": dg.EnvVar.int("BUDGET_CALLS")}, Budget(calls=70_000)),
    ],
)
def test_fields(given: dict[str, Any], budget: Budget) -> None:
    assert resource(**given).account("crm").connection.budget == budget


def test_it_is_known_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BUDGET_TOKEN")
    assert resource(daily_calls=5).budget("crm") == Budget(calls=5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"daily_calls": 0},
            "daily_calls: a budget of 0 sends nothing; to stop a destination use `reverse-etl stop --d",
        ),
        ({"daily_calls": -5}, "daily_calls: a budget of -5 sends nothing"),
        ({"leave_percent": 100}, "leave_percent: Input should be less than 100"),
        (
            {"daily_calls": dg.EnvVar.int("BUDGET_NONE")},
            "daily_calls needs the environment variable BUDGET_NONE; it is",
        ),
        ({"daily_calls": dg.EnvVar.int("BUDGET_WORD")}, "daily_calls needs a whole number in the environment variable"),
    ],
)
def test_mistakes(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as failure:
        resource(**given).account("crm")
    assert str(failure.value).startswith(f"destination crm: {said}")
    assert "many" not in str(failure.value)


def test_a_mistake_that_is_of_no_one_field_names_them_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDGET_TOKEN", "pk_live_1")
    with pytest.raises(ConfigurationError, match=r"^destination pay: secret_key begins with"):
        StripeResource(secret_key=dg.EnvVar("BUDGET_TOKEN")).account("pay")
