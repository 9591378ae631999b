"""A project: where its models, syncs, state and journal are. The same for Dagster, the command line and tests."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from reverse_etl_assets.dbt.manifest import Model, load_models
from reverse_etl_assets.dbt.profile import Profile, read_profile
from reverse_etl_assets.dbt.results import Dbt
from reverse_etl_assets.dbt.settings import DbtSettings
from reverse_etl_assets.delivery.session import Environment
from reverse_etl_assets.destinations.base import BaseDestination
from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal.stop_signals import StopSignals
from reverse_etl_assets.privacy.masking import Mask
from reverse_etl_assets.spec.loading import load_syncs
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse

HOME, JOURNAL, MEMORY = "REVERSE_ETL_HOME", "REVERSE_ETL_JOURNAL", "REVERSE_ETL_MEMORY"


@dataclass(frozen=True)
class Project:
    """Paths and what is read from them. Nothing is opened before it is needed.

    `REVERSE_ETL_HOME` names the folder of state and journal (`.reverse_etl` beside the dbt project if neither it nor
    `home_folder` does), `REVERSE_ETL_JOURNAL` the journal's database URL (SQLite in that folder if unset),
    `REVERSE_ETL_MEMORY` what a comparison may take (`1GB` if unset; above it DuckDB spills to the home's disk).
    """

    dbt: DbtSettings
    syncs_folder: Path
    destinations: Mapping[str, type[BaseDestination[Any, Any]]]
    values_in_events: bool = False
    """Show values of rows in Dagster's events, of columns that are not marked as personal data."""
    home_folder: Path | None = None
    """The folder of state and journal where `REVERSE_ETL_HOME` names none."""

    @cached_property
    def home(self) -> Path:
        named = os.environ.get(HOME)
        if named and not Path(named).is_absolute():
            # dbt reads it from the folder of its project, so there it would mean another place.
            raise ConfigurationError(f"{HOME}={named} is a relative path; write it whole, from `/` on.")
        return Path(named or self.home_folder or self.dbt.project_dir.parent / ".reverse_etl").absolute()

    @property
    def manifest(self) -> Path:
        return self.dbt.manifest

    @cached_property
    def models(self) -> dict[str, Model]:
        return load_models(self.manifest)

    @cached_property
    def syncs(self) -> dict[str, Sync]:
        return load_syncs(self.syncs_folder, self.models, self.destinations)

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
    def warehouse(self) -> DuckDBWarehouse:
        return DuckDBWarehouse(
            lambda: self.profile.duckdb,
            self.home / "state",
            memory_limit=os.environ.get(MEMORY) or "1GB",
            dbt_folder=self.dbt.project_dir,
        )

    @cached_property
    def journal(self) -> Journal:
        url = os.environ.get(JOURNAL) or f"sqlite:///{self.home / 'journal.sqlite'}"
        return Journal.open(url, stop_folder=self.home)

    @property
    def stop_signals(self) -> StopSignals:
        """Stops that hold without the journal."""
        return StopSignals(self.home)

    @cached_property
    def environment(self) -> Environment:
        dbt = Dbt(self.manifest, lambda: self.profile.target)
        return Environment(self.journal, self.warehouse, self.models, dbt=dbt)
