"""What dbt knows of the models, read from its manifest: a model's place, columns, marks, versions and tests."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reverse_etl_assets.dbt.names import SOURCE, Models, names
from reverse_etl_assets.errors import ConfigurationError

EPHEMERAL = "is ephemeral: dbt builds nothing of it that could be read. Materialize it as a table or a view."
_DISABLED = "is disabled in dbt (`enabled: false`), for the target at least that its manifest is of: nothing builds it."

_PERSONAL = "personal"  # the kind of personal data that is marked without naming one
_KINDS = frozenset({"model", "seed", "snapshot", SOURCE})


@dataclass(frozen=True)
class Model:
    """What rows can be read from: a dbt model, seed, snapshot or source (`kind`); of a model with versions, one version
    of it, whose name ends with it: `customers.v2`. `name` is what people read, `unique_id` what dbt knows it by.

    `columns` maps documented columns to their declared type (None if undeclared). `pii` maps the columns that dbt marks
    as personal data, in lower case, to the kind (`email`). `reverse_etl` and `tags` are what the model's own `meta` and
    tags say of syncs, and `file` is where they stand, in the dbt project. `tests` are those of its table (None if that
    is not known) and `unit_tests` those of its code; `upstream` are the ids of all that it is built from.
    """

    name: str
    unique_id: str
    schema: str
    identifier: str
    columns: Mapping[str, str | None]
    descriptions: Mapping[str, str]
    pii: Mapping[str, str] = field(default_factory=dict)
    version: int | float | str | None = None
    latest_version: int | float | str | None = None
    reverse_etl: Mapping[str, Any] = field(default_factory=dict)
    tags: Sequence[str] = ()
    file: str = ""
    tests: Sequence[str] | None = None
    unit_tests: Sequence[str] = ()
    unique: Sequence[Sequence[str]] = ()
    """Columns that dbt tests for being unique, in all rows, by themselves or together."""
    upstream: Sequence[str] = ()
    database: str | None = None
    """Where dbt builds it; None is the profile's own."""
    materialized: str = "table"
    kind: str = "model"
    unusable: str = ""
    """Why no sync can read it, after its name."""
    parts: Sequence["str | Model"] = ()
    """Of a sync's own query: its SQL, and the models that it reads in their places."""
    reads: tuple[str, ...] = ()

    @property
    def depends_on(self) -> tuple[str, ...]:
        """The ids of what its rows are read from: itself, or what a query reads."""
        return self.reads or (self.unique_id,)

    @property
    def read_models(self) -> tuple["Model", ...]:
        """Those of a query, each once."""
        found = {part.unique_id: part for part in self.parts if isinstance(part, Model)}
        return tuple(found.values())

    @property
    def plain_name(self) -> str:
        """Without its version."""
        return self.name.removesuffix(f".v{self.version}")

    @property
    def plain_id(self) -> str:
        """The same of all its versions."""
        return self.unique_id.removesuffix(f".v{self.version}")


def load_models(manifest: Path) -> Models:
    """All that a sync can read by each name that it may use for it.

    Raises ConfigurationError if there is no manifest yet, if it cannot be read, or if a mark of personal data cannot be
    understood.
    """
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
        tests, unique = _tests(found), _unique(found)
        built = [(node, _model(node, found, tests.get(node["unique_id"], {}), unique)) for node in _enabled(found)]
        disabled = [(node, _model(node, found, {}, {}, unusable=_DISABLED)) for node in _disabled(found)]
        return Models(manifest, (found.get("metadata") or {}).get("project_name"), [*built, *disabled])
    except FileNotFoundError:
        raise ConfigurationError(
            f"dbt's manifest is missing at {manifest}. Build it with `make manifest` (or `dbt parse`)."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"dbt's manifest at {manifest} cannot be read ({type(error).__name__}: {error}); `dbt parse` makes it anew."
        ) from error


def _enabled(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    nodes = (*manifest["nodes"].values(), *(manifest.get("sources") or {}).values())
    return [node for node in nodes if node["resource_type"] in _KINDS]


def _disabled(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    nodes = (same[0] for same in (manifest.get("disabled") or {}).values())
    return [node for node in nodes if node["resource_type"] in _KINDS]


def _tests(manifest: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """By what is tested, the kind of test: its names."""
    found: dict[str, dict[str, list[str]]] = {}
    for test in (*manifest["nodes"].values(), *manifest.get("unit_tests", {}).values()):
        if test["resource_type"] in ("test", "unit_test"):
            for unique_id in tested(test, manifest):
                found.setdefault(unique_id, {}).setdefault(test["resource_type"], []).append(test["name"])
    return found


def _unique(manifest: Mapping[str, Any]) -> dict[str, list[Sequence[str]]]:
    """By what is tested, the columns whose values, or combinations of values, have to be there once."""
    found: dict[str, list[Sequence[str]]] = {}
    for test in manifest["nodes"].values():
        config = test.get("config") or {}
        if test["resource_type"] != "test" or config.get("where") or config.get("severity", "error").lower() != "error":
            continue
        about = test.get("test_metadata") or {}
        given = about.get("kwargs") or {}
        together = about.get("name") == "unique_combination_of_columns"  # of dbt_utils
        names = given.get("combination_of_columns") if together else [given.get("column_name")]
        if (together or about.get("name") == "unique") and (key := _names(names)):
            for unique_id in tested(test, manifest):
                found.setdefault(unique_id, []).append(key)
    return found


def _names(given: Any) -> tuple[str, ...]:
    """Of columns, without quotes; none if it is not a list of names."""
    fits = isinstance(given, list) and all(isinstance(name, str) for name in given)
    return tuple(name.strip('"`') for name in given) if fits else ()


def tested(test: Mapping[str, Any], manifest: Mapping[str, Any]) -> Iterator[str]:
    """The ids of what a test of the manifest is of."""
    attached = test.get("attached_node")
    for unique_id in [attached] if attached else test["depends_on"]["nodes"]:
        yield manifest["nodes"].get(unique_id, {}).get("unique_id", unique_id)


def _upstream(node: Mapping[str, Any], manifest: Mapping[str, Any]) -> Iterator[str]:
    """The ids of all that a model is built from, the nearest first."""
    nodes, seen = {**manifest.get("sources", {}), **manifest["nodes"]}, {node["unique_id"]}
    waiting = [node]
    while waiting:
        for unique_id in (waiting.pop(0).get("depends_on") or {}).get("nodes") or ():
            if unique_id in nodes and unique_id not in seen:
                seen.add(unique_id)
                waiting.append(nodes[unique_id])
                yield unique_id


def _model(
    node: Mapping[str, Any],
    manifest: Mapping[str, Any],
    tests: Mapping[str, Sequence[str]],
    unique: Mapping[str, Sequence[Sequence[str]]],
    unusable: str = "",
) -> Model:
    columns = node["columns"].values()
    marks = _meta(node).get("reverse_etl") or {}
    if not isinstance(marks, Mapping):
        raise ConfigurationError(f"dbt model {node['name']}: `meta.reverse_etl` is {marks!r}, not a mapping.")
    return Model(
        name=names(node)[0],
        unique_id=node["unique_id"],
        schema=node["schema"],
        identifier=node.get("alias") or node.get("identifier") or node["name"],
        columns={column["name"]: column.get("data_type") for column in columns},
        descriptions={column["name"]: column.get("description", "") for column in columns},
        pii={column["name"].lower(): kind for column in columns if (kind := _personal(node["name"], column))},
        version=node.get("version"),
        latest_version=node.get("latest_version"),
        reverse_etl=marks,
        tags=_tags(node),
        database=node.get("database"),
        materialized=(node.get("config") or {}).get("materialized") or "table",
        file=(node.get("patch_path") or node.get("original_file_path") or "").split("://")[-1],
        tests=tuple(tests.get("test", ())),
        unit_tests=tuple(tests.get("unit_test", ())),
        unique=tuple(unique.get(node["unique_id"], ())),
        upstream=tuple(_upstream(node, manifest)),
        kind=node["resource_type"],
        unusable=unusable,
    )


def _meta(node: Mapping[str, Any]) -> dict[str, Any]:
    """Of a model or column; dbt knows two places."""
    return {**(node.get("meta") or {}), **((node.get("config") or {}).get("meta") or {})}


def _tags(node: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*(node.get("tags") or ()), *((node.get("config") or {}).get("tags") or ())]))


def _personal(model: str, column: Mapping[str, Any]) -> str | None:
    """The kind of personal data that a column's `meta` or tags mark; in doubt an error, never an unmarked column."""
    mark = next((value for name, value in _meta(column).items() if name.lower() == "pii"), None)
    if isinstance(mark, str) and mark.strip():
        return mark.strip().lower()
    if mark is not None and not isinstance(mark, bool):
        raise ConfigurationError(
            f"dbt model {model}, column {column['name']}: `meta.pii` is {mark!r};"
            " write the kind of personal data, such as `email`, or `true`."
        )
    for tag in map(str.lower, _tags(column)):
        if tag == "pii" or tag.startswith("pii:"):
            return tag.partition(":")[2].strip() or _PERSONAL
    return _PERSONAL if mark else None
