"""A run that Dagster did not start, such as one of the command line, shown there all the same."""

from collections.abc import Iterator

import dagster as dg

from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.orchestration.checks import check_results
from reverse_etl_assets.orchestration.loaded import LoadedSync
from reverse_etl_assets.orchestration.metadata import guarded_metadata, in_events, run_metadata
from reverse_etl_assets.project import Project
from reverse_etl_assets.runs.report import Report

Event = dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation


def show_run(instance: dg.DagsterInstance, loaded: LoadedSync, project: Project, report: Report) -> None:
    """Show the run's figures and what its checks say. Of one that has no end yet there is nothing to show."""
    if report.status is not RunStatus.OPEN:
        for event in _events(instance, loaded, project, report):
            instance.report_runless_asset_event(event)


def _events(instance: dg.DagsterInstance, loaded: LoadedSync, project: Project, report: Report) -> Iterator[Event]:
    """A materialisation says that the asset is as it should be: what lies downstream starts, and the sync is fresh. Of
    a run that did not end well the same figures are an observation. A trial says nothing of the sync as a whole."""
    if report.status is RunStatus.GUARDED:
        yield dg.AssetObservation(loaded.key, metadata=guarded_metadata(report, project, loaded.destination))
    elif report.ended_well:
        yield dg.AssetMaterialization(loaded.key, metadata=run_metadata(report, project))
    else:
        yield dg.AssetObservation(loaded.key, metadata=run_metadata(report, project))
    if report.trial is None:
        for check in check_results(instance, loaded.key, in_events(report, project)):
            yield dg.AssetCheckEvaluation(
                asset_key=loaded.key,
                check_name=str(check.check_name),
                passed=check.passed,
                metadata=check.metadata,
                severity=check.severity,
                description=check.description,
            )
