"""What a team has set up: a project and an account of each destination that its syncs write to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from reverse_etl_assets.accounts.daily import Budget
from reverse_etl_assets.destinations.base import Account, BaseDestination
from reverse_etl_assets.project import Project
from reverse_etl_assets.records import Target


class ConfiguredDestination(Protocol):
    """One account of a destination, however somebody wrote it down."""

    @property
    def destination_type(self) -> type[BaseDestination[Any, Any]]: ...

    def account(self, name: str) -> Account:
        """The account, with credentials. Raises ConfigurationError if they are missing."""

    def budget(self, name: str) -> Budget:
        """What it may use in a day. Needs no credentials."""

    def known(self, field: str) -> Any:
        """A setting's value as far as it is known without credentials; None if it is not."""

    def variables(self) -> Mapping[str, str]:
        """The environment variables that it needs, each with the setting that names it."""

    def link(self, target: Target) -> str | None:
        """Where people see the object, if the destination has such a page."""

    def record_link(self, target: Target, destination_id: str, learned: Mapping[str, Sequence[str]]) -> str | None:
        """Where people see one record; likewise."""


@dataclass(frozen=True)
class Deployment:
    """`name` tells it from others in one code location."""

    name: str
    project: Project
    destinations: Mapping[str, ConfiguredDestination]
