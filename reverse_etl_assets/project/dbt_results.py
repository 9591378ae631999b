"""What dbt said somewhere else, told to a project."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from reverse_etl_assets.dbt.parsed import manifest_of_target
from reverse_etl_assets.dbt.results import is_of, results_of
from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.project.project import Project


def remember_dbt_results(
    project: Project,
    run_results: str | Path | Mapping[str, Any],
    manifest: str | Path | Mapping[str, Any] | None = None,
) -> int:
    """Take what a command of dbt said, wherever it ran, as if it had run here; returns how many results were taken.

    `run_results` and `manifest` are dbt's artifacts, as files or as they are parsed; without a manifest it is the
    project's own. An older result than the known one of the same test changes nothing. Raises ConfigurationError for
    results of another target or project, and for what is no such artifact.
    """
    said = _artifact(run_results, "run_results.json")
    known = project.target_models
    nodes = _artifact(manifest or manifest_of_target(project.dbt, project.profile, project.home), "manifest.json")
    try:
        theirs = (nodes.get("metadata") or {}).get("project_name")
        ids = {result["unique_id"] for result in said["results"]}
        tests = {*nodes["nodes"], *nodes.get("unit_tests", {})}
        target = replace(project.dbt_target, profile=None)  # dbt Cloud has names of its own for profiles
        if known.root not in (None, theirs) or (ids and not ids & (known.by_id.keys() | tests)):
            raise ConfigurationError(f"these results are of dbt project `{theirs}`, and the syncs read `{known.root}`.")
        if not is_of(target, said):
            where = f"target `{said['args'].get('target') or target.default or 'another'}`"
            raise ConfigurationError(f"these results are of {where}, and the syncs read target `{target.name}`.")
        found = results_of(said, nodes)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"these are no results of dbt ({type(error).__name__}: {error}).") from None
    project.journal.hear_model_results(found)
    return sum(map(len, found.values()))


def _artifact(given: str | Path | Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if isinstance(given, Mapping):
        return given
    try:
        found = json.loads(Path(given).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{given} cannot be read as dbt's {name} ({type(error).__name__}: {error}).") from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"{given} is no {name} of dbt.")
    return found
