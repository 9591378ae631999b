"""The folder of a project's state and journal, and whose it is: what two projects shared would be mixed up."""

import json
import os
from pathlib import Path

from reverse_etl_assets.errors import ConfigurationError, StateError
from reverse_etl_assets.private_files import make_private_folder

VARIABLE = "REVERSE_ETL_HOME"
_MARK = "project.json"


def find_home(given: Path | None, *, beside: Path, earlier: Path, name: str) -> Path:
    """The folder that is given, or that `REVERSE_ETL_HOME` names, or else `.reverse_etl/<name>` beside a folder. A
    project that has one from an earlier release, beside the folder `earlier`, keeps it.

    Raises ConfigurationError for a relative path in the variable, and for a folder of another project.
    """
    named = os.environ.get(VARIABLE)
    if not given and named and not Path(named).is_absolute():
        # dbt reads it from the folder of its project, so there it would mean another place.
        raise ConfigurationError(f"{VARIABLE}={named} is a relative path; write it whole, from `/` on.")
    if given or named:
        home = Path(given or named or "").absolute()
        _refuse_other(home, name)
        return home
    old = earlier.absolute().parent / ".reverse_etl"
    if (old / "journal.sqlite").exists() and owner(old) in (None, name):
        return old
    home = beside.absolute().parent / ".reverse_etl" / name
    _refuse_other(home, name)
    return home


def owner(home: Path) -> str | None:
    """The name of the project that the folder is of; None if nobody has claimed it."""
    try:
        return str(json.loads((home / _MARK).read_text(encoding="utf-8"))["name"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigurationError(f"{home / _MARK}, which says whose folder this is, cannot be read.") from None


def claim(home: Path, name: str) -> None:
    """Mark the folder as the project's. Raises ConfigurationError if it is another's, StateError if it cannot be
    written."""
    _refuse_other(home, name)
    if (home / _MARK).exists():
        return
    try:
        make_private_folder(home)
        fresh = home / f"{_MARK}.{os.getpid()}"
        fresh.write_text(json.dumps({"name": name}) + "\n", encoding="utf-8")
        try:
            os.link(fresh, home / _MARK)  # of two processes at once, the first
        except FileExistsError:
            _refuse_other(home, name)
        finally:
            fresh.unlink()
        (home / ".gitignore").write_text("*\n", encoding="utf-8")  # rows' values are no part of a repository
    except OSError as error:
        raise StateError(f"{error.filename or home} cannot be made: {error.strerror}.") from None


def _refuse_other(home: Path, name: str) -> None:
    other = owner(home)
    if other not in (None, name):
        raise ConfigurationError(
            f"{home} has the state of project `{other}`, and this is project `{name}`. Give each a folder of its own"
            f" (`home`, or {VARIABLE}); if the project was renamed, write its new name into {home / _MARK}."
        )
