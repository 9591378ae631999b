"""What a sync's file may say: whatever the last release took, this one takes."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
LAST_RELEASE = HERE / "sync.schema.json"  # replaced by a release, never by hand
NOW = HERE.parents[1] / "demo" / "syncs" / "sync.schema.json"
_SMALLEST = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_LARGEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
_KNOWN = {
    "$defs",
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "enum",
    "items",
    "pattern",
    "properties",
    "required",
}
_KNOWN |= {"type", "title", "description", "default", *_SMALLEST, *_LARGEST}


def narrowed(old: Any, new: Any, place: str = "") -> Iterator[str]:
    """Where the new schema refuses what the old one took, a sentence each. Both are resolved."""
    for word in {*old, *new} - _KNOWN:
        yield f"{place}: `{word}` is a word that this comparison does not know"
    if "anyOf" in old:
        for at, choice in enumerate(old["anyOf"]):
            yield from narrowed(choice, new, f"{place}|{at}")
        return
    if "anyOf" in new:
        tries = [list(narrowed(old, choice, place)) for choice in new["anyOf"]]
        yield from min(tries, key=len)
        return
    yield from _values(old, new, place)
    for name in set(new.get("required", ())) - set(old.get("required", ())):
        yield f"{place}.{name} is required now"
    taken = new.get("properties", {})
    for name, schema in old.get("properties", {}).items():
        if name in taken:
            yield from narrowed(schema, taken[name], f"{place}.{name}")
        elif new.get("additionalProperties", True) is not True:
            yield f"{place}.{name} is gone"
    for inner in ("items", "additionalProperties"):
        before, after = old.get(inner, True), new.get(inner, True)
        if isinstance(after, Mapping) and before is not False:
            yield from narrowed(before if isinstance(before, Mapping) else {}, after, f"{place}.{inner}")
        elif after is False and before is not False:
            yield f"{place}.{inner} are refused now"


def _values(old: Any, new: Any, place: str) -> Iterator[str]:
    if "type" in new and (old.get("type"), new["type"]) not in {("integer", "number"), (new["type"], new["type"])}:
        yield f"{place} was {old.get('type', 'anything')}, and has to be {new['type']}"
    before, after = (each.get("enum", [each["const"]] if "const" in each else None) for each in (old, new))
    if after is not None and (before is None or set(map(repr, before)) - set(map(repr, after))):
        yield f"{place} took {before or 'anything'}, and takes {after}"
    if "pattern" in new and new["pattern"] != old.get("pattern"):
        yield f"{place} has to match {new['pattern']}"
    for word in _SMALLEST:
        if word in new and new[word] > old.get(word, float("-inf")):
            yield f"{place}: {word} is {new[word]}"
    for word in _LARGEST:
        if word in new and new[word] < old.get(word, float("inf")):
            yield f"{place}: {word} is {new[word]}"


def resolved(schema: Any, whole: Any) -> Any:
    """The same with what its references lead to. Ours do not lead in circles."""
    if isinstance(schema, list):
        return [resolved(each, whole) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        rest = {name: value for name, value in schema.items() if name != "$ref"}
        return resolved({**whole["$defs"][schema["$ref"].rsplit("/", 1)[1]], **rest}, whole)
    return {name: resolved(value, whole) for name, value in schema.items() if name != "$defs"}


def read(file: Path) -> Any:
    schema = json.loads(file.read_text())
    return resolved(schema, schema)


def test_every_file_that_the_last_release_took_is_taken() -> None:
    assert list(narrowed(read(LAST_RELEASE), read(NOW))) == []


def changed(place: str, **changes: Any) -> Any:
    schema = read(LAST_RELEASE)
    found = schema
    for name in place.split("."):
        found = found[name] if name else found
    found.update(changes)
    return schema


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (changed("", required=[*read(LAST_RELEASE)["required"], "owners"]), [".owners is required now"]),
        (changed("properties.sync_mode", enum=["upsert"]), None),
        (changed("properties.model", type="integer"), [".model was string, and has to be integer"]),
        (changed("properties.object", maxLength=3), [".object: maxLength is 3"]),
        (changed("properties.object", pattern="x"), [".object has to match x"]),
        (changed("properties.owners", items={"type": "string", "minLength": 9}), [".owners.items: minLength is 9"]),
    ],
)
def test_what_would_refuse_a_file_is_found(new: Any, said: list[str] | None) -> None:
    found = list(narrowed(read(LAST_RELEASE), new))
    assert found == said if said else len(found) == 1


def test_what_takes_more_is_no_problem() -> None:
    old = read(LAST_RELEASE)
    more = {**old, "required": old["required"][:2], "properties": {**old["properties"], "another": {"type": "string"}}}
    assert list(narrowed(old, more)) == []
    assert list(narrowed(more, old)) != []
