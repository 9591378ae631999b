"""`reverse-etl release`: let a row be sent again that was kept back."""

from typing import Annotated

import typer


def release(
    key: Annotated[str, typer.Argument(help="The row's primary key; case does not matter.")],
    sync: Annotated[str, typer.Option(help="The sync that keeps it back.")],
) -> None:
    """Let a row be sent again whose last send nobody knows the end of. Look at the destination first."""
    from reverse_etl_assets import outcomes
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.errors import StateError

    deployed = Deployed()
    name, warehouse = deployed.sync(sync).sync, deployed.project.warehouse
    if not warehouse.state_file(name).exists():
        raise StateError(f"sync {name} has not run yet, so it keeps nothing back.")
    with warehouse.open(name, write=True) as con:
        released = outcomes.has_outcomes(con) and outcomes.release(con, key)
    if not released:
        typer.echo(f"{name} does not keep {key!r} back; `reverse-etl why {key} --sync {name}` says what it does.")
        raise typer.Exit(1)
    typer.echo(f"Released: the next run of {name} sends {key!r} again.")
