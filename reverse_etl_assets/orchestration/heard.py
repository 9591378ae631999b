"""What Dagster knows of the models: builds and tests that somebody's own dbt assets ran, here or on another machine."""

from collections.abc import Iterator

import dagster as dg

from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.dbt.results import BUILD
from reverse_etl_assets.journal import Journal, ModelResult

_LOOK_BACK = 5  # a check that was announced, by a run that died or that skipped it, is not evaluated


def hear(instance: dg.DagsterInstance, journal: Journal, model: Model, key: dg.AssetKey) -> None:
    """Take it into the journal, where the latest result of each test stays."""
    journal.hear_model_results({model.unique_id: [*_builds(instance, key), *_tests(instance, model, key)]})


def _builds(instance: dg.DagsterInstance, key: dg.AssetKey) -> Iterator[ModelResult]:
    """The last materialisation, dated as its run began: events come later than what dbt did, in no certain order."""
    event = instance.get_latest_materialization_event(key)
    if event:
        run = instance.get_run_record_by_id(event.run_id) if event.run_id else None
        yield ModelResult(BUILD, "pass", (run and run.start_time) or event.timestamp)


def _tests(instance: dg.DagsterInstance, model: Model, key: dg.AssetKey) -> Iterator[ModelResult]:
    for test in model.tests or ():
        check = dg.AssetCheckKey(key, test)
        for record in instance.event_log_storage.get_asset_check_execution_history(check, limit=_LOOK_BACK):
            found = record.evaluation
            if isinstance(found, dg.AssetCheckEvaluation) and record.event:  # not only announced
                bad = "fail" if found.severity is dg.AssetCheckSeverity.ERROR else "warn"
                yield ModelResult(test, "pass" if found.passed else bad, record.event.timestamp)
                break
