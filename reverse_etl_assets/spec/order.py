"""Which sync comes before which, by `after`: parents before children."""

from collections.abc import Iterable, Iterator, Mapping

from reverse_etl_assets.spec.policies import After
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.spec.yaml_source import YamlSource, did_you_mean


def in_order(syncs: Mapping[str, Sync]) -> dict[str, Sync]:
    """Parents before their children, else as they are. There must be no circle."""
    found: dict[str, Sync] = {}

    def add(name: str) -> None:
        if name in found:
            return
        for parent in syncs[name].parents:
            add(parent)
        found[name] = syncs[name]

    for name in syncs:
        add(name)
    return found


def order_problems(syncs: Mapping[str, Sync], sources: Mapping[str, YamlSource], known: Iterable[str]) -> list[str]:
    """Parents that there are not, or on which a sync cannot depend, and circles. `known` are the names of all syncs,
    also of those whose files are wrong."""
    names, problems = frozenset(known), []
    for name, sync in syncs.items():
        for number, parent in enumerate(sync.after):
            if message := _problem(syncs, sync, number, parent, names):
                problems.append(sources[name].say(("after", number), message))
    return problems or [
        sources[name].say(("after",), f"each of them would wait for the other: {' after '.join(circle)}.")
        for name, circle in _circles(syncs)
    ]


def _problem(syncs: Mapping[str, Sync], sync: Sync, number: int, parent: After, known: frozenset[str]) -> str | None:
    if parent.sync == sync.sync:
        return "a sync cannot come after itself."
    if parent.sync not in known:
        return f"there is no sync `{parent.sync}`{did_you_mean(parent.sync, sorted(known - {sync.sync}))}"
    if any((each.sync, each.key) == (parent.sync, parent.key) for each in sync.after[:number]):
        return f"`{parent.sync}` is named twice."
    if not parent.key or parent.sync not in syncs:
        return None
    keys = syncs[parent.sync].primary_key
    if len(keys) != len(parent.key):
        has = f"{len(keys)} column{'s' * (len(keys) > 1)} ({', '.join(keys)})"
        return f"a row of `{parent.sync}` is named by {has}, and `key` has {len(parent.key)}."
    return None


def _circles(syncs: Mapping[str, Sync]) -> Iterator[tuple[str, list[str]]]:
    """Each circle once, from the sync of it that comes first: it, its parent, and so on back to it."""
    told: set[str] = set()
    for name in syncs:
        circle = _way(syncs, name, name) if name not in told else None
        if circle:
            told.update(circle)
            yield name, [f"`{each}`" for each in circle]


def _way(syncs: Mapping[str, Sync], start: str, goal: str) -> list[str] | None:
    """The shortest way from a sync over its parents to `goal`."""
    ways, seen = [[start]], set[str]()
    while ways:
        way = ways.pop(0)
        for parent in syncs[way[-1]].parents:
            if parent == goal:
                return [*way, parent]
            if parent in syncs and parent not in seen:
                seen.add(parent)
                ways.append([*way, parent])
    return None
