"""The one way to the terminal: what commands print may hold rows' values and vendors' words."""

import os
import sys
from typing import Any

import typer

from reverse_etl_assets.visible_text import visible


def say(text: str, *, err: bool = False, nl: bool = True, fg: str | None = None) -> None:
    """Print text as it is, but for characters that would do something to the terminal: they are made visible."""
    typer.secho(visible(text), err=err, nl=nl, fg=fg)


WIDE = 10_000
"""Characters of a line that nobody looks at."""


def looked_at(*, err: bool = False) -> bool:
    """Whether a person sees what is printed, and lines are to be broken: at a terminal, or where a width is set."""
    return (sys.stderr if err else sys.stdout).isatty() or "COLUMNS" in os.environ


def help_style() -> dict[str, Any]:
    """How help and errors about the command line are printed, as arguments of a `Typer`: boxes for people; in a pipe or
    a file text with whole lines."""
    names: dict[str, Any] = {"help_option_names": ["-h", "--help"]}
    if looked_at() and looked_at(err=True):
        return {"context_settings": names}
    width = {} if looked_at() else {"terminal_width": WIDE, "max_content_width": WIDE}
    return {"rich_markup_mode": None, "context_settings": names | width}
