"""Templates that are JSON: `{{ fields.email }}` stands for a value, and the rest stands for itself.

A text that is one placeholder becomes the value itself, of its own type; inside a longer text it becomes text.
There is nothing else to learn: no loops, no conditions, no filters. A field that a row does not have is left out.
"""

import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from difflib import get_close_matches
from typing import Any
from urllib.parse import quote

from reverse_etl_assets.destinations.values import key_value, plain_text
from reverse_etl_assets.errors import RequestRejected, SpecError
from reverse_etl_assets.records import FieldType, Record, Target

Scope = Mapping[str, Any]
Render = Callable[[Scope], Any]

_PLACEHOLDER = re.compile(r"\{\{\s*(.*?)\s*\}\}")
_ABSENT = object()
_NOT_IN_PATHS = ("", ".", "..")


def row_names(target: Target) -> list[str]:
    """The placeholders of a row."""
    return ["key", "fields", *(f"fields.{name}" for name in (target.external_id, *target.fields))]


def row_scope(target: Target, record: Record) -> dict[str, Any]:
    """What a row's placeholders stand for. `fields` holds the external id, too; of a deleted row that is all."""
    key = key_value(target.key_type, record.external_id)
    field = float(key) if target.key_type is FieldType.FLOAT and isinstance(key, Decimal) else key
    return {"key": key, "fields": {target.external_id: field, **record.fields}}


def compile_template(template: Any, known: Collection[str], where: str) -> Render:
    """A function from a scope to a JSON value. Raises SpecError naming a placeholder that is not `known`."""
    if isinstance(template, str):
        return _compile_text(template, known, where)
    if isinstance(template, Mapping):
        entries = [(str(key), compile_template(value, known, where)) for key, value in template.items()]
        return lambda scope: {k: v for k, render in entries if (v := render(scope)) is not _ABSENT}
    if isinstance(template, list):
        items = [compile_template(value, known, where) for value in template]
        return lambda scope: [value for render in items if (value := render(scope)) is not _ABSENT]
    return lambda scope: template


def compile_path(template: str, known: Collection[str], where: str) -> Callable[[Scope], str]:
    """A function from a scope to a path; values are percent-encoded, so that none can lead elsewhere."""
    parts = _parts(template, known, where)

    def render(scope: Scope) -> str:
        return "".join(text if name is None else _segment(name, scope) for text, name in parts)

    return render


def compile_text(
    template: str, known: Collection[str], where: str, words: Callable[[str], str] = lambda words: words
) -> Callable[[Scope], str]:
    """A function from a scope to a text, also if it is one placeholder alone; `words` escapes a value's text."""
    parts = _parts(template, known, where)

    def render(scope: Scope) -> str:
        return "".join(text if name is None else words(_words(_value(name, scope))) for text, name in parts)

    return render


def _compile_text(template: str, known: Collection[str], where: str) -> Render:
    parts = _parts(template, known, where)
    names = [name for _, name in parts if name is not None]
    if not names:
        return lambda scope: template
    if len(parts) == 1:
        only = names[0]
        return lambda scope: _value(only, scope)
    return compile_text(template, known, where)


def _parts(template: str, known: Collection[str], where: str) -> list[tuple[str, str | None]]:
    """The template cut into plain texts and names of placeholders."""
    parts: list[tuple[str, str | None]] = []
    end = 0
    for match in _PLACEHOLDER.finditer(template):
        if match.start() > end:
            parts.append((template[end : match.start()], None))
        if match[1] not in known:
            raise SpecError(f"{where}: {_unknown(match[1], known)}")
        parts.append(("", match[1]))
        end = match.end()
    if end < len(template):
        parts.append((template[end:], None))
    return parts


def _unknown(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    right = f"did you mean `{{{{ {near[0]} }}}}`?" if near else f"known here are {', '.join(sorted(known))}."
    return f"unknown placeholder `{{{{ {name} }}}}`; {right}"


def _value(name: str, scope: Scope) -> Any:
    field = name.removeprefix("fields.")
    return scope[name] if field == name else scope["fields"].get(field, _ABSENT)


def _words(value: Any) -> str:
    return "" if value is None or value is _ABSENT else plain_text(value)


def _segment(name: str, scope: Scope) -> str:
    if name == "object":
        return str(scope["object"]).strip("/")  # from the sync's file, and may be a path of its own
    text = _words(_value(name, scope))
    if text in _NOT_IN_PATHS:
        raise RequestRejected(f"`{{{{ {name} }}}}` is {text!r}, which would lead to another path", "invalid_path")
    return quote(text, safe="")
