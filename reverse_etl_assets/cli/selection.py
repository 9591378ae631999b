"""Which syncs a command is for, in dbt's manner: `tag:domain=sales`, `destination:hubspot`, `+contacts`, `a,b`."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

import typer

from reverse_etl_assets.cli.completion import sync_names

if TYPE_CHECKING:
    from reverse_etl_assets.spec.sync import Sync

WORDS = (
    "Names of syncs, or `tag:NAME`, `tag:NAME=VALUE`, `destination:NAME`, `model:NAME`; `+SYNC` with those that come"
    " before it, `SYNC+` with those that come after. A comma is for those that are both."
)
Names = Annotated[list[str] | None, typer.Argument(metavar="[SYNC]...", help=WORDS, autocompletion=sync_names)]
Select = Annotated[list[str] | None, typer.Option("--select", "-s", metavar="SYNCS", help="The same, in dbt's manner.")]
Exclude = Annotated[list[str] | None, typer.Option("--exclude", metavar="SYNCS", help="But not these.")]

_PIECE = re.compile(r"(?P<before>(?P<up>\d*)\+)?(?P<what>[^+]+)(?P<after>\+(?P<down>\d*))?")


def select(
    syncs: "Mapping[str, Sync]",
    names: Sequence[str] | None = None,
    chosen: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
) -> "list[Sync]":
    """Those that `names` and `chosen` select, or all if neither does, without the excluded ones; parents before
    children, as the project has them. Raises SpecError for a piece that selects nothing, or if nothing is left."""
    from reverse_etl_assets.errors import SpecError

    words = [*(names or ()), *(chosen or ())]
    found = _union(syncs, words) if words else set(syncs)
    left = found - _union(syncs, exclude or ())
    if syncs and not left:
        what = " ".join(words) or "the whole project"
        but = f" without {' '.join(exclude)}" if exclude else ""
        raise SpecError(f"no sync is left of {what}{but}.")
    return [sync for name, sync in syncs.items() if name in left]


def is_one_name(names: Sequence[str] | None, chosen: Sequence[str] | None) -> bool:
    """Whether one sync is named, and not any number of them selected."""
    return not chosen and len(names or ()) == 1 and bool(re.fullmatch(r"\w+", (names or ("",))[0]))


def _union(syncs: "Mapping[str, Sync]", words: Iterable[str]) -> set[str]:
    """What any of the words selects; a word in quotes may hold several. Raises SpecError with each that is wrong."""
    from reverse_etl_assets.errors import SpecError

    found, problems = set[str](), []
    for part in (part for word in words for part in word.split()):
        try:
            found |= _intersection(syncs, part)
        except SpecError as error:
            problems.append(str(error))
    if problems:
        raise SpecError("\n".join(dict.fromkeys(problems)))
    return found


def _intersection(syncs: "Mapping[str, Sync]", word: str) -> set[str]:
    return set.intersection(*(_piece(syncs, piece) for piece in word.split(",")))


def _piece(syncs: "Mapping[str, Sync]", piece: str) -> set[str]:
    from reverse_etl_assets.errors import SpecError

    parsed = _PIECE.fullmatch(piece)
    if parsed is None:
        raise SpecError(f"`{piece}` selects nothing; write names, with `+` before or after them, and `,` between them.")
    found = named = _named(syncs, parsed["what"])
    if parsed["before"]:
        found = found | _related(named, lambda name: syncs[name].parents, parsed["up"])
    if parsed["after"]:
        children = {name: [each for each in syncs if name in syncs[each].parents] for name in syncs}
        found = found | _related(named, lambda name: children[name], parsed["down"])
    return found


def _related(start: set[str], of: Callable[[str], Iterable[str]], steps: str) -> set[str]:
    """All that can be reached, or what so many steps reach."""
    found, last, left = set[str](), start, int(steps) if steps else -1
    while last and left:
        last = {other for name in last for other in of(name)} - found
        found |= last
        left -= 1
    return found


def _named(syncs: "Mapping[str, Sync]", what: str) -> set[str]:
    from reverse_etl_assets.errors import SpecError
    from reverse_etl_assets.spec.yaml_source import did_you_mean

    method, colon, value = what.partition(":")
    if not colon:
        return _matching("sync", what, {name: [name] for name in syncs})
    if method not in _METHODS:
        raise SpecError(f"`{what}`: nothing is selected by `{method}`{did_you_mean(method, _METHODS)}")
    return _matching(method, value, {name: _METHODS[method](sync) for name, sync in syncs.items()})


def _matching(kind: str, wanted: str, words: Mapping[str, Sequence[str]]) -> set[str]:
    """The syncs that have the word, in any case; `*` stands for any letters. Raises SpecError if there is none."""
    from reverse_etl_assets.errors import SpecError
    from reverse_etl_assets.spec.yaml_source import did_you_mean

    pattern = wanted.lower().replace("[", "[[]").replace("?", "[?]")
    found = {name for name, own in words.items() if any(fnmatchcase(each.lower(), pattern) for each in own)}
    if not found:
        known = sorted({each for own in words.values() for each in own})
        none = f"{kind} `{wanted}`" if kind in ("sync", "tag") else f"sync with the {kind} `{wanted}`"
        of_a_tag = (each for each in known if each.lower().endswith(f"={wanted.lower()}"))
        raise SpecError(f"there is no {none}{did_you_mean(next(of_a_tag, wanted), known)}")
    return found


def _tags(sync: "Sync") -> list[str]:
    return [word for name, value in sync.tags.items() for word in (name, f"{name}={value}" if value else name)]


def _models(sync: "Sync") -> list[str]:
    """Its name as the file has it, and without what says which version."""
    return list(dict.fromkeys((sync.model, re.sub(r"\.v\w+$", "", sync.model))))


_METHODS: "Mapping[str, Callable[[Sync], Sequence[str]]]" = {
    "sync": lambda sync: [sync.sync],
    "tag": _tags,
    "destination": lambda sync: [sync.destination],
    "model": _models,
}
