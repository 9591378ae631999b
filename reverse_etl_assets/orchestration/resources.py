"""A destination as a Dagster resource: where an account is and which environment variables hold its secrets.

Those of the vendors are in `vendor_resources.py`. One for a destination of your own is written by `resource_source.py`:

    class PeopleApiResource(DestinationResource):
        destination_type = PeopleApi

        token: str  # a SecretStr in PeopleApi.Connection, so only `dg.EnvVar` is taken
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import dagster as dg
from pydantic import ConfigDict, SecretBytes, SecretStr, ValidationError

from reverse_etl_assets.accounts.daily import Budget
from reverse_etl_assets.destinations.base import Account, BaseDestination
from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.records import Target

_IntEnvVar: Any = type(dg.EnvVar.int(""))  # Dagster has no public name for it
_BUDGET = {"daily_calls": "calls", "leave_percent": "leave"}


class DestinationResource(dg.ConfigurableResource[Any]):
    """One account of a destination. Its fields are fields of the destination type's `Connection`, but for its budget:
    all syncs together make at most `daily_calls` requests a day (UTC), and leave `leave_percent` of the vendor's own
    allowance to other tools.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    destination_type: ClassVar[type[BaseDestination[Any, Any]]]

    base_url: str
    requests_per_second: float | None = None
    concurrency: int | None = None
    largest_answer: int | None = None
    longest_exchange: float | None = None
    daily_calls: int | None = None
    leave_percent: float | None = None

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if not hasattr(cls, "destination_type"):
            raise ConfigurationError(f"{cls.__name__} has no `destination_type`: name the class of your destination.")
        if foreign := set(cls.model_fields) - set(cls.destination_type.Connection.model_fields) - set(_BUDGET):
            known = ", ".join(cls.destination_type.Connection.model_fields)
            raise ConfigurationError(
                f"{cls.__name__}: {', '.join(sorted(foreign))} is no field of its Connection, which has {known}."
            )

    def account(self, name: str) -> Account:
        """The account under the name that the code location gives it. Reads the environment, also outside Dagster.

        Raises ConfigurationError if a variable is not set or a value does not fit; no message holds a value.
        """
        settings = {"budget": self.budget(name)}
        for field, value in self._given():
            if field not in _BUDGET:
                settings[field] = _read(value, f"destination {name}: {field}")
        try:
            connection = self.destination_type.Connection.model_validate(settings)
        except ValidationError as error:
            raise ConfigurationError(_problems(name, error)) from None
        return Account(name, self.destination_type, connection)

    def budget(self, name: str) -> Budget:
        """What the account may use. Needs no credentials. Raises ConfigurationError if a value does not fit."""
        given = {field: value for field, value in self._given() if field in _BUDGET}
        try:
            return Budget.model_validate(
                {_BUDGET[field]: _read(value, f"destination {name}: {field}") for field, value in given.items()}
            )
        except ValidationError as error:
            raise ConfigurationError(_problems(name, error)) from None

    def refuse_literal_secrets(self, name: str) -> None:
        """Raises ConfigurationError if a secret stands in the code.

        Dagster stores the fields of a resource with its code location, where everyone with access to the UI reads
        them; of a `dg.EnvVar` it stores the name of the variable alone.
        """
        for field, value in self._given():
            if self._is_secret(field) and not all(isinstance(leaf, dg.EnvVar) for leaf in _leaves(value)):
                variable = f'dg.EnvVar("{f"{name}_{field}".upper()}")'
                right = f'{{"...": {variable}}}' if isinstance(value, Mapping) else variable
                raise ConfigurationError(
                    f"destination {name}: {field} is a secret, and would be readable in Dagster's UI."
                    f" Name an environment variable instead: {field}={right}."
                )

    def known_base_url(self) -> str | None:
        """The address, if it is known while definitions are loaded."""
        return self.base_url.get_value() if isinstance(self.base_url, dg.EnvVar) else self.base_url

    def link(self, target: Target) -> str | None:
        """Where people see the object, if the destination has such a page and its address is known."""
        base_url = self.known_base_url()
        return self.destination_type.link(base_url, target) if base_url else None

    def record_link(self, target: Target, destination_id: str, learned: Mapping[str, Sequence[str]]) -> str | None:
        """Where people see one record; likewise."""
        base_url = self.known_base_url()
        return self.destination_type.record_link(base_url, target, destination_id, learned) if base_url else None

    def _given(self) -> Iterator[tuple[str, Any]]:
        for field in type(self).model_fields:
            if (value := getattr(self, field)) is not None:
                yield field, value

    @classmethod
    def _is_secret(cls, field: str) -> bool:
        return field not in _BUDGET and _holds_secret(cls.destination_type.Connection.model_fields[field].annotation)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """A resource that Dagster has resolved holds secrets."""
        for field, value in self._given():
            yield field, "***" if self._is_secret(field) else value


def _read(value: Any, where: str) -> Any:
    """The value, with variables replaced by what the environment holds."""
    match value:
        case dg.EnvVar() | _IntEnvVar():
            try:
                found = value.get_value()
            except ValueError:
                raise ConfigurationError(
                    f"{where} needs a whole number in the environment variable {value.env_var_name}."
                ) from None
            if found in (None, ""):
                raise ConfigurationError(f"{where} needs the environment variable {value.env_var_name}; it is not set.")
            return found
        case Mapping():
            return {key: _read(inner, f"{where}.{key}") for key, inner in value.items()}
    return value


def _problems(name: str, error: ValidationError) -> str:
    """A line for each problem, under the resource's own name of the field; one about several names them itself."""
    own = {theirs: field for field, theirs in _BUDGET.items()}
    found = [(".".join(own.get(str(part), str(part)) for part in each["loc"]), each["msg"]) for each in error.errors()]
    return "\n".join(
        ": ".join(filter(None, (f"destination {name}", field, message.removeprefix("Value error, "))))
        for field, message in found
    )


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    else:
        yield value


def _holds_secret(annotation: Any) -> bool:
    if annotation in (SecretStr, SecretBytes):
        return True
    return any(_holds_secret(inner) for inner in getattr(annotation, "__args__", ()))
