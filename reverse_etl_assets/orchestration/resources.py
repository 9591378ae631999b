"""A destination as a Dagster resource: where an account is and which environment variables hold its secrets.

Those of the vendors are in `vendor_resources.py`. One for a destination of your own is written by `resource_source.py`:

    class PeopleApiResource(DestinationResource):
        destination_type = PeopleApi

        token: str  # a SecretStr in PeopleApi.Connection, so only `dg.EnvVar` is taken
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import dagster as dg
from pydantic import ConfigDict

from reverse_etl_assets.accounts.daily import Budget
from reverse_etl_assets.deployment.settings import BUDGET, DestinationSettings, Variable, is_secret
from reverse_etl_assets.destinations.base import Account, BaseDestination
from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.records import Target

_IntEnvVar: Any = type(dg.EnvVar.int(""))  # Dagster has no public name for it


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
        if foreign := set(cls.model_fields) - set(cls.destination_type.Connection.model_fields) - set(BUDGET):
            known = ", ".join(cls.destination_type.Connection.model_fields)
            raise ConfigurationError(
                f"{cls.__name__}: {', '.join(sorted(foreign))} is no field of its Connection, which has {known}."
            )

    def account(self, name: str) -> Account:
        """The account under the name that the code location gives it. Reads the environment, also outside Dagster.

        Raises ConfigurationError if a variable is not set or a value does not fit; no message holds a value.
        """
        return self._settings().account(name)

    def budget(self, name: str) -> Budget:
        """What the account may use. Needs no credentials. Raises ConfigurationError if a value does not fit."""
        return self._settings().budget(name)

    def known(self, field: str) -> Any:
        """A setting's value, if it is known while definitions are loaded."""
        return self._settings().known(field)

    def variables(self) -> Mapping[str, str]:
        """The environment variables that the account needs, each with the field that names it."""
        return self._settings().variables()

    def _settings(self) -> DestinationSettings:
        """The same without Dagster."""
        given = {field: _plain(getattr(self, field)) for field in type(self).model_fields}
        return DestinationSettings(self.destination_type, {f: value for f, value in given.items() if value is not None})

    def refuse_literal_secrets(self, name: str) -> None:
        """Raises ConfigurationError if a secret stands in the code.

        Dagster stores the fields of a resource with its code location, where everyone with access to the UI reads
        them; of a `dg.EnvVar` it stores the name of the variable alone.
        """
        for field in self._settings().literal_secrets():
            variable = f'dg.EnvVar("{f"{name}_{field}".upper()}")'
            right = f'{{"...": {variable}}}' if isinstance(getattr(self, field), Mapping) else variable
            raise ConfigurationError(
                f"destination {name}: {field} is a secret, and would be readable in Dagster's UI."
                f" Name an environment variable instead: {field}={right}."
            )

    def link(self, target: Target) -> str | None:
        """Where people see the object, if the destination has such a page and its address is known."""
        return self._settings().link(target)

    def record_link(self, target: Target, destination_id: str, learned: Mapping[str, Sequence[str]]) -> str | None:
        """Where people see one record; likewise."""
        return self._settings().record_link(target, destination_id, learned)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """A resource that Dagster has resolved holds secrets."""
        for field in type(self).model_fields:
            if (value := getattr(self, field)) is not None:
                yield field, "***" if is_secret(self.destination_type, field) else value


def _plain(value: Any) -> Any:
    """The value, with Dagster's variables as ours."""
    match value:
        case dg.EnvVar() | _IntEnvVar():
            return Variable(value.env_var_name, whole=isinstance(value, _IntEnvVar))
        case Mapping():
            return {key: _plain(inner) for key, inner in value.items()}
    return value
