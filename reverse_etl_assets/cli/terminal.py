"""The one way to the terminal: what commands print may hold rows' values and vendors' words."""

import typer

from reverse_etl_assets.visible_text import visible


def say(text: str, *, err: bool = False, nl: bool = True, fg: str | None = None) -> None:
    """Print text as it is, but for characters that would do something to the terminal: they are made visible."""
    typer.secho(visible(text), err=err, nl=nl, fg=fg)
