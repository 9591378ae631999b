"""The demo's folder. What it does in it is checked by the demo itself: `make demo` fails if anything is off."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from demo.place import fresh_folder
from reverse_etl_assets.errors import ConfigurationError
from tests.heavy import heavy

ROOT = Path(__file__).parents[1]


def demo(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "demo", *arguments],
        env=os.environ | {"REVERSE_ETL_HOME": str(home), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_demo_leaves_other_folders_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    run = demo(tmp_path)
    assert run.returncode == 1
    assert "holds something else" in run.stderr
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_demo_empties_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVERSE_ETL_HOME", str(tmp_path / "home"))
    home = fresh_folder("demo")
    (home / "warehouse.duckdb").touch()
    assert fresh_folder("demo") == home
    assert not (home / "warehouse.duckdb").exists()
    (home / "made-by-the-demo").unlink()
    with pytest.raises(ConfigurationError, match="holds something else"):
        fresh_folder("demo")


def test_dev_names_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        run = subprocess.run(
            [sys.executable, "-m", "demo.serve"],
            env=os.environ | {"REVERSE_ETL_HOME": str(tmp_path / "home"), "DAGSTER_PORT": port},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert run.returncode == 1
    assert f"port {port} cannot be used" in run.stderr
    assert "set DAGSTER_PORT to another" in run.stderr
    assert not (tmp_path / "home").exists()


@heavy
def test_the_workspace_loads_for_who_did_not_activate_the_environment(tmp_path: Path) -> None:
    """As `dagster dev` loads it, which parses the dbt project, and dbt is beside Python alone."""
    variables = {"REVERSE_ETL_HOME": str(tmp_path), "PATH": os.defpath, "DAGSTER_IS_DEV_CLI": "1"}
    run = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-w", str(ROOT / "workspace.yaml")],
        cwd=ROOT,
        env=os.environ | variables | {"DAGSTER_HOME": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout + run.stderr
