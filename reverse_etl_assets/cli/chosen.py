"""The project that `--project` names, for the command that follows it."""

from contextvars import ContextVar

CHOSEN = ContextVar("project", default="")
