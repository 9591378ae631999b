"""What takes seconds to make is made once a run of the tests, by whichever worker needs it first."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import filelock
import pytest


@dataclass(frozen=True)
class Once:
    """`folder` is the same for all workers."""

    folder: Path

    @classmethod
    def of(cls, folders: pytest.TempPathFactory) -> "Once":
        base = folders.getbasetemp()
        return cls(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)

    def __call__(self, name: str, make: Callable[[Path], object]) -> Path:
        """The folder of this name, which `make` has filled; who gets it only reads it."""
        made, whole = self.folder / name, self.folder / f"{name}.whole"
        with filelock.FileLock(self.folder / f"{name}.lock"):
            if not whole.exists():
                shutil.rmtree(made, ignore_errors=True)
                made.mkdir()
                make(made)
                whole.touch()
        return made
