"""A file that takes the place of another."""

import os
import shutil
from contextlib import suppress
from pathlib import Path


def put_in_place(fresh: Path, old: Path) -> None:
    """On disk when it returns."""
    _flush(fresh)
    fresh.replace(old)
    _flush(old.parent)


def give_to_owner_of(old: Path, fresh: Path) -> None:
    """Whoever rewrites a file may be another user than the one who runs syncs."""
    shutil.copymode(old, fresh)
    with suppress(PermissionError):
        os.chown(fresh, old.stat().st_uid, old.stat().st_gid)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
