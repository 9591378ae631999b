"""Draws the rooms of the library and what each imports, for ARCHITECTURE.md: `make architecture`.

An arrow that follows from two others is left out, so that the order can be seen.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "ARCHITECTURE.md"
_PACKAGE = "reverse_etl_assets"
_BLOCK = re.compile(r"(<!-- drawn: make architecture -->\n\n).*?(\n\n<!-- end -->)", re.DOTALL)
_SMALL = {"errors", "lazy_names", "private_files", "records", "sql", "visible_text", "wording"}
"""What every room may use: no arrow says anything of it."""


def rooms() -> dict[str, set[str]]:
    """Each room, and those that it imports, but for the imports that the contract leaves out."""
    graph = grimp.build_graph(_PACKAGE, cache_dir=None)
    for line in _left_out():
        importer, left_out = line.split(" -> ")
        if left_out in graph.modules:
            graph.remove_import(importer=importer, imported=left_out)
    found: dict[str, set[str]] = {}
    for module in graph.modules - {_PACKAGE}:
        room = _room(module)
        imported = {_room(other) for other in graph.find_modules_directly_imported_by(module) if other != _PACKAGE}
        if room not in _SMALL:
            found.setdefault(room, set()).update(imported - _SMALL - {room})
    return found


def _left_out() -> list[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return [line for contract in contracts for line in contract.get("ignore_imports", ())]


def _room(module: str) -> str:
    return module.split(".")[1]


def reduced(arrows: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Without arrows that follow from others. Raises RecursionError if they lead in a circle."""

    def below(name: str) -> set[str]:
        return arrows.get(name, set()) | {each for other in arrows.get(name, set()) for each in below(other)}

    return {
        name: {goal for goal in goals if not any(goal in below(other) for other in goals - {goal})}
        for name, goals in arrows.items()
    }


def drawing() -> str:
    """In Mermaid, as GitHub shows it."""
    lines = [f"    {room} --> {goal}" for room, goals in sorted(reduced(rooms()).items()) for goal in sorted(goals)]
    return "\n".join(["```mermaid", "flowchart TD", *lines, "```"])


def with_drawing(page: str) -> str:
    """The page, drawn anew."""
    return _BLOCK.sub(lambda found: f"{found[1]}{drawing()}{found[2]}", page)


if __name__ == "__main__":
    PAGE.write_text(with_drawing(PAGE.read_text()))
