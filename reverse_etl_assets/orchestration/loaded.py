"""The syncs of one project with their assets: what all of Dagster's definitions are built from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import dagster as dg

from reverse_etl_assets.deployment.deployment import ConfiguredDestination
from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.orchestration.dbt import DbtLink
from reverse_etl_assets.orchestration.heard import hear
from reverse_etl_assets.orchestration.syntax import check_syntax, sync_files
from reverse_etl_assets.orchestration.translator import DagsterReverseEtlTranslator, SyncTranslatorData
from reverse_etl_assets.project import Project
from reverse_etl_assets.spec.sync import Sync


@dataclass(frozen=True)
class LoadedSync:
    """A sync, its asset, and the assets that it reads, by dbt's unique id."""

    sync: Sync
    spec: dg.AssetSpec
    destination: ConfiguredDestination
    file: Path
    models: Mapping[str, dg.AssetKey]

    @property
    def key(self) -> dg.AssetKey:
        return self.spec.key

    def hear(self, instance: dg.DagsterInstance, project: Project) -> None:
        """Take into the journal what Dagster knows of the models that the sync reads."""
        model = project.models[self.sync.model]
        for each in model.read_models or (model,):
            hear(instance, project.journal, each, self.models[each.unique_id])

    @property
    def tags(self) -> dict[str, str]:
        """Of each of its runs, for limits by tag."""
        return {"destination": self.sync.destination, "sync": self.sync.sync}


@dataclass(frozen=True)
class Loaded:
    project: Project
    destinations: Mapping[str, ConfiguredDestination]
    syncs: Mapping[str, LoadedSync]

    def named(self, what: str) -> str:
        """A name for a job, a sensor or an op, which have to differ between all projects of a code location."""
        return f"{self.project.prefix}_{what}"

    @cached_property
    def quarantine_key(self) -> dg.AssetKey:
        return dg.AssetKey([self.project.prefix, "quarantine"])

    @cached_property
    def keys(self) -> frozenset[dg.AssetKey]:
        return frozenset(each.key for each in self.syncs.values())


def load(
    project: Project,
    destinations: Mapping[str, ConfiguredDestination],
    dbt: DbtLink,
    translator: DagsterReverseEtlTranslator | None = None,
) -> Loaded:
    """Raises SpecError for a sync's file, ConfigurationError for two syncs that would be one asset."""
    syncs, files = project.syncs, sync_files(project.syncs_folder)
    check_syntax(syncs.values(), files)
    loaded: dict[str, LoadedSync] = {}
    for name, sync in syncs.items():
        after = [loaded[parent].key for parent in sync.parents]
        loaded[name] = load_one(
            sync, project, destinations[sync.destination], dbt, translator, file=files[name], after=after
        )
    _refuse_same_key(loaded.values())
    found = _LOADED[id(project)] = Loaded(project, destinations, loaded)
    return found


_LOADED: dict[int, Loaded] = {}


def loaded_as(project: Project, destinations: Mapping[str, ConfiguredDestination]) -> Loaded:
    """As the code location loaded the project's syncs in this process; else as they are without a translator of its
    own. For commands that tell Dagster of what they did."""
    known = _LOADED.get(id(project))
    return known if known and known.project is project else load(project, destinations, DbtLink(project.dbt))


def load_one(
    sync: Sync,
    project: Project,
    destination: ConfiguredDestination,
    dbt: DbtLink,
    translator: DagsterReverseEtlTranslator | None = None,
    *,
    file: Path,
    after: Sequence[dg.AssetKey] = (),
) -> LoadedSync:
    """One of them; `after` are the assets of the syncs that it waits for."""
    model = project.models[sync.model]
    models = {unique_id: dbt.key(unique_id, project.models.file) for unique_id in model.depends_on}
    data = SyncTranslatorData(
        sync,
        model,
        destination.destination_type,
        file,
        models=list(models.values()),
        after=after,
        partitioned=bool(dbt.partitioned & set(models.values())),
        link=destination.link(sync.untyped_target),
    )
    spec = (translator or DagsterReverseEtlTranslator()).get_asset_spec(data)
    if not isinstance(spec, dg.AssetSpec):
        kind = type(spec).__name__
        raise ConfigurationError(
            f"{file}: the translator's `get_asset_spec` gives {kind}; it has to give an AssetSpec."
        )
    if spec.key in models.values():
        key = spec.key.to_user_string()
        raise ConfigurationError(f"{file}: the translator gives it the key {key}, which is that of the model it reads.")
    return LoadedSync(sync, spec.replace_attributes(skippable=True), destination, file, models)


def _refuse_same_key(loaded: Iterable[LoadedSync]) -> None:
    found: dict[dg.AssetKey, LoadedSync] = {}
    for each in loaded:
        if (other := found.setdefault(each.key, each)) is not each:
            raise ConfigurationError(
                f"{each.file} and {other.file}: the translator gives both the key {each.key.to_user_string()};"
                " give each sync a key of its own."
            )
