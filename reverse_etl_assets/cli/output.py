"""How the commands print: tables for people, JSON for programs."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape as escape
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from reverse_etl_assets.cli.terminal import WIDE, looked_at
from reverse_etl_assets.visible_text import visible, visible_json

COLOURS = {
    **dict.fromkeys(("done", "created", "updated", "deleted", "added", "pass", "ok"), "green"),
    **dict.fromkeys(("guarded", "not run", "skipped", "stopped", "open", "changed", "held"), "yellow"),
    **dict.fromkeys(("failed", "rejected", "removed", "error"), "red"),
}


_NARROWEST = 10
"""Characters that a column of words may be narrowed to."""


class _Terminal(Console):
    """Whatever is printed on it, in a table or alone, is text that passes here."""

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(visible(text), **how)


def console(*, err: bool = False) -> Console:
    """Texts from outside that it prints do nothing to the terminal. Where nobody looks, in a pipe or a file, no line is
    broken: a program reads it."""
    return _Terminal(stderr=err, highlight=False, width=None if looked_at(err=err) else WIDE)


def indented(text: str, by: int) -> Padding:
    """All lines of it; nothing is added behind them."""
    return Padding(text, (0, 0, 0, by), expand=False)


def print_json(value: Any) -> None:
    """Decimals and big numbers with every digit, times as ISO 8601."""
    encoded = msgspec.json.Encoder(decimal_format="number").encode(value)
    typer.echo(visible_json(msgspec.json.format(encoded, indent=2).decode()))


def table(*columns: str, right: tuple[str, ...] = (), whole: tuple[str, ...] = (), title: str | None = None) -> Table:
    """A plain table. Columns in `right` hold numbers, those in `whole` names or ids: neither is cut or broken, if it is
    printed with `show_table`. A first column that is neither is cut; narrow terminals get narrow gaps."""
    gap = (0, 1) if console().width >= 100 else (0, 0)
    made = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False, padding=gap)
    for index, name in enumerate(columns):
        if name in right:
            made.add_column(name, justify="right", no_wrap=True, min_width=len(name))
        elif name in whole:
            made.add_column(name, no_wrap=True)
        else:
            made.add_column(name, overflow="ellipsis" if index == 0 else "fold")
    return made


def show_table(out: Console, rows: Table) -> None:
    """The table; or, where the terminal is too narrow for what must not be cut, each row as lines."""
    needed = sum(_narrowest(out, column) + rows.padding[1] for column in rows.columns)
    if needed <= out.width:
        out.print(rows)
        return
    heads = [str(column.header) for column in rows.columns]
    for name, *cells in zip(*(column.cells for column in rows.columns), strict=True):
        out.print(f"{heads[0]} [bold]{name}[/]", soft_wrap=True)
        for head, cell in zip(heads[1:], cells, strict=True):
            out.print(f"  [dim]{head}[/] {cell}", soft_wrap=True)
    out.print()


def _narrowest(out: Console, column: Column) -> int:
    """Characters that the column needs at least."""
    texts = [out.render_str(str(each)).cell_len for each in (column.header, *column.cells)]
    return max(texts) if column.no_wrap else min(max(texts), _NARROWEST)


def coloured(word: str) -> str:
    colour = COLOURS.get(word)
    return f"[{colour}]{escape(word)}[/]" if colour else escape(word)


def number(value: int | None) -> str:
    """Thousands apart; nothing for zero, so that the figures that matter stand out."""
    return f"{value:,}" if value else "[dim]-[/]"


def shown(value: Any, most: int = 60) -> str:
    """A row's value on one line."""
    if value is None:
        return "[dim]empty[/]"
    text = visible(str(value)).replace("\n", "\\n")
    return escape(text if len(text) <= most else f"{text[: most - 1]}…")


def short_id(run_id: str) -> str:
    """How a run's id begins, by which `undo` knows it too; that of a run of Dagster ends in the sync's name."""
    return run_id.partition("/")[0][:8]


def moment(at: float | datetime | None) -> str:
    if at is None:
        return ""
    when = datetime.fromtimestamp(at, UTC) if isinstance(at, float | int) else at
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


def ago(at: str) -> str:
    """How long ago an ISO 8601 time was, in its largest unit."""
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{max(0, seconds)} s"


def iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat()
