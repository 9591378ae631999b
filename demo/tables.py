"""What the demo prints."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from demo.rounds import Round
from demo.spoiled import Fate
from reverse_etl_assets import Project

_COLOURS = {
    **dict.fromkeys(("created", "updated", "deleted"), "green"),
    "skipped": "yellow",
    "failed": "red",
}
_GROUPS = """
    select status, reason, code, count(*), min(message) from state.outcomes
    where run_id = $run and status in ('failed', 'skipped')
    group by status, reason, code, field,
        case when code is null and reason is distinct from 'quarantined' then message end
    order by count(*) desc, status, reason limit 10
"""
_PLAN = {"model": "model_rows", "added": "added", "changed": "changed", "removed": "removed", "rejected": "rejected"}
_OUTCOMES = ("created", "updated", "deleted", "skipped", "failed")


def show_round(out: Console, project: Project, found: Round) -> None:
    """What was planned, what became of it, and why rows did not arrive."""
    plans = _figures("what the plans found", *_PLAN)
    sends = _figures("what became of it", *_OUTCOMES, "calls", "s")
    for name, run in found.runs.items():
        plans.add_row(name, *(_number(run.counts.get(count)) for count in _PLAN.values()))
        counts = [_number(run.counts.get(count)) for count in (*_OUTCOMES, "calls")]
        sends.add_row(name, *counts, f"{run.counts.get('milliseconds', 0) / 1000:.1f}")
    out.print(plans)
    out.print(sends)
    for name, run in found.runs.items():
        with project.warehouse.open(name) as con:
            for group in con.execute(_GROUPS, {"run": run.run_id}).fetchall():
                out.print(Padding(_reason(name, *group), (0, 0, 0, 1)))
    for name, why in found.failures.items():
        out.print(f"[red]{escape(name)}: {escape(why)}[/]")


def _reason(name: str, status: str, reason: str | None, code: str | None, rows: int, message: str | None) -> str:
    words = " ".join(filter(None, (code, clipped(message or "", 90))))
    return f"{name}: {rows:,} {_coloured(status)} [dim]{reason}:[/] {escape(words)}"


def show_saving(out: Console, found: Round) -> None:
    rows = sum(run.counts.get("model_rows", 0) for run in found.runs.values())
    settled = sum(run.counts.get(name, 0) for run in found.runs.values() for name in ("created", "updated", "deleted"))
    calls = sum(run.counts.get("calls", 0) for run in found.runs.values())
    out.print(f"\nThe models have {rows:,} rows; {settled:,} records were written, with {calls:,} API calls.")


def show_fates(out: Console, fates: Sequence[Fate]) -> None:
    rows = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    rows.add_column(no_wrap=True)
    rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    for defect, found in groupby(fates, key=lambda fate: fate.defect):
        rows.add_row(f"[bold]{defect.replace('_', ' ')}[/]")
        for fate in found:
            words = " ".join(filter(None, (fate.code, clipped(fate.message or "", 90))))
            outcome = _coloured(fate.status) + (f" [dim]{fate.reason}[/]" if fate.reason else "")
            rows.add_row(f" {fate.sync}", outcome, _shown(fate.key) + (f"\n{escape(words)}" if words else ""))
    out.print(Padding(rows, (1, 0)))


def show_checks(out: Console, checks: Mapping[str, str]) -> None:
    """Each check with what is wrong, nothing if all is well."""
    for check, problem in checks.items():
        out.print(f" [red]x {check}: {escape(problem)}[/]" if problem else f" [green]ok[/] {check}")


def clipped(text: str, most: int) -> str:
    """Long text without its middle: vendors repeat the whole value, and say what is wrong at the end."""
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def _figures(title: str, *columns: str) -> Table:
    made = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    made.add_column(title, overflow="ellipsis")
    for name in columns:
        made.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    return made


def _coloured(word: str) -> str:
    colour = _COLOURS.get(word)
    return f"[{colour}]{escape(word)}[/]" if colour else escape(word)


def _number(value: int | None) -> str:
    return f"{value:,}" if value else "[dim]-[/]"


def _shown(value: Any) -> str:
    return "[dim]empty[/]" if value is None else escape(str(value).replace("\n", "\\n"))
