"""`python -m demo.serve`: the Dagster UI with the sandbox beside it, after one run of everything.

`DAGSTER_PORT` (3000) and `SANDBOX_PORT` (8787) say where. Ctrl-C ends both.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from demo.database import product_database
from demo.place import ROOT, fresh_folder, prepare
from reverse_etl_assets import ConfigurationError, ReverseEtlError

_HOST = "127.0.0.1"
_GOODBYE = 20.0  # seconds


def main() -> None:
    out = Console(highlight=False)
    for each in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs ignore the first
        signal.signal(each, _interrupt)
    try:
        _serve(out)
    except KeyboardInterrupt:
        out.print("Stopped.")
    except ReverseEtlError as error:
        sys.exit(f"Error: {error}")


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _serve(out: Console) -> None:
    ui, vendors = _free_port("DAGSTER_PORT", 3000), _free_port("SANDBOX_PORT", 8787)
    home = fresh_folder("dev")
    with _child("reverse_etl_sandbox", "--port", str(vendors)), product_database() as database:
        out.print("Everything runs once before Dagster starts, which takes a few minutes.")
        with out.status("Making source data, building the models, running the syncs"):
            project = prepare(home, f"http://{_HOST}:{vendors}", 2000, 7, database.url)
            from demo.rounds import materialise_everything

            materialise_everything(project, home / "demo.log")
        out.print(f"Sandbox   http://{_HOST}:{vendors}/   the vendors' records, calls and faults")
        out.print(f"Dagster   http://{_HOST}:{ui}/   ready in half a minute; Ctrl-C ends both")
        out.print("A sync of your own: docs/write-a-sync.md says how to try one beside these.", style="dim")
        arguments = ("-w", str(ROOT / "workspace.yaml"), "-h", _HOST, "-p", str(ui), "--log-level", "warning")
        with _child("dagster", "dev", *arguments, folder=home) as dagster:
            dagster.wait()


def _free_port(variable: str, default: int) -> int:
    """Raises ConfigurationError if the port is no number or is taken."""
    given = os.environ.get(variable) or str(default)
    if not given.isdigit():
        raise ConfigurationError(f"{variable} is {given!r}, and has to be a port number.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, int(given)))
        except (OSError, OverflowError) as error:
            raise ConfigurationError(f"port {given} cannot be used ({error}); set {variable} to another.") from None
    return int(given)


@contextmanager
def _child(module: str, *arguments: str, folder: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A Python module in a process of its own, ended with Ctrl-C's signal; the terminal's own does not reach it."""
    command = [sys.executable, "-W", "ignore", "-m", module, *arguments]
    variables = os.environ | {"PYTHONPATH": str(ROOT)}  # where `demo` is, whatever the folder
    process = subprocess.Popen(command, start_new_session=True, cwd=folder, env=variables)  # noqa: S603 - our own
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_GOODBYE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # and what it started
            process.wait()


if __name__ == "__main__":
    main()
