"""The contract between the engine and a destination: all that an author imports.

The engine needs two methods, `check` and `send`. Further abilities are further protocols that a destination may add.
Over HTTP an author inherits `HttpDestination` and writes two pure functions and a check; retries, pacing, bisecting
and bookkeeping are the engine's. What is not reached over HTTP inherits `BaseDestination`.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, Self, TypeVar

import httpx

from reverse_etl_assets.accounts.answer_bounds import TooLarge, TooLong
from reverse_etl_assets.accounts.transport import Transport, only_reads
from reverse_etl_assets.accounts.turns import next_turn
from reverse_etl_assets.destinations.abilities import (
    NOTHING_KNOWN,
    Destination,
    FindsRecords,
    JobState,
    Part,
    ReadsRecords,
    RestoresRecords,
    RunsJobs,
)
from reverse_etl_assets.destinations.bodies import decode_json, encode_json
from reverse_etl_assets.destinations.connection import ConnectionSettings, SyncOptions, reachable
from reverse_etl_assets.destinations.schema import TakesForms
from reverse_etl_assets.destinations.status_errors import answered_at, error_by_status, retry_after, status_words
from reverse_etl_assets.destinations.vendor_api import VendorApi
from reverse_etl_assets.errors import Ambiguous, DestinationError, RequestRejected, RetryLater, Unsendable
from reverse_etl_assets.records import Batch, Capabilities, Outcome, Quota, Target

__all__ = [
    "NOTHING_KNOWN",
    "Account",
    "BaseDestination",
    "ConnectionSettings",
    "Destination",
    "FindsRecords",
    "HttpDestination",
    "JobState",
    "Part",
    "ReadsRecords",
    "RestoresRecords",
    "RunsJobs",
    "SyncOptions",
    "answered_at",
    "decode_json",
    "encode_json",
    "error_by_status",
    "reachable",
    "retry_after",
    "status_words",
]

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
    def open(cls, connection: C, target: Target, options: O, transport: Transport) -> AbstractAsyncContextManager[Self]:
        """The destination, ready for calls. Each goes over the transport, or is counted with `transport.call`."""

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
    async def open(cls, connection: C, target: Target, options: O, transport: Transport) -> AsyncIterator[Self]:
        async with transport.client() as client:
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
        await next_turn()
        try:
            response = await self.client.send(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise RetryLater(f"no connection to {request.url.host}: {type(error).__name__}") from error
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


@dataclass(frozen=True)
class Account:
    """A destination as the code location names it: its type, and where and how to sign in."""

    name: str
    type: type[BaseDestination[Any, Any]]
    connection: Any
