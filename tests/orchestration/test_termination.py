"""A run that is terminated keeps what the destination had acknowledged, and is not started again."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_sandbox.server import Sandbox
from tests.heavy import heavy
from tests.orchestration.small_project import SmallProject
from tests.until import until

ROWS = 4_000
ROOT = Path(__file__).parents[2]


def terminate(process: subprocess.Popen[str], storage: Path) -> None:
    """As the run launcher does it: the run is marked, and its process gets an interrupt."""
    with dg.DagsterInstance.local_temp(str(storage)) as instance:
        (run,) = instance.get_runs()
        instance.report_run_canceling(run)
    process.send_signal(signal.SIGINT)


def judged(instance: dg.DagsterInstance) -> Iterator[tuple[str, dg.AssetCheckEvaluation]]:
    (run,) = instance.get_runs()
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    for record in instance.get_records_for_run(run.run_id, of_type=kind).records:
        assert record.event_log_entry.dagster_event
        evaluation: Any = record.event_log_entry.dagster_event.event_specific_data
        yield evaluation.check_name, evaluation


@heavy
def test_termination_in_the_middle(small: SmallProject, sandbox: Sandbox) -> None:
    small.build(f"select 'u' || i || '@example.com' as email, 'n' || i as name from range({ROWS}) r(i)")
    sandbox.fault("slow", vendor="hubspot", path="batch/upsert", skip=3, delay_ms=1_500)
    command = [sys.executable, "-m", "tests.orchestration.terminated_run", str(small.home), sandbox.url, "contacts"]
    with (
        (small.home / "log").open("w") as log,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        contacts = sandbox.hubspot.tables["contacts"]
        until(lambda: len(contacts.live()) >= 300 or process.poll() is not None, pause=0.02)
        terminate(process, small.home / "dagster")
        told, _ = process.communicate(timeout=30)
    assert told, (small.home / "log").read_text()
    said = json.loads(told.splitlines()[-1])
    assert said["status"] == "CANCELED"
    assert "STEP_UP_FOR_RETRY" not in said["events"]

    (run,) = small.project.journal.history("contacts")
    assert run.status is RunStatus.FAILED
    assert 300 <= run.counts["created"] == len(contacts.live()) < ROWS
    assert run.counts["created"] + run.counts["skipped_stopped"] == ROWS
    ended = (
        f"terminated from outside; {run.counts['created']:,} of 4,000 rows had gone out; the next run sends the rest"
    )
    assert run.detail == ended
    with dg.DagsterInstance.local_temp(str(small.home / "dagster")) as instance:
        (seen,) = instance.fetch_observations(dg.AssetKey(["crm", "contacts"]), limit=5).records
        assert seen.asset_observation is not None
        assert seen.asset_observation.metadata["ended early"].value == ended
        assert seen.asset_observation.metadata["created"].value == run.counts["created"]
        checks = dict(judged(instance))
    assert checks["row_count_anomaly"].passed
    assert checks["guards"].passed
    assert checks["verified_delivery"].description == "not judged: the run ended early"
