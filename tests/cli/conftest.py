import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

from reverse_etl_sandbox.server import Sandbox
from tests.cli.office import Office
from tests.cli.own_project import OwnProject, build
from tests.once import Once


@pytest.fixture(scope="session", autouse=True)
def commands_are_put_together_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", cache(get_command))
        yield


@pytest.fixture
def office(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    for name in ("DAGSTER_HOME", "REVERSE_ETL_JOURNAL", "REVERSE_ETL_WAREHOUSE"):
        monkeypatch.delenv(name, raising=False)
    office = Office(tmp_path, sandbox.url, monkeypatch.setenv)
    office.deploy(monkeypatch.setitem)
    yield office
    if "journal" in office.project.__dict__:
        office.project.journal.close()


@pytest.fixture(scope="session")
def built_shop(once: Once) -> Path:
    return once("own_shop", build)


@pytest.fixture
def own(tmp_path: Path, built_shop: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnProject]:
    """In the working folder; what a command puts into the environment goes again."""
    for name in [*os.environ]:
        if name.startswith(("REVERSE_ETL_", "DAGSTER_", "DBT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OWN_CRM_TOKEN", "")
    monkeypatch.delenv("OWN_CRM_TOKEN")  # so that it is away again afterwards, too
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    yield OwnProject(tmp_path, built_shop, sandbox.url)
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
