"""Where the project lies that the commands work on: a file, or a module of somebody's code."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reverse_etl_assets.cli.chosen import CHOSEN
from reverse_etl_assets.errors import ConfigurationError

DEPLOYMENT = "REVERSE_ETL_DEPLOYMENT"
FILE = "reverse_etl.yml"
_LINE = 'deployment = "your_package.deployment"'


@dataclass(frozen=True)
class Place:
    """A file with settings, or a module; `said_by` tells who named it, for messages.

    `folder` has the modules and `.env`. `name` chooses one of several deployments of a module. `defs_folder` says that
    the module is a folder of definitions, which Dagster loads by itself.
    """

    said_by: str
    folder: Path
    file: Path | None = None
    module: str = ""
    name: str = ""
    defs_folder: bool = False


def find_place() -> Place:
    """What `--project` names, else `REVERSE_ETL_DEPLOYMENT`, else the nearest of this folder and those above.

    Raises ConfigurationError if there is none, or it cannot be told.
    """
    if chosen := CHOSEN.get().project:
        return _named(chosen, f"--project {chosen}")
    if name := os.environ.get(DEPLOYMENT):
        return _named(name, f"{DEPLOYMENT}={name}")
    here = Path.cwd()
    for folder in (here, *here.parents):
        if place := _in(folder):
            return place
    raise ConfigurationError(
        f"no project here. `reverse-etl init` writes a {FILE} beside your dbt project. Or name the module that has your"
        f" `project` and `destinations`: with --project, in {DEPLOYMENT}, or in pyproject.toml, below"
        f" [tool.reverse_etl]: {_LINE}. This is {here}."
    )


def _named(name: str, said_by: str) -> Place:
    """A file, a folder that has a project, or a module (`MODULE:NAME` is one of its deployments)."""
    path = Path(name).expanduser().absolute()
    if path.suffix in (".yml", ".yaml"):
        return Place(said_by, path.parent, file=path)
    if path.is_dir() and (place := _in(path)):
        return place
    if "/" in name or name in (".", ".."):
        there = "has no project" if path.is_dir() else "is neither a folder nor a .yml file"
        raise ConfigurationError(f"{said_by}: {path} {there}; `reverse-etl init` begins one.")
    module, _, deployment = name.partition(":")
    return Place(said_by, Path.cwd(), module=module, name=deployment)


def _in(folder: Path) -> Place | None:
    """The project of a folder, if it has one."""
    if (folder / FILE).is_file():
        return Place(str(folder / FILE), folder, file=folder / FILE)
    tools = _toml(folder / "pyproject.toml").get("tool", {})
    where = folder / "pyproject.toml"
    if (own := tools.get("reverse_etl")) is not None:
        name = own.get("deployment") if isinstance(own, dict) else None
        if not isinstance(name, str) or set(own) != {"deployment"}:
            raise ConfigurationError(f"{where}: [tool.reverse_etl] takes one line, {_LINE}.")
        module, _, deployment = name.partition(":")
        return Place(f"{where}: [tool.reverse_etl]", folder, module=module, name=deployment)
    for said_by, project in (
        (f"{where}: [tool.dg.project]", tools.get("dg", {}).get("project")),
        (f"{folder / 'dg.toml'}: [project]", _toml(folder / "dg.toml").get("project")),
    ):
        if isinstance(project, dict) and (root := project.get("root_module")):
            return _of_dg(project, str(root), said_by, folder)
    return _of_dagster(tools.get("dagster"), f"{where}: [tool.dagster]", folder)


def _of_dg(project: Mapping[str, Any], root: str, said_by: str, folder: Path) -> Place:
    if project.get("autoload_defs"):
        module = str(project.get("defs_module") or f"{root}.defs")
        return Place(said_by, folder, module=module, defs_folder=True)
    return Place(said_by, folder, module=str(project.get("code_location_target_module") or f"{root}.definitions"))


def _of_dagster(dagster: Any, said_by: str, folder: Path) -> Place | None:
    if not isinstance(dagster, dict):
        return None
    modules = [each.get("name") for each in dagster.get("modules") or () if isinstance(each, dict)]
    names = [str(name) for name in (dagster.get("module_name"), *modules) if name]
    if len(names) > 1:
        raise ConfigurationError(f"{said_by} names several modules; choose one: --project {' or '.join(names)}.")
    return Place(said_by, folder, module=names[0]) if names else None


def _toml(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # also of text that is not UTF-8
        raise ConfigurationError(f"{file} cannot be read: {error}") from None
