"""What dbt knows of the models, read from its manifest: a model's place, columns, marks, versions and tests."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import yaml

from reverse_etl_assets.errors import ConfigurationError

_PERSONAL = "personal"  # the kind of personal data that is marked without naming one


@dataclass(frozen=True)
class Model:
    """A dbt model; of one with versions, one version of it, whose name ends with it: `customers.v2`.

    `columns` maps documented columns to their declared type (None if undeclared). `pii` maps the columns that dbt marks
    as personal data, in lower case, to the kind (`email`). `reverse_etl` and `tags` are what the model's own `meta` and
    tags say of syncs, and `file` is where they stand, in the dbt project.
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


def load_models(manifest: Path) -> dict[str, Model]:
    """All models of the manifest by each name that a sync may call them by.

    Raises ConfigurationError if there is no manifest yet, or if a mark of personal data cannot be understood.
    """
    try:
        nodes = json.loads(manifest.read_text())["nodes"].values()
    except FileNotFoundError:
        raise ConfigurationError(
            f"dbt's manifest is missing at {manifest}. Build it with `make manifest` (or `dbt parse`)."
        ) from None
    except (json.JSONDecodeError, KeyError) as error:
        raise ConfigurationError(f"dbt's manifest at {manifest} cannot be read: {error}") from error
    return {name: _model(node) for node in nodes if node["resource_type"] == "model" for name in names(node)}


def names(node: Mapping[str, Any]) -> tuple[str, ...]:
    """What a sync may call a model of the manifest: `customers.v2`, and plain `customers` if that is the latest."""
    name, version = node["name"], node.get("version")
    if version is None:
        return (name,)
    return (f"{name}.v{version}", name) if version == node.get("latest_version") else (f"{name}.v{version}",)


def _model(node: Mapping[str, Any]) -> Model:
    columns = node["columns"].values()
    said = _meta(node).get("reverse_etl") or {}
    if not isinstance(said, Mapping):
        raise ConfigurationError(f"dbt model {node['name']}: `meta.reverse_etl` is {said!r}, not a mapping.")
    return Model(
        name=names(node)[0],
        unique_id=node["unique_id"],
        schema=node["schema"],
        identifier=node["alias"],
        columns={column["name"]: column.get("data_type") for column in columns},
        descriptions={column["name"]: column.get("description", "") for column in columns},
        pii={column["name"].lower(): kind for column in columns if (kind := _personal(node["name"], column))},
        version=node.get("version"),
        latest_version=node.get("latest_version"),
        reverse_etl=said,
        tags=_tags(node),
        file=(node.get("patch_path") or node.get("original_file_path") or "").split("://")[-1],
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


def model_test_results(run_results: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The results of a dbt invocation by a model's names: each test's status, and the build's own under `build`."""
    results: dict[str, dict[str, str]] = {}
    for result in run_results["results"]:
        node = manifest["nodes"].get(result["unique_id"])
        if node is None:
            continue
        if node["resource_type"] == "model":
            status = "pass" if result["status"] == "success" else result["status"]
            for name in names(node):
                results.setdefault(name, {})["build"] = status
        elif node["resource_type"] == "test":
            for parent in node["depends_on"]["nodes"]:
                if parent == node.get("attached_node", parent) and parent.startswith("model."):
                    for name in names(manifest["nodes"].get(parent) or {"name": parent.split(".")[-1]}):
                        results.setdefault(name, {})[node["name"]] = result["status"]
    return results


def duckdb_path(dbt_folder: Path, target: str | None = None) -> Path:
    """The DuckDB file that dbt's profile names, so that the warehouse is configured once.

    Understands `env_var` as dbt does; a relative path is relative to the dbt project, where dbt changes into.
    Raises ConfigurationError if there is no such profile or its target is not DuckDB.
    """
    profiles = dbt_folder / "profiles.yml"
    template = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - YAML, not HTML
    try:
        profile = yaml.safe_load((dbt_folder / "dbt_project.yml").read_text())["profile"]
        flags = {"PROJECT_DIR": str(dbt_folder), "PROFILES_DIR": str(dbt_folder)}
        text = template.from_string(profiles.read_text()).render(env_var=_env_var, flags=flags)
        outputs = yaml.safe_load(text)[profile]
        output = outputs["outputs"][target or outputs["target"]]
    except (OSError, KeyError, yaml.YAMLError, jinja2.TemplateError) as error:
        raise ConfigurationError(f"{profiles}: no usable profile: {type(error).__name__}: {error}") from error
    if output["type"] != "duckdb":
        raise ConfigurationError(f"{profiles}: target is {output['type']!r}, and only 'duckdb' is supported so far.")
    return (dbt_folder / Path(output["path"]).expanduser()).resolve()


def _env_var(name: str, default: str | None = None) -> str:
    value = os.environ.get(name, default)
    if value is None:
        raise ConfigurationError(f"dbt's profile needs the environment variable {name}, which is not set.")
    return value
