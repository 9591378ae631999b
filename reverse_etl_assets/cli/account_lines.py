"""The lines of an account in a file, for somebody who begins: each setting that it needs, from a variable."""

from collections.abc import Iterator
from typing import Any

from reverse_etl_assets.destinations.base import BaseDestination
from reverse_etl_assets.destinations.registry import destination_type

_SIGNS_IN = {
    "google_ads": ("service_account",),
    "postgres": ("password",),
    "salesforce": ("client_secret",),
    "webhook": ("token", "allow_private"),
    "zendesk": ("client_id", "client_secret"),
}
"""Of several ways to sign in, the settings of the usual one; the page of the destination has the others."""


def variable(kind: str, setting: str) -> str:
    return f"{kind}_{setting}".upper()


def needed(kind: str) -> list[str]:
    """Raises ConfigurationError for an unknown type."""
    fields = destination_type(kind).Connection.model_fields
    wanted = {"base_url", *_SIGNS_IN.get(kind, ())}
    return [name for name, field in fields.items() if field.is_required() or name in wanted]


def account_lines(kind: str, name: str) -> Iterator[str]:
    """Without indentation; `base_url` has a variable so that the sandbox can stand in for the vendor."""
    yield f"{name}:"
    yield f"  type: {kind}"
    for setting in needed(kind):
        yield f"  {setting}: {_value(destination_type(kind), kind, setting)}"


def _value(destination: type[BaseDestination[Any, Any]], kind: str, setting: str) -> str:
    field = destination.Connection.model_fields[setting]
    default = None if field.is_required() else field.get_default()
    text = str(default).lower() if isinstance(default, bool) else default
    return f"{{ env: {variable(kind, setting)}{f', default: {text}' if text else ''} }}"
