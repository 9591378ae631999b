"""Attio, by its REST API v2: people, companies, deals and objects of your own, one record a request.

An upsert is "assert a record": it matches by any attribute that is unique, and does not say whether it created.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
from pydantic import SecretStr

from reverse_etl_assets.destinations import (
    NOTHING_KNOWN,
    Ambiguous,
    AuthenticationFailed,
    Batch,
    BearerToken,
    Capabilities,
    CheckFailed,
    ConnectionSettings,
    Current,
    DestinationError,
    HttpDestination,
    Operation,
    Outcome,
    Reason,
    RequestRejected,
    RetryLater,
    Status,
    SyncOptions,
    Target,
    decode_json,
    encode_json,
    error_by_status,
    key_value,
    retry_after,
)
from reverse_etl_attio.attributes import FORMS, field_of, key_texts, problems, read, same, written

REQUESTS_PER_SECOND = 24.0
"""25 writes a second, whatever the endpoint, and 100 reads besides ("Rate limiting", docs.attio.com, read 2026-11-22).
One less, for requests that are spaced evenly may be 25 in a second at 24, and 26 at 25."""
READS_PER_SECOND = 99.0
MOST_BYTES = 10_000_000
"""A text value takes 10 MB; of a request nothing is said ("Text", docs.attio.com, read 2026-11-22)."""
KEYS_AT_ONCE = 50
"""Of one query. A page has 500 records at most ("List records"); queries are also scored by their filters, with a limit
that is not published ("Rate limiting", docs.attio.com, read 2026-11-22)."""
SCOPES = ("record_permission:read-write", "object_configuration:read")
"""What "Upsert a record", "Delete a record", "List records" and "List attributes" ask for (read 2026-11-22)."""
MANY = "multiple_match_results"
"""Several records match. Documented where a list's entry is matched by its parent, of records by no page that was
found; attributes that were made unique later may have values twice ("Attributes", docs.attio.com, read 2026-11-22)."""

_FOLDED = frozenset({"email_addresses", "email_address", "domains"})
_BUSY = frozenset({"merge_in_progress", "concurrent_write_conflict"})
_GONE = {Operation.UPDATE: Reason.NOT_FOUND, Operation.DELETE: Reason.ALREADY_GONE}
_DONE = {Operation.UPDATE: Status.UPDATED, Operation.UPSERT: Status.UPDATED, Operation.DELETE: Status.DELETED}


class AttioConnection(ConnectionSettings):
    """A workspace of Attio; an access token signs in."""

    base_url: str = "https://api.attio.com"
    access_token: SecretStr


class Attio(HttpDestination[AttioConnection, SyncOptions]):
    Connection = AttioConnection
    describes = True
    forms_of_types = FORMS

    _pages = ""
    """Where a record's page is, but for its id."""

    @classmethod
    def capabilities_for(cls, target: Target, options: SyncOptions) -> Capabilities:
        """`partial` stays empty: nowhere is it promised that attributes which are left out keep their values.
        Inserts are left out: the code of a conflict is not documented, so none could be told from another refusal.
        """
        able = frozenset({Operation.UPSERT, Operation.UPDATE, Operation.DELETE})
        return Capabilities(
            able,
            idempotent=able,
            max_rows=1,
            max_bytes=MOST_BYTES,
            requests_per_second=REQUESTS_PER_SECOND,
            reads_per_second=READS_PER_SECOND,
            concurrency=8,
            fold_case=target.external_id in _FOLDED,
            confirms=False,
            needs_id=frozenset({Operation.UPDATE, Operation.DELETE}),
            several_records=frozenset({MANY}),
            find_limit=KEYS_AT_ONCE,
            read_limit=KEYS_AT_ONCE,
        )

    @classmethod
    def record_link(
        cls, base_url: str, target: Target, destination_id: str, learned: Mapping[str, Sequence[str]]
    ) -> str | None:
        return "".join((*learned["pages"], destination_id)) if learned.get("pages") else None

    def auth(self) -> httpx.Auth:
        return BearerToken(self.connection.access_token)

    # Check

    async def check(self) -> None:
        """Three requests: the token's scopes, the object's attributes, and a record, to learn where its page is."""
        await self._check_scopes()
        try:
            answer = await self._get(f"{self._object}/attributes")
        except RequestRejected as error:
            raise CheckFailed([f"There is no object `{self.target.object}` in this workspace ({error})."]) from error
        if found := list(problems(self.declared, _listed(answer))):
            raise CheckFailed(found)
        self.learn(map(field_of, _listed(answer)))
        for record in await self._query({"limit": 1}):
            self._pages = str(record.get("web_url") or "").removesuffix(_id_of(record))

    async def _check_scopes(self) -> None:
        token = await self._get("/v2/self")
        if not isinstance(token, dict) or "active" not in token:
            raise RetryLater("GET /v2/self does not say what the token may do")
        if not token["active"]:
            raise AuthenticationFailed("Attio does not know the access token, or it was revoked: make a new one.")
        granted = str(token.get("scope")).split()
        if missing := [scope for scope in SCOPES if scope not in granted]:
            raise CheckFailed([f"The access token lacks the scope `{scope}`." for scope in missing])

    async def _get(self, path: str) -> Any:
        return await self.read_json(self.client.build_request("GET", path))

    def learned(self) -> Mapping[str, list[str]]:
        return {**super().learned(), **({"pages": [self._pages]} if self._pages else {})}

    # Writing

    @property
    def _object(self) -> str:
        return f"/v2/objects/{quote(self.target.object, safe='')}"

    def build_request(self, batch: Batch) -> httpx.Request:
        """PUT without an id asserts, with one it updates. Either replaces the values of a multi-select, but an assert
        adds to those that match; so an update leaves them out, for a person would lose the other addresses."""
        [record] = batch.records
        if batch.operation is Operation.UPSERT:
            path, params = f"{self._object}/records", {"matching_attribute": self.target.external_id}
        else:
            path, params = f"{self._object}/records/{quote(record.destination_id or '', safe='')}", {}
        if batch.operation is Operation.DELETE:
            return self.client.build_request("DELETE", path)
        key, fields = self.target.external_id, self.in_form(record.fields)
        values = {name: written(value) for name, value in fields.items() if name != key}
        if batch.operation is Operation.UPSERT:
            values[key] = written(self._key(record.external_id))
        return self._json("PUT", path, {"data": {"values": values}}, params)

    def _json(self, method: str, path: str, body: Any, params: Mapping[str, str] | None = None) -> httpx.Request:
        headers = {"Content-Type": "application/json"}
        return self.client.build_request(method, path, params=params, content=encode_json(body), headers=headers)

    def _key(self, external_id: str) -> Any:
        return key_value(self.target.key_type, external_id)

    async def send(self, batch: Batch) -> Sequence[Outcome]:
        """As every destination does; a record that is gone is told by status, and only here is the row known."""
        try:
            return await super().send(batch)
        except RequestRejected as error:
            if error.code == "not_found" and batch.operation in _GONE:
                return [Outcome.skipped(batch.records[0].key, _GONE[batch.operation], str(error))]
            raise

    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        [record] = batch.records
        answer = decode_json(response)
        if batch.operation is Operation.DELETE:
            if not isinstance(answer, dict):
                raise Ambiguous("the answer is none to a delete")
            yield Outcome(record.key, Status.DELETED, destination_id=record.destination_id)
            return
        held = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(held, dict) or not (record_id := _id_of(held)):
            raise Ambiguous("the answer is no record")
        upsert = batch.operation is Operation.UPSERT
        if self._folded(record.external_id) in self._keys(held) if upsert else record_id == record.destination_id:
            yield Outcome(record.key, _DONE[batch.operation], destination_id=record_id, inferred=upsert)

    def error_for(self, response: httpx.Response) -> DestinationError:
        """By `code`, where it says more than the status; each answer names one ("Errors" of each endpoint)."""
        code, message = _words(response)
        if code in _BUSY:
            return RetryLater(f"{code}: {message}", retry_after(response))
        if response.status_code == 403 and message:
            return AuthenticationFailed(f"{message} (The token needs the scopes {', '.join(SCOPES)}.)")
        return error_by_status(response, message, code)

    # Reading

    async def find(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        found = await self._by_key(external_ids)
        return {each: [_id_of(record) for record in held] for each, held in found.items()}

    async def read_records(
        self, external_ids: Sequence[str], known: Mapping[str, str] = NOTHING_KNOWN
    ) -> Mapping[str, Sequence[Current]]:
        """From "List records", whose results are up to date; those of "Search records" may lag behind."""
        found = await self._by_key(external_ids)
        for each in [key for key, held in found.items() if not held and key in known]:
            found[each] = await self._by_id(known[each])
        return {each: [self._current(record) for record in held] for each, held in found.items()}

    def _current(self, record: Mapping[str, Any]) -> Current:
        values = record["values"]
        return Current(_id_of(record), {name: read(values.get(name) or []) for name in self.target.fields})

    def same(self, field: str, sent: Any, held: Any) -> bool:
        return same(self.target, field, sent, held)

    async def _by_key(self, external_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """The records that carry each key. Attributes made unique later may still have several of one value."""
        name = self.target.external_id
        records = await self._query({"filter": {"$or": [{name: self._key(each)} for each in external_ids]}})
        found: dict[str, list[dict[str, Any]]] = {each: [] for each in external_ids}
        asked = {self._folded(each): held for each, held in found.items()}
        for record in records:
            for key in self._keys(record) & asked.keys():
                asked[key].append(record)
        return found

    async def _by_id(self, record_id: str) -> list[dict[str, Any]]:
        """ "Get a record", which answers 404 if it is not there."""
        try:
            answer = await self.read_json(self.client.build_request("GET", f"{self._object}/records/{record_id}"))
        except RequestRejected as error:
            if error.code == "not_found":
                return []
            raise
        held = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(held, dict) or _id_of(held) != record_id:
            raise RetryLater("the answer is not the record that was asked for")
        return [held]

    async def _query(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        records = _listed(await self.read_json(self._json("POST", f"{self._object}/records/query", body)))
        if not all(_id_of(record) and isinstance(record.get("values"), dict) for record in records):
            raise RetryLater("the answer has something else than records")
        return records

    def _keys(self, record: Mapping[str, Any]) -> set[str]:
        values = record.get("values")
        held = values.get(self.target.external_id) if isinstance(values, dict) else None
        return {self._folded(text) for text in key_texts(held or [])}

    def _folded(self, key: str) -> str:
        return key.lower() if self.capabilities.fold_case else key


def _listed(answer: Any) -> list[dict[str, Any]]:
    listed = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise RetryLater("the answer has no list `data`")
    return listed


def _id_of(record: Mapping[str, Any]) -> str:
    ids = record.get("id")
    return str(ids.get("record_id") or "") if isinstance(ids, dict) else ""


def _words(response: httpx.Response) -> tuple[str | None, str | None]:
    try:
        answer = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        return None, None
    if not isinstance(answer, dict) or not answer.get("message"):
        return None, None
    return str(answer.get("code") or response.status_code), str(answer["message"])
