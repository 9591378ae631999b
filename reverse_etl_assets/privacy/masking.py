"""Personal data as it is shown: values and keys masked, and vendors' messages without the values of their row. Pure."""

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any
from urllib.parse import quote, quote_plus

from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.records import Record, RowError
from reverse_etl_assets.spec.sync import Sync

_STARS = "***"
_SHORT = 2  # characters; such a value is in half of all words, and is replaced only where it stands alone
_OUTSIDE = r"""\s"'<>()\[\]{},;:=?|&/\\@"""
# Also those of other rows and of the record itself. Lengths: RFC 5321, section 4.5.3.1.
_ADDRESS = re.compile(rf"[^{_OUTSIDE}]{{1,64}}(?:@|%40)[^{_OUTSIDE}]{{0,254}}\w")
_DIGEST = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{64}(?![0-9A-Za-z])")  # by which ad platforms know people
_NUMBER = re.compile(r"\+?\d[\d\s().\-/]{5,}")


@dataclass(frozen=True)
class Mask:
    """What of a sync's rows is personal data, by dbt's marks: destination fields, and columns of the primary key."""

    fields: frozenset[str] = frozenset()
    key_parts: tuple[bool, ...] = ()
    parents: frozenset[str] = frozenset()
    """Syncs that come before, whose rows are named by a column that is personal data."""

    @classmethod
    def of(cls, sync: Sync, model: Model) -> "Mask":
        columns = {field: source.column for field, source in sync.mapping.items()}
        fields = frozenset(field for field, column in columns.items() if column and column.lower() in model.pii)
        parents = (each.sync for each in sync.after if any(column.lower() in model.pii for column in each.key))
        return cls(fields, tuple(column.lower() in model.pii for column in sync.primary_key), frozenset(parents))

    def also(self, fields: Iterable[str]) -> "Mask":
        """With more fields that are personal data, or were."""
        return replace(self, fields=self.fields | set(fields))

    @cached_property
    def hides(self) -> bool:
        """Whether there is anything to hide."""
        return bool(self.fields) or any(self.key_parts) or bool(self.parents)

    def value(self, field: str, value: Any) -> Any:
        """A field's value as it may be shown: of personal data its first letter at most, and that it is there."""
        return _shortened(value) if field in self.fields else value

    def row(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {field: self.value(field, value) for field, value in fields.items()}

    def key(self, key: str | None) -> str | None:
        """A row's key as it may be shown; of several columns, those that are personal data."""
        if key is None or not any(self.key_parts):
            return key
        parts = self._parts(key)
        return "|".join(_shortened(part) if hidden else part for part, hidden in parts)

    def parent_key(self, parent: str, key: str) -> str:
        """The key of a row of another sync, as a row of this one names it."""
        return str(_shortened(key)) if parent in self.parents else key

    def text(self, text: str, values: Mapping[str, Any] | None = None, *keys: str | None) -> str:
        """A message without a row's personal data, and without anything that looks like an e-mail address.

        Case does not matter, nor whether a value is written as in JSON, a URL or HTML. `values` may hold other fields,
        too; they stay.
        """
        return _without(text, self._hidden(values or {}, *keys)) if self.hides and text else text

    def error(self, record: Record, error: RowError | None) -> RowError | None:
        """What was said of a row, without the row's personal data."""
        if error is None or not self.hides:
            return error
        return replace(error, message=self.message((record,), error.message))

    def message(self, records: Iterable[Record], text: str) -> str:
        """What was said of a batch, without the personal data of any of its rows."""
        if not self.hides or not text:
            return text
        hidden = (self._hidden(record.fields, record.key, record.external_id) for record in records)
        return _without(text, chain.from_iterable(hidden))

    def _hidden(self, values: Mapping[str, Any], *keys: str | None) -> Iterator[str]:
        for field in self.fields:
            yield from _leaves(values.get(field))
        if any(self.key_parts):
            yield from (part for key in keys if key for part, personal in self._parts(key) if personal)

    def _parts(self, key: str) -> list[tuple[str, bool]]:
        """The key's columns, each with whether it is personal data; all of it is, if it is not as we write keys."""
        parts = re.split(r"(?<!\\)\|", key) if len(self.key_parts) > 1 else [key]
        if len(parts) != len(self.key_parts):
            return [(key, True)]
        return list(zip(parts, self.key_parts, strict=True))


def _shortened(value: Any) -> Any:
    if value is None or value == "":
        return value
    if not isinstance(value, str):
        return _STARS
    first = value[0] if len(value) > _SHORT and value[0].isalpha() else ""
    return f"{first}{_STARS}@{_STARS}" if "@" in value else f"{first}{_STARS}"


def _leaves(value: Any) -> Iterator[str]:
    """The texts of a value, also of one that is a list or has fields."""
    match value:
        case None:
            return
        case str():
            yield value
        case bool():
            yield str(value).lower()
        case Mapping():
            for inner in value.values():
                yield from _leaves(inner)
        case list() | tuple():
            for inner in value:
                yield from _leaves(inner)
        case _:
            yield str(value)


def _without(text: str, hidden: Iterable[str]) -> str:
    folded, places = _fold(text)
    digits = re.sub(r"\D", "", text)
    spans = [match.span() for pattern in (_ADDRESS, _DIGEST) for match in pattern.finditer(text)]
    for value in {value.strip() for value in hidden} - {""}:
        for form in written_forms(value):
            spans += ((places[start], places[end - 1] + 1) for start, end in _found(form.casefold(), folded))
        number = re.sub(r"\D", "", value)
        if _NUMBER.fullmatch(value) and number in digits:  # however it is spaced
            spans += (match.span() for match in re.finditer(r"\+?" + r"[\s().\-/]{0,3}".join(number), text))
    return _starred(text, spans)


def _fold(text: str) -> tuple[str, Sequence[int]]:
    """A text without case, and where each of its characters was."""
    if text.isascii():
        return text.casefold(), range(len(text))
    folded = [each.casefold() for each in text]
    return "".join(folded), [place for place, each in enumerate(folded) for _ in each]


def written_forms(value: str) -> set[str]:
    """How a value may be written in a message."""
    if value.isascii() and value.isalnum():
        return {value}
    written = {value, html.escape(value), quote(value, safe=""), quote(value), quote_plus(value)}
    for _ in range(2):  # JSON, and JSON as a text in JSON
        written |= {json.dumps(text, ensure_ascii=ascii)[1:-1] for text in written for ascii in (True, False)}
        written |= {text.replace("/", "\\/") for text in written}
    return written


def _found(form: str, text: str) -> Iterator[tuple[int, int]]:
    start = text.find(form)
    while start >= 0:
        end = start + len(form)
        around = text[max(0, start - 1) : start] + text[end : end + 1]
        if len(form) > _SHORT or not any(each.isalnum() or each == "_" for each in around):
            yield start, end
        start = text.find(form, start + 1)


def _starred(text: str, spans: Iterable[tuple[int, int]]) -> str:
    shown, place = "", -1
    for start, end in sorted(spans):
        if start > place:
            shown += text[max(place, 0) : start] + _STARS
        place = max(place, end)
    return shown + text[max(place, 0) :]
