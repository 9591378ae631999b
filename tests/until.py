"""Waits for what another thread or process does, however fast the machine is."""

import time
from collections.abc import Callable


def until(true: Callable[[], bool], *, seconds: float = 60.0, pause: float = 0.0) -> None:
    """Look again and again: without a pause where the moment is short, with one where others need the processor."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(pause)
