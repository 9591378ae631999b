"""Stops and resumes syncs for a person, also while the journal is out of reach."""

from dataclasses import dataclass

from reverse_etl_assets.errors import ConfigurationError, StateError
from reverse_etl_assets.journal.records import Stop
from reverse_etl_assets.journal.stop_signals import VARIABLE, check_scope
from reverse_etl_assets.project import Project


@dataclass(frozen=True)
class Resumed:
    lifted: tuple[Stop, ...]
    left: tuple[Stop, ...]
    """Stops still in force, of this scope (the environment) or another."""
    unheld: tuple[str, ...] = ()
    """Accounts that were to be left alone for a while, because the destination asked for it, and are not any more."""
    problem: str | None = None
    """What has to be said if the journal could not be asked."""


def stop(project: Project, scope: str, who: str, why: str) -> str | None:
    """Puts the kill switch on. Returns what has to be said if a file had to do it, because the journal could not.

    Raises ConfigurationError for a scope that is none, StateError if there is no way to stop anything.
    """
    check_scope(scope)
    try:
        project.journal.stop(scope, who, why)
        return None
    except (StateError, ConfigurationError) as error:
        problem = f"The stop could not be written to the journal: {error}"
    try:
        path = project.stop_signals.write(scope, who, why)
    except StateError as error:
        instead = f"Set {VARIABLE} to the reason where runs start, or end the runs."
        raise StateError(f"NOTHING IS STOPPED. {problem}\nNor to a file: {error}\n{instead}") from None
    reach = "it stops every run that uses this folder, and none on another machine"
    return f"{problem}\nSo the file {path} was written instead: {reach}."


def resume(project: Project, scope: str, who: str, why: str) -> Resumed:
    """Lifts the stops of this very scope, those in the journal and those given by a file; of a destination also the
    wait that it asked for.

    Raises StateError if a file cannot be removed, or if there is none and the journal is out of reach.
    """
    check_scope(scope)
    signals = project.stop_signals
    by_file = [given for given in signals.all() if given.scope == scope and given.given_in != VARIABLE]
    try:
        journal = project.journal
        in_journal = [given for given in journal.stops() if given.scope == scope and given.given_in is None]
    except (StateError, ConfigurationError) as error:
        if not by_file:
            raise
        signals.remove(scope)
        message = f"The journal could not be asked: {error}\nWhat it stops is still stopped."
        return Resumed(tuple(by_file), tuple(signals.all()), problem=message)
    for given in by_file:
        signals.remove(scope)
        journal.log_stop(given)  # its file is gone: now the log alone knows who gave it, when and why
    if by_file or in_journal:
        journal.resume(scope, who, why)
    kind, _, name = scope.partition(":")
    unheld = journal.lift_holds(name, who, why) if kind == "destination" else []
    return Resumed((*in_journal, *by_file), tuple(journal.stops()), tuple(unheld))
