"""Answers that name only what was refused, or that decide over their status; and errors that nobody reads."""

import re
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from reverse_etl_assets.destinations.values import key_form
from reverse_etl_assets.destinations.webhook.answers import BAD, GOOD, SKIPPED, as_word, dig
from reverse_etl_assets.destinations.webhook.options import Refused, Results
from reverse_etl_assets.errors import Ambiguous, RequestRejected
from reverse_etl_assets.records import Batch, Outcome, Record, RowError, Status, Target

_BAD = BAD | {"fail", "failure", "rejected", "invalid", "no"}
_GOOD = GOOD | {"succeeded", "done", "completed", "created", "updated", "accepted", "yes"}
_ERRORS = re.compile(
    r"(?:(?:num|total|row|item|record|event|insert|validation|partial)_)?"
    r"(?:errors?|failed|failures?|rejected|refused|invalid|unprocessed|not_processed)"
    r"(?:_(?:count|rows|items|records|events|entries|ids|keys|users|objects|details|list))?"
)
_JSEND = frozenset({"error", "fail"})  # "JSend", github.com/omniti-labs/jsend
_WRAPPERS = ("", "data", "result", "response")
_LISTS = frozenset({"", "results", "responses", "data"})  # of other names may be a part of one record
_SAYS_IF_DONE = ("success", "ok", "status")
_NONE_AT_ALL = frozenset({"", "0", "none", "null", "ok", "no", "false"})


class NamedRefusals:
    """Reads the lists of one sync's `results.refused`."""

    def __init__(self, target: Target, results: Results, *, fold_case: bool) -> None:
        self._key_type, self._results, self._fold_case = target.key_type, results, fold_case
        self._read = {each.path for each in results.refused} | {results.path, results.done or "", *results.ignored}

    def __bool__(self) -> bool:
        return bool(self._results.refused)

    def of(self, batch: Batch, answer: Any) -> dict[str, Outcome]:
        """Outcomes of the rows that the lists name, by key.

        Raises RequestRejected if an entry is about the whole request, Ambiguous if it cannot be told which row one
        means or the answer counts other rows as taken.
        """
        named: dict[str, Outcome] = {}
        keys = {self._form(record.external_id): record for record in batch.records}
        for each in self._results.refused:
            for name, entry in _entries(each, dig(answer, each.path)):
                problem = RowError(_message(each, name, entry), as_word(dig(entry, each.code)) or None)
                if each.index is None and each.key is None:
                    raise RequestRejected(problem.message, problem.code)
                record = self._meant(each, batch, keys, name, entry)
                named.setdefault(record.key, _outcome(each, batch, record, problem))
        taken = as_word(dig(answer, self._results.taken))
        if taken and taken != str(len(batch.records) - len(named)):
            raise Ambiguous(f"{taken} of {len(batch.records)} rows were taken, and {len(named)} are named as refused")
        return named

    def refuse_if_not_done(self, answer: Any) -> None:
        """Raises RequestRejected if the answer says that the request was not done, Ambiguous if it does not say."""
        path = self._results.done
        if path is None:
            return
        found = dig(answer, path)
        word = "false" if found is False else as_word(found).lower()
        if word in _GOOD or (word.isdecimal() and len(word) == 3 and word.startswith("2") and word != "202"):
            return
        if word in _BAD or (word.isdecimal() and len(word) == 3 and word.startswith("4")):
            text = dig(answer, "message") or dig(answer, "error.message") or dig(answer, "error")
            raise RequestRejected(as_word(text) or f"`{path}` is {word}", word)
        raise Ambiguous(f"`{path}` of the answer is {word or 'missing'}: nobody knows if it is done")

    def unread(self, answer: Any, fields: Collection[str], *, one: bool) -> str:
        """Where an answer speaks of errors that no setting reads; empty if it does not. The answer to `one` record may
        repeat it, with its `fields`, and the one to several may list them."""
        for path, inside, repeated in self._parts(answer, one):
            for name, value in inside.items():
                place = f"{path}.{name}" if path else str(name)
                if name not in fields and not self._is_read(place) and _is_trouble(str(name), value, repeated):
                    return place
        return ""

    def _parts(self, answer: Any, one: bool) -> Iterator[tuple[str, Mapping[Any, Any], bool]]:
        """The objects of an answer that may speak of errors, each with its path and whether it may repeat a record."""
        lists = {"": answer}
        for wrapper in _WRAPPERS:
            inside = dig(answer, wrapper)
            if isinstance(inside, dict):
                yield wrapper, inside, one
                lists |= {f"{wrapper}.{name}" if wrapper else str(name): value for name, value in inside.items()}
        read = {each.path for each in self._results.refused}
        for path in (_LISTS & lists.keys() if one else lists.keys()) - read:
            entries = lists[path] if isinstance(lists[path], list) else ()
            yield from ((path, each, True) for each in entries if isinstance(each, dict))

    def _is_read(self, path: str) -> bool:
        return any(path == each or each.startswith(f"{path}.") for each in self._read)

    def _form(self, key: Any) -> str:
        return key_form(self._key_type, key, fold_case=self._fold_case)

    def _meant(self, each: Refused, batch: Batch, keys: Mapping[str, Record], name: str | None, entry: Any) -> Record:
        if each.index is not None:
            place = as_word(dig(entry, each.index)) if name is None else name
            if place.isdecimal() and 0 <= (index := int(place) - each.counted_from) < len(batch.records):
                return batch.records[index]
            raise Ambiguous(f"an entry of `{each.path}` means row {place or '(none)'} of {len(batch.records)}")
        found = keys.get(self._form(dig(entry, each.key) if name is None else name))
        if found is None:
            raise Ambiguous(f"an entry of `{each.path}` names no row of the request")
        return found


def _entries(each: Refused, listed: Any) -> Iterator[tuple[str | None, Any]]:
    """The entries of a list; of an object, with their names. An answer without the list refuses nobody."""
    if isinstance(listed, list):
        yield from ((None, entry) for entry in listed)
    elif isinstance(listed, dict) and listed:
        whole = each.index is None and each.key is None
        yield from [(None, listed)] if whole else ((str(name), entry) for name, entry in listed.items())
    elif listed:
        if each.index is not None or each.key is not None:
            raise Ambiguous(f"the answer has no list at `{each.path or '(the top)'}`")
        yield None, listed


def _message(each: Refused, name: str | None, entry: Any) -> str:
    text = dig(entry, each.error)
    if text is None and isinstance(entry, str) and (name is not None or "" not in (each.index, each.key)):
        text = entry  # it names nobody, so it is the message
    return as_word(text) or f"named in `{each.path}`"


def _outcome(each: Refused, batch: Batch, record: Record, problem: RowError) -> Outcome:
    if Status(each.means) is Status.SKIPPED:
        return Outcome.skipped(record.key, SKIPPED[batch.operation], problem.message)
    return Outcome.rejected(record.key, problem)


@lru_cache(1_000)
def _words(name: str) -> str:
    """`statusCode` as `status_code`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().replace("-", "_")


def _is_trouble(name: str, value: Any, one: bool) -> bool:
    """Whether a member of an answer says that something went wrong."""
    words = _words(name)
    if words in ("status", "status_code") and isinstance(value, int) and 400 <= value < 600:
        return True
    if words in _SAYS_IF_DONE:
        return value is False or (isinstance(value, str) and value.lower() in (_JSEND if one else _BAD))
    if not _ERRORS.fullmatch(words):
        return False
    if isinstance(value, list | dict):
        return bool(value)
    counted = isinstance(value, int | Decimal) and value is not True
    return not (counted and one) and as_word(value).strip().lower() not in _NONE_AT_ALL
