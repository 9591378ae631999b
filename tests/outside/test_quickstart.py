"""docs/quickstart.md, as written: each block of shell in order, in a folder that has a dbt project and nothing else."""

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.outside.conftest import ROOT, Team

IN_FRONT = "# in a second terminal"


def lines() -> Iterator[str]:
    text = (ROOT / "docs" / "quickstart.md").read_text()
    for block in re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield from block.splitlines()


@contextmanager
def in_front(team: Team, line: str) -> Iterator[None]:
    """A program that stays in front, once it has written its file."""
    words = shlex.split(line, comments=True)
    with subprocess.Popen(
        [str(team.programs / words[0]), *words[1:], "--port", "0"], cwd=team.folder, env=team.variables
    ) as process:
        until = time.monotonic() + 60
        while not (team.folder / ".env").exists():
            assert process.poll() is None, line
            assert time.monotonic() < until, line
        try:
            yield
        finally:
            process.terminate()


def test_the_commands_of_the_page(team: Team) -> None:
    shutil.rmtree(team.folder / "acme")
    shutil.rmtree(team.folder / "acme_components")
    (team.folder / "pyproject.toml").unlink()
    for name in [name for name in team.variables if name.startswith(("HUBSPOT", "DAGSTER"))]:
        del team.variables[name]
    team.dbt("build")
    first, second, *rest = lines()
    team.run(*shlex.split(first))
    assert second.endswith(IN_FRONT)
    said = ""
    with in_front(team, second):
        for line in rest:
            if "check" in line:  # what the page leaves to a person
                file = team.folder / "syncs" / "hubspot_customers.yml"
                text, key = file.read_text(), "  customer_id: customer_id"
                assert re.search(rf"^{key} # INTEGER; TODO: ", text, re.MULTILINE)
                file.write_text(text.replace(key, "  external_id: customer_id"))
            said = team.run(*shlex.split(line))
    assert "hubspot_customers" in said
    assert "done" in said
