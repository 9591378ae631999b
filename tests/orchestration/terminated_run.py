"""A process that runs a sync in Dagster, to be interrupted as Dagster interrupts a run that somebody terminates."""

import json
import os
import sys
from pathlib import Path

import dagster as dg

from tests.orchestration.small_project import SmallProject


def main(home: Path, url: str, sync: str) -> None:
    (home / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(home / "dagster")) as instance:
        small = SmallProject(home, url, instance, os.environ.__setitem__)
        ran = small.run_job(small.asset(name=sync), op_retry_policy=dg.RetryPolicy(max_retries=2))
        events = [event.event_type_value for event in ran.events]
        run = instance.get_run_by_id(ran.run_id)
        assert run is not None
        print(json.dumps({"status": run.status.value, "events": events}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
