"""What became of a row, and why: each reason with all that follows from it. Nothing else lists them."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """What became of a row. Each row of a change set has exactly one."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class Meaning:
    """What a reason means to a row: in words for people, and to the engine.

    `explains` says why, `next_run` what the next run does with the row. `sentence` answers "why isn't it there?", with
    `{where}` (the destination), `{at}` (time and run), `{said}` (code, message and field), `{message}`, and `{undoes}`
    (the run that an undo put back).
    `settles` says that destination and row agree, so that the row counts as synced. `tried` says that the row had its
    turn in the run: it was sent, or its record was looked at. `in_doubt` says that a write may have been carried out.
    """

    word: str
    status: Status
    explains: str
    next_run: str
    sentence: str
    settles: bool = False
    tried: bool = True
    in_doubt: bool = False


def _failed(word: str, explains: str, next_run: str, sentence: str, *, in_doubt: bool = False) -> Meaning:
    return Meaning(word, Status.FAILED, explains, next_run, sentence, in_doubt=in_doubt)


def _skipped(
    word: str, explains: str, next_run: str, sentence: str, *, settles: bool = False, tried: bool = True
) -> Meaning:
    return Meaning(word, Status.SKIPPED, explains, next_run, sentence, settles=settles, tried=tried)


class Reason(StrEnum):
    """Why a row failed or was skipped. A member is the word that outcomes have, and has its `Meaning`."""

    meaning: Meaning

    def __new__(cls, meaning: "Meaning | str") -> "Reason":
        assert isinstance(meaning, Meaning)  # noqa: S101 - words are looked up, and never get here
        member = str.__new__(cls, meaning.word)
        member._value_, member.meaning = meaning.word, meaning
        return member

    INVALID = _failed(
        "invalid",
        "we refused it; it was never sent",
        "refuses it again until the model changes",
        "It was not sent at {at}: {said}",
    )
    REJECTED = _failed(
        "rejected",
        "the destination refused it; code and message are its own",
        "sends it again, until it was refused too often",
        "{where} refused it at {at}: {said}",
    )
    AMBIGUOUS = _failed(
        "ambiguous",
        "sent, and nobody can know what became of it",
        "sends it again if that does no harm, else holds it",
        "It was sent at {at}, but nobody can know if it arrived: {said}",
        in_doubt=True,
    )
    UNANSWERED = _failed(
        "unanswered",
        "the answer did not name the row",
        "sends it again",
        "It was sent at {at}, but the answer of {where} does not mention it.",
        in_doubt=True,
    )
    UNAVAILABLE = _failed(
        "unavailable",
        "not taken at any of 8 attempts, or in 15 minutes of refusals for the rate",
        "sends it again",
        "{where} could not take it at {at}, at any attempt: {said}",
    )
    ALREADY_EXISTS = _skipped(
        "already_exists",
        "an insert met a record that is there",
        "counts it as synced",
        "It is in {where} already, and this sync only adds records: {said} ({at}).",
        settles=True,
    )
    ALREADY_GONE = _skipped(
        "already_gone",
        "a delete met nothing",
        "counts it as gone",
        "It had left {where} already when it was to be deleted ({at}).",
        settles=True,
    )
    NOT_FOUND = _skipped(
        "not_found",
        "an update met nothing",
        "looks for it again",
        "There is no such record in {where}, and this sync only updates: {said} ({at}).",
    )
    SAME = _skipped(
        "same",
        "the record holds these values already",
        "counts it as synced",
        "There was nothing to write at {at}: {said}.",
        settles=True,
    )
    KEPT = _skipped(
        "kept",
        "every field that would change belongs to the destination, by a field rule",
        "leaves it until the model changes it again",
        "It was not written at {at}, for what would change is the destination's own: {said}.",
        settles=True,
    )
    EDITED = _skipped(
        "edited",
        "undo: somebody has changed the record since",
        "does not follow it",
        "Run {undoes} was put back at {at}, but for this row: {said}",
    )
    QUARANTINED = _skipped(
        "quarantined",
        "refused too often with these values",
        "leaves it until its values, the mapping or a person lets it go",
        "It was in quarantine at {at}, and not sent: {message}.",
        tried=False,
    )
    SUPERSEDED = _skipped(
        "superseded",
        "another row of the same key is newer (`on_duplicate_key: latest by`)",
        "the same",
        "It was not sent at {at}: {message}.",
        tried=False,
    )
    SHARED = _skipped(
        "shared",
        "its row left the model, and another row stands for the same record",
        "counts it as gone",
        "It has left the model, and nothing was deleted in {where} for it at {at}: {message}.",
        settles=True,
        tried=False,
    )
    NO_PARENT = _skipped(
        "no_parent",
        "the row of another sync that it belongs to (`after`) is not there",
        "sends it, once that row has arrived",
        "It was kept back at {at}: {message}.",
        tried=False,
    )
    STOPPED = _skipped(
        "stopped",
        "the run ended before its turn",
        "sends it",
        "The run ended before its turn at {at}: {said}",
        tried=False,
    )
    BUDGET = _skipped(
        "budget",
        "the day's calls were used up before its turn",
        "sends it, once there is room",
        "It was not sent at {at}, for the day's calls were used up before its turn: {said}",
        tried=False,
    )
    HELD = _skipped(
        "held",
        "an earlier send is ambiguous and must not be repeated",
        "holds it until somebody releases it",
        "It was kept back at {at}, because nobody knows the end of an earlier send: {said}",
        tried=False,
    )

    @classmethod
    def which(cls, holds: Callable[[Meaning], bool]) -> tuple["Reason", ...]:
        """The reasons of which this holds."""
        return tuple(reason for reason in cls if holds(reason.meaning))


def meaning_of(word: str | None) -> Meaning | None:
    """What the word of an outcome means. None of no reason: a destination of somebody's own may give none."""
    return next((reason.meaning for reason in Reason if reason == word), None)


SETTLED = Reason.which(lambda meaning: meaning.settles)
IN_DOUBT = Reason.which(lambda meaning: meaning.in_doubt)
NEVER_TRIED = Reason.which(lambda meaning: not meaning.tried)
"""The row did not have its turn, or none was meant for it."""
