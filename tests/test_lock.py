"""`requirements.lock` is what `make lock` makes of pyproject.toml; told without a network."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT, GROUP = "(pyproject.toml)", "(pyproject.toml:test)"  # where uv says that a package was asked for


def wanted() -> list[tuple[Requirement, str]]:
    """What pyproject.toml asks for, and where."""
    text = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, group = text["project"], text["dependency-groups"]["test"]
    asked = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    return [(Requirement(one), PROJECT) for one in asked] + [(Requirement(one), GROUP) for one in group]


def locked() -> dict[str, tuple[str, str]]:
    """Version, and the comment below it, by name."""
    entries = re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==(\S+).*\n((?:    .*\n)*)", LOCK, re.M)
    return {name: (version, comment) for name, version, comment in entries}


def test_what_is_asked_for_is_locked_in_its_range() -> None:
    entries = locked()
    for requirement, source in wanted():
        name = canonicalize_name(requirement.name)
        assert name in entries, f"run `make lock`: {requirement} is not in requirements.lock"
        version, comment = entries[name]
        assert requirement.specifier.contains(version), f"run `make lock`: {requirement} is locked at {version}"
        assert source in comment, f"run `make lock`: {name} is there for others only"


def test_what_is_not_asked_for_any_more_is_gone() -> None:
    names = {canonicalize_name(requirement.name) for requirement, _ in wanted()}
    ours = {name for name, (_, comment) in locked().items() if PROJECT in comment or GROUP in comment}
    assert ours == names, "run `make lock`"


def test_every_version_has_its_hashes_and_no_index_is_named() -> None:
    for name, (_, comment) in locked().items():
        assert "--hash=sha256:" in comment, name
    assert "://" not in LOCK
