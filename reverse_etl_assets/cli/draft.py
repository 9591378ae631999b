"""The text of a sync that nobody has written yet: what can be known of it, and what a person has to choose."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import yaml

from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.destinations.registry import destination_type
from reverse_etl_assets.destinations.schema import Field

_OBJECTS = {
    "hubspot": "contacts",
    "intercom": "contacts",
    "salesforce": "Contact",
    "stripe": "customers",
    "zendesk": "users",
}
_NEAR = 0.8


def usual_object(kind: str, model: Model) -> str:
    """What most syncs to this type write; empty where there is no such thing."""
    return model.plain_name if kind in ("webhook", "postgres") else _OBJECTS.get(kind, "")


@dataclass(frozen=True)
class Draft:
    """`model_name` is what the person called the model, `columns` are those of its table, with their types."""

    model_name: str
    model: Model
    destination: str
    kind: str
    object: str
    columns: Mapping[str, str]

    @property
    def keys(self) -> Sequence[tuple[str, ...]]:
        """What dbt tests for being unique, as the table writes it, the fewest columns first."""
        written = {name.lower(): name for name in self.columns}
        found = [tuple(written.get(name.lower(), "") for name in names) for names in self.model.unique]
        order = list(self.columns)
        keys = dict.fromkeys(key for key in found if all(key))
        return sorted(keys, key=lambda key: (len(key), *map(order.index, key)))

    @property
    def key(self) -> tuple[str, ...]:
        """One that is tested; else the column that is called like a key, or the first."""
        ids = [(name,) for name in self.columns if re.fullmatch(r"(.*_)?(id|key)", name, re.IGNORECASE)]
        return next(iter([*self.keys, *ids, *((name,) for name in self.columns)]))

    def asking(self) -> dict[str, Any]:
        """A sync that the destination can judge: with every column as a field."""
        return {
            **{"sync": "draft", "model": self.model_name, "destination": self.destination, "object": self.object},
            **{
                "primary_key": list(self.key),
                "mapping": {name: name for name in self.columns},
                "sync_mode": "incremental",
            },
        }

    def text(self, fields: Mapping[str, Field]) -> str:
        chosen = dict(self._chosen(fields))
        return "\n".join(
            [
                f"model: {_word(self.model_name)}",
                f"destination: {_word(self.destination)}",
                f"object: {_word(self.object)}",
                f"primary_key: {_words(self.key)} # {self._why_key()}",
                "mapping: # field of the destination: column of the model",
                *self._mapping(fields, chosen),
                *self._allow_pii(chosen),
                *self._options(),
                "sync_mode: incremental # added and changed rows; `mirror` deletes what left the model, too",
                "",
            ]
        )

    def _why_key(self) -> str:
        if self.key not in self.keys:
            return "TODO: dbt tests no column for being unique; choose the one that names a row, and add a test"
        others = [_words(key) for key in self.keys if key != self.key]
        return "dbt tests that it is unique" + (f"; so are {', '.join(others)}" if others else "")

    def _chosen(self, fields: Mapping[str, Field]) -> Iterator[tuple[str, str]]:
        """Columns with their fields, each field once; without the fields of the destination, called alike."""
        free = {_folded(each.name): each.name for each in fields.values() if not each.read_only_because}
        exact = {name: free.pop(_folded(name)) for name in self.columns if _folded(name) in free}
        for name in self.columns:
            if not fields:
                yield name, name
            elif name in exact:
                yield name, exact[name]
            elif near := get_close_matches(_folded(name), free, n=1, cutoff=_NEAR):
                yield name, free.pop(near[0])
            elif (name,) == self.key:
                yield name, name

    def _mapping(self, fields: Mapping[str, Field], chosen: Mapping[str, str]) -> Iterator[str]:
        for name, kind in self.columns.items():
            if field := chosen.get(name):
                yield f"  {_word(field)}: {_word(name)} # {kind}{_remark(name, field, fields)}"
        for name, kind in self.columns.items():
            if name not in chosen:
                yield f"  # FIELD: {_word(name)} # {kind}; no field of {self.destination} is called like it"

    def _allow_pii(self, chosen: Mapping[str, str]) -> Iterator[str]:
        personal = [name for name in chosen if name.lower() in self.model.pii]
        if personal:
            yield "allow_pii: # dbt marks them as personal data"
            yield from (f'  {_word(name)}: "" # TODO: why it may leave; or take it out above' for name in personal)

    def _options(self) -> Iterator[str]:
        """Those that the destination cannot do without. Nothing stands behind them, so that the sync does not load."""
        wanted = {
            name: field
            for name, field in destination_type(self.kind).Options.model_fields.items()
            if field.is_required()
        }
        if wanted:
            yield f"options: # what {self.kind} has to be told"
        for name, field in wanted.items():
            yield f"  {name}: # TODO: {' '.join((field.description or 'to be chosen').split())}"


def _remark(column: str, field: str, fields: Mapping[str, Field]) -> str:
    if field in fields:
        is_guess = _folded(field) != _folded(column)
        return f" -> {fields[field].type}" + ("; TODO: the nearest name; is it the one?" if is_guess else "")
    return "; TODO: no such field; `check` names those that match records" if fields else ""


def _folded(name: str) -> str:
    """`First_Name__c` and `firstname` are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower().removesuffix("__c"))


def _word(text: str) -> str:
    """As YAML has it, quoted where it has to be."""
    return str(yaml.safe_dump(text, width=10_000, allow_unicode=True)).splitlines()[0]


def _words(key: Sequence[str]) -> str:
    """A column, or a list of several."""
    return _word(key[0]) if len(key) == 1 else f"[{', '.join(map(_flow_word, key))}]"


def _flow_word(text: str) -> str:
    """Inside a list, where a comma or bracket would mean something, too."""
    return _word(text) if re.fullmatch(r"[\w ]+", text) else json.dumps(text, ensure_ascii=False)
