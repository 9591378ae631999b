"""`reverse-etl check`: is everything as it has to be, before anything is sent?"""

from typing import TYPE_CHECKING, Annotated

import typer

from reverse_etl_assets.cli.selection import Exclude, Names, Select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.destinations.base import Account
    from reverse_etl_assets.journal import Journal
    from reverse_etl_assets.spec.sync import Sync
    from reverse_etl_assets.warehouses.columns import Columns


def check(
    syncs: Names = None,
    select: Select = None,
    exclude: Exclude = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check files, models, credentials, and every field at its destination; of all syncs unless some are named. Only
    reads; exit code 1 on a problem."""
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.cli.output import console, escape, print_json
    from reverse_etl_assets.cli.selection import select as selected

    deployed = Deployed()
    problems: dict[str, list[str]] = {}
    warnings: dict[str, list[str]] = {}
    for chosen in selected(deployed.project.syncs, syncs, select, exclude):
        warnings[chosen.sync] = []
        problems[chosen.sync] = _problems(deployed, chosen, warnings[chosen.sync])
    if json:
        print_json({"problems": problems, "warnings": warnings})
    else:
        out = console()
        if not problems:
            out.print(
                escape(f"No syncs yet in {deployed.project.syncs_folder}: reverse-etl new sync MODEL --to DESTINATION"),
                soft_wrap=True,
            )
        for name, found in problems.items():
            out.print(f"[red]x[/] {name}" if found else f"[green]ok[/] {name}")
            for problem in found:
                out.print(f"  {escape(problem)}", soft_wrap=True)
            for warning in warnings[name]:
                out.print(f"  [yellow]![/] {escape(warning)}", soft_wrap=True)
    if any(problems.values()):
        raise typer.Exit(1)


def _problems(deployed: "Deployed", sync: "Sync", warnings: list[str]) -> list[str]:
    """Everything that stands in the way of a run, one sentence each. Adds what does not yet to `warnings`."""
    import asyncio

    from reverse_etl_assets.errors import CheckFailed, ReverseEtlError, StateError
    from reverse_etl_assets.spec.route import Route
    from reverse_etl_assets.state.facts import read_facts
    from reverse_etl_assets.state.versions import decide, history
    from reverse_etl_assets.warehouses.columns import Columns

    try:
        account = deployed.account(sync)
    except ReverseEtlError as error:
        return str(error).splitlines()
    problems: list[str] = []
    try:
        model = deployed.project.models[sync.model]
        with deployed.project.warehouse.open(sync.sync, models=True) as con:
            columns = Columns.on(Route(sync, account.type), deployed.project.warehouse.column_types(con, model))
            try:
                decide(columns, model, history(con), read_facts(con))
            except StateError as error:
                problems += str(error).splitlines()
        warnings += asyncio.run(ask(deployed.project.journal, sync, account, columns))
    except CheckFailed as error:
        problems += error.problems
    except ReverseEtlError as error:
        problems += str(error).splitlines()
    return problems


async def ask(journal: "Journal", sync: "Sync", account: "Account", columns: "Columns") -> "Sequence[str]":
    """Let the destination compare credentials, object and fields. Returns its warnings.

    Raises CheckFailed or another ReverseEtlError.
    """
    from reverse_etl_assets.accounts.budget import Meter
    from reverse_etl_assets.accounts.transport import Transport, Usage
    from reverse_etl_assets.spec.route import Route

    options = Route(sync, account.type).options
    meter = Meter(journal, account.name, sync.sync, account.connection.budget)
    transport = Transport(
        Usage(), concurrency=1, meter=meter, quota=account.type.quota, bounds=account.connection.bounds
    )
    async with account.type.open(account.connection, columns.target, options, transport) as destination:
        try:
            await destination.check()
        finally:
            await meter.settle()
        return destination.warnings()
