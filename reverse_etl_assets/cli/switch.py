"""`reverse-etl stop` and `resume`: the kill switch."""

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from reverse_etl_assets.cli.completion import destination_names, sync_names
from reverse_etl_assets.cli.terminal import say

if TYPE_CHECKING:
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.journal.records import Stop

All = Annotated[bool, typer.Option("--all", help="Every sync.")]
Destination = Annotated[
    str | None, typer.Option(help="Every sync to this destination.", autocompletion=destination_names)
]
OneSync = Annotated[str | None, typer.Option("--sync", help="One sync.", autocompletion=sync_names)]
Why = Annotated[str, typer.Option(help="The reason, for the log and for whoever asks.")]
Who = Annotated[str, typer.Option(default_factory=getpass.getuser, show_default="you", help="Who does it.")]


def stop(who: Who, all_: All = False, destination: Destination = None, sync: OneSync = None, why: Why = "") -> None:
    """Send nothing more, from now on and in running syncs too. Requests already sent still get their answers."""
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.runs import kill_switch

    deployed = Deployed()
    scope = _scope(deployed, all_, destination, sync)
    if not why:
        raise typer.BadParameter("say why: whoever finds a sync stopped will ask.", param_hint="--why")
    problem = kill_switch.stop(deployed.project, scope, who, why)
    if problem:
        say(problem, err=True)
    say(f"Stopped: {scope}. `reverse-etl resume {_option(scope)}` lifts it.")
    if problem:
        raise typer.Exit(1)


def resume(who: Who, all_: All = False, destination: Destination = None, sync: OneSync = None, why: Why = "") -> None:
    """Lift the stop of this very scope; stops of other scopes stay. Of a destination also a wait that it asked for."""
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.runs import kill_switch

    deployed = Deployed()
    scope = _scope(deployed, all_, destination, sync)
    resumed = kill_switch.resume(deployed.project, scope, who, why)
    for lifted in resumed.lifted:
        say(f"Resumed: {lifted.scope}{_given_in(lifted)}.")
    for account in resumed.unheld:
        say(f"No longer held: {account}. The destination had asked to be left alone for a while.")
    if not resumed.lifted and not resumed.unheld:
        say(f"{scope} was not stopped.")
    for left in resumed.left:
        say(f"Still stopped: {left.scope}{_given_in(left)}, by {left.who}: {left.why}")
    if resumed.problem:
        say(resumed.problem, err=True)
    if resumed.problem or not (resumed.lifted or resumed.unheld):
        raise typer.Exit(1)


def _given_in(stop: "Stop") -> str:
    return f" (given in {stop.given_in})" if stop.given_in else ""


def _scope(deployed: "Deployed", all_: bool, destination: str | None, sync: str | None) -> str:
    from reverse_etl_assets.errors import ConfigurationError, SpecError
    from reverse_etl_assets.spec.yaml_source import did_you_mean

    if sum((all_, destination is not None, sync is not None)) != 1:
        raise typer.BadParameter("give one of --all, --destination, --sync.", param_hint="scope")
    if destination is not None:
        if destination not in deployed.destinations:
            hint = did_you_mean(destination, deployed.destinations)
            raise ConfigurationError(f"there is no destination `{destination}`{hint}")
        return f"destination:{destination}"
    if sync is None:
        return "all"
    try:
        known = deployed.project.syncs
    except (SpecError, ConfigurationError):  # a broken file must not be in the way of an emergency
        say(f"The syncs cannot be loaded, so the name {sync!r} is taken as it is.", err=True)
        return f"sync:{sync}"
    if sync not in known:
        raise SpecError(f"there is no sync `{sync}`{did_you_mean(sync, known)}")
    return f"sync:{sync}"


def _option(scope: str) -> str:
    kind, _, name = scope.partition(":")
    return f"--{kind} {name}".strip()
