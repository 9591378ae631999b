"""The deployment that the commands work on."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from reverse_etl_assets.cli.chosen import CHOSEN
from reverse_etl_assets.cli.loaded import deployments_of
from reverse_etl_assets.cli.place import Place, find_place
from reverse_etl_assets.cli.variables import read_env_file
from reverse_etl_assets.deployment.deployment import ConfiguredDestination, Deployment
from reverse_etl_assets.deployment.file import read_deployment
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.errors import ConfigurationError, SpecError
from reverse_etl_assets.project import Project
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.spec.yaml_source import did_you_mean


class Deployed:
    """Project and destinations of the [place](place.py) that is meant, with the variables of its `.env`.

    Raises ConfigurationError if there is none, or it is not what it should be.
    """

    def __init__(self) -> None:
        self.place = find_place()
        read_env_file(self.place.folder)
        found = _deployment(self.place, CHOSEN.get().target or None)
        self.name = found.name
        self.project: Project = found.project
        self.destinations: Mapping[str, ConfiguredDestination] = found.destinations

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
        if not self.has_dagster:
            return
        import dagster as dg

        from reverse_etl_assets.orchestration.loaded import loaded_as

        with dg.DagsterInstance.get() as instance:
            loaded_as(self.project, self.destinations).syncs[sync.sync].hear(instance, self.project)

    @property
    def has_dagster(self) -> bool:
        """Whether this machine has an instance that runs the same: with `--target` it may be other tables."""
        return bool(os.environ.get("DAGSTER_HOME")) and not CHOSEN.get().target

    def link(self, sync: Sync) -> str | None:
        """Where people see what the sync writes, if the destination has such a page."""
        return self.destinations[sync.destination].link(sync.untyped_target)

    def record_link(self, sync: Sync, destination_id: str, learned: Mapping[str, Sequence[str]]) -> str | None:
        """Where people see one record that the sync writes, if the destination has such a page."""
        return self.destinations[sync.destination].record_link(sync.untyped_target, destination_id, learned)

    def account_without_credentials(self, sync: Sync) -> Account:
        """Enough to plan: nothing can be sent with it."""
        return Account(sync.destination, self.destinations[sync.destination].destination_type, None)


def _deployment(place: Place, target: str | None) -> Deployment:
    if place.file:
        return read_deployment(place.file, target)
    found = _one(deployments_of(place), place)
    if not target:
        return found
    return replace(found, project=replace(found.project, dbt=replace(found.project.dbt, target=target)))


def _one(found: Sequence[Deployment], place: Place) -> Deployment:
    """The one that is named, or the only one."""
    names = [each.name for each in found]
    if place.name:
        if place.name in names:
            return found[names.index(place.name)]
        problem = f"{place.module} has no project `{place.name}`{did_you_mean(place.name, names)}"
        raise ConfigurationError(f"{place.said_by}: {problem}")
    if len(found) == 1:
        return found[0]
    choices = " or ".join(f"--project {place.module}:{name}" for name in names)
    raise ConfigurationError(f"{place.said_by}: {place.module} has several projects; choose one: {choices}.")
