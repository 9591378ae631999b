"""What a webhook's answer means, by the rules of its `results` settings."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from reverse_etl_assets.destinations.values import key_form, plain_text
from reverse_etl_assets.destinations.webhook.options import Results
from reverse_etl_assets.errors import Ambiguous
from reverse_etl_assets.records import Batch, Operation, Outcome, Reason, Record, RowError, Status, Target

OWN_STATUS = {
    Operation.INSERT: Status.CREATED,
    Operation.UPDATE: Status.UPDATED,
    Operation.UPSERT: Status.UPDATED,
    Operation.DELETE: Status.DELETED,
}
"""What a success of an operation is, if the answer does not say."""
SKIPPED = {
    Operation.INSERT: Reason.ALREADY_EXISTS,
    Operation.UPSERT: Reason.ALREADY_EXISTS,
    Operation.UPDATE: Reason.NOT_FOUND,
    Operation.DELETE: Reason.ALREADY_GONE,
}
GOOD, BAD = frozenset({"ok", "success", "true"}), frozenset({"failed", "error", "false"})
_STATUSES = {status.value: status for status in Status}
_TRY_AGAIN = frozenset({"429", "503"})


def status_outcomes(
    batch: Batch, records: Sequence[Record], status: int, destination_id: str | None
) -> Iterator[Outcome]:
    """The same for each of these rows: by convention 201 is created, if it is about one record; anything else is
    inferred from the operation."""
    created = status == 201 and batch.operation in (Operation.INSERT, Operation.UPSERT) and len(batch.records) == 1
    for record in records:
        became = Status.CREATED if created else OWN_STATUS[batch.operation]
        yield Outcome(record.key, became, destination_id=destination_id, inferred=not created)


class ListedResults:
    """Reads answers that list results. Made once for a sync: its methods run for every row."""

    def __init__(
        self,
        target: Target,
        results: Results,
        *,
        fold_case: bool,
        once: frozenset[Operation],
        not_taken: frozenset[int],
    ) -> None:
        """Of operations in `once` a row that was perhaps taken is in doubt, not failed."""
        self._key_type, self._results = target.key_type, results
        self._fold_case = fold_case
        self._once, self._taken_by_none = once, {str(status) for status in not_taken}
        self._meanings = {text.lower(): status for text, status in results.statuses.items()}
        self._read = {name: _reader(getattr(results, name)) for name in ("key", "status", "code", "error", "id")}
        self._meaning = lru_cache(1_000)(self._find_meaning)

    def outcomes(self, batch: Batch, answer: Any) -> Iterator[Outcome]:
        """One outcome for each row that the list names. Raises Ambiguous if there is no such list."""
        results = self._results
        listed = dig(answer, results.path)
        if isinstance(listed, dict) and len(batch.records) == 1:
            listed = [listed]
        if not isinstance(listed, list):
            raise Ambiguous(f"the answer has no list at `{results.path or '(the top)'}`")
        if results.match == "index":
            if len(listed) != len(batch.records):
                raise Ambiguous(f"the answer has {len(listed)} results for {len(batch.records)} rows")
            for record, result in zip(batch.records, listed, strict=True):
                yield self._outcome(batch.operation, record, result)
            return
        waiting = {self._form(record.external_id): record for record in batch.records}
        key = self._read["key"]
        for result in listed:
            if (name := self._form(key(result))) in waiting:
                yield self._outcome(batch.operation, waiting.pop(name), result)

    def _form(self, key: Any) -> str:
        return key_form(self._key_type, key, fold_case=self._fold_case)

    def _outcome(self, operation: Operation, record: Record, result: Any) -> Outcome:
        read = self._read
        word, code, message = (
            as_word(read["status"](result)),
            as_word(read["code"](result)),
            as_word(read["error"](result)),
        )
        destination_id = as_word(read["id"](result)) or None
        status, said_so = self._meaning(operation, word, code)
        if status is Status.SKIPPED:
            text = message or f"the destination says {word!r}"
            return Outcome.skipped(record.key, SKIPPED[operation], text, destination_id)
        if operation in self._once and _perhaps_taken(word) and word not in self._taken_by_none:
            text = message or f"the destination says {word!r}"
            return Outcome(record.key, Status.FAILED, Reason.AMBIGUOUS, RowError(text, code or word))
        if message or status is Status.FAILED:
            error = RowError(message or f"the destination says {word!r}", code or word or None)
            return Outcome.rejected(record.key, error, retry=word in _TRY_AGAIN)
        if status is None:
            text = f"the destination says {word!r}" if word else "the destination does not say what became of the row"
            error = RowError(f"{text}; `results.statuses` can say what it means")
            return Outcome(record.key, Status.FAILED, Reason.AMBIGUOUS, error)
        return Outcome(record.key, status, destination_id=destination_id, inferred=not said_so)

    def _find_meaning(self, operation: Operation, word: str, code: str) -> tuple[Status | None, bool]:
        """What a row's status and code mean, and whether the destination said so itself."""
        named = self._meanings.get(code.lower()) or self._meanings.get(word.lower())
        status = named or _usual_meaning(word, operation, self._results)
        return status, status is not None and word.lower() in {"201", status.value, *self._meanings}


def _perhaps_taken(word: str) -> bool:
    """A status of a row that does not say that it was not taken, by the same rules as that of a request."""
    return word.isdecimal() and len(word) == 3 and (word in {"202", "408"} or word[0] in "35")


def as_word(value: Any) -> str:
    """A value of an answer as text; nothing, null and false are empty."""
    if type(value) is str:
        return value
    return "" if value is None or value is False else plain_text(value)


def _usual_meaning(word: str, operation: Operation, results: Results) -> Status | None:
    """What a status means if the settings do not say; None if nobody can tell."""
    word = word.lower()
    if results.status is None or word in GOOD:
        return OWN_STATUS[operation]
    if word in BAD:
        return Status.FAILED
    if word == "201":
        return Status.CREATED
    if word.isdecimal() and len(word) == 3:
        return OWN_STATUS[operation] if word.startswith("2") and word != "202" else Status.FAILED
    return _STATUSES.get(word)


def _reader(path: str | None) -> Callable[[Any], Any]:
    """`dig` for one path; the usual one, a single name in an object, costs one look."""
    if path and "." not in path and not path.isdecimal():
        return lambda value: value.get(path) if isinstance(value, dict) else None
    return lambda value: dig(value, path)


def dig(value: Any, path: str | None) -> Any:
    """What stands at a dotted path; None if nothing does."""
    if path is None:
        return None
    for name in path.split(".") if path else ():
        if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, dict):
            value = value.get(name)
        else:
            return None
    return value
