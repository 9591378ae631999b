"""The deployments of a module of somebody's code: what it has, or what it builds while it is loaded."""

import importlib
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from reverse_etl_assets.cli.place import Place
from reverse_etl_assets.deployment.built import built
from reverse_etl_assets.deployment.deployment import Deployment
from reverse_etl_assets.errors import ConfigurationError, ReverseEtlError
from reverse_etl_assets.project import Project

_NOT_OWN = {*map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")), str(Path(__file__).parents[1])}
_LOADED: dict[str, tuple[ModuleType, Sequence[Deployment]]] = {}
_RIGHT = "it has to define both, or to call `build_sync_definitions`."


def deployments_of(place: Place) -> Sequence[Deployment]:
    """At least one. Raises ConfigurationError if there is none, or the module cannot be loaded."""
    for folder in (place.folder, place.folder / "src"):  # as for `python -m`: a deployment may lie there
        if folder.is_dir() and str(folder) not in sys.path:
            sys.path.append(str(folder))
    was_there = sys.modules.get(place.module)
    before = len(built())
    with _told_where(place):
        module = importlib.import_module(place.module)
        known = _LOADED.get(place.module)
        if known and known[0] is module:
            return known[1]
        if _is_deployment(module):
            return [Deployment("", module.project, module.destinations)]
        if len(built()) == before and "dagster" in sys.modules:
            _load_as_dagster_does(module, place)
    found = built()[before:] or (built() if was_there else [])  # it may have been loaded by somebody else
    if not found:
        raise ConfigurationError(f"{place.said_by}: the module {place.module} {_lacks(module)}; {_RIGHT}")
    _LOADED[place.module] = module, found
    return found


def _is_deployment(module: ModuleType) -> bool:
    own = (getattr(module, "project", None), getattr(module, "destinations", None))
    return isinstance(own[0], Project) and isinstance(own[1], Mapping)


def _lacks(module: ModuleType) -> str:
    for name in ("project", "destinations"):
        if not hasattr(module, name):
            return f"has no `{name}`"
    return "has a `project` or `destinations` that is none of ours"


def _load_as_dagster_does(module: ModuleType, place: Place) -> None:
    from reverse_etl_assets.orchestration.location import load_definitions

    load_definitions(module, place.folder if place.defs_folder else None)


@contextmanager
def _told_where(place: Place) -> Iterator[None]:
    """Whatever the lines of the module raise, told with the place of the line."""
    try:
        yield
    except ReverseEtlError:
        raise
    except (Exception, SystemExit) as error:
        if ours := _ours_behind(error):
            raise ours from None
        where = _lines_of(error)
        raise ConfigurationError(
            f"{place.said_by}: {place.module} cannot be imported: {where}{type(error).__name__}: {error}"
        ) from error


def _ours_behind(error: BaseException) -> ReverseEtlError | None:
    """The error of ours that Dagster wrapped into its own, if so."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ReverseEtlError):
        cause = cause.__cause__
    return cause


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
