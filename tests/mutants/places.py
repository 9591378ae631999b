"""A place in a file where one thing can be made wrong."""

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Characters `start` to `end` of a file's text, and what stands there instead."""

    start: int
    end: int
    instead: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A file of the package with one thing in it made wrong. Its id is file:line:number, the number within the line."""

    file: str
    line: int
    number: int
    text: str
    place: Place

    @property
    def id(self) -> str:
        return f"{self.file}:{self.line}:{self.number}"

    def mutated(self) -> str:
        return self.text[: self.place.start] + self.place.instead + self.text[self.place.end :]

    def diff(self) -> str:
        """The lines that differ, without those around them."""
        lines = difflib.unified_diff(self.text.splitlines(), self.mutated().splitlines(), n=0, lineterm="")
        shown = [f"{line[0]} {line[1:].strip()}" for line in lines if line[:3] not in ("---", "+++") and line[0] != "@"]
        return "\n".join(shown)


def mutants(file: str, text: str, places: Iterable[Place]) -> Iterator[Mutant]:
    """Each once, in the order of the file."""
    seen: set[str] = set()
    on_line: dict[int, int] = {}
    for place in sorted(places, key=lambda place: (place.start, place.end, place.instead)):
        line = text.count("\n", 0, place.start) + 1
        mutant = Mutant(file, line, on_line.get(line, 0) + 1, text, place)
        same = " ".join(mutant.mutated().split())
        if same not in seen:
            seen.add(same)
            on_line[line] = mutant.number
            yield mutant
