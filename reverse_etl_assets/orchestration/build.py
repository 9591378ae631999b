"""Everything that Dagster loads of a project's syncs, to be merged with a team's own definitions."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import dagster as dg

from reverse_etl_assets.deployment.alerts import Alerts
from reverse_etl_assets.deployment.built import remember
from reverse_etl_assets.deployment.deployment import Deployment
from reverse_etl_assets.deployment.settings import DestinationSettings
from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.orchestration.alerts import build_alerts
from reverse_etl_assets.orchestration.assets import build_sync_asset
from reverse_etl_assets.orchestration.dbt import DbtLink, DbtSource, link_dbt
from reverse_etl_assets.orchestration.drift import build_drift_check, build_drift_job
from reverse_etl_assets.orchestration.jobs import build_jobs
from reverse_etl_assets.orchestration.loaded import Loaded, load
from reverse_etl_assets.orchestration.quarantine import build_quarantine_asset, quarantine_sensor
from reverse_etl_assets.orchestration.removed import build_removed, remember_syncs, warn_of_renamed
from reverse_etl_assets.orchestration.resources import DestinationResource
from reverse_etl_assets.orchestration.run_tags import RunTags
from reverse_etl_assets.orchestration.schedules import build_schedules, build_sensors
from reverse_etl_assets.orchestration.translator import DagsterReverseEtlTranslator
from reverse_etl_assets.orchestration.undo import build_undo_job
from reverse_etl_assets.project import Project


def build_sync_definitions(
    *,
    dbt: DbtSource | Iterable[DbtSource],
    syncs: Path | str,
    destinations: Mapping[str, DestinationResource | DestinationSettings],
    translator: DagsterReverseEtlTranslator | None = None,
    name: str = "",
    home: Path | str | None = None,
    alerts: Alerts | None = None,
    values_in_events: bool = False,
) -> dg.Definitions:
    """Assets, checks, jobs, schedules and sensors of a folder of syncs; no dbt assets, and no executor.

    `dbt` is a team's own `@dbt_assets` (one or several of one project), or its `DbtProject`: project, profile, target
    and the keys of models follow from them. What dbt is given with `--vars` does not: `DbtSettings(FOLDER, vars=...)`
    beside them says it. `name`, that of the dbt project if it is left out, comes before the names of jobs, sensors and
    ops, so that two calls stand side by side. `home` is the folder of state and journal.

    Raises ConfigurationError for `dbt`, a destination or a manifest, SpecError for a sync's file.
    """
    if not isinstance(alerts, Alerts | None):
        raise ConfigurationError(f"`alerts` takes `Alerts(channel=...)`; it is given {type(alerts).__name__}.")
    link = link_dbt(dbt)
    project = _project(link, syncs, destinations, name, home, values_in_events=values_in_events)
    return build_definitions(_load(project, destinations, link, translator), alerts)


def build_sync_assets(
    *,
    dbt: DbtSource | Iterable[DbtSource],
    syncs: Path | str,
    destinations: Mapping[str, DestinationResource | DestinationSettings],
    translator: DagsterReverseEtlTranslator | None = None,
    name: str = "",
    home: Path | str | None = None,
) -> list[dg.AssetsDefinition]:
    """The assets of the syncs alone, each with its checks. Arguments and errors as of `build_sync_definitions`."""
    link = link_dbt(dbt)
    return _assets(_load(_project(link, syncs, destinations, name, home), destinations, link, translator))


def build_sync_specs(
    *,
    dbt: DbtSource | Iterable[DbtSource],
    syncs: Path | str,
    destinations: Mapping[str, DestinationResource | DestinationSettings],
    translator: DagsterReverseEtlTranslator | None = None,
    name: str = "",
    home: Path | str | None = None,
) -> list[dg.AssetSpec]:
    """What the syncs look like in Dagster, for a code location that shows them and runs them elsewhere. Likewise."""
    link = link_dbt(dbt)
    loaded = _load(_project(link, syncs, destinations, name, home), destinations, link, translator)
    return [each.spec for each in loaded.syncs.values()]


def build_definitions(loaded: Loaded, alerts: Alerts | None = None) -> dg.Definitions:
    """Those of syncs that are loaded. Raises ConfigurationError if alerts have no Slack account to be sent with."""
    project, syncs = loaded.project, loaded.syncs
    quarantine = build_quarantine_asset(loaded)
    looked_at = [(name, each, each.sync.verify.drift) for name, each in syncs.items() if each.sync.verify.drift]
    drift = [build_drift_job(loaded.named(f"{name}_drift"), each, drift) for name, each, drift in looked_at]
    ours = dg.Definitions(
        assets=[*_assets(loaded), *([quarantine] if quarantine else [])],
        asset_checks=[build_drift_check(each, project) for _, each, _ in looked_at],
        schedules=[*build_schedules(loaded), *(schedule for _, schedule in drift)],
        sensors=[
            *build_sensors(loaded),
            *([quarantine_sensor(loaded)] if quarantine else []),
            *(build_alerts(loaded, alerts) if alerts else []),
        ],
        jobs=[*build_jobs(loaded), build_undo_job(loaded), *(job for job, _ in drift)],
        # Named as the project's own, for a team may have a resource of the same name.
        resources={
            loaded.named(name): each
            for name, each in loaded.destinations.items()
            if isinstance(each, dg.ConfigurableResource)
        },
    )
    remember_syncs(loaded)
    warn_of_renamed(loaded)
    return dg.Definitions.merge(ours, build_removed(loaded))


def _assets(loaded: Loaded) -> list[dg.AssetsDefinition]:
    remember(Deployment(loaded.project.prefix, loaded.project, loaded.destinations))
    tags = RunTags(loaded.syncs.values())
    return [build_sync_asset(each, loaded.project, tags) for each in loaded.syncs.values()]


def _load(
    project: Project,
    destinations: Mapping[str, DestinationResource | DestinationSettings],
    link: DbtLink,
    translator: DagsterReverseEtlTranslator | None,
) -> Loaded:
    if not isinstance(translator, DagsterReverseEtlTranslator | None):
        right = "`translator` takes an object of a class that inherits DagsterReverseEtlTranslator, such as `Ours()`"
        raise ConfigurationError(f"{right}; it is given {_kind(translator)}.")
    return load(project, destinations, link, translator)


def _kind(given: object) -> str:
    return f"the class {given.__name__} itself" if isinstance(given, type) else type(given).__name__


def _project(
    link: DbtLink,
    syncs: Path | str,
    destinations: Mapping[str, DestinationResource | DestinationSettings],
    name: str,
    home: Path | str | None,
    *,
    values_in_events: bool = False,
) -> Project:
    if not isinstance(destinations, Mapping):
        right = "`destinations` takes a mapping of names, such as `{'hubspot': HubSpotResource(...)}`"
        raise ConfigurationError(f"{right}; it is given {_kind(destinations)}.")
    for each, resource in destinations.items():
        if not isinstance(resource, DestinationResource | DestinationSettings):
            right = "an account is an object such as `HubSpotResource(access_token=dg.EnvVar('HUBSPOT_ACCESS_TOKEN'))`"
            raise ConfigurationError(f"destination {each!r}: {right}; it is given {_kind(resource)}.")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", each):
            raise ConfigurationError(f"destination {each!r}: a name has letters, digits and `_`.")
        if isinstance(resource, DestinationResource):  # those of a file were looked at when it was read
            resource.refuse_literal_secrets(each)
    folder = Path(syncs).absolute()
    if not folder.is_dir():
        advice = (
            "" if Path(syncs).is_absolute() else ' Write `Path(__file__).parent / "syncs"` to mean one beside a file.'
        )
        raise ConfigurationError(f"syncs: there is no folder {folder}.{advice}")
    types = {each: resource.destination_type for each, resource in destinations.items()}
    return Project(
        link.settings,
        folder,
        types,
        values_in_events,
        name=name,
        home_folder=Path(home) if home else None,
    )
