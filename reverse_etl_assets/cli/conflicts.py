"""`reverse-etl conflicts`: where people and the warehouse disagreed about a field, and who won."""

from typing import Annotated, Any

import typer

from reverse_etl_assets.cli.completion import sync_names
from reverse_etl_assets.cli.terminal import say


def conflicts(
    sync: Annotated[str, typer.Argument(help="The sync whose field rules are meant.", autocompletion=sync_names)],
    key: Annotated[str | None, typer.Option(help="Only this row; case does not matter.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most entries to list.")] = 50,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List what a field rule kept or overwrote: both values, our last write, the rule, and why."""
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.cli.output import console, moment, print_json, shown, table
    from reverse_etl_assets.state.conflicts import conflict_log
    from reverse_etl_assets.state.versions import history, once_personal

    deployed = Deployed()
    chosen = deployed.sync(sync)
    with deployed.project.warehouse.open(chosen.sync) as con:
        mask = deployed.project.mask(chosen).also(once_personal(history(con)))
        found = [entry.masked(mask) for entry in conflict_log(con, limit=limit, key=key)]
    if json:
        print_json([vars(entry) for entry in found])
        return
    if not found:
        say(f"{chosen.sync} has met no record that disagreed with a field rule.")
        return
    rows = table("key", "field", "in the warehouse", "at the destination", "kept", "why", "when")
    for entry in found:
        values: tuple[Any, ...] = (entry.ours, entry.theirs)
        cells = [shown(entry.key, 40), shown(entry.field), *map(shown, values), entry.winner, shown(entry.why, 120)]
        rows.add_row(*cells, moment(entry.noted_at))
    console().print(rows)
