"""The lock of a sync: one process at a time runs it, or changes what it remembers."""

from contextlib import AbstractContextManager
from typing import Any

import filelock

from reverse_etl_assets.errors import SyncBusy
from reverse_etl_assets.spec import Sync
from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse


def exclusive(sync: Sync | str, warehouse: DuckDBWarehouse) -> AbstractContextManager[Any]:
    """Only one process at a time runs a sync; the lock goes with the process, however it ends. Raises SyncBusy.

    A sync that was removed from the project has a name alone.
    """
    name = sync if isinstance(sync, str) else sync.sync
    warehouse.state_folder.mkdir(parents=True, exist_ok=True)
    try:
        return filelock.FileLock(warehouse.lock_file(name), timeout=0).acquire()
    except filelock.Timeout:
        raise SyncBusy(f"sync {name} is being run by another process; wait for it or stop it.") from None
