"""A project: where its models, syncs, state and journal are. The same for Dagster, the command line and tests."""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reverse_etl_assets.dbt.manifest import Model, load_models
from reverse_etl_assets.dbt.names import Models
from reverse_etl_assets.dbt.parsed import last_parsed, manifest_at_hand, manifest_of_target
from reverse_etl_assets.dbt.profile import Profile, read_profile
from reverse_etl_assets.dbt.settings import DbtSettings, dbt_project_name
from reverse_etl_assets.destinations.base import BaseDestination
from reverse_etl_assets.errors import ConfigurationError, StateError, UnknownModel
from reverse_etl_assets.journal.stop_signals import StopSignals
from reverse_etl_assets.privacy.masking import Mask
from reverse_etl_assets.project.home import claim, find_home
from reverse_etl_assets.spec.loading import load_syncs
from reverse_etl_assets.spec.sync import Sync

if TYPE_CHECKING:
    from reverse_etl_assets.dbt.results import Dbt, Target
    from reverse_etl_assets.delivery.session import Environment
    from reverse_etl_assets.journal import Journal
    from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse

JOURNAL, MEMORY, LOCK_WAIT = "REVERSE_ETL_JOURNAL", "REVERSE_ETL_MEMORY", "REVERSE_ETL_LOCK_WAIT"
_LONGEST_WAIT = 3_600.0  # seconds


@dataclass(frozen=True)
class Project:
    """Paths and what is read from them. Nothing is opened, and no engine imported, before it is needed.

    `home_folder` or `REVERSE_ETL_HOME` names the folder of state and journal; if both are unset it is
    `.reverse_etl/<name>` beside the folder of syncs. It is of one project alone. `REVERSE_ETL_JOURNAL` names the
    journal's database URL (SQLite in that folder if unset), `REVERSE_ETL_MEMORY` what a comparison may take (`1GB` if
    unset; above it DuckDB spills to the home's disk), `REVERSE_ETL_LOCK_WAIT` for how many seconds a file is waited for
    that something else has open (60 if unset).
    """

    dbt: DbtSettings
    syncs_folder: Path
    destinations: Mapping[str, type[BaseDestination[Any, Any]]]
    values_in_events: bool = False
    """Show values of rows in Dagster's events, of columns that are not marked as personal data."""
    home_folder: Path | None = None
    """The folder of state and journal; comes before `REVERSE_ETL_HOME`."""
    name: str = ""
    """What tells it from other projects of a code location; the dbt project's name if left out."""

    def __post_init__(self) -> None:
        if self.name and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", self.name):
            raise ConfigurationError(f"the project's name is {self.name!r}; it has letters, digits and `_`.")

    @cached_property
    def prefix(self) -> str:
        """Its name, or that of its dbt project."""
        return self.name or re.sub(r"[^A-Za-z0-9_]", "_", dbt_project_name(self.dbt.project_dir))

    @cached_property
    def home(self) -> Path:
        """Raises ConfigurationError for a relative path, and for a folder that is another project's."""
        return find_home(self.home_folder, beside=self.syncs_folder, earlier=self.dbt.project_dir, name=self.prefix)

    @property
    def manifest(self) -> Path:
        return self.dbt.manifest

    @cached_property
    def models(self) -> Models:
        """What dbt says of the models, by each name of one: enough to load syncs, and to show what they did. Where
        their tables are is looked up when they are read, in `target_models`."""
        at_hand = manifest_at_hand(self.dbt)
        if at_hand:
            return load_models(at_hand)
        try:
            return self.target_models
        except ConfigurationError:  # states and journal are looked at all the same
            if left := last_parsed(self.dbt, self.home):
                return load_models(left)
            raise

    @cached_property
    def target_models(self) -> Models:
        """The same by a manifest that is certainly of the profile's target: parsed for it here, if need be.

        Raises ConfigurationError if there is none.
        """
        if not self.manifest.exists() and not self.dbt.project_file.exists():
            return load_models(self.manifest)  # it says so
        return load_models(manifest_of_target(self.dbt, self.profile, self.home))

    def _as_built(self, model: Model) -> Model:
        """The model where the target has it. Raises a ReverseEtlError if it does not, or dbt said otherwise."""
        found = self.target_models.by_id.get(model.unique_id)
        where = f"for profile `{self.profile.name}`, target `{self.profile.target}`"
        if found is None:
            raise StateError(f"model {model.name} is not in dbt's project {where}.")
        if found.unusable:
            raise StateError(f"model {model.name} {found.unusable} This is {where}.")
        from reverse_etl_assets.dbt.results import check_place

        check_place(self._dbt, found)
        return found

    @cached_property
    def syncs(self) -> dict[str, Sync]:
        try:
            return load_syncs(self.syncs_folder, self.models, self.destinations)
        except UnknownModel:
            if not self._knows_others():
                raise
            return load_syncs(self.syncs_folder, self.models, self.destinations)

    def _knows_others(self) -> bool:
        """A model that is not in the manifest at hand may be in the target's own: then that is the one to go by."""
        with suppress(ConfigurationError):
            before, self.__dict__["models"] = self.models, self.target_models
            return before.keys() != self.models.keys()
        return False

    def mask(self, sync: Sync) -> Mask:
        """What of the sync's rows people do not see by chance."""
        return Mask.of(sync, self.models[sync.model])

    def event_mask(self, sync: Sync) -> Mask:
        """The same where many look and nothing is ever deleted: a row's values do not stand there at all."""
        mask = self.mask(sync)
        return mask if self.values_in_events else mask.also(sync.mapping)

    @cached_property
    def profile(self) -> Profile:
        """dbt's, read when it is first asked for: dbt takes seconds to be imported."""
        return read_profile(self.dbt)

    @cached_property
    def warehouse(self) -> "DuckDBWarehouse":
        from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse

        return DuckDBWarehouse(
            lambda: self.profile.duckdb,
            self.home / "state",
            memory_limit=os.environ.get(MEMORY) or "1GB",
            lock_wait=_lock_wait(),
            built=self._as_built,
            dbt_folder=self.dbt.project_dir,
        )

    @cached_property
    def journal(self) -> "Journal":
        from reverse_etl_assets.journal import Journal

        claim(self.home, self.prefix)
        url = os.environ.get(JOURNAL) or f"sqlite:///{self.home / 'journal.sqlite'}"
        return Journal.open(url, stop_folder=self.home)

    @property
    def stop_signals(self) -> StopSignals:
        """Stops that hold without the journal."""
        return StopSignals(self.home)

    @cached_property
    def environment(self) -> "Environment":
        from reverse_etl_assets.delivery.session import Environment

        return Environment(self.journal, self.warehouse, self.models, dbt=self._dbt)

    @property
    def _dbt(self) -> "Dbt":
        from reverse_etl_assets.dbt.results import Dbt

        return Dbt(self.manifest, lambda: self.dbt_target)

    @property
    def dbt_target(self) -> "Target":
        """The target whose tables are read, by dbt's profile."""
        from reverse_etl_assets.dbt.results import Target

        profile = self.profile
        return Target(profile.target, profile.default_target, profile.name, self.target_models.by_id, profile.vars)


def _lock_wait() -> float:
    """Seconds. Raises ConfigurationError for what is none, or would hold a run up for hours."""
    named = os.environ.get(LOCK_WAIT) or "60"
    try:
        seconds = float(named)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_WAIT:
        raise ConfigurationError(f"{LOCK_WAIT}={named}: write seconds, from 0 to {_LONGEST_WAIT:.0f}, such as `120`.")
    return seconds
