"""The kill switch as jobs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from reverse_etl_assets.orchestration.jobs import build_jobs
from reverse_etl_sandbox.server import Sandbox
from tests.heavy import heavy
from tests.orchestration.small_project import SmallProject


def launch(small: SmallProject, name: str, **config: str) -> Any:
    (job,) = [job for job in build_jobs(small.loaded()) if job.name == f"shop_{name}"]
    op = f"shop_{name.split('_')[0]}"
    run_config = {"ops": {op: {"config": config}}} if config else None
    return job.execute_in_process(run_config, instance=small.instance, raise_on_error=False)


def figures(result: Any) -> dict[str, Any]:
    (output,) = [event.step_output_data for event in result.all_events if event.is_successful_output]
    return {name: value.value for name, value in output.metadata.items()}


def test_one_click_stops_everything_and_another_lets_it_run(small: SmallProject, sandbox: Sandbox) -> None:
    asset = small.asset()
    result = launch(small, "stop_syncs")
    told = figures(result)
    assert told["did"] == "stop all"
    assert told["who"] == f"Dagster run {result.run_id[:8]}"
    assert told["stops in force"] == 1

    stopped = small.run(asset)
    assert "kill_switch: stopped (all) by Dagster run" in str(stopped.failure.description)
    assert {name for name, check in stopped.checks.items() if not check.passed} == {"guards"}
    assert stopped.checks["guards"].description.startswith(
        "nothing was sent; kill_switch: stopped (all) by Dagster run"
    )
    assert (stopped.guards["max_removed"]["result"], stopped.guards["max_removed"]["why"]) == (
        "not judged",
        "the run ended before",
    )
    assert sandbox.log.lines() == []

    assert figures(launch(small, "resume_syncs"))["stops in force"] == 0
    assert small.run(asset).success


def test_scopes(small: SmallProject) -> None:
    file = small.write_sync("contacts")
    told = figures(launch(small, "stop_syncs", scope=f"sync:{file.stem}", why="wrong names", who="ada"))
    (stop,) = [row.data for row in told["stops"].records]
    when = stop.pop("when (UTC)")
    assert datetime.now(UTC) - datetime.fromisoformat(when) < timedelta(minutes=5)
    assert stop == {"scope": "sync:contacts", "who": "ada", "why": "wrong names", "given in": "journal"}
    still = figures(launch(small, "resume_syncs", scope="destination:crm"))
    assert still["stops in force"] == 1
    assert [row.data["who"] for row in still["log"].records] == ["ada"], "nothing was resumed"


@heavy
def test_a_stop_that_the_journal_cannot_keep_is_given_by_a_file(
    small: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REVERSE_ETL_JOURNAL", "postgresql://nobody@127.0.0.1:1/none")
    told = figures(launch(small, "stop_syncs", why="wrong names", who="ada"))
    assert "So the file" in told["problem"]
    assert "STOP was written instead" in told["problem"]
    (stop,) = [row.data for row in told["stops"].records]
    assert (stop["scope"], stop["who"]) == ("all", "ada")
    monkeypatch.delenv("REVERSE_ETL_JOURNAL")
    assert "kill_switch: stopped (all) by ada: wrong names" in str(small.run(small.asset()).failure.description)
    told = figures(launch(small, "resume_syncs", who="bob"))
    assert (told["stops in force"], "problem" in told) == (0, False)
    assert [(row.data["action"], row.data["who"]) for row in told["log"].records] == [
        ("resume", "bob"),
        ("stop", "ada"),
    ]


@pytest.mark.parametrize("job", ["stop_syncs", "resume_syncs"])
def test_a_scope_that_does_not_exist_is_refused_with_the_right_ones(small: SmallProject, job: str) -> None:
    small.write_sync("contacts")
    result = launch(small, job, scope="sync:contact")
    (failure,) = [event for event in result.all_events if event.event_type == dg.DagsterEventType.STEP_FAILURE]
    said = failure.event_specific_data.user_failure_data.description
    assert "did you mean sync:contacts?" in said
    assert "all, destination:crm, sync:contacts" in said
    assert small.project.journal.stops() == []
