"""What a person can mend is shown as a sentence, not as a traceback."""

from typing import Any

import typer
from typer.core import TyperGroup

from reverse_etl_assets.cli.terminal import say
from reverse_etl_assets.errors import ReverseEtlError


class Commands(TyperGroup):
    """Exit code 2 for everything that is wrong with the project or the command; 1 is for what became of a run."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ReverseEtlError as error:
            typer.echo(typer.style("Error: ", fg="red", bold=True), nl=False, err=True)
            say(str(error), err=True)
            raise typer.Exit(2) from None
