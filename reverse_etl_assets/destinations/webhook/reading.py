"""Reads records back from any HTTP API, page by page, by the sync's `read` settings."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from reverse_etl_assets.destinations.templates import compile_path
from reverse_etl_assets.destinations.values import key_form, plain_text
from reverse_etl_assets.destinations.webhook.answers import dig
from reverse_etl_assets.destinations.webhook.options import Reading
from reverse_etl_assets.errors import RequestRejected, RetryLater
from reverse_etl_assets.records import Current, Target

_SEPARATOR = ","


class RecordPages:
    """Where records are asked for and what the answers say. Raises SpecError for an unknown placeholder."""

    def __init__(self, target: Target, settings: Reading, *, fold_case: bool) -> None:
        self.at_once = settings.at_once
        self._target, self._settings, self._fold_case = target, settings, fold_case
        known = ["object", "keys"] if self.at_once > 1 else ["object", "key", "keys"]
        self._path = compile_path(settings.path, known, "read.path")

    def first(self, external_ids: Sequence[str]) -> str:
        """The path of the first page. Raises RequestRejected for a key that cannot stand in a list of keys."""
        if self.at_once > 1 and any(_SEPARATOR in each for each in external_ids):
            raise RequestRejected("a key holds a comma, so many cannot be asked for at once; set `read.at_once: 1`")
        keys = _SEPARATOR.join(external_ids)
        return self._path({"object": self._target.object, "key": keys, "keys": keys, "fields": {}})

    def next(self, page: httpx.URL, answer: Any) -> httpx.URL | None:
        """The address of the page after this one, None if it was the last. Raises RetryLater for another host's."""
        leads = dig(answer, self._settings.next)
        if leads in (None, "", False):
            return None
        if self._settings.cursor:
            return page.copy_set_param(self._settings.cursor, plain_text(leads))
        following = page.join(str(leads))
        if (following.scheme, following.netloc) != (page.scheme, page.netloc):
            raise RetryLater("the next page is on another host, which must not get the token")
        return following

    def sort_into(self, found: dict[str, list[Current]], answer: Any) -> None:
        """Add the page's records to the external ids that they carry.

        Raises RetryLater if it cannot be told which records are there.
        """
        settings = self._settings
        listed = dig(answer, settings.records)
        records = [listed] if isinstance(listed, dict) else listed
        if not isinstance(records, list) or (listed is answer and self.at_once == 1 and records is listed):
            raise RetryLater(f"the answer to a read has no record at `{settings.records or '(the top)'}`")
        asked = {self._folded(each): each for each in found}
        for record in records:
            key = dig(record, settings.key or self._target.external_id)
            if key is None:
                raise RetryLater("a record of the answer to a read does not carry its key")
            if each := asked.get(self._folded(plain_text(key))):
                found[each].append(self._current(record, plain_text(key)))

    def _current(self, record: Mapping[str, Any], key: str) -> Current:
        fields = dig(record, self._settings.fields)
        if not isinstance(fields, dict):
            raise RetryLater(f"a record of the answer to a read has no fields at `{self._settings.fields}`")
        held = {name: None if fields.get(name) == "" else fields.get(name) for name in self._target.fields}
        own = dig(record, self._settings.id)
        return Current(key if own is None else plain_text(own), held, self._changed_at(record))

    def _changed_at(self, record: Mapping[str, Any]) -> datetime | None:
        text = dig(record, self._settings.changed_at)
        try:
            return datetime.fromisoformat(text).astimezone(UTC) if isinstance(text, str) else None
        except ValueError:
            return None

    def _folded(self, key: str) -> str:
        return key_form(self._target.key_type, key, fold_case=self._fold_case)
