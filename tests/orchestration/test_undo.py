"""Undo as a job."""

from typing import Any

import dagster as dg

from reverse_etl_assets.orchestration.undo import build_undo_job
from reverse_etl_sandbox.server import Sandbox
from tests.heavy import heavy
from tests.orchestration.small_project import SmallProject


def launch(small: SmallProject, **config: str) -> Any:
    job = build_undo_job(small.loaded())
    run_config = {"ops": {"shop_undo": {"config": config}}}
    return job.execute_in_process(run_config, instance=small.instance, raise_on_error=False)


def failure(result: Any) -> dg.Failure:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    found: dg.Failure = event.event_specific_data.user_failure_data
    return found


def names(sandbox: Sandbox) -> set[str]:
    return {entry.values["firstname"] for entry in sandbox.hubspot.tables["contacts"].live()}


def test_a_run_is_put_back_by_its_id(small: SmallProject, sandbox: Sandbox) -> None:
    asset = small.asset()
    assert small.run(asset).success
    small.build("select 'u' || i || '@example.com' as email, 'm' || i as name from range(90) r(i)")
    ran = small.run(asset)
    run_id = ran.metadata["run in journal"]
    sandbox.edit("hubspot", "contacts", sandbox.hubspot.tables["contacts"].live()[0].id, {"firstname": "Ann"})

    result = launch(small, run=run_id, why="wrong names", who="ada")
    assert not result.success  # one row was edited since
    said = failure(result).description
    assert "99 of 100 rows were put back: 89 set back, 10 made again." in str(said)
    assert "The sync is stopped" in str(said)
    assert names(sandbox) == {"Ann", *(f"n{i}" for i in range(1, 100))}
    (observation,) = [event for event in result.all_events if event.is_asset_observation]
    figures = {
        name: value.value for name, value in observation.asset_observation_data.asset_observation.metadata.items()
    }
    assert (figures["undoes"], figures["updated"], figures["created"], figures["edited"]) == (run_id, 89, 10, 1)
    assert figures["run in journal"].startswith(result.run_id)

    assert "kill_switch: stopped (sync:" in str(small.run(asset).failure.description)
    assert "was undone already" in str(failure(launch(small, run=run_id, why="again")).description)


@heavy
def test_what_is_refused(small: SmallProject, sandbox: Sandbox) -> None:
    assert "there is no run nonsense" in str(failure(launch(small, run="nonsense", why="x")).description)
    asset = small.asset(name="made", guards={"max_removed": {"rows": 5}})
    run_id = small.run(asset).metadata["run in journal"]
    here = names(sandbox)
    waits = failure(launch(small, run=run_id, why="x"))
    assert "nothing was put back; plan " in str(waits.description)
    assert "max_removed: 100 removed; the limit is 5 rows" in str(waits.description)
    assert names(sandbox) == here
    (small.syncs_folder / "made.yml").unlink()
    small.project.__dict__.pop("syncs")
    assert "no longer in the project" in str(failure(launch(small, run=run_id, why="x")).description)
