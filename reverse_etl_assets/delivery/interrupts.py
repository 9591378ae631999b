"""Runs asynchronous code so that an interrupt ends it in good order."""

import signal
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

TERMINATING = tuple(signal.Signals[name] for name in ("SIGTERM", "SIGHUP") if name in signal.Signals.__members__)
"""SIGHUP is a terminal that was closed, or a connection to another machine that ended; Windows has none."""


class Terminated(BaseException):
    """This process was asked to end, by the signal."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__(number)
        self.number = number


def ended_by(error: BaseException) -> str:
    """Who or what ended a run before its time."""
    if isinstance(error, KeyboardInterrupt):
        return "ended by Ctrl-C"
    if not isinstance(error, Exception):
        return "terminated from outside"
    return f"ended by a fault in the code ({type(error).__name__})"


def run_interruptible(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, except that SIGINT, SIGTERM and SIGHUP cancel `main` alone; then they do what they always do.

    A signal handler that raises in the middle of `asyncio.run` makes it cancel every task at once, also those that
    wait for answers in flight, and what a destination acknowledged would be in doubt. Signals that have no Python
    handler keep their meaning, and so do all of them outside the main thread, where none arrive.
    """
    import asyncio  # a third of the time of a command that only needs the names above

    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(main)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, *TERMINATING)}
    received: list[signal.Signals] = []
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        task = loop.create_task(main)

        def interrupt(number: signal.Signals) -> None:
            received.append(number)
            task.cancel()

        ours = [number for number, handler in handlers.items() if callable(handler)]
        for number in ours:
            loop.add_signal_handler(number, interrupt, number)
        try:
            return loop.run_until_complete(task)
        finally:
            for number in ours:
                loop.remove_signal_handler(number)
                signal.signal(number, handlers[number])
            if received:
                signal.raise_signal(received[0])
