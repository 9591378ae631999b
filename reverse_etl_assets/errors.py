"""Every error a user can meet, named by what the caller must do about it."""

import math
from collections.abc import Sequence


class ReverseEtlError(Exception):
    """Something a person can mend. Its message is shown as it is, without a traceback."""


class SpecError(ReverseEtlError):
    """A sync's YAML is wrong; the message names file, line, field and the nearest right word."""


class UnknownModel(SpecError):
    """A sync's YAML asks for a model that dbt's manifest does not have, or not so that it can be read."""


class ConfigurationError(ReverseEtlError):
    """A resource, credential, path or setting outside the sync's YAML is wrong or missing."""


class StateError(ReverseEtlError):
    """State file, journal or warehouse cannot be used: locked, unreachable, or of another sync."""


class StateMismatch(StateError):
    """State and journal are not those that belong together; a person has to say how the sync goes on."""


class ChangeSetLost(StateError):
    """Another run took over this one's change set, so its answers cannot be told from rows any more."""


class FileLocked(StateError):
    """Another process has a file open that this one needs; it may be free in a moment."""


class SyncBusy(StateError):
    """Another process is running this sync."""


class CheckFailed(ReverseEtlError):
    """The destination does not fit the sync. Raised before anything is sent.

    `problems` holds one sentence for each thing that is wrong, all of them at once.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(f"- {problem}" for problem in self.problems))


class DestinationError(ReverseEtlError):
    """A request did not get an answer that settles every row of its batch.

    `perhaps_done` is true if the request may have been carried out all the same: then its rows are in doubt, and sent
    again only by operations that may be repeated.
    """

    perhaps_done = False


class RetryLater(DestinationError):
    """The destination did not take the request, as far as it says; a later one may be taken.

    `after` is the wait in seconds the destination asked for, or None if it named none.
    `hold` is true if the wait is for the whole account (a rate limit), not only for this batch.
    """

    def __init__(
        self, message: str, after: float | None = None, *, hold: bool = False, perhaps_done: bool = False
    ) -> None:
        super().__init__(message)
        self.after = after if after is None or 0 <= after < math.inf else None  # no number is not: it compares false
        self.hold = hold
        self.perhaps_done = perhaps_done


class Ambiguous(DestinationError):
    """Nobody can know if the request was carried out: sent again only if the operation is idempotent."""

    perhaps_done = True


class RequestRejected(DestinationError):
    """The destination refused the whole request; the batch is bisected until the bad row stands alone.

    `whole` is true if nothing of it can have been taken. Where that is not known, by this or by
    `Capabilities.refuses_whole`, a batch of rows that must not be sent twice is in doubt.
    """

    def __init__(self, message: str, code: str | None = None, field: str | None = None, *, whole: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
        self.whole = whole


class Unsendable(RequestRejected):
    """No request can be made of these rows: nothing went out."""

    def __init__(self, message: str) -> None:
        super().__init__(message, whole=True)


class GarbledAnswer(DestinationError):
    """The destination's code cannot make sense of an answer, perhaps to a request that only reads."""

    def __init__(self, message: str, *, perhaps_done: bool = True) -> None:
        super().__init__(message)
        self.perhaps_done = perhaps_done


class Hopeless(DestinationError):
    """Whatever is asked is refused: the run stops, for the fault is not in the rows."""


class Unavailable(DestinationError):
    """The destination asks for a longer wait than a run takes: it ends, and a later one tries again."""

    def __init__(self, message: str, *, perhaps_done: bool = False) -> None:
        super().__init__(message)
        self.perhaps_done = perhaps_done


class AuthenticationFailed(DestinationError):
    """Credentials are wrong, expired for good, or lack a permission: the run stops."""


class TargetChanged(DestinationError):
    """What the sync writes to is not there as it was at the last check: a version of the API, an object, a field. The
    run stops, for no row is at fault, and the next one checks before it sends."""


class JobRefused(TargetChanged):
    """A job was refused as a whole for that, and none of its rows was processed."""


class QuotaExhausted(DestinationError):
    """The account's allowance is used up; the run stops and unsent rows are skipped."""


class BudgetSpent(QuotaExhausted):
    """The day's share of the account's allowance is used up; the next day goes on with the rows left."""


class ContractViolation(DestinationError):
    """A destination's code broke its contract (an outcome for a row that was not sent): the run stops."""


STOPPING = (
    AuthenticationFailed,
    TargetChanged,
    QuotaExhausted,
    ContractViolation,
    ConfigurationError,
    Hopeless,
    Unavailable,
)
"""Errors that no later batch would escape."""
