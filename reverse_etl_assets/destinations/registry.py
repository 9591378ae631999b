"""Which destinations are installed, ours and those that other packages name in the entry point group.

Nothing that runs asks for it: a deployment imports its resources. It is for commands that take a destination by its
name, or show what there is.
"""

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from reverse_etl_assets.destinations.base import BaseDestination
from reverse_etl_assets.errors import ConfigurationError

GROUP = "reverse_etl.destinations"


@cache
def destination_types() -> dict[str, Any]:
    """Names of the installed destination types, each with the entry point that loads it."""
    return {point.name: point for point in entry_points(group=GROUP)}


@cache
def destination_type(name: str) -> type[BaseDestination[Any, Any]]:
    """The class registered under `name`. Raises ConfigurationError naming the known ones, or why it is not loaded."""
    point = destination_types().get(name)
    if point is None:
        known = ", ".join(sorted(destination_types())) or "none"
        raise ConfigurationError(f"No destination type {name!r} is installed; installed are: {known}.")
    try:
        loaded: type[BaseDestination[Any, Any]] = point.load()
    except Exception as error:  # whatever the lines of somebody's package raise
        problem = f"The destination type {name!r} cannot be loaded from {point.value}: {type(error).__name__}: {error}"
        raise ConfigurationError(problem) from error
    return loaded


def registered_name(kind: type[BaseDestination[Any, Any]]) -> str:
    """The name that a class is registered under; the class's own if it is under none."""
    for name, point in destination_types().items():
        if point.attr == kind.__name__ and kind.__module__.startswith(point.module):
            return str(name)
    return kind.__name__
