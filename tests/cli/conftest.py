from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

from reverse_etl_sandbox.server import Sandbox
from tests.cli.office import Office


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
