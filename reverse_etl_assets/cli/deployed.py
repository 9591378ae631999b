"""The deployment that the commands work on."""

import importlib
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.errors import ConfigurationError, ReverseEtlError, SpecError
from reverse_etl_assets.project import Project
from reverse_etl_assets.spec import Sync
from reverse_etl_assets.yaml_source import did_you_mean

if TYPE_CHECKING:  # it imports Dagster, which the deployment does anyway
    from reverse_etl_assets.orchestration.resources import DestinationResource

MODULE = "REVERSE_ETL_DEPLOYMENT"


class Deployed:
    """Project and destinations of the module that `REVERSE_ETL_DEPLOYMENT` names; ours if it is not set."""

    def __init__(self) -> None:
        name = os.environ.get(MODULE, "reverse_etl_assets.deployment")
        if (here := str(Path.cwd())) not in sys.path:  # as for `python -m`: a deployment may lie in this folder
            sys.path.append(here)
        try:
            module = importlib.import_module(name)
            self.project: Project = module.project
            self.destinations: Mapping[str, DestinationResource] = module.destinations
        except ReverseEtlError:
            raise
        except (ModuleNotFoundError, AttributeError) as error:
            raise ConfigurationError(
                f"{MODULE}={name}: {error}; it has to define `project` and `destinations`."
            ) from None
        except Exception as error:  # of somebody's own code
            what = f"{type(error).__name__}: {error} ({_place(error)})"
            raise ConfigurationError(f"{MODULE}={name} cannot be loaded: {what}.") from error

    def sync(self, name: str) -> Sync:
        syncs = self.project.syncs
        folded = {known.lower(): sync for known, sync in syncs.items()}
        if found := folded.get(name.lower()):
            return found
        raise SpecError(f"there is no sync `{name}`{did_you_mean(name, syncs)}")

    def chosen(self, names: Sequence[str]) -> list[Sync]:
        """The named syncs, or all of them. Raises SpecError for an unknown name."""
        return [self.sync(name) for name in names] if names else list(self.project.syncs.values())

    def account(self, sync: Sync) -> Account:
        """Where the sync goes, with credentials. Raises ConfigurationError if they are missing."""
        return self.destinations[sync.destination].account(sync.destination)

    def ask_dagster(self, sync: Sync) -> None:
        """What its instance, if this machine has one, knows of the sync's model."""
        if not os.environ.get("DAGSTER_HOME"):
            return
        import dagster as dg

        from reverse_etl_assets.orchestration.dbt import model_keys
        from reverse_etl_assets.orchestration.heard import hear

        with dg.DagsterInstance.get() as instance:
            key = model_keys(self.project)[sync.model]
            hear(instance, self.project.journal, self.project.models[sync.model], key)

    def link(self, sync: Sync) -> str | None:
        """Where people see what the sync writes, if the destination has such a page."""
        from reverse_etl_assets.orchestration.description import target

        return self.destinations[sync.destination].link(target(sync))

    def record_link(self, sync: Sync, destination_id: str, learned: Mapping[str, Sequence[str]]) -> str | None:
        """Where people see one record that the sync writes, if the destination has such a page."""
        from reverse_etl_assets.orchestration.description import target

        return self.destinations[sync.destination].record_link(target(sync), destination_id, learned)

    def account_without_credentials(self, sync: Sync) -> Account:
        """Enough to plan: nothing can be sent with it."""
        return Account(sync.destination, self.destinations[sync.destination].destination_type, None)


def _place(error: Exception) -> str:
    """File and line."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}:{last.lineno}"
