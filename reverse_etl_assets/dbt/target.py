"""For which target of the profile a manifest was parsed: dbt does not write it down, so it has to follow from others.

A manifest has one place for each model, that of the target it was parsed for (read 2026-12-01:
https://docs.getdbt.com/reference/artifacts/manifest-json, https://docs.getdbt.com/docs/build/custom-schemas).
"""

import json
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from reverse_etl_assets.dbt.profile import Profile
from reverse_etl_assets.dbt.settings import had_vars

_PLACES = ("generate_schema_name", "generate_database_name", "generate_alias_name")
"""Macros of a project that decide where its models are built."""
_CUSTOM = ("schema", "database", "alias")
_BUILT = frozenset({"model", "seed", "snapshot"})
_OF_SURROUNDINGS = re.compile(r"\b(target|env_var|var|flags)\b")
_RENDERED = re.compile(r"\{[{%][^}]*\b(target|env_var|var|flags)\b")
_DECIDES = re.compile(r"\bif\b[^%}]*\btarget\b|\btarget\b[^%}]*\b(if|==|!=|in)\b|\btarget\b[^%}]*[=!]=")
_OF_TARGET = re.compile(r"\btarget\s*\.\s*(schema|database)\b")


class Parsed(Enum):
    """What is known of a manifest."""

    FOR_IT = "for the target"
    FOR_ANOTHER = "for another target"
    UNKNOWN = "for a target that cannot be told"


def parsed_for(manifest: Path, profile: Profile, project_dir: Path) -> Parsed:
    """Whether a manifest was parsed for the profile's target. Raises OSError, ValueError or KeyError if it cannot be
    read."""
    found = json.loads(manifest.read_text(encoding="utf-8"))
    by_places, by_results = _by_places(found, profile, project_dir), _by_results(manifest, found, profile)
    if Parsed.FOR_ANOTHER in (by_places, by_results):
        return Parsed.FOR_ANOTHER
    return Parsed.FOR_IT if Parsed.FOR_IT in (by_places, by_results) else Parsed.UNKNOWN


def target_of_results(manifest: Path) -> str | None:
    """The target that the results beside a manifest name, if the same command of dbt wrote both. Raises OSError,
    ValueError or KeyError if the manifest cannot be read."""
    args = _args_beside(manifest, json.loads(manifest.read_text(encoding="utf-8")))
    return args.get("target") if args else None


def _by_results(manifest: Path, found: Mapping[str, Any], profile: Profile) -> Parsed:
    args = _args_beside(manifest, found) or {}
    if args.get("profile") not in (None, profile.name):
        return Parsed.FOR_ANOTHER
    if not had_vars(args, profile.vars):
        return Parsed.UNKNOWN
    if args.get("target") is None:
        return Parsed.UNKNOWN
    return Parsed.FOR_IT if args["target"] == profile.target else Parsed.FOR_ANOTHER


def _args_beside(manifest: Path, found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The options of the command that wrote the manifest, from the results that it wrote beside it."""
    try:
        results = json.loads(manifest.with_name("run_results.json").read_text(encoding="utf-8"))
        same = results["metadata"]["invocation_id"] == found["metadata"]["invocation_id"]
        return dict(results["args"]) if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _by_places(found: Mapping[str, Any], profile: Profile, project_dir: Path) -> Parsed:
    """What has no place of its own stands where the target says; other places must not follow from the target's name.

    So it holds only where no macro of the project's own decides otherwise.
    """
    nodes = list(_own_nodes(found))
    if not all(map(_is_plain, _own_macros(found))):
        return Parsed.UNKNOWN
    plain = [node for node in nodes if not _custom(node)]
    if not all(_is_here(node, profile, {profile.schema}) for node in plain):
        return Parsed.FOR_ANOTHER
    others = [node for node in nodes if _custom(node)]
    told = bool(plain) or (bool(others) and all(_is_below(node, profile) for node in others))
    return Parsed.FOR_IT if told and all(_stays(node, project_dir) for node in others) else Parsed.UNKNOWN


def _own_nodes(found: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Of the root project: packages may have settings of their own."""
    root = (found.get("metadata") or {}).get("project_name")
    for node in found["nodes"].values():
        if node["resource_type"] in _BUILT and node.get("package_name") in (None, root):
            if node["resource_type"] == "snapshot" and (node.get("config") or {}).get("target_schema"):
                continue
            yield node


def _own_macros(found: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Those that decide on places, and are not dbt's or its adapter's."""
    adapter = (found.get("metadata") or {}).get("adapter_type")
    for macro in (found.get("macros") or {}).values():
        name = macro["name"].split("__")[-1]
        if name in _PLACES and macro.get("package_name") not in ("dbt", f"dbt_{adapter}"):
            yield macro


def _is_plain(macro: Mapping[str, Any]) -> bool:
    """Of the target it knows schema and database alone, decides nothing by them, and calls no other macro than dbt's
    own for the same."""
    calls = (macro.get("depends_on") or {}).get("macros") or ()
    text = _OF_TARGET.sub("", macro["macro_sql"])
    decides = _DECIDES.search(macro["macro_sql"]) or _OF_SURROUNDINGS.search(text)
    return not decides and all(call.startswith("macro.dbt.default__generate_") for call in calls)


def _custom(node: Mapping[str, Any]) -> list[str]:
    """What of its place is its own."""
    return [name for name in _CUSTOM if (node.get("config") or {}).get(name)]


def _is_below(node: Mapping[str, Any], profile: Profile) -> bool:
    """A schema of its own, by itself or after the target's, in the target's database."""
    own = str(node["config"].get("schema")).strip()
    return _custom(node) == ["schema"] and _is_here(node, profile, {own, f"{profile.schema}_{own}"})


def _is_here(node: Mapping[str, Any], profile: Profile, schemas: set[str]) -> bool:
    database = str(node.get("database") or profile.database)
    return database.lower() == profile.database.lower() and str(node["schema"]).lower() in map(str.lower, schemas)


def _stays(node: Mapping[str, Any], project_dir: Path) -> bool:
    """A place of a node's own that is the same for each target: dbt shows it unrendered in some places only."""
    raw = node.get("unrendered_config") or {}
    code = node.get("raw_code") or ""
    if any("{" in str(raw.get(name, "")) for name in _CUSTOM) or ("config" in code and _OF_SURROUNDINGS.search(code)):
        return False
    if not (patch := node.get("patch_path")):
        return True
    try:
        return not _RENDERED.search((project_dir / patch.split("://")[-1]).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
