"""`reverse-etl release`: say what became of a row that was kept back, because its last send is in doubt."""

from typing import TYPE_CHECKING, Annotated

import typer

from reverse_etl_assets.cli.completion import sync_names
from reverse_etl_assets.cli.terminal import say

if TYPE_CHECKING:
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.spec.sync import Sync


def release(
    sync: Annotated[str, typer.Option(help="The sync that keeps it back.", autocompletion=sync_names)],
    key: Annotated[
        str | None,
        typer.Argument(
            help="The row's primary key; case matters if held rows differ in it alone. Without it, they are listed."
        ),
    ] = None,
    arrived: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="It did arrive, as the record of this id; `-` if the destination has no ids. It is not sent again.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Most rows to list; 0 lists all.")] = 100,
    reveal: Annotated[bool, typer.Option("--reveal", help="List personal data, too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="List as JSON.")] = False,
) -> None:
    """Let a row be sent again whose last send nobody knows the end of, or say that it did arrive.

    Look at the destination first.
    """
    from reverse_etl_assets.cli.deployed import Deployed

    if arrived is not None and not arrived.strip():
        raise typer.BadParameter("name the record's id, or `-` if the destination has no ids", param_hint="--arrived")
    if arrived is not None and key is None:
        raise typer.BadParameter("name the row that did arrive", param_hint="KEY")
    deployed = Deployed()
    chosen = deployed.sync(sync)
    if key is None:
        _list(deployed, chosen, limit or None, reveal=reveal, json=json)
    else:
        _release(deployed, chosen, key, None if arrived is None else arrived.strip())


def _list(deployed: "Deployed", sync: "Sync", limit: int | None, *, reveal: bool, json: bool) -> None:
    from reverse_etl_assets.cli.output import console, print_json, show_table, shown, table
    from reverse_etl_assets.state import held_rows

    with deployed.project.warehouse.open(sync.sync) as con:
        total, rows = held_rows.count(con), held_rows.held(con, limit)
    if not reveal:
        rows = [row.masked(deployed.project.mask(sync)) for row in rows]
    if json:
        print_json({"held": total, "rows": [vars(row) for row in rows]})
        return
    if not rows:
        say(f"{sync.sync} keeps no row back.")
        return
    out, listed = console(), table("key", "sent by run", "why nobody knows", whole=("sent by run",))
    for row in rows:
        listed.add_row(shown(row.key, 60), row.run_id, shown(row.message, 200))
    show_table(out, listed)
    if len(rows) < total:
        out.print(f"[dim]{len(rows):,} of {total:,} rows; --limit 0 lists all[/]")
    out.print(
        f"[dim]Look at the destination: `reverse-etl release KEY --sync {sync.sync}` sends a row again,"
        " with --arrived ID it counts as sent.[/]"
    )


def _release(deployed: "Deployed", sync: "Sync", key: str, arrived: str | None) -> None:
    from reverse_etl_assets.errors import StateError
    from reverse_etl_assets.state import held_rows, ledger
    from reverse_etl_assets.state.lock import exclusive
    from reverse_etl_assets.state.outbox import outbox_columns
    from reverse_etl_assets.state.outcomes import has_outcomes

    name, warehouse = sync.sync, deployed.project.warehouse
    if not warehouse.state_file(name).exists():
        raise StateError(f"sync {name} has not run yet, so it keeps nothing back.")
    with exclusive(name, warehouse), warehouse.open(name, write=True) as con:
        if not has_outcomes(con):
            released = False
        elif arrived is None:
            ledger.claim(con, sync)
            released = held_rows.release(con, key)
        else:
            columns = outbox_columns(con)
            ledger.prepare(con, columns)
            released = held_rows.arrived(con, columns, key, None if arrived == "-" else arrived)
    if not released:
        say(f"{name} does not keep {key!r} back; `reverse-etl why {key} --sync {name}` says what it does.")
        raise typer.Exit(1)
    if arrived is None:
        say(f"Released: the next run of {name} sends {key!r} again, if it is still in the model.")
    else:
        say(f"Noted: {key!r} did arrive. The next run of {name} sends what differs since.")
