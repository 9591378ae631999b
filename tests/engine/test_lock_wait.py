"""How long a DuckDB file that something else has open is waited for, and who it is that has it."""

import json
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from reverse_etl_assets.dbt.settings import DbtSettings
from reverse_etl_assets.errors import ConfigurationError, FileLocked
from reverse_etl_assets.project import Project
from tests.engine.shop import Shop


def test_a_file_that_this_process_has_open_is_said_so(tmp_path: Path) -> None:
    shop = Shop(tmp_path, lock_wait=0.1)
    shop.build("select 1 as id")
    with (
        duckdb.connect(str(shop.file)),
        pytest.raises(FileLocked) as said,
        shop.warehouse.open("s", models=True),
    ):
        pass
    assert f"{shop.file}: this process has it open still after 0 s (REVERSE_ETL_LOCK_WAIT)" in str(said.value)
    assert "another process" not in str(said.value)
    with shop.warehouse.open("s", models=True) as con:
        assert con.execute("select count(*) from warehouse.marts.people").fetchall() == [(1,)]
    shop.close()


def test_it_is_waited_for(tmp_path: Path) -> None:
    """Until it is let go."""
    shop = Shop(tmp_path, lock_wait=60.0)
    shop.build("select 1 as id")
    held = duckdb.connect(str(shop.file))
    waits: list[float] = []

    def let_go(seconds: float) -> None:
        waits.append(seconds)
        held.close()

    with replace(shop.warehouse, sleep=let_go).open("s", models=True):
        pass
    assert len(waits) == 1
    shop.close()


def project(folder: Path) -> Project:
    (folder / "profiles.yml").write_text(json.dumps({}))
    return Project(DbtSettings(folder), folder / "syncs", {}, home_folder=folder / "home")


def test_the_wait_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REVERSE_ETL_LOCK_WAIT", raising=False)
    assert project(tmp_path).warehouse.lock_wait == 60
    monkeypatch.setenv("REVERSE_ETL_LOCK_WAIT", "2.5")
    assert project(tmp_path).warehouse.lock_wait == 2.5


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "3601", "1 minute"])
def test_a_wait_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("REVERSE_ETL_LOCK_WAIT", text)
    with pytest.raises(ConfigurationError, match=f"REVERSE_ETL_LOCK_WAIT={text}: write seconds, from 0 to 3600"):
        _ = project(tmp_path).warehouse
