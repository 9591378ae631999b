"""`reverse-etl verify`: do the destination's records still hold what they were sent?"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from reverse_etl_assets.cli.selection import Exclude, Names, Select

if TYPE_CHECKING:
    from rich.console import Console

    from reverse_etl_assets.readback.differences import Difference, Verified
    from reverse_etl_assets.readback.verification import Drifted


def verify(
    syncs: Names = None,
    select: Select = None,
    exclude: Exclude = None,
    all_: Annotated[bool, typer.Option("--all", help="Look at every record, not at a sample.")] = False,
    sample: Annotated[int | None, typer.Option(min=1, help="Records to look at, picked at random.")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Let the next run send what differs.")] = False,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show personal data, too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read records back and compare them with what they were last sent. Exit code 1 if one is not as it should be.

    Writes nothing to the destination; `--repair` marks rows for the next run. Without --all or --sample it looks at as
    many as the sync's `verify.drift` says, else at 1,000.
    """
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.cli.output import console, print_json
    from reverse_etl_assets.cli.selection import is_one_name, select as selected
    from reverse_etl_assets.readback.verification import verify as look

    if not (syncs or select):
        raise typer.BadParameter("name a sync, or several.", param_hint="SYNC")
    if all_ and sample is not None:
        raise typer.BadParameter("give --all or --sample, not both.", param_hint="--sample")
    deployed = Deployed()
    drifted: dict[str, Drifted] = {}
    for each in selected(deployed.project.syncs, syncs, select, exclude):
        account, environment = deployed.account(each), deployed.project.environment
        found = look(each, environment, account, sample="all" if all_ else sample, repair=repair)
        drifted[each.sync] = found if reveal else found.masked(deployed.project.mask(each))
        if not json:
            _show(console(), each.sync, drifted[each.sync])
    if json:
        shown = [{"sync": name, **drift_as_json(found)} for name, found in drifted.items()]
        print_json(shown[0] if is_one_name(syncs, select) else {"syncs": shown})
    if any(found.wrong or found.duplicates or found.not_judged for found in drifted.values()):
        raise typer.Exit(1)


def drift_as_json(found: "Drifted") -> dict[str, Any]:
    more = {"passed_over": found.passed_over, "resent": found.resent, "made_again": found.made_again}
    return {**verified_as_json(found), **more}


def verified_as_json(found: "Verified") -> dict[str, Any]:
    return {
        "looked_at": found.looked_at,
        "differing": found.differing,
        "missing": found.missing,
        "duplicates": found.duplicates,
        "allowed": found.allowed,
        "differences": [_as_json(each) for each in found.examples],
        "not_asked": found.not_asked or None,
        "not_judged": found.not_judged or None,
    }


def _as_json(each: "Difference") -> dict[str, Any]:
    return {"key": each.key, "what": each.kind.value, "field": each.field, "sent": each.wanted, "held": each.held}


def _show(out: "Console", name: str, found: "Drifted") -> None:
    from reverse_etl_assets.cli.output import escape

    colour = "red" if found.wrong else "yellow" if found.duplicates or found.not_judged else "green"
    out.print(f"[{colour}]{name}: {escape(str(found))}[/]", soft_wrap=True)
    show_differences(out, found)
    if found.passed_over:
        out.print(f"[dim]{found.passed_over:,} rows that a run wrote meanwhile are passed over[/]")
    if found.wrong and not found.resent and not found.made_again:
        out.print("[dim]Nothing is changed; --repair lets the next run send what differs.[/]")


def show_differences(out: "Console", found: "Verified") -> None:
    """A line for each difference that is named."""
    from reverse_etl_assets.cli.output import shown, table

    if not found.examples:
        return
    rows = table("row", "what", "field", "sent", "the record holds")
    for each in found.examples:
        values = (shown(each.wanted), shown(each.held)) if each.field else ("", shown(each.held) if each.held else "")
        rows.add_row(shown(each.key, 40), each.kind.value, each.field or "", *values)
    out.print(rows)
    left_out = found.wrong + found.duplicates - len({each.key for each in found.examples})
    if left_out > 0:
        out.print(f"[dim]and {left_out:,} rows more[/]")
