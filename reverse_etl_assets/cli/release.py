"""`reverse-etl release`: say what became of a row that was kept back, because its last send is in doubt."""

from typing import Annotated

import typer


def release(
    key: Annotated[str, typer.Argument(help="The row's primary key; case matters if held rows differ in it alone.")],
    sync: Annotated[str, typer.Option(help="The sync that keeps it back.")],
    arrived: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="It did arrive, as the record of this id; `-` if the destination has no ids. It is not sent again.",
        ),
    ] = None,
) -> None:
    """Let a row be sent again whose last send nobody knows the end of, or say that it did arrive.

    Look at the destination first.
    """
    from reverse_etl_assets import held_rows, ledger
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.errors import StateError
    from reverse_etl_assets.outbox import outbox_columns
    from reverse_etl_assets.outcomes import has_outcomes
    from reverse_etl_assets.sync_lock import exclusive

    if arrived is not None and not arrived.strip():
        raise typer.BadParameter("name the record's id, or `-` if the destination has no ids", param_hint="--arrived")
    deployed = Deployed()
    name, warehouse = deployed.sync(sync).sync, deployed.project.warehouse
    if not warehouse.state_file(name).exists():
        raise StateError(f"sync {name} has not run yet, so it keeps nothing back.")
    with exclusive(name, warehouse), warehouse.open(name, write=True) as con:
        if not has_outcomes(con):
            released = False
        elif arrived is None:
            ledger.claim(con, deployed.sync(sync))
            released = held_rows.release(con, key)
        else:
            columns = outbox_columns(con)
            ledger.prepare(con, columns)
            released = held_rows.arrived(con, columns, key, None if arrived.strip() == "-" else arrived.strip())
    if not released:
        typer.echo(f"{name} does not keep {key!r} back; `reverse-etl why {key} --sync {name}` says what it does.")
        raise typer.Exit(1)
    if arrived is None:
        typer.echo(f"Released: the next run of {name} sends {key!r} again, if it is still in the model.")
    else:
        typer.echo(f"Noted: {key!r} did arrive. The next run of {name} sends what differs since.")
