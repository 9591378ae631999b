"""Where somebody's dbt project is, for commands that begin beside it."""

import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reverse_etl_assets.dbt.settings import has_dbt_assets
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
    """A project of `dg`: its folder, the folder of its definitions, and the file that loads them, if there is one."""

    folder: Path
    defs: Path
    loader: Path

    @property
    def loads_defs(self) -> bool:
        """Whether what lies in `defs` is loaded: by its own file, or by dg where there is none."""
        return not self.loader.is_file() or bool(re.search(r"load_from_defs_folder|load_defs\b", _text(self.loader)))

    def dbt_defs(self) -> str | None:
        """Where dbt assets are among the definitions, if there are any: the folder of a component, or a file of code,
        relative to `defs`."""
        if not self.defs.is_dir():
            return None
        for file in sorted(self.defs.rglob("defs.yaml")):
            if "DbtProjectComponent" in _text(file):
                return file.parent.relative_to(self.defs).as_posix()
        for file in sorted(self.defs.rglob("*.py")):
            if has_dbt_assets(file):
                return file.relative_to(self.defs).as_posix()
        return None


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def find_dg() -> DgProject | None:
    """The nearest project of `dg`, of this folder and those above."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        for file, below in (("pyproject.toml", ("tool", "dg", "project")), ("dg.toml", ("project",))):
            settings = _settings(folder / file, below)
            if root := settings.get("root_module"):
                module = str(settings.get("defs_module") or f"{root}.defs").replace(".", os.sep)
                source = folder / "src" if (folder / "src" / str(root).split(".")[0]).is_dir() else folder
                loader = str(settings.get("code_location_target_module") or f"{root}.definitions").replace(".", os.sep)
                return DgProject(folder, source / module, source / f"{loader}.py")
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
