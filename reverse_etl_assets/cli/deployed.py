"""The deployment that the commands work on, and how it is found."""

import importlib
import os
import sys
import sysconfig
import tomllib
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from reverse_etl_assets.cli.chosen import CHOSEN
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.errors import ConfigurationError, ReverseEtlError, SpecError
from reverse_etl_assets.project import Project
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.spec.yaml_source import did_you_mean

if TYPE_CHECKING:  # it imports Dagster, which the deployment does anyway
    from reverse_etl_assets.orchestration.resources import DestinationResource

MODULE = "REVERSE_ETL_DEPLOYMENT"
_NOT_OWN = {*map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")), str(Path(__file__).parents[1])}
_LINE = 'deployment = "your_package.deployment"'


class Deployed:
    """Project and destinations of a module: the one that `--project` or `REVERSE_ETL_DEPLOYMENT` names, else the one of
    the nearest `pyproject.toml`. Raises ConfigurationError if there is none, or it is not what it should be."""

    def __init__(self) -> None:
        name, said_by, folder = _named() or _nearest()
        module = _imported(name, said_by, folder)
        for wanted in ("project", "destinations"):
            if not hasattr(module, wanted):
                raise ConfigurationError(f"{said_by}: the module {name} has no `{wanted}`; it has to define both.")
        self.project: Project = module.project
        self.destinations: Mapping[str, DestinationResource] = module.destinations

    def sync(self, name: str) -> Sync:
        syncs = self.project.syncs
        folded = {known.lower(): sync for known, sync in syncs.items()}
        if found := folded.get(name.lower()):
            return found
        raise SpecError(f"there is no sync `{name}`{did_you_mean(name, syncs)}")

    def chosen(self, names: Sequence[str]) -> list[Sync]:
        """The named syncs, or all of them. Raises SpecError for an unknown name."""
        return [self.sync(name) for name in names] if names else list(self.project.syncs.values())

    def account(self, sync: Sync) -> Account:
        """Where the sync goes, with credentials. Raises ConfigurationError if they are missing."""
        return self.destinations[sync.destination].account(sync.destination)

    def ask_dagster(self, sync: Sync) -> None:
        """What its instance, if this machine has one, knows of the sync's model."""
        if not os.environ.get("DAGSTER_HOME"):
            return
        import dagster as dg

        from reverse_etl_assets.orchestration.loaded import loaded_as

        with dg.DagsterInstance.get() as instance:
            loaded_as(self.project, self.destinations).syncs[sync.sync].hear(instance, self.project)

    def link(self, sync: Sync) -> str | None:
        """Where people see what the sync writes, if the destination has such a page."""
        return self.destinations[sync.destination].link(sync.untyped_target)

    def record_link(self, sync: Sync, destination_id: str, learned: Mapping[str, Sequence[str]]) -> str | None:
        """Where people see one record that the sync writes, if the destination has such a page."""
        return self.destinations[sync.destination].record_link(sync.untyped_target, destination_id, learned)

    def account_without_credentials(self, sync: Sync) -> Account:
        """Enough to plan: nothing can be sent with it."""
        return Account(sync.destination, self.destinations[sync.destination].destination_type, None)


def _named() -> tuple[str, str, Path] | None:
    """The module that somebody has named, who did, and where it may lie."""
    if chosen := CHOSEN.get():
        return chosen, f"--project {chosen}", Path.cwd()
    if name := os.environ.get(MODULE):
        return name, f"{MODULE}={name}", Path.cwd()
    return None


def _nearest() -> tuple[str, str, Path]:
    """The same of the first `pyproject.toml` that has one, from this folder upwards."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        file = folder / "pyproject.toml"
        if not file.is_file():
            continue
        try:
            settings = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("reverse_etl")
        except (OSError, ValueError) as error:  # also of text that is not UTF-8
            raise ConfigurationError(f"{file} cannot be read: {error}") from None
        if settings is None:
            continue
        name = settings.get("deployment") if isinstance(settings, dict) else None
        if not isinstance(name, str) or set(settings) != {"deployment"}:
            raise ConfigurationError(f"{file}: [tool.reverse_etl] takes one line, {_LINE}.")
        return name, f"{file}: [tool.reverse_etl]", folder
    raise ConfigurationError(
        f"no project here. Name the module that has your `project` and `destinations`: with --project, in {MODULE}, or "
        f"in pyproject.toml, below [tool.reverse_etl]: {_LINE}. This is {here}."
    )


def _imported(name: str, said_by: str, folder: Path) -> ModuleType:
    if str(folder) not in sys.path:  # as for `python -m`: a deployment may lie in this folder
        sys.path.append(str(folder))
    try:
        return importlib.import_module(name)
    except ReverseEtlError:
        raise
    except (Exception, SystemExit) as error:  # whatever the module's own lines raise
        where = _lines_of(error)
        raise ConfigurationError(
            f"{said_by}: {name} cannot be imported: {where}{type(error).__name__}: {error}"
        ) from error


def _lines_of(error: BaseException) -> str:
    """The file and line of the user's own code where it went wrong, and the line of the module that imported it."""
    lines = [f"{each.filename}:{each.lineno}" for each in traceback.extract_tb(error.__traceback__) if _is_own(each)]
    if isinstance(error, SyntaxError):
        lines.append(f"{error.filename}:{error.lineno}")
    if len(lines) < 2:
        return "".join(f"{line}: " for line in lines)
    return f"{lines[-1]} (from {lines[0]}): "


def _is_own(line: traceback.FrameSummary) -> bool:
    """Neither Python's nor an installed package's nor ours."""
    return Path(line.filename).is_file() and not any(map(Path(line.filename).is_relative_to, _NOT_OWN))
