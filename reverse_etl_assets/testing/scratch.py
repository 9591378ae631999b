"""A warehouse with one model, to run a sync for real in a test."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.delivery.session import Environment
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.runs.run import run_sync
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse


class ScratchProject:
    """Files in a folder of the test's own: a DuckDB warehouse, the state of syncs and a journal."""

    def __init__(self, folder: Path, *, model: str = "people") -> None:
        self.folder, self._file = folder, folder / "warehouse.duckdb"
        self.models = {model: Model(model, f"model.scratch.{model}", "marts", model, {}, {})}
        self._model = model

    def run(self, sync: Mapping[str, Any], query: str, account: Account) -> Report:
        """Build the model from a query, and run the sync, which is what its YAML would say, as Dagster would.

        Raises pydantic's ValidationError for a sync that is wrong, and what `run_sync` raises.
        """
        with duckdb.connect(str(self._file)) as con:
            con.execute("create schema if not exists marts")
            con.execute(f'create or replace table marts."{self._model}" as {query}')
        journal = Journal.open(f"sqlite:///{self.folder / 'journal.sqlite'}", stop_folder=self.folder)
        try:
            warehouse = DuckDBWarehouse(self._file, self.folder / "state", threads=1)
            return run_sync(Sync.model_validate(dict(sync)), Environment(journal, warehouse, self.models), account)
        finally:
            journal.close()
