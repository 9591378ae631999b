"""Where somebody's dbt project is, for commands that begin beside it."""

import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reverse_etl_assets.errors import ConfigurationError

_FILE = "dbt_project.yml"
_NOT_OWN = {"dbt_packages", "node_modules", "site-packages", "target"}


def find_dbt(given: Path | None) -> Path:
    """The folder that is given, the nearest upwards, or the only one a level below. Raises ConfigurationError."""
    here = Path.cwd()
    if given:
        folder = given.expanduser().absolute()
        if not (folder / _FILE).is_file():
            raise ConfigurationError(f"--dbt {given}: there is no {_FILE} in {folder}.")
        return folder
    for folder in (here, *here.parents):
        if (folder / _FILE).is_file():
            return folder
    below = sorted(_below(here))
    if len(below) > 1:
        choices = " or ".join(f"--dbt {folder.relative_to(here)}" for folder in below)
        raise ConfigurationError(f"there are several dbt projects here; choose one: {choices}.")
    if not below:
        raise ConfigurationError(
            f"no dbt project here: no {_FILE} in {here}, above, or a folder below; name it: --dbt DIR."
        )
    return below[0]


def _below(folder: Path) -> Iterator[Path]:
    for each in folder.iterdir():
        if each.name not in _NOT_OWN and not each.name.startswith(".") and (each / _FILE).is_file():
            yield each


@dataclass(frozen=True)
class DgProject:
    """A project of `dg`: its folder, and the folder of its definitions."""

    folder: Path
    defs: Path

    def dbt_component(self) -> str | None:
        """The folder of definitions that has a dbt project as a component, if there is one, relative to `defs`."""
        for file in sorted(self.defs.rglob("defs.yaml")) if self.defs.is_dir() else ():
            if "DbtProjectComponent" in file.read_text(encoding="utf-8", errors="replace"):
                return file.parent.relative_to(self.defs).as_posix()
        return None


def find_dg() -> DgProject | None:
    """The nearest project of `dg`, of this folder and those above."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        for file, below in (("pyproject.toml", ("tool", "dg", "project")), ("dg.toml", ("project",))):
            settings = _settings(folder / file, below)
            if root := settings.get("root_module"):
                module = str(settings.get("defs_module") or f"{root}.defs").replace(".", os.sep)
                source = folder / "src" if (folder / "src" / str(root).split(".")[0]).is_dir() else folder
                return DgProject(folder, source / module)
    return None


def _settings(file: Path, below: tuple[str, ...]) -> dict[str, object]:
    if not file.is_file():
        return {}
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}") from None
    for name in below:
        found = found.get(name, {}) if isinstance(found, dict) else {}
    return found if isinstance(found, dict) else {}
