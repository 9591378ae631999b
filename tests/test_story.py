"""One bad day, from a broken model to a CRM as it was."""

import os
import subprocess
import sys
from pathlib import Path

from tests.heavy import heavy


@heavy
def test_the_story_ends_well(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "demo.story"],
        env=os.environ | {"REVERSE_ETL_HOME": str(tmp_path / "home"), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stderr == ""
    said = told.stdout
    assert "All as it should be" in said
    assert said.count("5,997 of 6,000 records as before") == 2
    assert said.count("left: ") == 6
    guarded = said.split("The guard stops both syncs")[1].split("Somebody approves")[0]
    assert "emptied_fields" in guarded
    assert "0 API calls" in guarded
