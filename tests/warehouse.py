"""A warehouse file, written as dbt does. One engine writes for all tests: to start one takes longer than that."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path

import duckdb

from reverse_etl_assets.project import Project
from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse

_turn = threading.Lock()


@cache
def _engine() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


@contextmanager
def writing(file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the file, whose tables go by schema and name."""
    with _turn, _engine().cursor() as con:
        con.execute(f"attach '{file}' as \"{file.stem}\"")
        try:
            con.execute(f'use "{file.stem}"')
            yield con
        finally:
            con.execute(f'use memory; detach "{file.stem}"')


class ProjectOfFewRows(Project):
    """Compares a few rows, for which threads only wait."""

    @cached_property
    def warehouse(self) -> DuckDBWarehouse:
        return replace(super().warehouse, threads=1)
