"""`reverse-etl sandbox`: the vendors' APIs on this machine, so that a project can be tried without an account."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reverse_etl_assets.cli.terminal import say

if TYPE_CHECKING:
    import subprocess

    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.deployment.deployment import ConfiguredDestination

_MARK = "reverse-etl sandbox"
_WHY = "the vendors' sandbox on this machine; delete this before the first real run"
_GOODBYE = 10.0  # seconds
_HOME = "REVERSE_ETL_HOME"

Accounts = Mapping[str, Mapping[str, str]]


def sandbox(
    env_file: Annotated[
        Path | None,
        typer.Option("--env-file", metavar="FILE", help="Write the variables there, such as `.env`, beside your own."),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="Of 127.0.0.1; 0 takes a free one.")] = 8787,
) -> None:
    """Start the vendors' sandbox on this machine, and say by which variables the project's destinations reach it."""
    import os

    from reverse_etl_assets.cli.deployed import Deployed

    _refuse_without_packages()
    in_shell = dict(os.environ)
    deployed = Deployed()
    with _started(port) as (process, url, accounts):
        values, remarks = variables(deployed, accounts)
        remarks += [
            f"{name} is set in this shell already, and comes before the sandbox's."
            for name, value in values.items()
            if in_shell.get(name, value) != value
        ]
        if env_file:
            remarks += _written(env_file, values, deployed)
        else:
            for name, value in values.items():
                say(f"export {name}={shlex.quote(value)}")
        for remark in remarks:
            say(f"! {remark}", err=True)
        say(f"The sandbox runs at {url}/ until Ctrl-C, and forgets everything then.", err=True)
        process.wait()
    raise typer.Exit(1)  # nobody asked it to end


def variables(deployed: "Deployed", accounts: Accounts) -> tuple[dict[str, str], list[str]]:
    """What the project's destinations need in order to reach the sandbox, and what a person should know of it."""
    from reverse_etl_assets.destinations.registry import registered_name

    values: dict[str, str] = {}
    remarks = []
    for name, destination in deployed.destinations.items():
        kind = registered_name(destination.destination_type)
        named = {setting: variable for variable, setting in destination.variables().items()}
        if (account := accounts.get(kind)) is None:
            remarks.append(f"{name}: the sandbox does not play {kind}; its syncs go where they always do.")
        elif "base_url" not in named:
            usual = destination.known("base_url")
            right = _written_as(destination, kind, "base_url", usual)
            remarks.append(f"{name}: its address does not come from a variable, so it is not the sandbox's; {right}.")
        else:
            values |= {named[setting]: value for setting, value in account.items() if setting in named}
            if account.get("allow_private") and not ("allow_private" in named or destination.known("allow_private")):
                right = _written_as(destination, kind, "allow_private", "false")
                remarks.append(f"{name}: it does not go to this machine unless it says {right}.")
    home = sandbox_home(deployed)
    if deployed.project.home_folder:
        remarks.append(f"`home` is set: what is sent here counts as sent. Delete {home} before the first real run.")
    elif values:
        values[_HOME] = str(home)
        if (home / "state").exists():
            remarks.append(f"{home} remembers an earlier sandbox, whose records are gone; delete it to begin again.")
    return values, remarks


def _written_as(destination: "ConfiguredDestination", kind: str, setting: str, default: object) -> str:
    """A setting from a variable: in the file that has the destination, or in the Python code."""
    from reverse_etl_assets.deployment.settings import DestinationSettings

    variable = f"{kind}_{setting}".upper()
    if isinstance(destination, DestinationSettings):
        return f"`{setting}: {{env: {variable}, default: {default}}}`"
    return f'`{setting}=dg.EnvVar("{variable}")`'


def sandbox_home(deployed: "Deployed") -> Path:
    """A state of its own: a record of the sandbox must not count as one of the vendor's."""
    home = deployed.project.home
    is_own = deployed.project.home_folder or home.name.endswith("-sandbox")
    return home if is_own else home.with_name(f"{home.name}-sandbox")


def _written(file: Path, values: Mapping[str, str], deployed: "Deployed") -> list[str]:
    """Write the variables. Returns what a person should know of it."""
    from reverse_etl_assets.cli.env_file import complete

    kept = complete(file, values, _MARK, _WHY)
    say(f"{len(values) - len(kept)} variables are in {file}.", err=True)
    remarks = [f"{name} stood in {file} with another value, and stays." for name in kept]
    if file.absolute() != deployed.place.folder / ".env":
        remarks.append(f"the commands read {file} if they are told to: reverse-etl --env-file {file} plan")
    return remarks


def _refuse_without_packages() -> None:
    from importlib.util import find_spec

    from reverse_etl_assets.errors import ConfigurationError

    missing = [name for name in ("reverse_etl_sandbox", "starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"the sandbox needs {' and '.join(missing)}; install it: pip install 'reverse-etl-assets[sandbox]'"
        )


@contextmanager
def _started(port: int) -> "Iterator[tuple[subprocess.Popen[str], str, Accounts]]":
    """The sandbox in a process of its own. Whoever ends the command ends it, in good order."""
    import json
    import signal
    import subprocess
    import sys

    from reverse_etl_assets.cli.errors import ENDED
    from reverse_etl_assets.errors import ConfigurationError

    command = [sys.executable, "-m", "reverse_etl_sandbox", "--port", str(port), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)  # noqa: S603 - ours
    try:
        first = process.stdout.readline() if process.stdout else ""
        if not first:
            raise ConfigurationError(f"the sandbox did not start; --port takes another port than {port}, 0 a free one.")
        said = json.loads(first)
        yield process, said["url"], said["accounts"]
    except ENDED:
        say("The sandbox has ended.", err=True)
        raise typer.Exit(0) from None
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_GOODBYE)
        except subprocess.TimeoutExpired:
            process.kill()
        if process.stdout:
            process.stdout.close()
