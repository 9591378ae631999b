"""Prints the coverage of each room, from what `make coverage` measured: python -m tests.coverage_by_room FILE."""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FIGURES = ("num_statements", "covered_lines", "num_branches", "covered_branches")


@dataclass
class Covered:
    """Lines and branches, and how many of them were run."""

    num_statements: int = 0
    covered_lines: int = 0
    num_branches: int = 0
    covered_branches: int = 0

    def add(self, summary: Mapping[str, Any]) -> None:
        for name in _FIGURES:
            setattr(self, name, getattr(self, name) + summary[name])


def by_room(measured: Mapping[str, Any]) -> dict[str, Covered]:
    """A room is a folder of a package, or a module that lies beside the folders."""
    rooms: dict[str, Covered] = defaultdict(Covered)
    for file, found in measured["files"].items():
        rooms["/".join(Path(file).parts[:2])].add(found["summary"])
        rooms["all"].add(found["summary"])
    return dict(sorted(rooms.items(), key=lambda entry: (entry[0] == "all", entry[0])))


def table(rooms: Mapping[str, Covered]) -> Iterator[str]:
    yield f"{'room':40} {'lines':>7} {'run':>7} {'branches':>9} {'run':>7}"
    for name, found in rooms.items():
        lines, branches = share(found.covered_lines, found.num_statements), "-"
        if found.num_branches:
            branches = share(found.covered_branches, found.num_branches)
        yield f"{name:40} {found.num_statements:>7} {lines:>7} {found.num_branches:>9} {branches:>7}"


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


if __name__ == "__main__":
    print("\n".join(table(by_room(json.loads(Path(sys.argv[1]).read_text())))))
