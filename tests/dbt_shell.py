"""dbt as in a shell, each command in a process of its own; but one that is forked after the imports, for these take
longer than most commands. `python -m tests.dbt_shell` reads one order a line and answers with its exit status.
"""

import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[1]


def dbt(*words: str, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """What it said stands in `stdout`, errors too; it is not raised that a command failed."""
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as said:
        order = {"words": words, "cwd": str(cwd), "env": dict(os.environ if env is None else env), "said": said.name}
        print(json.dumps(order), file=server.stdin, flush=True)
        status = server.stdout.readline()
        assert status, "the process that has imported dbt is gone"
        return subprocess.CompletedProcess(["dbt", *words], int(status), said.read(), "")


def dbt_succeeds(*words: str, cwd: Path, env: Mapping[str, str] | None = None) -> None:
    done = dbt(*words, cwd=cwd, env=env)
    assert done.returncode == 0, done.stdout


@cache
def _server() -> subprocess.Popen[str]:
    """Ends when the tests do, for then nobody writes to it any more."""
    command = [sys.executable, "-m", "tests.dbt_shell"]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _carry_out(order: Mapping[str, object], answers: IO[str]) -> None:
    answers.close()
    said = os.open(str(order["said"]), os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(said, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(str(order["cwd"]))
    os.environ.clear()
    os.environ.update(order["env"])  # type: ignore[call-overload]
    status = 1
    try:
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import cli

        cli(order["words"], prog_name="dbt")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        traceback.print_exc()
    # as at dbt's own end: what was built is whole in its file then
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _serve() -> None:
    import dbt.adapters.duckdb.impl
    import dbt.cli.main  # noqa: F401

    with os.fdopen(os.dup(1), "w") as answers:
        for line in sys.stdin:
            child = os.fork()
            if not child:
                _carry_out(json.loads(line), answers)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            print(status, file=answers, flush=True)
    os._exit(0)  # DuckDB would complain of what is left


if __name__ == "__main__":
    _serve()
