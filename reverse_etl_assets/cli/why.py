"""`reverse-etl why`: what became of a row, in every sync, for whoever has to answer the question."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from reverse_etl_assets.cli.answers import RowAnswer


def why(
    key: Annotated[str, typer.Argument(help="The row's primary key; case does not matter. Two columns: `a|b`.")],
    sync: Annotated[str | None, typer.Option(help="Only this sync.")] = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show personal data, too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what became of a row: when it was sent, what the destination said, or why it never went out."""
    from reverse_etl_assets.cli.answers import answer_for
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.cli.output import console, print_json

    deployed = Deployed()
    chosen = deployed.chosen([sync] if sync else [])
    answers = [answer_for(deployed, each, key, reveal=reveal) for each in chosen]
    if json:
        print_json({"key": key, "answers": [answer.as_json() for answer in answers]})
    else:
        _show(console(), key, answers, everything=sync is not None)
    if not any(answer.known for answer in answers):
        raise typer.Exit(1)


def _show(out: "Console", key: str, answers: "list[RowAnswer]", *, everything: bool) -> None:
    from reverse_etl_assets.cli.output import shown

    known = [answer for answer in answers if answer.known or everything]
    for answer in known:
        _show_one(out, answer)
    others = [answer.sync for answer in answers if answer not in known]
    if not known:
        out.print(f"No sync knows the key {shown(key)}: it is in no model, and was never sent.")
        keys = ", ".join(dict.fromkeys(f"{answer.primary_key} ({answer.sync})" for answer in answers))
        out.print(f"[dim]Keys are {keys}.[/]")
    elif others:
        out.print(f"[dim]Not known to {', '.join(others)}.[/]")


def _show_one(out: "Console", answer: "RowAnswer") -> None:
    from rich.padding import Padding

    from reverse_etl_assets.cli.output import coloured, escape, moment, shown

    out.print(f"[bold]{answer.sync}[/]  [dim]{escape(answer.way)}[/]")
    for sentence in answer.sentences:
        out.print(Padding(shown(sentence, 400), (0, 0, 0, 2)))
    if answer.sent:
        out.print(f"  [dim]{answer.sent_title}[/]")
        for name, value in answer.sent.items():
            out.print(f"    {escape(name)}: {shown(value)}")
    for earlier in answer.earlier[:3]:
        said = " ".join(filter(None, (earlier.reason, earlier.code)))
        out.print(f"  [dim]before, {moment(earlier.answered_at)}:[/] {coloured(earlier.status)} {escape(said)}")
    out.print()
