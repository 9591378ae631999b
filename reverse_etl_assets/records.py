"""The vocabulary: what goes to a destination and what comes back, row by row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from reverse_etl_assets.reasons import Reason as Reason, Status as Status


class Operation(StrEnum):
    """What is asked of a destination for a row. An upsert creates the record, or updates it if it is there."""

    INSERT = "insert"
    UPDATE = "update"
    UPSERT = "upsert"
    DELETE = "delete"


AMBIGUOUS_KEY = "AMBIGUOUS_KEY"
"""Our own code of a row that was not sent because several records carry its key."""


class FieldType(StrEnum):
    """What a model's column holds, as far as a destination's field cares."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    TIME = "time"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Record:
    """One row on its way to a destination.

    `key` is ours and identifies the row in every outcome; `external_id` is what the destination matches it by;
    `destination_id` is the destination's own id of the record, where it is known.
    `fields` maps destination fields to JSON values; decimals are `Decimal`, times are ISO 8601 text with a zone.
    """

    key: str
    external_id: str
    fields: Mapping[str, Any]
    destination_id: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Records for one request (or one job), all of one operation.

    `idempotency_key` is the same whenever the same rows with the same values are sent again.
    """

    operation: Operation
    records: Sequence[Record]
    idempotency_key: str

    def by_external_id(self, *, fold_case: bool) -> dict[str, Record]:
        """The records by external id, folded as the destination folds it."""
        return {r.external_id.lower() if fold_case else r.external_id: r for r in self.records}


@dataclass(frozen=True, slots=True)
class RowError:
    """What was said of a row: the vendor's code and message word for word, and the field if it was named."""

    message: str
    code: str | None = None
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row.

    `retry` marks a row that the destination asks to be sent again (a lock, a busy server); the engine does so, to
    `destination_id` if the answer named one: the record that stands in the way of a new one.
    `inferred` marks a status that follows from the operation because the destination does not say.
    """

    key: str
    status: Status
    reason: Reason | None = None
    error: RowError | None = None
    destination_id: str | None = None
    inferred: bool = False
    retry: bool = False

    @staticmethod
    def rejected(key: str, error: RowError, *, retry: bool = False) -> "Outcome":
        reason = Reason.UNAVAILABLE if retry else Reason.REJECTED
        return Outcome(key, Status.FAILED, reason, error, retry=retry)

    @staticmethod
    def skipped(key: str, reason: Reason, message: str, destination_id: str | None = None) -> "Outcome":
        return Outcome(key, Status.SKIPPED, reason, RowError(message), destination_id)

    def given_up(self) -> "Outcome":
        """The same outcome, final: nothing will send the row again in this run."""
        return replace(self, retry=False) if self.retry else self


@dataclass(frozen=True, slots=True)
class Current:
    """A record as the destination holds it now.

    `fields` has every field of the target that was asked for, None where the record has no value, each in a form that
    can be sent back as it is. `changed_at` is when anybody last changed the record (UTC), if the destination says so.
    `external_ids` are all that it is found by, where the vendor lets a record have several: a contact's addresses.
    """

    destination_id: str
    fields: Mapping[str, Any]
    changed_at: datetime | None = None
    external_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Quota:
    """What a vendor says of the account's own allowance of calls: how many it counts as used, of how many."""

    used: int
    limit: int


@dataclass(frozen=True)
class JobLimits:
    """How a destination takes large change sets as asynchronous jobs (`RunsJobs`).

    `max_rows` and `max_bytes` are those of a job, or of a part of one that spans the run. From `from_rows` rows of one
    operation on a job is used.
    `opens_loaded` says that `open_job` hands the rows over as well, and `upload` is not called: the vendor tells the id
    only then. `spans_run` says that one job takes all batches of a run, whatever their operation and number, as parts
    that come one after the other; nothing of it shows at the destination before the last one came.
    `timeout` is for how many seconds a run waits for a job that is still running; then the next run of the sync
    collects its results. None waits as long as it takes.
    """

    max_rows: int
    max_bytes: int
    from_rows: int = 1
    opens_loaded: bool = False
    spans_run: bool = False
    timeout: float | None = None


@dataclass(frozen=True)
class Capabilities:
    """What a destination can do, as data; the engine decides by it and by nothing else.

    `idempotent` names the operations that may be sent twice without harm, `idempotent_by_id` those that may if every
    record's id is known: a message can be changed twice, but not posted twice. `needs_id` names those that address a
    record by the destination's own id, so that the engine has to `find` it first if it does not know it.
    An upsert among those writes to the record that was found, and makes one if there is none.
    `max_bytes` counts the encoded request body. `requests_per_second` is for the whole account, None is unlimited; for
    a part of it if `rate_scope` names one: a channel, an endpoint.
    `reads_per_second` is that of look-ups and reads alone, where the vendor counts them apart; without it they take
    their turns among the others. `requests_per_read` is how many requests one of them makes, where it is more than one
    (a search, then a read), for the forecast of a run.
    `fold_case` says that the destination takes external ids that differ only in case for one record.
    `fold_blanks` says that it takes those for one that differ only in blanks around them.
    `key_as_field` says that an upsert matches records by what the mapped key field holds, not by the key's own text.
    `confirms` says that an answer tells created from updated; if not, outcomes are marked inferred.
    `partial` names the operations that leave fields alone which a record does not name: then only changed ones go out.
    `retry_serially` sends rows again one batch at a time: they met a lock, and more at once would meet the next.
    `several_records` names the codes that refuse a row because more than one record carries its key.
    `not_taken` names further statuses by which the vendor says in so many words that it carried nothing out: a 503 or
    408 of others may come from a proxy, whose server works on.
    `refuses_whole` says that a request that is refused was refused with all of its rows. Others take the good ones and
    answer 4xx for the rest: then a batch that must not be sent twice is not halved, but in doubt.
    `replaces` says that what a run sends takes the place of all that was there: then each run has to send every row.
    `erases` says that a delete leaves nothing that anybody could restore: because it never does, or because it will not
    where the target says `for_good`. `reaches_deleted` says whether such a delete, by its id, reaches a record that was
    deleted before and is kept; None where none is kept.
    `find_limit`, `read_limit` and `restore_limit` are the most ids of one look-up, read or request to restore; the
    engine never asks for more. `jobs` says how large change sets go out as jobs; None: not for this target.
    `id_separator` joins several identities of one record in an id (an audience's member by all that was uploaded): two
    rows with one of them in common stand for one record.
    """

    operations: frozenset[Operation]
    idempotent: frozenset[Operation]
    max_rows: int
    max_bytes: int
    requests_per_second: float | None = None
    rate_scope: str = ""
    reads_per_second: float | None = None
    requests_per_read: int = 1
    concurrency: int = 4
    fold_case: bool = False
    fold_blanks: bool = False
    key_as_field: bool = False
    confirms: bool = True
    needs_id: frozenset[Operation] = frozenset()
    partial: frozenset[Operation] = frozenset()
    several_records: frozenset[str] = frozenset()
    replaces: bool = False
    idempotent_by_id: frozenset[Operation] = frozenset()
    retry_serially: bool = False
    not_taken: frozenset[int] = frozenset()
    refuses_whole: bool = False
    erases: bool = False
    reaches_deleted: bool | None = None
    id_separator: str = ""
    find_limit: int = 1
    read_limit: int = 1
    restore_limit: int = 1
    jobs: JobLimits | None = None

    @property
    def once(self) -> frozenset[Operation]:
        """Operations of which a row is never sent twice by itself."""
        return frozenset(Operation) - self.idempotent - self.idempotent_by_id

    @property
    def once_if_new(self) -> frozenset[Operation]:
        """Likewise, unless the record's id is known."""
        return self.idempotent_by_id - self.idempotent


@dataclass(frozen=True)
class Target:
    """The place a sync writes to: an object, the field that matches its records, and the fields it sends.

    `fields` maps every field to the type of what is sent and leaves the external id out unless it is mapped too.
    `complete` says that every row of the model goes out, as by `full_refresh`, and not by an undo.
    `for_good` says that deletes are to leave nothing that anybody could restore, as `forget --permanently` asks; it is
    set only where the capabilities for such a target say `erases`.
    `columns` are the model's columns that fill the fields, and the external id if it is one; for messages.
    """

    object: str
    external_id: str
    fields: Mapping[str, FieldType]
    operations: frozenset[Operation]
    key_type: FieldType = FieldType.TEXT
    options: Mapping[str, Any] = field(default_factory=dict)
    complete: bool = False
    for_good: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)
