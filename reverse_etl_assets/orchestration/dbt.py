"""A team's dbt project as Dagster knows it: what it is called with, and which asset each of its models is."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtProject
from dagster_dbt.asset_utils import (
    DAGSTER_DBT_MANIFEST_METADATA_KEY,
    DAGSTER_DBT_PROJECT_METADATA_KEY,
    DAGSTER_DBT_TRANSLATOR_METADATA_KEY,
    DAGSTER_DBT_UNIQUE_ID_METADATA_KEY,
)

from reverse_etl_assets.dbt.settings import DbtSettings
from reverse_etl_assets.errors import ConfigurationError

DbtSource = dg.AssetsDefinition | DbtProject | DbtSettings
"""`@dbt_assets` of a team, or its project where no assets are at hand."""


@dataclass(frozen=True)
class DbtLink:
    """`keys` are those of the models that the assets build, by dbt's unique id; `partitioned` those with partitions."""

    settings: DbtSettings
    keys: Mapping[str, dg.AssetKey] = field(default_factory=dict)
    partitioned: frozenset[dg.AssetKey] = frozenset()
    translator: DagsterDbtTranslator = field(default_factory=DagsterDbtTranslator)
    manifest: Mapping[str, Any] = field(default_factory=dict, repr=False)
    project: DbtProject | None = None

    def key(self, unique_id: str, manifest: Path) -> dg.AssetKey:
        """The asset of a model, also of one that no assets were given for. `manifest` is what syncs were read with."""
        if known := self.keys.get(unique_id):
            return known
        if self.manifest:
            return self.translator.get_asset_spec(self.manifest, unique_id, self.project).key
        nodes = json.loads(manifest.read_text(encoding="utf-8"))
        return self.translator.get_asset_key({**nodes.get("sources", {}), **nodes["nodes"]}[unique_id])


def link_dbt(given: DbtSource | Iterable[DbtSource]) -> DbtLink:
    """What a team's assets say of their project, so that nothing is said twice.

    Raises ConfigurationError for assets of something else, of several projects, or of a project that they do not name.
    """
    many = isinstance(given, Iterable) and not isinstance(given, DbtSource | str | Path)
    sources: list[Any] = [*given] if many else [given]  # type: ignore[misc] # what it was given by mistake is named
    assets = [source for source in sources if isinstance(source, dg.AssetsDefinition)]
    strangers = [type(source).__name__ for source in sources if not isinstance(source, DbtSource)]
    if strangers or not sources:
        found = f"it is given {', '.join(strangers)}" if strangers else "nothing is given"
        raise ConfigurationError(f"`dbt` takes your @dbt_assets, or a DbtProject (`DbtProject(folder)`); {found}.")
    specs = [spec for each in assets for spec in _dbt_specs(each)]
    beside = [source for source in sources if not isinstance(source, dg.AssetsDefinition)]
    named = [spec.metadata[DAGSTER_DBT_PROJECT_METADATA_KEY] for spec in specs if _names_project(spec)]
    projects = _distinct([*beside, *named])
    if not projects:
        raise ConfigurationError(
            f"@dbt_assets {assets[0].op.name} do not name their dbt project: write"
            " `@dbt_assets(manifest=project.manifest_path, project=project)`, or give the DbtProject beside them:"
            " `dbt=[assets, project]`."
        )
    if len(projects) > 1:
        folders = ", ".join(str(settings.project_dir) for settings in projects)
        raise ConfigurationError(
            f"`dbt` is given several dbt projects, targets or profiles ({folders}). Call `build_sync_definitions` once"
            " for each, with a `name` of its own; they stand side by side."
        )
    if not specs:
        return DbtLink(projects[0])
    first = specs[0].metadata
    return DbtLink(
        projects[0],
        {spec.metadata[DAGSTER_DBT_UNIQUE_ID_METADATA_KEY]: spec.key for spec in specs},
        frozenset(spec.key for spec in specs if spec.partitions_def),
        first[DAGSTER_DBT_TRANSLATOR_METADATA_KEY],
        first[DAGSTER_DBT_MANIFEST_METADATA_KEY].manifest,
        first.get(DAGSTER_DBT_PROJECT_METADATA_KEY),
    )


def is_dbt(assets: dg.AssetsDefinition) -> bool:
    """Whether `@dbt_assets` made them."""
    return any(DAGSTER_DBT_MANIFEST_METADATA_KEY in spec.metadata for spec in assets.specs)


def is_dbt_of(settings: DbtSettings, assets: object) -> bool:
    """Whether they are dbt assets of the project, and say so."""
    if not isinstance(assets, dg.AssetsDefinition):
        return False
    return settings.project_dir.resolve() in dbt_folders(assets)


def dbt_folders(assets: dg.AssetsDefinition) -> set[Path]:
    """Of the dbt projects that they name."""
    return {
        spec.metadata[DAGSTER_DBT_PROJECT_METADATA_KEY].project_dir.resolve()
        for spec in assets.specs
        if _names_project(spec)
    }


def _dbt_specs(assets: dg.AssetsDefinition) -> list[dg.AssetSpec]:
    found = [spec for spec in assets.specs if DAGSTER_DBT_MANIFEST_METADATA_KEY in spec.metadata]
    if not found:
        raise ConfigurationError(
            f"`dbt` is given {', '.join(key.to_user_string() for key in assets.keys)}, which @dbt_assets did not make."
        )
    return found


def _names_project(spec: dg.AssetSpec) -> bool:
    return spec.metadata.get(DAGSTER_DBT_PROJECT_METADATA_KEY) is not None


def _distinct(projects: Sequence[DbtProject | DbtSettings]) -> list[DbtSettings]:
    """Settings that say nothing but `vars` add them to what else is given of the same project."""
    given = list(dict.fromkeys(map(_settings, projects)))
    extra = [each for each in given if each.vars and each == DbtSettings(each.project_dir, vars=each.vars)]
    vars_of = {each.project_dir.resolve(): each.vars for each in extra}
    others = [replace(each, vars=vars_of.get(each.project_dir, each.vars)) for each in given if each not in extra]
    alone = [each for each in extra if each.project_dir.resolve() not in {other.project_dir for other in others}]
    return [*others, *alone]


def _settings(project: DbtProject | DbtSettings) -> DbtSettings:
    if isinstance(project, DbtSettings):
        return project
    return DbtSettings(
        project.project_dir.resolve(),
        project.profiles_dir.resolve(),
        project.profile,
        project.target,
        project.target_path,
    )
