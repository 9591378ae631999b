"""What a person can mend is shown as a sentence, not as a traceback; and who ends a command is told what that meant."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from reverse_etl_assets.cli.terminal import say
from reverse_etl_assets.delivery.interrupts import TERMINATING, Terminated
from reverse_etl_assets.errors import ReverseEtlError
from reverse_etl_assets.visible_text import visible

ENDED = (KeyboardInterrupt, Terminated)
_WRONG: Any = typer.BadParameter.__base__  # UsageError, which typer does not name


class Commands(TyperGroup):
    """Exit code 2 for everything that is wrong with the project or the command; 1 is for what became of a run, 130 and
    143 are for one that was ended by Ctrl-C or SIGTERM, 129 for one whose terminal went away."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for each in args:
            if not each.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in each):
                raise typer.BadParameter(f"{visible(each)} is not written in UTF-8.")
        return super().parse_args(ctx, args)

    def make_context(self, *args: Any, **more: Any) -> Any:
        with _in_words():
            return super().make_context(*args, **more)

    def invoke(self, ctx: Any) -> Any:
        try:
            with _in_words(), _termination():
                return super().invoke(ctx)
        except ReverseEtlError as error:
            typer.echo(typer.style("Error: ", fg="red", bold=True), nl=False, err=True)
            say(str(error), err=True)
            raise typer.Exit(2) from None


def exit_code(ended: BaseException) -> int:
    """As a shell has it: 128 and the signal's number."""
    return 128 + (ended.number if isinstance(ended, Terminated) else signal.SIGINT)


@contextmanager
def _in_words() -> Iterator[None]:
    """Interrupts in words, and what is wrong with the command line so that it does nothing to the terminal."""
    try:
        yield
    except _WRONG as error:
        error.message = visible(error.message)
        raise
    except ENDED as ended:
        text = "Interrupted. `reverse-etl status` shows how far it came, and `reverse-etl runs` what was before."
        say(text, err=True)
        raise typer.Exit(exit_code(ended)) from None


@contextmanager
def _termination() -> Iterator[None]:
    """SIGTERM and SIGHUP end a command in good order, as Ctrl-C does: answers in flight are waited for. What `nohup`
    ignores stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in TERMINATING}
    taken = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in taken:
        signal.signal(number, _terminate)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


def _terminate(number: int, _: Any) -> NoReturn:
    raise Terminated(number)
