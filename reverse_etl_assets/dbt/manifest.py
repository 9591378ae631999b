"""What dbt knows of the models, read from its manifest: a model's place, columns, marks, versions and tests."""

import copy
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jinja2
import yaml

from reverse_etl_assets.errors import ConfigurationError

EPHEMERAL = "is ephemeral: dbt builds nothing of it that could be read. Materialize it as a table or a view."

_OURS = ("memory_limit", "threads", "temp_directory", "preserve_insertion_order", "timezone")  # settings of our engine
_PERSONAL = "personal"  # the kind of personal data that is marked without naming one


@dataclass(frozen=True)
class Model:
    """A dbt model; of one with versions, one version of it, whose name ends with it: `customers.v2`.

    `columns` maps documented columns to their declared type (None if undeclared). `pii` maps the columns that dbt marks
    as personal data, in lower case, to the kind (`email`). `reverse_etl` and `tags` are what the model's own `meta` and
    tags say of syncs, and `file` is where they stand, in the dbt project. `tests` are those of its table (None if that
    is not known) and `unit_tests` those of its code; `upstream` is all that it is built from.
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
    upstream: Sequence[str] = ()
    database: str | None = None
    """Where dbt builds it; None is the profile's own."""
    materialized: str = "table"


def load_models(manifest: Path) -> dict[str, Model]:
    """All models of the manifest by each name that a sync may call them by.

    Raises ConfigurationError if there is no manifest yet, if it cannot be read, or if a mark of personal data cannot be
    understood.
    """
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
        tests = _tests(found)
        nodes = [node for node in found["nodes"].values() if _is_model(node)]
        models = [(node, _model(node, found, tests.get(names(node)[0], {}))) for node in nodes]
    except FileNotFoundError:
        raise ConfigurationError(
            f"dbt's manifest is missing at {manifest}. Build it with `make manifest` (or `dbt parse`)."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"dbt's manifest at {manifest} cannot be read ({type(error).__name__}: {error}); `dbt parse` makes it anew."
        ) from error
    return {name: model for node, model in models for name in names(node)}


def _is_model(node: Mapping[str, Any]) -> bool:
    return bool(node["resource_type"] == "model")


def names(node: Mapping[str, Any]) -> tuple[str, ...]:
    """What a sync may call a model of the manifest: `customers.v2`, and plain `customers` if that is the latest.

    A source is called `crm.people`.
    """
    name, version = node["name"], node.get("version")
    if node.get("resource_type") == "source":
        return (f"{node['source_name']}.{name}",)
    if version is None:
        return (name,)
    return (f"{name}.v{version}", name) if version == node.get("latest_version") else (f"{name}.v{version}",)


def _tests(manifest: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """By what is tested, the kind of test: its names."""
    found: dict[str, dict[str, list[str]]] = {}
    for test in (*manifest["nodes"].values(), *manifest.get("unit_tests", {}).values()):
        if test["resource_type"] in ("test", "unit_test"):
            for name in tested(test, manifest):
                found.setdefault(name, {}).setdefault(test["resource_type"], []).append(test["name"])
    return found


def _upstream(node: Mapping[str, Any], manifest: Mapping[str, Any]) -> Iterator[str]:
    """The names of all that a model is built from, the nearest first."""
    nodes, seen = {**manifest.get("sources", {}), **manifest["nodes"]}, {node["unique_id"]}
    waiting = [node]
    while waiting:
        for unique_id in (waiting.pop(0).get("depends_on") or {}).get("nodes") or ():
            if unique_id in nodes and unique_id not in seen:
                seen.add(unique_id)
                waiting.append(nodes[unique_id])
                yield names(nodes[unique_id])[0]


def _model(node: Mapping[str, Any], manifest: Mapping[str, Any], tests: Mapping[str, Sequence[str]]) -> Model:
    columns = node["columns"].values()
    marks = _meta(node).get("reverse_etl") or {}
    if not isinstance(marks, Mapping):
        raise ConfigurationError(f"dbt model {node['name']}: `meta.reverse_etl` is {marks!r}, not a mapping.")
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
        reverse_etl=marks,
        tags=_tags(node),
        database=node.get("database"),
        materialized=(node.get("config") or {}).get("materialized") or "table",
        file=(node.get("patch_path") or node.get("original_file_path") or "").split("://")[-1],
        tests=tuple(tests.get("test", ())),
        unit_tests=tuple(tests.get("unit_test", ())),
        upstream=tuple(_upstream(node, manifest)),
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


def tested(test: Mapping[str, Any], manifest: Mapping[str, Any]) -> Iterator[str]:
    """What a test of the manifest is of: each name of a model, the name of a source, seed or snapshot."""
    nodes = {**manifest.get("sources", {}), **manifest["nodes"]}
    attached = test.get("attached_node")
    for unique_id in [attached] if attached else test["depends_on"]["nodes"]:
        yield from names(nodes.get(unique_id) or {"name": unique_id.split(".")[-1]})


def profile_target(dbt_folder: Path) -> str:
    """The target of dbt's profile that counts where none is named. Raises ConfigurationError if there is no profile."""
    try:
        return str(_profile(dbt_folder)["target"])
    except (KeyError, TypeError) as error:
        raise ConfigurationError(f"{dbt_folder / 'profiles.yml'}: no usable profile: it has no `target`.") from error


def _profile(dbt_folder: Path) -> Mapping[str, Any]:
    """Understands `env_var` as dbt does. Raises ConfigurationError if there is no such profile."""
    profiles = dbt_folder / "profiles.yml"
    template = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - YAML, not HTML
    try:
        profile = yaml.safe_load((dbt_folder / "dbt_project.yml").read_text(encoding="utf-8"))["profile"]
        flags = {"PROJECT_DIR": str(dbt_folder), "PROFILES_DIR": str(dbt_folder)}
        text = template.from_string(profiles.read_text(encoding="utf-8")).render(env_var=_env_var, flags=flags)
        found: Mapping[str, Any] = yaml.safe_load(text)[profile]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, jinja2.TemplateError) as error:
        raise ConfigurationError(f"{profiles}: no usable profile: {type(error).__name__}: {error}") from error
    return found


@dataclass(frozen=True)
class AttachedDatabase:
    """A database that dbt's profile attaches beside its own. `sql` attaches it read-only, `file` is a DuckDB file."""

    name: str
    sql: str = field(repr=False)
    file: Path | None


@dataclass(frozen=True)
class DuckDBProfile:
    """What dbt's profile says of the warehouse: its file, what else is attached, and statements that come before."""

    path: Path
    attached: Sequence[AttachedDatabase] = ()
    setup: Sequence[str] = field(default=(), repr=False)  # secrets are among them


def duckdb_profile(dbt_folder: Path, target: str | None = None) -> DuckDBProfile:
    """The DuckDB file that dbt's profile names, and what it attaches, so that the warehouse is configured once.

    A relative path is relative to the dbt project, where dbt changes into.
    Raises ConfigurationError if there is no such profile or its target is not DuckDB.
    """
    profiles, outputs = dbt_folder / "profiles.yml", _profile(dbt_folder)
    try:
        output = outputs["outputs"][target or outputs["target"]]
        kind, path = output["type"], output["path"] if output["type"] == "duckdb" else ""
        path = (dbt_folder / Path(path).expanduser()).resolve()
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{profiles}: no usable profile: {type(error).__name__}: {error}") from error
    if kind != "duckdb":
        raise ConfigurationError(f"{profiles}: target is {kind!r}, and only 'duckdb' is supported so far.")
    more = [name for name in ("attach", "extensions", "secrets") if output.get(name)]
    try:
        return _with_more(dbt_folder, path, output) if more else DuckDBProfile(path)
    except Exception as error:  # dbt's own classes raise what they like, and may quote a secret
        raise ConfigurationError(
            f"{profiles}: {', '.join(f'`{name}`' for name in more)} cannot be read as dbt-duckdb reads it"
            f" ({type(error).__name__}); `dbt debug` says more."
        ) from None


def database_name(path: str | Path) -> str:
    """What DuckDB calls the database of a file: the first part of its name."""
    return Path(path).name.lstrip(".").split(".")[0]


def _with_more(dbt_folder: Path, path: Path, output: Mapping[str, Any]) -> DuckDBProfile:
    """By the classes of dbt-duckdb, which make the SQL; they take a second to import."""
    from dbt.adapters.duckdb.credentials import Attachment, DuckDBCredentials

    given = {name: output[name] for name in ("extensions", "secrets", "settings") if output.get(name)}
    credentials = DuckDBCredentials(path=str(path), **copy.deepcopy(given))
    setup: list[str] = []
    for each in credentials.extensions or []:
        name, repository = (each, None) if isinstance(each, str) else (each["name"], each["repo"])
        setup += [f"INSTALL {name}{f' FROM {repository}' if repository else ''}", f"LOAD {name}"]
    setup += credentials.secrets_sql()
    settings = {name: value for name, value in (credentials.settings or {}).items() if name.lower() not in _OURS}
    setup += [f"SET {name} = {_sql_text(str(value))}" for name, value in settings.items()]
    attached = [_attached(dbt_folder, Attachment(**each)) for each in output.get("attach") or []]
    return DuckDBProfile(path, attached, setup)


def _attached(dbt_folder: Path, attachment: Any) -> AttachedDatabase:
    name = attachment.alias or database_name(attachment.path)
    options = {key: value for key, value in (attachment.options or {}).items() if key != "read_only"}
    plain = not (attachment.type or attachment.secret or options or attachment.is_ducklake)
    is_file = "://" not in attachment.path and not re.match(r"[A-Za-z_]{2,}:", attachment.path)
    if is_file and attachment.type in (None, "duckdb", "sqlite"):
        attachment = replace(attachment, path=str((dbt_folder / Path(attachment.path).expanduser()).resolve()))
    quoted = '"' + name.replace('"', '""') + '"'
    sql = replace(attachment, read_only=True, alias=quoted, options=options or None).to_sql()
    return AttachedDatabase(name, sql, Path(attachment.path) if plain and is_file else None)


def _sql_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _env_var(name: str, default: str | None = None) -> str:
    value = os.environ.get(name, default)
    if value is None:
        raise ConfigurationError(f"dbt's profile needs the environment variable {name}, which is not set.")
    return value
