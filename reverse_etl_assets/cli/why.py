"""`reverse-etl why`: what became of a row, in every sync, for whoever has to answer the question."""

from typing import TYPE_CHECKING, Annotated

import typer

from reverse_etl_assets.cli.completion import sync_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from reverse_etl_assets.cli.answers import RowAnswer
    from reverse_etl_assets.cli.search import SyncAnswer


def why(
    value: Annotated[
        str,
        typer.Argument(
            metavar="KEY",
            help="The row's primary key, or a value of it: an e-mail address, a name, the vendor's id."
            " Case does not matter. A key of two columns: `a|b`.",
        ),
    ],
    sync: Annotated[str | None, typer.Option(help="Only this sync.", autocompletion=sync_names)] = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show personal data, too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what became of a row: when it was sent, what the destination said, or why it never went out.

    Exit code 1 if no row is found, 2 if a sync that could not be asked may have one.
    """
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.cli.output import console, print_json
    from reverse_etl_assets.cli.search import ask

    if not value.strip():
        raise typer.BadParameter("give a key, or a value that a row has.", param_hint="KEY")
    deployed = Deployed()
    chosen = deployed.chosen([sync] if sync else [])
    answers = [ask(deployed, each, value, reveal=reveal) for each in chosen]
    if json:
        more = {answer.sync: answer.more for answer in answers if answer.more}
        print_json({"key": value, "answers": [each for answer in answers for each in answer.as_json()], "more": more})
    else:
        _show(console(), value, answers)
    if not any(answer.knows for answer in answers):
        raise typer.Exit(2 if any(answer.problem for answer in answers) else 1)


def _show(out: "Console", value: str, answers: "Sequence[SyncAnswer]") -> None:
    from reverse_etl_assets.cli.output import escape, shown
    from reverse_etl_assets.cli.search import absences

    knowing = [answer for answer in answers if answer.knows]
    for answer in knowing:
        _show_sync(out, value, answer)
    for answer in answers:
        if answer.problem:
            out.print(f"[red]{answer.sync}: {escape(answer.problem)}[/]")
    others = [answer for answer in answers if not answer.knows and not answer.problem]
    if knowing and others:
        out.print(
            f"[dim]Not found in keys, mapped fields and record ids of {', '.join(each.sync for each in others)}.[/]"
        )
    elif others:
        out.print(f"No row is found by {shown(value)}.")
        for names, absence in absences(others):
            out.print(f"[dim]{', '.join(names)}: {escape(absence)}[/]")


def _show_sync(out: "Console", value: str, answer: "SyncAnswer") -> None:
    from reverse_etl_assets.cli.output import escape, shown

    for row in answer.rows:
        out.print(f"[bold]{row.sync}[/]  [dim]{escape(row.way)}[/]")
        if row.found_in:
            where = ", ".join(escape(place if " " in place else f"`{place}`") for place in row.found_in)
            out.print(f"  The row {shown(row.key, 200)} has {shown(value)} in {where}.")
        _show_row(out, row)
    if answer.more:
        out.print(f"  {shown(answer.more, 5_000)}\n")


def _show_row(out: "Console", answer: "RowAnswer") -> None:
    from reverse_etl_assets.cli.output import coloured, escape, indented, moment, shown

    for sentence in answer.sentences:
        out.print(indented(shown(sentence, 400), 2))
    if answer.sent:
        out.print(f"  [dim]{answer.sent_title}[/]")
        for name, value in answer.sent.items():
            out.print(f"    {escape(name)}: {shown(value)}")
    for earlier in answer.earlier[:3]:
        reason = " ".join(filter(None, (earlier.reason, earlier.code)))
        out.print(f"  [dim]before, {moment(earlier.answered_at)}:[/] {coloured(earlier.status)} {escape(reason)}")
    out.print()
