"""Stops that need no journal: a file in the project's home, or an environment variable.

`STOP` in the folder stops everything, `STOP.destination.<name>` and `STOP.sync.<name>` what they name. A file's text is
the reason, its owner is who gave it (unless a line `who: ...` says), and when it was last changed is when. The variable
`REVERSE_ETL_STOP` stops everything in the processes that have it, and its text is the reason.
"""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from reverse_etl_assets.errors import ConfigurationError, StateError
from reverse_etl_assets.journal.records import Stop
from reverse_etl_assets.private_files import make_private_folder

VARIABLE = "REVERSE_ETL_STOP"
_FILE = "STOP"
_WHO = "who: "
_MOST = 1000  # characters of a reason
_started = time.time()


def check_scope(scope: str) -> None:
    """Raises ConfigurationError unless the scope is `all`, `destination:<name>` or `sync:<name>`."""
    kind, _, name = scope.partition(":")
    if scope != "all" and not (kind in ("destination", "sync") and name and "/" not in name):
        raise ConfigurationError(f"kill switch: scope is {scope!r}, must be all, destination:<name> or sync:<name>")


class StopSignals:
    """The stops given in a folder and in the environment; without a folder only those of the environment."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def in_force(self, scopes: Sequence[str]) -> Stop | None:
        """The first of the scopes that is stopped. It never raises: a file that cannot be read is a stop."""
        return next((stop for scope in scopes for stop in self._given(scope)), None)

    def all(self) -> list[Stop]:
        return [stop for scope in ("all", *self._scopes()) for stop in self._given(scope)]

    def misnamed(self) -> list[Path]:
        """Files that look as if somebody meant a stop, and stop nothing."""
        meant = [] if self.folder is None else [path for path in _listed(self.folder) if path.name.upper()[:4] == _FILE]
        right = {self.file("all"), *map(self.file, self._scopes())}
        return [path for path in meant if path not in right]

    def file(self, scope: str) -> Path | None:
        if self.folder is None:
            return None
        return self.folder / (_FILE if scope == "all" else f"{_FILE}.{scope.replace(':', '.', 1)}")

    def write(self, scope: str, who: str, why: str) -> Path:
        """Raises ConfigurationError for a scope that is none, StateError if the file cannot be written."""
        check_scope(scope)
        if (path := self.file(scope)) is None:
            raise StateError("there is no folder for the file of a stop")
        try:
            make_private_folder(path.parent)
            path.write_text(f"{why}\n{_WHO}{who}\n")
        except OSError as error:
            raise StateError(f"{path} cannot be written: {error.strerror}") from None
        return path

    def remove(self, scope: str) -> bool:
        """Whether there was a file. Raises StateError if it cannot be removed."""
        path = self.file(scope)
        try:
            if path is None:
                return False
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise StateError(
                f"{path} cannot be removed: {error.strerror}; as long as it is there, {scope} is stopped"
            ) from None
        return True

    def _given(self, scope: str) -> Iterator[Stop]:
        if scope == "all" and (why := os.environ.get(VARIABLE)):
            yield Stop("all", "the environment", why[:_MOST], _started, VARIABLE)
        if path := self.file(scope):
            try:
                at = path.stat().st_mtime
            except (FileNotFoundError, NotADirectoryError):
                return
            except OSError as error:
                yield Stop(
                    scope, "nobody known", f"the file cannot be looked at: {error.strerror}", time.time(), str(path)
                )
                return
            yield _read(path, scope, at)

    def _scopes(self) -> list[str]:
        parts = [path.name.split(".", 2) for path in _listed(self.folder)] if self.folder else []
        return [
            f"{part[1]}:{part[2]}"
            for part in sorted(parts)
            if len(part) == 3 and part[0] == _FILE and part[1] in ("destination", "sync") and part[2]
        ]


def _read(path: Path, scope: str, at: float) -> Stop:
    try:
        lines = path.read_text(errors="replace")[: 2 * _MOST].splitlines()
    except OSError as error:
        lines = [f"(its reason cannot be read: {error.strerror})"]
    who = next((line.removeprefix(_WHO).strip() for line in lines if line.startswith(_WHO)), None)
    why = " ".join(line.strip() for line in lines if not line.startswith(_WHO)).strip()
    return Stop(scope, who or _owner(path), why[:_MOST] or "no reason given", at, str(path))


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except (KeyError, OSError, NotImplementedError):
        return "an unknown user"


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
