"""What the options before a command choose, for the command that follows them."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Chosen:
    """`project` is a module, a folder or a file; `target` is dbt's."""

    project: str = ""
    target: str = ""
    env_file: str = ""


CHOSEN = ContextVar("chosen", default=Chosen())  # noqa: B039 - it is frozen
