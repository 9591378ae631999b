"""Writes the resources of the vendors from their connections: `make resources`."""

from importlib import import_module
from pathlib import Path
from typing import Any

from reverse_etl_assets import destinations
from reverse_etl_assets.destinations import BaseDestination
from reverse_etl_assets.orchestration import resource_source

FILE = Path(resource_source.__file__).with_name("vendor_resources.py")
_TITLE = "The vendors' resources, with the settings of their connections. Written by `make resources`: change those."


def shipped() -> list[type[BaseDestination[Any, Any]]]:
    """The destination types in the library, by the name of their package."""
    found = []
    for path in sorted(Path(destinations.__file__).parent.glob("*/__init__.py")):
        package = import_module(f"{destinations.__name__}.{path.parent.name}")
        found += [each for name in package.__all__ if issubclass(each := getattr(package, name), BaseDestination)]
    return found


def written() -> str:
    return resource_source.module_source(shipped(), _TITLE, "reverse_etl_assets.orchestration.resources")


if __name__ == "__main__":
    FILE.write_text(written(), encoding="utf-8")
