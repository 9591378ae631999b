"""The lines of an account in a file, for somebody who begins: each setting that it needs, from a variable."""

from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo

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
    for setting, value in account_settings(kind).items():
        words = ", ".join(f"{word}: {_word(text)}" for word, text in value.items())
        yield f"  {setting}: {{ {words} }}"


def resource_lines(kind: str, name: str) -> Iterator[str]:
    """The same in Python."""
    fields = destination_type(kind).Connection.model_fields
    yield f'"{name}": retl.{destination_type(kind).__name__}Resource('
    for setting in needed(kind):
        if fields[setting].annotation is not bool:  # no variable of Dagster's has such a value
            yield f'    {setting}=dg.EnvVar("{variable(kind, setting)}"),'
    yield "),"


def account_settings(kind: str) -> dict[str, dict[str, Any]]:
    """Each setting's variable, and what holds where it is not set."""
    fields = destination_type(kind).Connection.model_fields
    return {name: _value(kind, name, fields[name]) for name in needed(kind)}


def _value(kind: str, setting: str, field: FieldInfo) -> dict[str, Any]:
    default = None if field.is_required() else field.get_default()
    return {"env": variable(kind, setting), **({} if default in (None, "") else {"default": default})}


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
