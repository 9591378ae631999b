"""`reverse-etl quarantine` and `retry`: rows that were refused too often, and a way back for them."""

from typing import TYPE_CHECKING, Annotated

import typer

from reverse_etl_assets.cli.completion import sync_names
from reverse_etl_assets.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from reverse_etl_assets.state.quarantine import QuarantinedRow


def quarantine(
    sync: Annotated[str | None, typer.Argument(help="Only this sync.", autocompletion=sync_names)] = None,
    limit: Annotated[int, typer.Option(min=0, help="Most rows to list; 0 lists all.")] = 100,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show personal data, too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the rows that their destination refused too often: they are not sent until something about them changes."""
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.cli.output import console, print_json
    from reverse_etl_assets.state.quarantine import look

    deployed = Deployed()
    chosen = deployed.chosen([sync] if sync else [])
    project = deployed.project
    counts, rows = look(project.warehouse, [(each, deployed.link(each)) for each in chosen], limit or None)
    if not reveal:
        rows = [row.masked(project.mask(project.syncs[row.sync])) for row in rows]
    if json:
        print_json({"counts": counts, "rows": [vars(row) for row in rows]})
    elif rows:
        _show(console(), rows, sum(counts.values()))
    else:
        say("No row is in quarantine.")


def _show(out: "Console", rows: "Sequence[QuarantinedRow]", total: int) -> None:
    from reverse_etl_assets.cli.output import escape, moment, show_table, shown, table

    listed = table("sync", "key", "refused", "since", "why", right=("refused",), whole=("sync",))
    for row in rows:
        field = f" (field {row.field})" if row.field else ""
        why = f"{row.code}: {row.message}" if row.code else row.message or ""
        listed.add_row(row.sync, shown(row.key, 60), f"{row.times:,}", moment(row.first_at), shown(why + field, 200))
    show_table(out, listed)
    if len(rows) < total:
        out.print(f"[dim]{len(rows):,} of {total:,} rows; --limit 0 lists all[/]")
    for name, row in {row.sync: row for row in rows}.items():
        text = "; ".join(filter(None, (", ".join(row.owners), row.hint, row.link)))
        if text:
            out.print(f"[dim]{escape(name)}: {escape(text)}[/]")
    out.print("[dim]`reverse-etl retry KEY --sync SYNC` lets a row be sent once more, with --all all of the sync.[/]")


def retry(
    sync: Annotated[str, typer.Option(help="The sync that the row is in quarantine of.", autocompletion=sync_names)],
    key: Annotated[
        str | None, typer.Argument(help="The row's primary key; case matters if rows differ in it alone.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="All rows of the sync.")] = False,
) -> None:
    """Let a row in quarantine be sent once more. If it is refused again as it is, it goes back."""
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.state import quarantine

    if (key is not None) == all_:
        raise typer.BadParameter("give a key, or --all.", param_hint="KEY")
    deployed = Deployed()
    chosen, warehouse = deployed.sync(sync), deployed.project.warehouse
    freed = 0
    if warehouse.state_file(chosen.sync).exists():
        with warehouse.open(chosen.sync, write=True) as con:
            freed = quarantine.retry(con, chosen, key)
    if not freed:
        what = "no row" if key is None else f"not {key!r}"
        say(f"{chosen.sync} has {what} in quarantine; `reverse-etl quarantine {chosen.sync}` lists what it has.")
        raise typer.Exit(1)
    which = repr(key) if key is not None else f"{freed:,} row{'s' * (freed != 1)}"
    say(f"The next run of {chosen.sync} sends {which} once more.")
