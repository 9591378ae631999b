"""Settings of a webhook: the account, and how a sync's requests look and its answers are read."""

import base64
import binascii
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator

from reverse_etl_assets.destinations.base import ConnectionSettings, SyncOptions
from reverse_etl_assets.records import Operation, Status

Method = Literal["POST", "PUT", "PATCH", "DELETE"]


class WebhookConnection(ConnectionSettings):
    """Any HTTP API. Secrets stand here, never in a sync's file."""

    token: SecretStr | None = None
    """Sent as `Authorization: Bearer`."""
    username: str | None = None
    """Sent with `password` as `Authorization: Basic`."""
    password: SecretStr | None = None
    token_url: str | None = None
    """Where `client_id` and `client_secret` are exchanged for a token (OAuth 2.0 client credentials): an address, or a
    path below `base_url`."""
    client_id: str | None = None
    client_secret: SecretStr | None = None
    scope: str | None = None
    """What the token is asked for, if the API wants to be told."""
    secret_headers: dict[str, SecretStr] = Field(default_factory=dict)
    """Other headers that sign in, such as `X-Api-Key`."""
    signature: Literal["standard", "sha256"] = "standard"
    """`standard`: as the Standard Webhooks specification says. `sha256`: `sha256=` and the HMAC of the body in hex."""
    signing_secret: SecretStr | None = None
    """Signs requests. For the standard signature it is `whsec_` and base64."""
    signature_header: str = "X-Hub-Signature-256"
    """The header of a `sha256` signature."""
    allow_private: bool = False
    """Whether base_url may lead to this machine or a private network."""

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if not value.startswith(("https://", "http://")):
            raise ValueError("write the whole address, `https://...`.")
        return value

    @model_validator(mode="after")
    def _signs_in_one_way(self) -> "WebhookConnection":
        client = (self.token_url, self.client_id, self.client_secret)
        if any(client) and not all(client):
            raise ValueError("client credentials are `token_url`, `client_id` and `client_secret`, all three.")
        if bool(self.username) != bool(self.password):
            raise ValueError("`username` and `password` go together.")
        ways = [
            name
            for name, given in (("token", self.token), ("username", self.username), ("client_id", self.client_id))
            if given
        ]
        if len(ways) > 1:
            raise ValueError(f"there are {len(ways)} ways to sign in, {', '.join(ways)}; keep one.")
        return self

    @field_validator("signing_secret")
    @classmethod
    def _is_base64(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and info.data.get("signature") == "standard":
            signing_key(value)
        return value


def signing_key(secret: SecretStr) -> bytes:
    """The bytes of a Standard Webhooks secret. Raises ValueError, without the secret."""
    try:
        return base64.b64decode(secret.get_secret_value().removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("a signing secret is `whsec_` and base64.") from None


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Call(_Part):
    """What one operation does in another way than `method`, `path`, `body` say."""

    method: Method | None = None
    path: str | None = None
    body: Any = None


class Refused(_Part):
    """A list in an answer that names only rows which were refused, or passed over. Paths are dotted."""

    path: str = "errors"
    """Where the list is; empty: the answer itself. An object in its place has the rows' keys or places as its names."""
    index: str | None = None
    """In an entry: the row's place in the request; empty: the entry itself."""
    counted_from: Literal[0, 1] = 0
    """What the first row's place is."""
    key: str | None = None
    """In an entry: the external id; empty: the entry itself. With neither `index` nor `key` an entry is about the whole
    request, and refuses it."""
    error: str | None = None
    """In an entry: the message."""
    code: str | None = None
    """In an entry: the error's code."""
    means: Literal["failed", "skipped"] = "failed"
    """`skipped`: what was asked for is so already."""

    @model_validator(mode="after")
    def _names_rows_in_one_way(self) -> "Refused":
        if self.index is not None and self.key is not None:
            raise ValueError("an entry is matched by `index` or by `key`: keep one.")
        return self


class Results(_Part):
    """How an answer says what became of each row. Paths are dotted: `data.results`."""

    match: Literal["status", "key", "index"] = "status"
    """`status`: the HTTP status is about all rows. `key`, `index`: the answer lists results, which are matched by
    the external id they repeat, or by their order."""
    path: str = ""
    """Where the list is; empty: the answer itself."""
    key: str = "key"
    """In a result: the external id."""
    status: str | None = None
    """In a result: the word or number that says what became of the row."""
    error: str | None = None
    """In a result: the message, if the row was refused."""
    code: str | None = None
    """In a result: the error's code."""
    id: str | None = None
    """In a result (with `status` in the answer): the destination's own id of the record."""
    statuses: dict[str, Status] = Field(default_factory=dict)
    """What other words in `status` or `code` mean: created, updated, deleted, skipped or failed."""
    refused: list[Refused] = Field(default_factory=list)
    """Lists of an answer, also one of a 4xx, that name only what was refused: then the other rows were taken."""
    taken: str | None = None
    """In an answer with `refused`: how many rows were taken. If that is not all others, these are in doubt."""
    done: str | None = None
    """In an answer: a word or boolean that says of the whole request if it was done, whatever the status."""
    ignored: list[str] = Field(default_factory=list)
    """Names in an answer that look like errors and are none."""


class Reading(_Part):
    """How records are read back. Paths in answers are dotted."""

    path: str
    """Template: `{{ key }}` reads one record, `{{ keys }}` many at once, with commas between them."""
    at_once: int = Field(1, ge=1, le=1_000)
    """Most keys in one request."""
    records: str = ""
    """Where the list of records is in an answer, or the one record. Empty: the answer itself, which is one record where
    one is asked for at a time."""
    key: str | None = None
    """In a record: the external id. Left out: the sync's `external_id`."""
    id: str | None = None
    """In a record: the destination's own id. Left out: the external id."""
    fields: str = ""
    """In a record: where its fields are; empty: the record itself."""
    changed_at: str | None = None
    """In a record: when anybody last changed it, as ISO 8601."""
    next: str | None = None
    """In an answer: what leads to the next page, an address or, with `cursor`, a value."""
    cursor: str | None = None
    """Name of the query parameter that takes the value at `next`."""

    @field_validator("path")
    @classmethod
    def _is_path(cls, value: str) -> str:
        if not value.startswith(("/", "?")):
            raise ValueError("a path starts with `/`.")
        return value

    @model_validator(mode="after")
    def _fits(self) -> "Reading":
        if self.at_once > 1 and "keys" not in self.path:
            raise ValueError("`at_once` above 1 needs `{{ keys }}` in `path`.")
        if self.cursor and not self.next:
            raise ValueError("`cursor` is a parameter for the value at `next`; name that too.")
        return self


class WebhookOptions(SyncOptions):
    method: Method = "POST"
    path: str = "/{{ object }}"
    """Template, added to base_url; empty: base_url as it is."""
    body: Any = None
    """Template. Left out: the fields of the record; with a batch_size above 1 `{"records": "{{ records }}"}`."""
    record: Any = None
    """Template of each of `{{ records }}`. Left out: `{"key": "{{ key }}", "fields": "{{ fields }}"}`."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Templates of `operation`, `object` and `idempotency_key`."""
    format: Literal["json", "ndjson"] = "json"
    """`ndjson`: one line for each of `{{ records }}`."""
    operations: dict[Operation, Call] = Field(default_factory=dict)
    """What an operation does differently. Deletes are sent only if `delete` is given."""
    batch_size: int = Field(1, ge=1, le=10_000)
    max_bytes: int = Field(1_000_000, ge=1_000)
    """Most bytes in a request body."""
    success: frozenset[int] = frozenset({200, 201, 204})
    """Statuses that mean done; 207 too, where the answer lists results. 202 (taken, not done yet) is not among them:
    add it if that is all there is."""
    exists: frozenset[int] = frozenset({409})
    """Statuses that mean, for an insert of one record, that it is there already."""
    missing: frozenset[int] = frozenset({404, 410})
    """Statuses that mean, for an update or delete of one record, that it is not there."""
    not_taken: frozenset[int] = frozenset()
    """Statuses, such as 503 or 408, by which the API says that it carried nothing out. By themselves they do not: they
    may come from a proxy, so an insert that meets one is held for a person."""
    refuses_whole: bool = False
    """Whether a 4xx to a batch means that no row of it was taken. If not, a batch of inserts that is refused is held,
    for some may have been taken; `results.refused` can read which were not."""
    results: Results = Results()
    idempotency_header: str | None = None
    """Name of the header that carries the idempotency key, if the API honours one: `Idempotency-Key`."""
    partial: frozenset[Operation] = frozenset()
    """Operations that leave fields alone which a record does not name: then only changed ones are sent."""
    read: Reading | None = None
    """How records are read back. Left out: they are not, so there are no field rules and no verification."""
    fold_case: bool = False
    """Whether the API takes external ids that differ only in case for one record."""
    check_path: str | None = None
    """A path to GET before a run, to see that address and token are right. Left out: nothing is asked."""

    @field_validator("path", "check_path")
    @classmethod
    def _is_path(cls, value: str | None) -> str | None:
        if value and not value.startswith(("/", "?")):
            raise ValueError("a path starts with `/`.")
        return value

    @field_validator("headers")
    @classmethod
    def _no_secrets(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name.lower() in ("authorization", "cookie", "x-api-key"):
                raise ValueError(f"`{name}` is a secret: set `token` or `secret_headers` of the destination.")
        return value

    @model_validator(mode="after")
    def _fits(self) -> "WebhookOptions":
        if self.results.match == "status" and (self.results.status or self.results.error):
            raise ValueError("results: `status` and `error` are read from a list: set `match` to `key` or `index`.")
        return self
