"""A real Dagster instance, and a project of each test's own that syncs into the sandbox."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from reverse_etl_sandbox.server import Sandbox

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the parser that comes with dbt says that it has a successor
    import dagster_dbt  # noqa: F401

from tests.orchestration.shop import Shop, write_dbt_project
from tests.orchestration.small_project import TOKEN, SmallProject


@pytest.fixture(scope="session")
def instance() -> Iterator[dg.DagsterInstance]:
    """Reused, for a new one takes longer than a run."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def small(
    tmp_path: Path, sandbox: Sandbox, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SmallProject]:
    small = SmallProject(tmp_path, sandbox.url, instance, monkeypatch.setenv)
    small.build("select 'u' || i || '@example.com' as email, 'n' || i as name from range(100) r(i)")
    yield small
    small.project.journal.close()


@pytest.fixture(scope="session")
def dbt_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parsed once; no test changes it."""
    folder = tmp_path_factory.mktemp("shop") / "dbt"
    write_dbt_project(folder)
    return folder


@pytest.fixture
def shop(
    tmp_path: Path,
    dbt_folder: Path,
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Shop]:
    variables = {
        "REVERSE_ETL_HOME": str(tmp_path),
        "TEST_CRM_URL": f"{sandbox.url}/hubspot",
        "TEST_CRM_TOKEN": TOKEN,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    shop = Shop(tmp_path, dbt_folder, instance)
    yield shop
    shop.project.journal.close()
