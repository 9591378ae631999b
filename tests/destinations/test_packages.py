"""A vendor's package: its adapter has a file with a name, and the package only hands it on."""

import ast
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from reverse_etl_assets import destinations
from reverse_etl_assets.destinations.base import BaseDestination

FOLDER = Path(destinations.__file__).parent
VENDORS = sorted(path.parent.name for path in FOLDER.glob("*/__init__.py"))


def test_there_are_vendors() -> None:
    assert {"hubspot", "postgres", "webhook"} <= set(VENDORS)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_package_hands_on_the_adapter_and_its_settings(vendor: str) -> None:
    package = import_module(f"{destinations.__name__}.{vendor}")
    [adapter] = [named for name in package.__all__ if issubclass(named := getattr(package, name), BaseDestination)]
    assert adapter.__module__ == f"{package.__name__}.destination"
    assert {getattr(package, name) for name in package.__all__} == {adapter, adapter.Connection, adapter.Options}


@pytest.mark.parametrize("package", [*(f"{destinations.__name__}.{vendor}" for vendor in VENDORS), "reverse_etl_attio"])
def test_a_package_does_nothing_itself(package: str) -> None:
    spec = find_spec(package)
    assert spec
    assert spec.origin
    tree = ast.parse(Path(spec.origin).read_text())
    assert {type(line) for line in tree.body} <= {ast.Expr, ast.ImportFrom, ast.Assign}
    assert ast.get_docstring(tree)


def test_every_vendor_stands_in_the_contract_and_among_the_entry_points() -> None:
    settings = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text())
    [contract] = [each for each in settings["tool"]["importlinter"]["contracts"] if each["type"] == "independence"]
    assert contract["modules"] == [f"{destinations.__name__}.{vendor}" for vendor in VENDORS]
    assert set(settings["project"]["entry-points"]["reverse_etl.destinations"]) == set(VENDORS)
