"""Which pairs of records an error of HubSpot's associations means: by the ids that it tells where it tells ids.

Those are `fromObjectId` and `toObjectId` of its context, and `CONTACT=102` in its sentences. Another number in a
sentence (a limit, a count) is nobody's id, whoever has it.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from reverse_etl_assets.destinations.hubspot.answers import listed
from reverse_etl_assets.destinations.hubspot.api import object_name, object_type_id

Pair = tuple[str, str]
_NAMED = re.compile(r"(?<![\w-])(?P<type>[A-Za-z][\w-]*|\d+-\d+)=(?P<id>\d+)(?!\w)", re.ASCII)
_SIDES = ("fromObjectId", "toObjectId")
_ALONE = frozenset({"id", "ids", "objectId", "objectIds"})


def pairs_of(error: Mapping[str, Any], sent: Collection[Pair], objects: Sequence[str]) -> list[Pair]:
    """The pairs that an error names, by both ids or by one, first by its context. One that is alone needs no name."""
    if len(sent) == 1:
        return list(sent)
    for place in _places(error):
        found = {pair for ids in place for pair in _meant(ids, sent, objects)}
        if found:
            return [pair for pair in sent if pair in found]
    return []


def _places(error: Mapping[str, Any]) -> Iterator[list[list[tuple[str, str]]]]:
    """What is told in each place, as lists of type and id: one list for each sentence."""
    errors = [error, *(each for each in listed(error, "errors") if isinstance(each, dict))]
    for each in errors:
        context = each.get("context")
        if isinstance(context, dict):
            yield [[(side, str(value)) for side in _SIDES for value in listed(context, side)]]
            yield [[("", str(value))] for name in _ALONE for value in listed(context, name) if str(value).isdecimal()]
            yield [_in_words(value) for name in context for value in listed(context, name)]
    for each in errors:
        yield [_in_words(each.get("message"))]


def _in_words(message: Any) -> list[tuple[str, str]]:
    return [(found["type"], found["id"]) for found in _NAMED.finditer(str(message or ""))]


def _meant(ids: Sequence[tuple[str, str]], sent: Iterable[Pair], objects: Sequence[str]) -> list[Pair]:
    """Where both records are told, the pair of them alone; where one is, each pair that it is in."""
    sides: tuple[list[str], list[str]] = ([], [])
    open_ids: list[str] = []
    for kind, each in ids:
        side = _side(kind, objects)
        (open_ids if side is None else sides[side]).append(each)
    if len(open_ids) == 2 and not any(sides):  # two of one type; HubSpot names them in either order
        return [pair for pair in sent if set(pair) == set(open_ids)]
    one, other = sides
    if open_ids and bool(one) != bool(other):
        (other if one else one).extend(open_ids)
    elif open_ids:
        return [pair for pair in sent if len(open_ids) == 1 and open_ids[0] in pair and not any(sides)]
    if not (one and other):
        return [pair for pair in sent if pair[0] in one or pair[1] in other]
    if len(one) == len(other):
        return [pair for pair in sent if pair in set(zip(one, other, strict=True))]
    return [pair for pair in sent if 1 in (len(one), len(other)) and pair in set(product(one, other))]


def _side(kind: str, objects: Sequence[str]) -> int | None:
    """Which record of a pair the type means; None if it may be either."""
    if kind in _SIDES:
        return _SIDES.index(kind)
    fits = [side for side, name in enumerate(objects) if kind.lower() in _types(name)]
    return fits[0] if len(fits) == 1 else None


def _types(name: str) -> set[str]:
    """How HubSpot may write an object: `contacts` as CONTACT or 0-1, `companies` as COMPANY."""
    plural = object_name(name).lower()
    one = f"{plural[:-3]}y" if plural.endswith("ies") else plural.removesuffix("s")
    return {plural, one, object_type_id(name) or ""}
