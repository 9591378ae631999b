"""What Dagster tries again by itself: not what a guard stopped, an op's retry policy as little as the daemon."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import should_retry

from reverse_etl_assets.orchestration.undo import build_undo_job
from reverse_etl_sandbox.server import Sandbox
from tests.heavy import first, heavy
from tests.orchestration.small_project import SmallProject


@pytest.fixture
def retrying(small: SmallProject, tmp_path: Path) -> Iterator[SmallProject]:
    """With `run_retries` on, as in dagster.yaml."""
    retries = {"run_retries": {"enabled": True, "max_retries": 3}}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=retries) as small.instance:
        yield small


def tried_again(small: SmallProject, run_id: str) -> bool:
    """What the daemon decides."""
    run = small.instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status is dg.DagsterRunStatus.FAILURE
    return should_retry(run, small.instance)


def test_a_guarded_run_is_not_tried_again(retrying: SmallProject) -> None:
    retrying.build("select '' as email, '' as name where false")
    assert not tried_again(retrying, retrying.run(retrying.asset()).run_id)


@heavy
@pytest.mark.parametrize("guard", first(["in_flight", "stopped", "max_failed", "approval"]))
def test_nor_is_what_only_a_person_can_mend(retrying: SmallProject, sandbox: Sandbox, guard: str) -> None:
    changes: dict[str, Any] = {}
    if guard == "stopped":
        retrying.project.journal.stop("all", "ada", "why not")
    elif guard == "approval":
        changes = {"approval": "always"}
    else:
        changes = {"guards": {"in_flight": {"window": 50}}} if guard == "in_flight" else {}
        sandbox.fault("refuse_rows", vendor="hubspot", percent=100)
    assert not tried_again(retrying, retrying.run(retrying.asset(**changes)).run_id)


@heavy
def test_what_may_be_over_soon_is_tried_again(retrying: SmallProject, sandbox: Sandbox) -> None:
    sandbox.fault("expire_token", vendor="hubspot")
    assert tried_again(retrying, retrying.run(retrying.asset()).run_id)


@heavy
def test_an_undo_is_not_tried_again(retrying: SmallProject) -> None:
    job = build_undo_job(retrying.loaded())
    config = {"ops": {"shop_undo": {"config": {"run": "nonsense", "why": "x"}}}}
    result = job.execute_in_process(config, instance=retrying.instance, raise_on_error=False)
    assert not tried_again(retrying, result.run_id)
