"""Writes the resource of a destination from its `Connection`, so that each setting is declared once:

    python -m reverse_etl_assets.orchestration.resource_source people_api:PeopleApi > people_resource.py

An installed destination goes by the name of its entry point as well (`resource_source hubspot`).

A class that is made while the program runs would have the same fields, but no type checker would know them.
"""

import sys
from collections.abc import Iterable, Iterator
from inspect import cleandoc
from pkgutil import resolve_name
from textwrap import fill, indent
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from reverse_etl_assets.destinations.base import BaseDestination
from reverse_etl_assets.destinations.connection import ConnectionSettings
from reverse_etl_assets.destinations.registry import destination_type

_WIDTH = 116


def module_source(types: Iterable[type[BaseDestination[Any, Any]]], title: str, public: str) -> str:
    """A module with a resource for each destination type. `public` is where `DestinationResource` comes from."""
    types = list(types)
    imports = sorted(f"from {_package(each)} import {each.__name__}\n" for each in types)
    ours = f"from {public} import DestinationResource\n"
    names = sorted([*imports, ours], key=lambda line: line.split()[1])
    return "\n\n\n".join([f'"""{title}"""\n\n{"".join(names)}'.rstrip(), *map(class_source, types)]) + "\n"


def class_source(destination_type: type[BaseDestination[Any, Any]]) -> str:
    connection = destination_type.Connection
    head = f"class {destination_type.__name__}Resource(DestinationResource):"
    first = cleandoc(connection.__doc__ or "").split("\n\n")[0]
    summary = [_docstring(first), ""] if first else []
    return "\n".join([head, *summary, f"    destination_type = {destination_type.__name__}", *_fields(connection)])


def _fields(connection: type[ConnectionSettings]) -> Iterator[str]:
    shared = ConnectionSettings.model_fields
    own = {name: field for name, field in connection.model_fields.items() if name not in shared}
    if not connection.model_fields["base_url"].is_required():
        own = {"base_url": connection.model_fields["base_url"], **own}
    if own:
        yield ""
    for name, field in own.items():
        yield f"    {name}: {_plain(field.annotation)}{_default(field)}"
        if field.description:
            yield _docstring(field.description)


def _docstring(text: str) -> str:
    quoted = f'"""{" ".join(text.split())}"""'
    return indent(fill(quoted, _WIDTH, break_long_words=False, break_on_hyphens=False), "    ")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    value = field.get_default(call_default_factory=True)
    return f" = {_quoted(value)}"


def _quoted(value: Any) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' if isinstance(value, str) else repr(value)


def _plain(kind: Any) -> str:
    """The type as it is before it was checked: a secret, a choice and a text of a form are the text of a variable."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _plain(inner[0])
    if origin in (Union, UnionType):
        return " | ".join(dict.fromkeys(map(_plain, inner)))
    if origin is Literal or kind is SecretStr:
        return "str"
    if origin is not None:
        return f"{origin.__name__}[{', '.join(map(_plain, inner))}]"
    return "None" if kind is NoneType else str(kind.__name__)


def _package(destination_type: type[Any]) -> str:
    return destination_type.__module__.removesuffix(".destination")


def main() -> None:
    found = [resolve_name(name) if ":" in name else destination_type(name) for name in sys.argv[1:]]
    names = " and ".join(each.__name__ for each in found)
    title = f"{names} in Dagster: where an account is, and which environment variables hold its secrets."
    sys.stdout.write(module_source(found, title, "reverse_etl_assets"))


if __name__ == "__main__":
    main()
