"""Engines of DuckDB without files, used again: making one takes longer than most of what is done with it."""

import threading
from pathlib import Path

import duckdb

from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.warehouses.failures import first_line
from reverse_etl_assets.warehouses.statements import literal

_MOST_IDLE = 2
_idle: list[tuple[dict[str, str], duckdb.DuckDBPyConnection]] = []
"""Engines without files, each with its settings, the one that was used last at the end."""
_idle_lock = threading.Lock()
LEFT = """
select table_name from duckdb_tables() where database_name = 'memory'
union all select view_name from duckdb_views() where database_name = 'memory' and not internal
union all select database_name from duckdb_databases() where database_name <> 'memory' and not internal
"""
"""What is still in an engine that is given back."""


def taken(settings: dict[str, str], spill: Path) -> duckdb.DuckDBPyConnection:
    """One that is idle, or a new one. DuckDB does not move its folder for what memory cannot hold once it was used."""
    with _idle_lock:
        places = [place for place, (theirs, _) in enumerate(_idle) if theirs == settings]
        engine = _idle.pop(places[-1])[1] if places else None
    if engine:
        try:
            engine.execute(f"SET temp_directory = {literal(str(spill))}")
            return engine
        except duckdb.Error:
            engine.close()
    try:
        return duckdb.connect(":memory:", config={**settings, "temp_directory": str(spill)})
    except duckdb.ParserException as error:
        what = f"{settings['memory_limit']!r} is no size of memory"
        raise ConfigurationError(f"{what} ({first_line(error)}): REVERSE_ETL_MEMORY is written as `2GB`.") from None


def give_back(settings: dict[str, str], engine: duckdb.DuckDBPyConnection) -> None:
    with _idle_lock:
        _idle.append((settings, engine))
        longest_idle = _idle.pop(0)[1] if len(_idle) > _MOST_IDLE else None
    if longest_idle:
        longest_idle.close()
