from collections.abc import Iterator
from pathlib import Path

import pytest

from reverse_etl_assets.sandbox.server import Sandbox
from tests.cli.office import Office


@pytest.fixture
def office(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    for name in ("DAGSTER_HOME", "REVERSE_ETL_JOURNAL", "REVERSE_ETL_WAREHOUSE"):
        monkeypatch.delenv(name, raising=False)
    office = Office(tmp_path, sandbox.url, monkeypatch.setenv)
    office.deploy(monkeypatch.setitem)
    yield office
    if "journal" in office.project.__dict__:
        office.project.journal.close()
