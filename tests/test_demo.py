"""The demo, from an empty folder to its own verdict."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from reverse_etl_assets.demo.place import fresh_folder
from reverse_etl_assets.errors import ConfigurationError

CHECKS = 6


def demo(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "reverse_etl_assets.demo", *arguments],
        env=os.environ | {"REVERSE_ETL_HOME": str(home), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_demo_verifies_itself(tmp_path: Path) -> None:
    home = tmp_path / "home"
    run = demo(home, "--customers", "600")
    assert run.returncode == 0, run.stdout + run.stderr
    said = run.stdout
    assert said.count(" ok ") == CHECKS
    assert "STRING_TOO_LONG" in said
    assert "2 rows of the model share this primary key" in said
    assert run.stderr == ""
    why = next(line.strip() for line in said.splitlines() if "reverse-etl why" in line)
    assert f"REVERSE_ETL_HOME={home}" in why
    key = why.split()[-1]
    asked = subprocess.run(
        [sys.executable, "-m", "reverse_etl_assets.cli", "why", key],
        env=os.environ | {"REVERSE_ETL_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "salesforce refused it" in asked.stdout, asked.stderr


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
    with pytest.raises(ConfigurationError):
        fresh_folder("demo")


def test_dev_names_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        run = subprocess.run(
            [sys.executable, "-m", "reverse_etl_assets.demo.serve"],
            env=os.environ | {"REVERSE_ETL_HOME": str(tmp_path / "home"), "DAGSTER_PORT": port},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert run.returncode == 1
    assert f"port {port} cannot be used" in run.stderr
    assert "set DAGSTER_PORT to another" in run.stderr
    assert not (tmp_path / "home").exists()
