"""One round of the demo: dbt and every sync, materialised by Dagster in this process."""

import contextlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from reverse_etl_assets import Project, Run

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Round:
    """The journal's run of each sync, and the assets that failed in Dagster, with why."""

    runs: Mapping[str, Run]
    failures: Mapping[str, str]


def materialise_everything(project: Project, log: Path) -> Round:
    """Run the whole graph once. What Dagster and dbt say goes to the log."""
    from demo.definitions import defs  # needs the manifest

    with (
        log.open("a") as shown,
        contextlib.redirect_stdout(shown),
        contextlib.redirect_stderr(shown),
        warnings.catch_warnings(),
        dg.DagsterInstance.get() as instance,
    ):
        warnings.simplefilter("ignore")
        job = defs.resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(instance=instance, raise_on_error=False, run_config=_QUIET)
        failures = {
            event.step_key or "run": event.step_failure_data.user_failure_data.description or ""
            if event.is_step_failure and event.step_failure_data.user_failure_data
            else event.message or ""
            for event in result.all_events
            if event.is_step_failure
        }
    return Round({run.sync: run for run in project.journal.latest_runs()}, failures)
