"""An account of a destination as it was written down: settings with their values, or the variables that hold them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_origin

from pydantic import SecretBytes, SecretStr, ValidationError

from reverse_etl_assets.accounts.daily import Budget
from reverse_etl_assets.destinations.base import Account, BaseDestination
from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.records import Target

BUDGET = {"daily_calls": "calls", "leave_percent": "leave"}
"""The settings of an account's budget, each with the field of `Budget` that it fills."""


@dataclass(frozen=True)
class Variable:
    """An environment variable that holds a setting, `default` where it is not set; `whole` if that has to be a whole
    number."""

    name: str
    whole: bool = False
    default: Any = None

    @property
    def value(self) -> Any:
        return os.environ.get(self.name) or self.default

    def read(self, where: str) -> Any:
        """Raises ConfigurationError if it is not set or does not fit; no message holds its value."""
        if (value := self.value) is None:
            raise ConfigurationError(f"{where} needs the environment variable {self.name}; it is not set.")
        if self.whole:
            try:
                int(value)
            except ValueError:
                text = f"{where} needs a whole number in the environment variable {self.name}."
                raise ConfigurationError(text) from None
        return value


@dataclass(frozen=True)
class DestinationSettings:
    """Settings of one account. Their names are the fields of the destination type's `Connection`, but for its budget:
    all syncs together make at most `daily_calls` requests a day (UTC), and leave `leave_percent` of the vendor's own
    allowance to other tools.
    """

    destination_type: type[BaseDestination[Any, Any]]
    given: Mapping[str, Any] = field(repr=False)  # it may hold secrets

    def account(self, name: str) -> Account:
        """The account under this name. Reads the environment.

        Raises ConfigurationError if a variable is not set or a value does not fit; no message holds a value.
        """
        settings: dict[str, Any] = {"budget": self.budget(name)}
        for setting, value in self.given.items():
            if setting not in BUDGET:
                settings[setting] = _read(value, f"destination {name}: {setting}")
        try:
            connection = self.destination_type.Connection.model_validate(settings)
        except ValidationError as error:
            raise ConfigurationError(_problems(name, error)) from None
        return Account(name, self.destination_type, connection)

    def budget(self, name: str) -> Budget:
        """What the account may use. Needs no credentials. Raises ConfigurationError if a value does not fit."""
        given = {setting: value for setting, value in self.given.items() if setting in BUDGET}
        try:
            return Budget.model_validate(
                {BUDGET[setting]: _read(value, f"destination {name}: {setting}") for setting, value in given.items()}
            )
        except ValidationError as error:
            raise ConfigurationError(_problems(name, error)) from None

    def known(self, setting: str) -> Any:
        """Its value, where it can be told without credentials: what was written, what its variable holds now, or what
        holds if nothing was written."""
        if setting in self.given:
            value = self.given[setting]
            return value.value if isinstance(value, Variable) else value
        connection = self.destination_type.Connection.model_fields.get(setting)
        return None if connection is None or connection.is_required() else connection.get_default()

    def variables(self) -> dict[str, str]:
        """The environment variables that the account needs, each with the setting that names it."""
        return {
            leaf.name: setting
            for setting, value in self.given.items()
            for leaf in leaves(value)
            if isinstance(leaf, Variable)
        }

    def literal_secrets(self) -> list[str]:
        """The settings that hold a secret itself, where the name of a variable has to stand."""
        return [
            setting
            for setting, value in self.given.items()
            if is_secret(self.destination_type, setting)
            and not all(isinstance(leaf, Variable) for leaf in leaves(value))
        ]

    def link(self, target: Target) -> str | None:
        """Where people see the object, if the destination has such a page and its address is known."""
        base_url = self.known("base_url")
        return self.destination_type.link(base_url, target) if base_url else None

    def record_link(self, target: Target, destination_id: str, learned: Mapping[str, Sequence[str]]) -> str | None:
        """Where people see one record; likewise."""
        base_url = self.known("base_url")
        return self.destination_type.record_link(base_url, target, destination_id, learned) if base_url else None


def settings_of(destination_type: type[BaseDestination[Any, Any]]) -> list[str]:
    """The names of the settings that an account of this type takes."""
    return [*(name for name in destination_type.Connection.model_fields if name != "budget"), *BUDGET]


def is_secret(destination_type: type[BaseDestination[Any, Any]], setting: str) -> bool:
    return setting not in BUDGET and _holds_secret(destination_type.Connection.model_fields[setting].annotation)


def takes_names(destination_type: type[BaseDestination[Any, Any]], setting: str) -> bool:
    """Whether the setting is a mapping of names of the user's own, as headers are."""
    return setting not in BUDGET and _is_mapping(destination_type.Connection.model_fields[setting].annotation)


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from leaves(inner)
    else:
        yield value


def _read(value: Any, where: str) -> Any:
    """The value, with variables replaced by what the environment holds."""
    match value:
        case Variable():
            return value.read(where)
        case Mapping():
            return {key: _read(inner, f"{where}.{key}") for key, inner in value.items()}
    return value


def _problems(name: str, error: ValidationError) -> str:
    """A line for each problem, under the settings' own names; one about several names them itself."""
    own = {theirs: setting for setting, theirs in BUDGET.items()}
    found = [(".".join(own.get(str(part), str(part)) for part in each["loc"]), each["msg"]) for each in error.errors()]
    return "\n".join(
        ": ".join(filter(None, (f"destination {name}", setting, message.removeprefix("Value error, "))))
        for setting, message in found
    )


def _holds_secret(annotation: Any) -> bool:
    if annotation in (SecretStr, SecretBytes):
        return True
    return any(_holds_secret(inner) for inner in getattr(annotation, "__args__", ()))


def _is_mapping(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return True
    return any(map(_is_mapping, getattr(annotation, "__args__", ())))
