"""By which names a sync may call what it reads, as `ref()` and `source()` of dbt understand them.

`customers` is a model, seed or snapshot, of the root project before those of packages, as dbt's `ref('customers')`
finds it; where several packages have one, dbt refuses it, and so do we (dbt-core 1.11, `Manifest.resolve_ref` and
`RefableLookup`, read 2026-12-01).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reverse_etl_assets.dbt.manifest import Model

SOURCE = "source"


def names(node: Mapping[str, Any]) -> tuple[str, ...]:
    """What a sync may call a node of the manifest: `customers.v2`, and plain `customers` if that is the latest.

    A source is called `source.crm.people`.
    """
    name, version = node["name"], node.get("version")
    if node.get("resource_type") == SOURCE:
        return (f"{SOURCE}.{node['source_name']}.{name}",)
    if version is None:
        return (name,)
    return (f"{name}.v{version}", name) if version == node.get("latest_version") else (f"{name}.v{version}",)


def name_of(unique_id: str) -> str:
    """How people read an id: `model.shop.customers.v2` is `customers.v2`, `source.shop.crm.people` `crm.people`."""
    return ".".join(unique_id.split(".")[2:]) or unique_id


class Models(Mapping[str, "Model"]):
    """Models by each name that a sync may use. Its items are what can be used, each by its shortest names.

    A name that is no good is in it all the same, with a model that says why in `unusable`.
    """

    def __init__(self, file: Path, root: str | None, found: Iterable[tuple[Mapping[str, Any], "Model"]]) -> None:
        """From the nodes of a manifest, the `file`; those that are disabled come after all others. `root` is the name
        of its project."""
        self.file, self.root = file, root
        self.by_id: dict[str, Model] = {}
        self._packages: dict[str, str | None] = {}
        self._spelled: dict[str, list[str]] = {}
        self._queries: dict[str, Model] = {}
        for node, model in found:
            if model.unique_id not in self.by_id:
                self._add(node, model)
        for unique_id, model in list(self.by_id.items()):
            if self[model.name].unique_id != unique_id or self[model.name].unusable != model.unusable:
                self.by_id[unique_id] = replace(model, name=f"{self._packages[unique_id]}.{model.name}")

    def _add(self, node: Mapping[str, Any], model: "Model") -> None:
        package, kind = node.get("package_name"), node["resource_type"]
        self.by_id[model.unique_id], self._packages[model.unique_id] = model, package
        for name in names(node):
            local = name.removeprefix(f"{SOURCE}.") if kind == SOURCE else name
            longer = [f"{kind}.{local}", f"{kind}.{package}.{local}"]
            for spelling in longer if kind == SOURCE else [name, f"{package}.{name}", *longer]:
                self._spelled.setdefault(spelling, []).append(model.unique_id)

    def learn(self, model: "Model") -> None:
        """The query of a sync, by its name; it is not among the items, for no other sync can name it."""
        self._queries[model.name] = model

    def __getitem__(self, name: str) -> "Model":
        if name in self._queries:
            return self._queries[name]
        ids = self._spelled[name]
        usable = [each for each in ids if not self.by_id[each].unusable] or ids[:1]
        own = [each for each in usable if self._packages[each] == self.root]
        found = own if len(own) == 1 else usable
        model = self.by_id[found[0]]
        if len(found) == 1:
            return model
        right = ", ".join(f"`{self._exact(each)}`" for each in sorted(found))
        return replace(model, unusable=f"is the name of {len(found)} in dbt; write the one that is meant: {right}.")

    def _exact(self, unique_id: str) -> str:
        """The shortest name that is nothing else's."""
        mine = [name for name, ids in self._spelled.items() if ids == [unique_id]]
        return min(mine, key=len, default=unique_id)

    def __iter__(self) -> Iterator[str]:
        for model in self.by_id.values():
            if not model.unusable:
                yield model.name
                if model.version is not None and model.version == model.latest_version:
                    yield model.plain_name

    def __len__(self) -> int:
        return sum(1 for _ in self)
