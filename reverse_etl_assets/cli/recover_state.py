"""`reverse-etl recover-state`: say how a sync goes on whose state is not the one that the journal knows."""

from typing import Annotated

import typer

from reverse_etl_assets.cli.completion import sync_names
from reverse_etl_assets.cli.switch import Who, Why
from reverse_etl_assets.cli.terminal import say


def recover_state(
    sync: Annotated[str, typer.Argument(help="The sync.", autocompletion=sync_names)],
    who: Who,
    keep: Annotated[bool, typer.Option("--keep", help="This state is right: go on with it.")] = False,
    adopt: Annotated[bool, typer.Option("--adopt", help="Read back what is there, and send what differs.")] = False,
    resend: Annotated[bool, typer.Option("--resend", help="Send every row once, over what was sent.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Start from nothing: every row counts as added.")] = False,
    why: Why = "",
) -> None:
    """Let a sync go on whose state and journal do not belong together. Sends nothing; the next run does."""
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.runs import state_recovery
    from reverse_etl_assets.state.provenance import Way

    ways = {"keep": keep, "adopt": adopt, "resend": resend, "restart": restart}
    chosen = [Way(name) for name, given in ways.items() if given]
    if len(chosen) != 1:
        raise typer.BadParameter("give one of --keep, --adopt, --resend, --restart.", param_hint="--keep")
    if not why:
        raise typer.BadParameter("say why: whoever looks at the log will ask.", param_hint="--why")
    deployed = Deployed()
    found = deployed.sync(sync)
    destination = deployed.project.destinations[found.destination]
    problem = state_recovery.recover_state(
        found, deployed.project.environment, destination, chosen[0], who=who, why=why
    )
    say(f"It was so: {problem}")
    say(f"The next run of {found.sync} goes on with `--{chosen[0]}`; `reverse-etl plan {found.sync}` shows it.")
