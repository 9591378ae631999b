"""What dbt knows of the models, read from its manifest: where a model is, its columns and its tests."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml

from reverse_etl_assets.errors import ConfigurationError


@dataclass(frozen=True)
class Model:
    """A dbt model. `columns` maps documented columns to their declared type (None if undeclared)."""

    name: str
    unique_id: str
    schema: str
    identifier: str
    columns: Mapping[str, str | None]
    descriptions: Mapping[str, str]


def load_models(manifest: Path) -> dict[str, Model]:
    """All models of the manifest by name. Raises ConfigurationError if there is none yet."""
    try:
        nodes = json.loads(manifest.read_text())["nodes"].values()
    except FileNotFoundError:
        raise ConfigurationError(
            f"dbt's manifest is missing at {manifest}. Build it with `make manifest` (or `dbt parse`)."
        ) from None
    except (json.JSONDecodeError, KeyError) as error:
        raise ConfigurationError(f"dbt's manifest at {manifest} cannot be read: {error}") from error
    return {node["name"]: _model(node) for node in nodes if node["resource_type"] == "model"}


def _model(node: Mapping[str, Any]) -> Model:
    columns = node["columns"].values()
    return Model(
        name=node["name"],
        unique_id=node["unique_id"],
        schema=node["schema"],
        identifier=node["alias"],
        columns={column["name"]: column.get("data_type") for column in columns},
        descriptions={column["name"]: column.get("description", "") for column in columns},
    )


def model_test_results(run_results: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The results of a dbt invocation by model name: each test's status, and the build's own under `build`."""
    results: dict[str, dict[str, str]] = {}
    for result in run_results["results"]:
        node = manifest["nodes"].get(result["unique_id"])
        if node is None:
            continue
        if node["resource_type"] == "model":
            status = "pass" if result["status"] == "success" else result["status"]
            results.setdefault(node["name"], {})["build"] = status
        elif node["resource_type"] == "test":
            for parent in node["depends_on"]["nodes"]:
                if parent == node.get("attached_node", parent) and parent.startswith("model."):
                    results.setdefault(parent.split(".")[-1], {})[node["name"]] = result["status"]
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
