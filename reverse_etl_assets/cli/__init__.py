"""`reverse-etl`: look at a sync before it runs, run it, ask what became of a row, stop everything.

Importing this imports no engine, so that help and completion are quick; the commands import what they need.
"""

from typing import Annotated

import typer

from reverse_etl_assets import __version__
from reverse_etl_assets.cli.approve import approve
from reverse_etl_assets.cli.check import check
from reverse_etl_assets.cli.chosen import CHOSEN, Chosen
from reverse_etl_assets.cli.conflicts import conflicts
from reverse_etl_assets.cli.destinations import destinations
from reverse_etl_assets.cli.doctor import doctor
from reverse_etl_assets.cli.errors import Commands
from reverse_etl_assets.cli.forget import forget
from reverse_etl_assets.cli.init import init
from reverse_etl_assets.cli.list import list_
from reverse_etl_assets.cli.new import new
from reverse_etl_assets.cli.plan import plan
from reverse_etl_assets.cli.quarantine import quarantine, retry
from reverse_etl_assets.cli.recover_state import recover_state
from reverse_etl_assets.cli.release import release
from reverse_etl_assets.cli.run import run
from reverse_etl_assets.cli.runs import runs
from reverse_etl_assets.cli.sandbox import sandbox
from reverse_etl_assets.cli.schema import schema
from reverse_etl_assets.cli.status import status
from reverse_etl_assets.cli.switch import resume, stop
from reverse_etl_assets.cli.terminal import help_style, say
from reverse_etl_assets.cli.undo import undo
from reverse_etl_assets.cli.verify import verify
from reverse_etl_assets.cli.why import why

app = typer.Typer(
    cls=Commands,
    help="Send modelled rows back into the tools where people work, and account for every one of them.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # they may hold secrets
    **help_style(),
)


def _version(asked: bool) -> None:
    if asked:
        say(__version__)
        raise typer.Exit


@app.callback()
def _project(
    project: Annotated[
        str,
        typer.Option(
            "--project",
            metavar="MODULE|FOLDER|FILE",
            help="Your project: a reverse_etl.yml or its folder, or the Python module that has it. Left out: what"
            " REVERSE_ETL_DEPLOYMENT names, or the nearest project of this folder and those above.",
        ),
    ] = "",
    target: Annotated[str, typer.Option("--target", "-t", metavar="NAME", help="The target of dbt's profile.")] = "",
    env_file: Annotated[
        str,
        typer.Option(
            "--env-file",
            metavar="FILE",
            help="Variables that are not set yet. Left out: `.env` beside the project, if there is one.",
        ),
    ] = "",
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which release this is.")
    ] = False,
) -> None:
    """Before each command."""
    CHOSEN.set(Chosen(project, target, env_file))


for command in (
    *(init, doctor, check, plan, approve, run, why, conflicts, verify, status, runs, undo),
    *(quarantine, retry, stop, resume, release, recover_state, forget, destinations, sandbox, schema),
):
    app.command()(command)
app.command("list")(list_)
app.add_typer(new, name="new")
