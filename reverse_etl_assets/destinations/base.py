"""The contract between the engine and a destination.

The engine needs two methods, `check` and `send`. Further abilities are further protocols that a destination may add.
Over HTTP an author inherits `HttpDestination` and writes two pure functions and a check; retries, pacing, bisecting
and bookkeeping are the engine's. What is not reached over HTTP inherits `BaseDestination`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar, runtime_checkable

import httpx
from pydantic import BaseModel, ConfigDict, Field, field_validator

from reverse_etl_assets.answer_bounds import LARGEST, LONGEST, Bounds, TooLarge, TooLong
from reverse_etl_assets.destinations.bodies import decode_json as decode_json
from reverse_etl_assets.destinations.bodies import encode_json as encode_json
from reverse_etl_assets.destinations.first_words import first_words
from reverse_etl_assets.destinations.schema import TakesForms
from reverse_etl_assets.destinations.vendor_api import VendorApi
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    ConfigurationError,
    DestinationError,
    RequestRejected,
    RetryLater,
    Unsendable,
)
from reverse_etl_assets.records import Batch, Capabilities, Current, Outcome, Quota, Target
from reverse_etl_assets.traffic import Line, only_reads


class Destination(Protocol):
    """What the engine knows of a destination. Opened for one sync and one run."""

    capabilities: Capabilities

    async def check(self) -> None:
        """Verify credentials, object, key field and every mapped field. Raises CheckFailed with all problems."""

    async def send(self, batch: Batch) -> Sequence[Outcome]:
        """Send one request, or raise a DestinationError. Outcomes carry our keys, in any order."""


NOTHING_KNOWN: Mapping[str, str] = MappingProxyType({})


@runtime_checkable
class FindsRecords(Protocol):
    """Can look records up by external id; needed for operations named in `Capabilities.needs_id`."""

    find_limit: int
    """Most external ids in one lookup."""

    async def find(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The destination ids of the records that carry each external id now; an absent one has none.

        Keys of the answer are the external ids as they were asked for. One request. It may lag behind writes: a row
        whose id is known is sent to that id if nothing is found.
        """


@runtime_checkable
class ReadsRecords(Protocol):
    """Can read back what it holds: needed for field rules, exact undo, verification, drift and `cutover: adopt`.

    Reads see every write that was answered before them. A search index that lags behind is no place to read from.
    """

    read_limit: int
    """Most external ids in one read; the engine never asks for more."""

    async def read_records(
        self, external_ids: Sequence[str], known: Mapping[str, str] = NOTHING_KNOWN
    ) -> Mapping[str, Sequence[Current]]:
        """The records that carry each external id, with all fields of the target; an absent one has none.

        `known` has the id of the record as we know it, by external id. Where no record carries the external id, the one
        of that id is read, if it is there: somebody has given it another key, or it stands for another row as well. A
        destination that has no ids ignores it.

        Keys of the answer are the external ids as they were asked for. Of several records with one id all are given,
        for the caller to refuse. Usually one request; more if the vendor cuts its answers into pages.
        """

    def same(self, field: str, sent: Any, held: Any) -> bool:
        """Whether this destination would hold `held` after `sent` was written to the field; both as in `Record.fields`
        or `Current.fields`. Forgives what the vendor does to values: case of addresses, digits, zones.

        Asked for every field of every row that is read, so it has to be quick, above all for equal values.
        `values.same_value` is what most vendors have in common.
        """


@runtime_checkable
class RestoresRecords(Protocol):
    """Keeps deleted records for a while, and can bring one back under its own id: an undo asks for that before it makes
    a record anew."""

    restore_limit: int
    """Most ids in one request."""

    async def restore(self, destination_ids: Sequence[str]) -> Mapping[str, bool]:
        """Whether each record is back now; false for one that is not kept any more, or never was gone. One request,
        which may be asked again."""


_PORTS = range(1, 65_536)


class JobState(StrEnum):
    OPEN = "open"  # not handed over: nothing of it is or will be processed
    RUNNING = "running"
    DONE = "done"  # outcomes can be collected, also those of a job that failed half way
    GONE = "gone"  # the destination does not know it any more


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a job a batch is."""

    number: int = 1
    """Counted from 1."""
    last: bool = True
    """The job starts once it has this part."""


@runtime_checkable
class RunsJobs(Protocol):
    """Takes large change sets as asynchronous jobs. The engine keeps the job's id and polls, also after a crash."""

    job_threshold: int
    """From how many rows of one operation a job is used."""
    job_max_rows: int
    """Of a job, or of a part of one that spans the run."""
    job_max_bytes: int
    job_opens_loaded: bool
    """`open_job` hands the rows over as well, and `upload` is not called: the vendor tells the id only then."""
    job_spans_run: bool
    """One job takes all batches of a run, whatever their operation, as parts that come one after the other; nothing of
    it shows at the destination before the last one came. `job_threshold` does not count then."""
    job_patience: float | None
    """Seconds that a run waits for a job that is still running; then the next run of the sync collects its results.
    None waits as long as it takes."""

    async def open_job(self, batch: Batch) -> str:
        """Create an empty job and return its id. Nothing is processed yet, unless `job_opens_loaded`."""

    async def upload(self, job_id: str, batch: Batch, part: Part) -> None:
        """Hand the rows over; with the last part let the job start."""

    async def poll(self, job_id: str) -> JobState: ...

    async def collect(self, job_id: str, batch: Batch) -> Sequence[Outcome]:
        """One outcome for each row that the job's results name; with `job_spans_run` of the batch's rows alone."""


class Budget(BaseModel):
    """What all syncs together may use of an account in a day (UTC)."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    calls: int | None = None
    """Requests a day."""
    leave: float = Field(default=20, ge=0, lt=100)
    """Percent of the vendor's own allowance that is left for other tools, where the vendor's answers tell its use."""

    @field_validator("calls")
    @classmethod
    def _sends_something(cls, value: int | None) -> int | None:
        if value is not None and value <= 0:
            raise ValueError(
                f"a budget of {value} sends nothing; to stop a destination use `reverse-etl stop --destination`."
            )
        return value


class ConnectionSettings(BaseModel):
    """An account of a destination: where it is and how to sign in. Secrets are `SecretStr`."""

    # A misspelt secret must not be printed by the error that says so.
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)

    base_url: str
    requests_per_second: float | None = None
    """Your account's limit, if it differs from the vendor's usual one."""
    concurrency: int | None = None
    """Requests in flight at once, if it should differ from the destination's usual number."""
    largest_answer: int = Field(default=LARGEST, ge=1)
    """Bytes of an answer's body, decompressed, that are read at most. A write whose answer is larger is in doubt."""
    longest_exchange: float = Field(default=LONGEST, gt=0)
    """Seconds that a request and its answer may take together. A write that takes longer is in doubt."""
    budget: Budget = Budget()
    """What all syncs together may use of it in a day."""

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.largest_answer, self.longest_exchange)


class SyncOptions(BaseModel):
    """A sync's settings for its destination (`options:` in the YAML)."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


C = TypeVar("C", bound=ConnectionSettings)
O = TypeVar("O", bound=SyncOptions)


class BaseDestination(TakesForms, ABC, Generic[C, O]):
    """What every destination is, however it is reached. Subclasses name their `Connection` and `Options` models.

    An instance serves one sync and one run; `open` makes it.
    """

    Connection: ClassVar[type[ConnectionSettings]]
    Options: ClassVar[type[SyncOptions]] = SyncOptions
    kind: ClassVar[str] = ""
    """The kind that Dagster shows with the asset, with an icon where it knows the name."""
    describes: ClassVar[bool] = False
    """`check` reads the object's fields from the destination and compares them with the mapping."""
    api: ClassVar[VendorApi | None] = None
    """What is known of the versions of the vendor's API; None if it is not a vendor's."""
    after_deletion: ClassVar[str] = ""
    """A sentence on what the vendor keeps of a record that was deleted."""
    after_erasure: ClassVar[str] = ""
    """The same of one that was deleted for good (`Capabilities.erases`), where that is another thing."""

    def __init__(self, connection: C, target: Target, options: O) -> None:
        super().__init__(target)
        self.connection = connection
        self.options = options
        capabilities = self.capabilities_for(target, options)
        self.capabilities = replace(
            capabilities,
            requests_per_second=connection.requests_per_second or capabilities.requests_per_second,
            concurrency=connection.concurrency or capabilities.concurrency,
        )

    @classmethod
    @abstractmethod
    def open(cls, connection: C, target: Target, options: O, line: Line) -> AbstractAsyncContextManager[Self]:
        """The destination, ready for calls. Every call to it goes over the line, or is counted with `line.call`."""

    @classmethod
    @abstractmethod
    def unopened(cls, connection: C, target: Target, options: O) -> Self:
        """The destination to be asked for its limits alone; it has no way to the outside."""

    @classmethod
    @abstractmethod
    def capabilities_for(cls, target: Target, options: O) -> Capabilities:
        """What the destination can do for this target. Needs no credentials: it is asked when syncs are loaded."""

    @classmethod
    def reads_back(cls, target: Target, options: O) -> bool:
        """Whether the target's records can be read: then the class is a `ReadsRecords`."""
        return hasattr(cls, "read_records")

    @classmethod
    def link(cls, base_url: str, target: Target) -> str | None:
        """Where a person sees the object in the destination's own interface, if there is such a page."""
        return None

    @classmethod
    def record_link(
        cls, base_url: str, target: Target, destination_id: str, learned: Mapping[str, Sequence[str]]
    ) -> str | None:
        """Where a person sees one record in the destination's own interface, if there is such a page.

        `learned` is what the last check of the target learned, if there was one.
        """
        return None

    @abstractmethod
    async def check(self) -> None:
        """Verify credentials, object, key field and fields. Raises CheckFailed with every problem found."""

    @abstractmethod
    async def send(self, batch: Batch) -> Sequence[Outcome]:
        """Send one request, or raise a DestinationError. Outcomes carry our keys, in any order."""

    def warnings(self) -> Sequence[str]:
        """What works today and will not for long, or works in another way than most expect: a sentence each.

        Asked once `check` has passed. `reverse-etl check` tells it, and nothing fails for it. By default that support
        of the API's version ends.
        """
        ends = self.api and self.api.warning(type(self).__name__, self.version_used(), datetime.now(UTC).date())
        return [ends] if ends else []

    def version_used(self) -> str:
        """The version of the vendor's API that the requests for the target name; empty if they name none."""
        return str(getattr(self.connection, "api_version", self.api.version if self.api else ""))

    @classmethod
    def quota(cls, response: httpx.Response) -> Quota | None:
        """What an answer's headers say of the account's daily allowance, if the vendor counts there."""
        return None


class HttpDestination(BaseDestination[C, O]):
    """A destination over HTTP. The client that an instance is given is opened, counted and closed by the engine."""

    def __init__(self, connection: C, target: Target, options: O, client: httpx.AsyncClient) -> None:
        super().__init__(connection, target, options)
        self.client = client
        client.base_url = reachable(connection.base_url)
        if auth := self.auth():
            client.auth = auth

    @classmethod
    @asynccontextmanager
    async def open(cls, connection: C, target: Target, options: O, line: Line) -> AsyncIterator[Self]:
        async with line.client() as client:
            yield cls(connection, target, options, client)

    @classmethod
    def unopened(cls, connection: C, target: Target, options: O) -> Self:
        nothing_goes_out = httpx.AsyncClient(transport=httpx.AsyncBaseTransport(), trust_env=False)
        return cls(connection, target, options, nothing_goes_out)

    def auth(self) -> httpx.Auth | None:
        """How requests are signed. An `httpx.Auth` flow may refresh an expired token and replay once."""
        return None

    @abstractmethod
    def build_request(self, batch: Batch) -> httpx.Request:
        """The one request for this batch. Pure."""

    @abstractmethod
    def read_response(self, batch: Batch, response: httpx.Response) -> Iterable[Outcome]:
        """Outcomes from a 2xx answer, with our keys. Rows that the answer does not name are left out. Pure."""

    def error_for(self, response: httpx.Response) -> DestinationError:
        """The error for a non-2xx answer. Vendors override it to read their own codes first."""
        return error_by_status(response)

    async def send(self, batch: Batch) -> Sequence[Outcome]:
        response = await self.exchange(self.build_request(batch))
        return list(self.read_response(batch, response))

    async def exchange(self, request: httpx.Request) -> httpx.Response:
        """Send one request; returns a 2xx answer or raises the DestinationError that says what to do."""
        reachable(request.url)
        try:
            response = await self.client.send(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise RetryLater(f"no connection: {type(error).__name__}") from error
        except httpx.LocalProtocolError as error:  # its words show the header, which may be a secret
            raise Unsendable("a header of the request holds characters that no header can") from error
        except (TooLarge, TooLong) as error:
            raise Ambiguous(f"no answer that can be read: {error}") from error
        except httpx.RequestError as error:
            raise Ambiguous(f"no answer that can be read: {type(error).__name__}") from error
        if response.is_success:
            return response
        refusal = self.error_for(response)
        if refusal.perhaps_done and response.status_code in self.capabilities.not_taken:
            raise RetryLater(str(refusal), retry_after(response))
        raise refusal

    async def read(self, request: httpx.Request) -> httpx.Response:
        """`exchange` for a request that only reads: it is safe to repeat, so nothing about it is ambiguous."""
        try:
            with only_reads():
                return await self.exchange(request)
        except Ambiguous as error:
            if isinstance(error.__cause__, TooLarge):  # as it will be again; asked for fewer records it is smaller
                raise RequestRejected(str(error)) from error
            raise RetryLater(str(error)) from error
        except DestinationError as error:
            error.perhaps_done = False
            raise

    async def read_json(self, request: httpx.Request) -> Any:
        """The JSON answer to a request that only reads."""
        try:
            return decode_json(await self.read(request))
        except Ambiguous as error:
            raise RetryLater(str(error)) from error


def reachable(address: httpx.URL | str, setting: str = "base_url") -> httpx.URL:
    """The address. Raises ConfigurationError if no server can be there: then no row is at fault, and none is sent."""
    right = f"`{setting}` has to be like `https://host` or `https://host:8443`, with a port from 1 to 65535"
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"{right}: {error}.") from error
    if url.scheme not in ("http", "https") or not url.host or not (url.port is None or url.port in _PORTS):
        raise ConfigurationError(f"{right}; host `{url.host}`, port {url.port} of `{url.scheme}` is none.")
    return url


@dataclass(frozen=True)
class Account:
    """A destination as the code location names it: its type, and where and how to sign in."""

    name: str
    type: type[BaseDestination[Any, Any]]
    connection: Any


def error_by_status(response: httpx.Response, message: str | None = None, code: str | None = None) -> DestinationError:
    """What a status code means by the HTTP standard when the body says nothing better.

    Not taken: 429 (RFC 6585, 4), 425 ("unwilling to risk processing", RFC 8470, 5.2), 423 (RFC 4918, 11.3), and 401,
    403, 407. A 408 or 503 (RFC 9110, 15.5.9 and 15.6.4) and a redirect may come once the request was carried out: from
    a proxy that waited for its server, or to show the result (303).
    """
    status = response.status_code
    message = message or status_words(response)
    if status in (429, 503, 408, 423, 425):
        return RetryLater(message, retry_after(response), hold=status == 429, perhaps_done=status in (503, 408))
    if status in (401, 403, 407):
        return AuthenticationFailed(message)
    if status >= 500 or status < 400:
        return Ambiguous(message)
    return RequestRejected(message, code or str(status), whole=status in _OF_THE_REQUEST)


def status_words(response: httpx.Response) -> str:
    """What an answer says whose body an adapter does not know: its status, and the first words of the body, masked."""
    status = f"HTTP {response.status_code} {response.reason_phrase}".strip()
    words = first_words(response)
    return f"{status}: {words}" if words else status


_OF_THE_REQUEST = frozenset({405, 411, 413, 414, 415, 417, 421, 431})
"""Refusals of the request as such, before anybody looks at rows: its method, length, address, format or header (RFC
9110, 15.5; RFC 6585, 5)."""


def retry_after(response: httpx.Response) -> float | None:
    """Seconds until a retry is welcome, from `Retry-After` (RFC 9110: delta seconds or an HTTP date).

    A date is one of the server's clock, so it is compared with the answer's own `Date`, and with ours if it has none.
    """
    value: str | None = response.headers.get("Retry-After")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        until = _http_date(value)
        return max(0.0, until.timestamp() - answered_at(response)) if until else None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def answered_at(response: httpx.Response) -> float:
    """When the answer was made, by the server's own clock if it says so; seconds since 1970."""
    return (_http_date(response.headers.get("Date")) or datetime.now(UTC)).timestamp()


def _http_date(value: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(value or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
