"""The documentation's tables of settings are the schemas: every field in its order, with its default and its words."""

import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from demo.deployment import destinations
from reverse_etl_assets.spec.sync import Sync
from tests.pages import PAGES


@dataclass(frozen=True)
class FieldTable:
    page: Path
    model: type[BaseModel]
    rows: Mapping[str, tuple[str, str]]

    def __str__(self) -> str:
        return self.model.__name__


def field_tables() -> list[FieldTable]:
    found = []
    for page in PAGES:
        for match in re.finditer(r"<!-- fields: (\S+) -->\n\n\|.*\n\|-.*\n((?:\|.*\n)+)", page.read_text()):
            module, _, name = match[1].rpartition(".")
            cells = [re.split(r"(?<!\\) *\| *", line)[1:-1] for line in match[2].splitlines()]
            rows = {field.strip("`"): (default, meaning) for field, default, meaning in cells}
            found.append(FieldTable(page, getattr(importlib.import_module(module), name), rows))
    return found


def plain(text: str | None) -> str:
    return " ".join((text or "").split())


def default_of(field: FieldInfo) -> Any:
    """As YAML has it."""
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_defaults=True)
    if isinstance(value, Enum):
        return value.value
    return sorted(value) if isinstance(value, frozenset) else value


def hours(text: str) -> timedelta:
    number, unit = text.split()
    return timedelta(**{f"{unit.rstrip('s')}s": int(number)})


@pytest.mark.parametrize("table", field_tables(), ids=str)
def test_field_tables_are_the_schema(table: FieldTable) -> None:
    """Every field in its order, with its default and the words of its docstring."""
    fields = table.model.model_fields
    assert list(table.rows) == list(fields)
    for name, field in fields.items():
        said, meaning = table.rows[name]
        assert plain(field.description) in plain(meaning), f"{name}: {plain(field.description)}"
        check_default(name, field, said)


WORDS: Mapping[str, Any] = {"none": None, "empty": ""}
IN_WORDS = {"every row is compared", "see [guards](#guards)", "all 0", "by status", "no limit", "see meaning"}
"""Defaults that are a model, told by its own table."""


def check_default(name: str, field: FieldInfo, said: str) -> None:
    if said in ("required", "the file's name"):
        assert field.is_required(), name
        return
    assert not field.is_required(), name
    default = default_of(field)
    if said in IN_WORDS:
        assert not default, name
    elif said in WORDS:
        assert default == WORDS[said], name
    elif isinstance(default, timedelta):
        assert hours(said) == default, name
    elif isinstance(default, str):
        assert said.strip("`") == default, name
    else:
        shown = yaml.safe_load(said.strip("`"))
        assert shown == (list(default) if isinstance(default, tuple) else default), name


def test_every_setting_has_a_table() -> None:
    """Also those of parts, such as `guards` of a sync or `results` of a webhook."""
    types = [resource.destination_type for resource in destinations.values()]
    waiting: list[type[BaseModel]] = [Sync, *(each.Connection for each in types), *(each.Options for each in types)]
    wanted: set[type[BaseModel]] = set()
    while waiting:
        model = waiting.pop()
        wanted.add(model)
        inner = {part for field in model.model_fields.values() for part in parts(field.annotation)}
        waiting += inner - wanted
    described = {table.model for table in field_tables()}
    assert {model for model in wanted if model.model_fields} == described


def parts(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from parts(inner)
