"""The lock of a sync: one process at a time runs it, or changes what it remembers."""

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import filelock

from reverse_etl_assets.errors import StateError, SyncBusy
from reverse_etl_assets.private_files import make_private_folder
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse

_TRIES = 10


def exclusive(sync: Sync | str, warehouse: DuckDBWarehouse) -> AbstractContextManager[Any]:
    """Only one process at a time runs a sync; the lock goes with the process, however it ends. Raises SyncBusy.

    A sync that was removed from the project has a name alone.
    """
    name = sync if isinstance(sync, str) else sync.sync
    path = warehouse.lock_file(name)
    for _ in range(_TRIES):
        lock = filelock.FileLock(path, timeout=0)
        try:
            make_private_folder(warehouse.state_folder)
            held = lock.acquire()
        except filelock.Timeout:
            raise SyncBusy(f"sync {name} is being run by another process; wait for it or stop it.") from None
        except OSError as error:  # a Timeout is one, too
            raise StateError(f"{error.filename or path} cannot be made: {error.strerror}.") from None
        if _is_there(lock, path):
            return held
        lock.release()
    raise SyncBusy(f"{path} is removed again and again; find out by what, for it is what keeps two runs apart.")


def is_held(sync: str, warehouse: DuckDBWarehouse) -> bool:
    """Whether a process of this machine runs the sync just now. Raises StateError if that cannot be found out."""
    if not warehouse.lock_file(sync).exists():
        return False
    try:
        with exclusive(sync, warehouse):
            return False
    except SyncBusy:
        return True


def _is_there(lock: filelock.BaseFileLock, path: Path) -> bool:
    """Whether the file that is locked is the one that another process would lock: somebody may have put a new one in
    its place in between."""
    descriptor = lock._context.lock_file_fd
    try:
        return descriptor is not None and os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
